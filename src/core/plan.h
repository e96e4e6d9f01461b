/*
 * plan: what one command will do to the state as it is, worked out without changing it.
 *
 * A plan holds for the state that it was made for, and no longer.
 */
#pragma once

#include "core/command_key.h"
#include "core/txn.h"

struct plan {
    uint64_t index; /* 0: there is none; a plan of zeros is one */
    char *command;  /* its bytes, ours */
    size_t command_len;
    Pb__Command *cmd; /* NULL: they are none */
    struct command_key key;
    bool has_key;
    enum status status; /* ST_OK, or why it is refused */
    struct fault why;
    struct txn txn; /* what is staged; points into cmd and the state */
};

void plan_make(struct plan *p, const struct cluster *c, uint64_t index, struct str command);
void plan_drop(struct plan *p);
bool plan_is_of(const struct plan *p, uint64_t index, struct str command);
