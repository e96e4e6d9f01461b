/*
 * cli: the command line of Blixard.
 */
#pragma once

#include "base/buf.h"
#include "base/config.h"
#include "crypto/ticket.h"

/* Runs the node; what goes wrong is logged. file: of the configuration, as it was named, or NULL. t: to
 * join a cluster by first, or NULL. Returns the exit code. */
typedef int cli_up(const char *file, struct config *c, const struct ticket *t);

/* Returns the exit code. argv[0] is not looked at. json_setup() was called. up is what `blixard up`
 * does; NULL: this program is the command line alone. */
int cli_main(int argc, char **argv, cli_up *up);

/* The reference page docs/reference/cli.md. */
void cli_docs(struct buf *out);
