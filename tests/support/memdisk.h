/*
 * memdisk: port/disk.h in memory, with a platter that forgets what was not synced.
 *
 * Operations that change or sync something are counted from 0. One can be made to fail, or to be
 * the last before a crash; after a crash everything fails until memdisk_reboot().
 */
#pragma once

#include "port/disk.h"

struct memdisk;

struct memdisk *memdisk_new(void);
struct memdisk *memdisk_copy(const struct memdisk *m); /* of the platter */
void memdisk_free(struct memdisk *m);
struct disk *memdisk_port(struct memdisk *m);

uint64_t memdisk_ops(const struct memdisk *m);
uint64_t memdisk_syncs(const struct memdisk *m); /* of files */

/* From operation `op` on nothing is done any more; if it is a write, its bytes are on their way. */
void memdisk_crash_at(struct memdisk *m, uint64_t op);
/* Operation `op` fails with s, once; a write gets half way. */
void memdisk_fail_at(struct memdisk *m, uint64_t op, enum status s);
/* How many operations came after the one that failed. */
uint64_t memdisk_ops_after_failure(const struct memdisk *m);

enum memdisk_loss {
    MEMDISK_LOSE,       /* nothing that was not synced survives */
    MEMDISK_KEEP,       /* everything does */
    MEMDISK_TEAR,       /* each sector of 512 bytes, and each name, as the seed says */
    MEMDISK_TEAR_PAGES, /* likewise each page of 4 KiB, as a system writes them back */
    MEMDISK_LOSS_COUNT,
};
void memdisk_reboot(struct memdisk *m, enum memdisk_loss loss, uint64_t seed);
/* Only the process died: all is seen as it was, and what was not synced may still be lost later. */
void memdisk_kill(struct memdisk *m);

/* Behind the back of whoever uses the disk; on the platter at once. */
uint8_t *memdisk_bytes(struct memdisk *m, const char *name, size_t *ret_len); /* NULL: absent */
void memdisk_put(struct memdisk *m, const char *name, const void *bytes, size_t len);
void memdisk_remove(struct memdisk *m, const char *name);
