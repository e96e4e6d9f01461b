/*
 * help: what commands do and take, as text.
 */
#pragma once

#include "base/buf.h"
#include "cli/command.h"

/* Everything, one line a command. */
void help_all(const struct commands *all, struct buf *out);
/* One noun with its verbs. */
void help_noun(const struct commands *all, struct str noun, struct buf *out);
/* One command. */
void help_command(const struct command *c, struct buf *out);

/* What a flag's value may be, beyond its doc: "1 to 64; default 1". Nothing when there is nothing to
 * say. */
void help_limits(const struct flag *f, struct buf *out);
/* "--memory SIZE", "--[no-]start" */
void help_flag(const struct flag *f, struct buf *out);
