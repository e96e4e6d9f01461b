/*
 * record: what is kept on disk of one VM, so that a later daemon knows what it finds: the intent to
 * start, written before anything is started; the fact that the guest answered; that it was to end; how it
 * ended. Pure.
 *
 * One file, RECORD_FILE in the VM's directory, replaced as a whole. The shim keeps its own beside it.
 */
#pragma once

#include "base/buf.h"
#include "pb/vm.pb-c.h"

#define RECORD_FILE "vm.rec"

enum {
    RECORD_VERSION = 1,
    RECORD_UID_MAX = 33,
    RECORD_NAME_MAX = 64,
    RECORD_TAP_MAX = 16,
    RECORD_BOOT_ID_MAX = 37,
    RECORD_DETAIL_MAX = 512,
    RECORD_SIZE_MAX = 1024,
};

struct record {
    char uid[RECORD_UID_MAX];
    char name[RECORD_NAME_MAX];
    uint64_t epoch, incarnation, generation;
    uint8_t host_boot[16]; /* boot id of the host when it was started */
    uint32_t slot;
    bool tap;         /* it has a network device of the host's, and `address` */
    uint32_t address; /* IPv4, host order; 0: none that the host reaches */
    bool persistent;  /* its root is kept */
    /* It was to end: how it ends is judged by that. */
    bool asked_down; /* the guest was asked to power off */
    bool asked_kill;
    /* The guest answered. */
    bool ready;
    char boot_id[RECORD_BOOT_ID_MAX]; /* of the guest's kernel */
    uint64_t started_ns;
    uint64_t start_ms;
    /* It ended. */
    bool ended;
    Pb__ExitCause cause;
    char detail[RECORD_DETAIL_MAX];
    uint64_t ended_ns;
};

void vm_record_encode(struct buf *out,
                      const struct record *r); /* out takes RECORD_SIZE_MAX bytes */
/* ST_CORRUPT (it has a checksum), ST_UNSUPPORTED: of another version. ret is set on success only. */
MUST_USE enum status vm_record_decode(struct str bytes, struct record *ret, struct fault *why);
