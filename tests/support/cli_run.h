/*
 * cli_run: the command line in a process of its own, its streams in our hands.
 *
 *     struct cli_run r;
 *     cli_run_start(&r, "vm ls --filter 'phase==running'", NULL);
 *     WAIT(&w, cli_run_turn(&r));
 *     CHECK_EQ(0, r.code);
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

struct cli_run {
    pid_t pid;
    int in, out_fd, err_fd; /* ours; -1: closed. On a terminal all are its other side */
    struct buf out, err;    /* what came; on a terminal all of it is in `out` */
    bool ended;
    int code; /* 1000 + signal when one ended it; 99: memory was lost */
};

/* line: words with blanks between; 'one word' in single quotes. input: all of stdin; NULL: stdin stays
 * open, for cli_run_type(). */
void cli_run_start(struct cli_run *r, const char *line, const char *input);
/* The same on a terminal of 30 by 90. */
void cli_run_start_tty(struct cli_run *r, const char *line);
void cli_run_type(struct cli_run *r, const char *text);
/* Take what has come, without waiting. True once it has ended and all of its output is there. */
bool cli_run_turn(struct cli_run *r);
/* Nothing but that turns: for commands that need no node. */
void cli_run_wait(struct cli_run *r);
void cli_run_done(struct cli_run *r); /* kills it, if need be */
