/*
 * shim: the parts of blixard-shim. It is one static program of one thread, without stdio, that does
 * as little as it can: start the monitor of a VM, watch it end, and say so. See wire/shim.h.
 */
#pragma once

#include "wire/shim.h"

enum { SHIM_CLIENTS_MAX = 4 };

/* The end of what was written to a pipe. */
struct tail {
    size_t len; /* bytes ever put in */
    char ring[SHIM_TAIL_MAX];
};

struct shim {
    struct shim_start start; /* views into message */
    struct shim_record record;
    bool ended;                   /* the record says how */
    int timer;                    /* CLOCK_BOOTTIME: the deadline */
    int signals;                  /* SIGTERM and SIGINT */
    int monitor;                  /* pidfd */
    int stderr_fd;                /* what the monitor writes to its stderr; not blocking */
    int exec_fd;                  /* ends when the monitor has been run; -1 after that */
    int client[SHIM_CLIENTS_MAX]; /* -1: free */
    struct tail tail;
    char message[SHIM_START_MAX];
};

/* Add "what: text of err" as a line to what will be told; err 0: only what. */
void shim_note(struct shim *s, const char *what, int err);

/* Fork and surround the monitor with its walls, run it. On failure nothing runs and it was noted. */
bool monitor_start(struct shim *s);
/* Give up the rights that only the start needed. False: it was noted. */
bool monitor_drop_rights(struct shim *s);
/* End it. The first cause that is given stands. */
void monitor_kill(struct shim *s, enum shim_cause cause);

/* Take a connection, or refuse it to others than root and this process's own user. */
void talk_accept(struct shim *s);
/* Answer one request of client i, or drop it. */
void talk_answer(struct shim *s, int i);
/* Tell all that the monitor ended. */
void talk_ended(struct shim *s);
/* boot_ms, or SHIM_NONE. */
void talk_deadline(struct shim *s, uint64_t deadline_ms);

/* Put the record into the VM's directory, in place of the one before. */
void record_write(struct shim *s);
/* Start time of a process, as in struct shim_record; 0 when it cannot be read. */
uint64_t record_start_time(uint32_t pid);
uint64_t record_wall_ns(void);
