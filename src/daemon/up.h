/*
 * up: the node itself, from its configuration to its end.
 */
#pragma once

#include "base/config.h"
#include "crypto/ticket.h"

/* As cli_up of cli/cli.h: what goes wrong is logged; returns the exit code. */
int up(const char *file, struct config *c, const struct ticket *t);
