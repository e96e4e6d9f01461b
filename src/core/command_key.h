/*
 * command_key: how a command is known again, so that a retry is answered as the first was.
 */
#pragma once

#include "base/fault.h"
#include "pb/command.pb-c.h"

enum { COMMAND_ID_SIZE = 16, COMMAND_REQUEST_SIZE = 16 };

struct command_key {
    uint8_t id[COMMAND_ID_SIZE];
    uint8_t request[COMMAND_REQUEST_SIZE]; /* digest of what was asked under it; zeros: none */
};

/* false: the command has no id, or that or its request has another size. */
bool command_key_of(const Pb__Command *cmd, struct command_key *out);

/* The ids are equal. ST_CONFLICT: something else was asked under it. */
MUST_USE enum status command_key_check(const struct command_key *was, const struct command_key *now,
                                       struct fault *why);
