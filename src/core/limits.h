/*
 * limits: how much the replicated state may hold.
 *
 * What users make is refused when its table is full (ST_LIMIT). What is kept to look back, operations that
 * ended, events and command ids, drops its oldest instead. Every replica must hold the same limits:
 * changing one is a change of apply, for a new feature level.
 *
 * Memory: a VM takes about 2 KiB with its entries in the indexes, an operation or event about 0.6 KiB,
 * a command id about 0.3 KiB (1 KiB if it was refused at the greatest length). The history of a small, old
 * cluster is so kept below 5 MiB. Ids are bounded by count alone: their size in memory is the program's.
 */
#pragma once

#include "core/object.h"

enum {
    LIMIT_TENANTS = 1000,
    LIMIT_PROJECTS = 10000,
    LIMIT_NODES = 128, /* as many members as consensus takes */
    LIMIT_IMAGES = 10000,
    LIMIT_VMS = 100000,
    LIMIT_TOKENS = 1000,
    LIMIT_OPERATIONS = 10000, /* under way: one a VM or image at most */
    LIMIT_ENDED = 2000,       /* operations that ended, kept */
    LIMIT_EVENTS = 4000,      /* kept */
    LIMIT_DONE = 10000,       /* command ids kept, of requests with a key; the API documents it */

    LIMIT_COMMAND_BYTES = 64 << 10, /* one packed command */
    LIMIT_OBJECT_BYTES =
        80 << 10,                /* one packed object: what a command brings and the system adds */
    LIMIT_ENDED_BYTES = 2 << 20, /* packed */
    LIMIT_EVENTS_BYTES = 2 << 20,
};

/* All objects packed: what many VMs with long user data could reach long before LIMIT_VMS. Reports of
 * nodes and deletions are taken beyond it. */
#define LIMIT_STATE_BYTES (UINT64_C(512) << 20)

struct limits {
    size_t objects[OBJECT_KIND_COUNT]; /* operations: those under way; events: kept */
    size_t ended;
    size_t done;
    size_t ended_bytes, events_bytes;
    uint64_t state_bytes;
};
void limits_default(struct limits *l);
