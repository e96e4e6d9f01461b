/*
 * term: what the three streams of a process are, and a terminal that is taken over for a while.
 */
#pragma once

#include <termios.h>

#include "base/defs.h"

struct term {
    bool in, out, err; /* is it a terminal? */
    bool colour;       /* may stderr be coloured? */
};

void term_init(struct term *t);

/* The size of the terminal on fd; 24 by 80 when it does not tell. */
void term_size(int fd, unsigned *ret_rows, unsigned *ret_cols);

/* Every key as it is pressed, nothing echoed, no key with a meaning; until term_restore(). */
struct term_mode {
    int fd;
    bool changed;
    struct termios before;
};
void term_raw(struct term_mode *m, int fd);
/* What is typed is not shown; until term_restore(). */
void term_hide(struct term_mode *m, int fd);
void term_restore(struct term_mode *m); /* also for AUTO(term_restore), and twice */

/*
 * Signals of these kinds are read from the returned descriptor instead of being delivered, until
 * term_catch_end(). Ends with 0. -1 when the kernel refuses: they then do what they always do.
 */
struct term_signals {
    int fd;
    bool blocked;
    unsigned char before[128]; /* a sigset_t */
};
void term_catch(struct term_signals *s, const int *signals);
int term_caught(struct term_signals *s); /* the next signal, or 0; does not wait */
void term_catch_end(struct term_signals *s);
