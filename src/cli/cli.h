/*
 * cli: the command line of Blixard.
 */
#pragma once

#include "base/buf.h"

/* All of it but `up`. Returns the exit code. argv[0] is not looked at. json_setup() was called. */
int cli_main(int argc, char **argv);

/* The reference page docs/reference/cli.md. */
void cli_docs(struct buf *out);
