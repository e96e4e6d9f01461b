/*
 * lists: what the simulated members replicate: a few lists that commands append to.
 *
 * A list shows the order of all that was appended, so that nothing that goes wrong is overwritten. A command
 * bears its client and that one's count of commands: a copy of an older one changes nothing.
 */
#pragma once

#include "wire/cursor.h"

enum { LISTS_COUNT = 4, LISTS_CLIENTS_MAX = 8 };

struct list_command {
    uint32_t client, number; /* number counts from 1, one after another */
    uint32_t list;
    uint64_t value; /* > 0, never twice */
};

struct lists {
    uint64_t hash;                    /* of all that was applied, in its order */
    uint32_t last[LISTS_CLIENTS_MAX]; /* number of the newest command of each client */
    struct {
        uint64_t *value;
        size_t count, room;
    } list[LISTS_COUNT];
};

struct lists *lists_new(void);
struct lists *lists_copy(const struct lists *l);
void lists_free(struct lists *l);                            /* NULL is fine */
bool lists_eq(const struct lists *a, const struct lists *b); /* NULL equals NULL */

/* All of it, as a snapshot keeps it. */
void lists_pack(const struct lists *l, struct buf *out);
/* NULL, and c has failed: that is none. */
struct lists *lists_unpack(struct cursor *c);

/* padding: so many bytes more. */
void list_command_pack(const struct list_command *c, size_t padding, struct buf *out);
bool list_command_unpack(struct str bytes, struct list_command *out);
/* false: it was applied before. */
bool lists_apply(struct lists *l, const struct list_command *c);
