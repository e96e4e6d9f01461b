/*
 * server: the agent. Answers one host over one port; see wire/agent.h for what is said.
 *
 * One loop on poll(2): it sleeps until the host, a program or a child has something, and while no host is
 * there it sleeps until one comes. What goes out is bounded: data is read from programs and files only
 * while the queue is short and the host gave credit, and frames are taken in only while it is not long.
 */
#pragma once

#include <poll.h>
#include <sys/types.h>

#include "wire/agent.h"

enum chan_kind { CHAN_FREE, CHAN_PROGRAM, CHAN_PUSH, CHAN_PULL };

/* A program that runs, and the ends of its pipes that are ours (-1: none or closed). */
struct program {
    pid_t pid;
    int pidfd;
    int in, out, err; /* with a terminal, in and out are the same master, and err is -1 */
    int report;       /* says why it did not start; closes when it did */
    bool tty;
    bool in_ends; /* no more input comes; close `in` once `input` is empty */
    bool exited;
    struct agent_exit exit;
    struct buf input; /* from the host, not yet written: at most AGENT_WINDOW */
};

/* A file under way. */
struct transfer {
    int fd;
    char *path, *temp; /* of a push: its name, and the one it has until it is whole */
    uint64_t want, have;
};

struct chan {
    enum chan_kind kind;
    uint32_t id; /* 0: the host has left it; only its program is waited for */
    struct agent_flow flow;
    struct program program;
    struct transfer transfer;
};

struct server {
    int port;
    bool owner; /* we are this machine's own agent: may change and power off the machine */
    const char *trouble;
    bool open; /* a session is open */
    struct agent_decoder in;
    struct buf out;
    size_t out_at; /* bytes of out that are written */
    struct chan chan[AGENT_CHANNELS_MAX];
    size_t turn; /* which channel is served first; moves on, so that none starves */
    int power;   /* enum agent_power that is asked for, or -1; done when the queue is empty */
};

/* Serve for ever; returns only when the port is gone. trouble is what HELLO says of the boot; borrowed. */
void server_run(int port, bool owner, const char *trouble);

/* ---- for the channels ---- */

/* May data be put into the queue now? */
bool server_roomy(const struct server *s);
/* Put len bytes of data, all of it; server_roomy() was true, len <= AGENT_DATA_MAX and <= may_send. */
void server_data(struct server *s, struct chan *c, enum agent_type type, const char *data,
                 size_t len);
/* The host's data was consumed: give credit back. */
void server_eaten(struct server *s, struct chan *c, size_t len);
/* Answer with ERROR, or with what the status of a put says. All puts fit; see server.c. */
void server_error(struct server *s, uint32_t id, const struct fault *f);
void server_sent(enum status put);

/* program.c: a channel that runs a program. */
MUST_USE enum status program_start(struct chan *c, const struct agent_exec *x, struct fault *why);
void program_input(struct server *s, struct chan *c, struct str data);
void program_input_ends(struct chan *c);
void program_resize(struct chan *c, uint16_t rows, uint16_t cols);
void program_signal(struct chan *c, uint32_t number);
void program_leave(struct chan *c); /* the host has no more interest: kill it, wait quietly */
/* What to wait for, at most PROGRAM_FDS entries; and to look at all that may have changed. */
enum { PROGRAM_FDS = 5 };
size_t program_wants(const struct server *s, const struct chan *c, struct pollfd *p);
void program_step(struct server *s, struct chan *c);

/* transfer.c: a channel that moves a file. */
MUST_USE enum status push_start(struct chan *c, const struct agent_file *f, struct fault *why);
MUST_USE enum status push_data(struct chan *c, struct str data, struct fault *why);
MUST_USE enum status push_finish(struct chan *c, struct fault *why);
MUST_USE enum status pull_start(struct server *s, struct chan *c, struct str path,
                                struct fault *why);
bool pull_ready(const struct server *s, const struct chan *c);
void pull_step(struct server *s, struct chan *c);
void transfer_done(struct chan *c); /* forget it; a file that is not whole is removed */

/* stats.c */
void stats_read(struct agent_stats *ret);
