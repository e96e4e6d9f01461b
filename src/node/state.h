/*
 * node/state: what the files of this folder share. Nobody outside includes it.
 */
#pragma once

#include "base/rng.h"
#include "node/images.h"
#include "node/inflight.h"
#include "node/node.h"
#include "node/reconcile.h"
#include "node/waiters.h"

/* What was loaded before the start. */
struct node_load {
    struct log_hard hard;
    uint64_t snapshot_index, snapshot_term, snapshot_bytes;
    struct cluster_restore *restore; /* while a snapshot comes in */
    struct cluster *cluster;         /* from it */
    struct raft_entry *entries;
    size_t count, room;
};

/* A ready that the log had no room for. */
struct node_held {
    bool any;
    bool hard_changed;
    struct log_hard hard;
    uint64_t token;
    struct raft_entry *entry; /* with references */
    size_t count;
};

/* A snapshot on its way to the log. */
struct node_snapshot {
    struct cluster_snapshot *from; /* NULL: none is under way */
    uint64_t index, term;
    struct buf chunk; /* packed, not yet taken by the log */
    bool packed, last;
    bool sent;           /* all of it; the log has still to say that it is durable */
    uint64_t retry_ms;   /* the log took no chunk; 0: it does */
    uint64_t bytes;      /* of what was sent */
    uint64_t from_bytes; /* node.command_bytes as of it */
    uint64_t done_index; /* of the newest that is durable */
    uint64_t done_bytes, done_from_bytes;
};

enum hello {
    HELLO_WAIT, /* until the state is as new as the log */
    HELLO_INIT, /* no cluster yet: make it */
    HELLO_SELF, /* say what this node is */
    HELLO_DONE,
};

/* Bounds how fast the state's time may run ahead: command_time(). */
struct node_time {
    uint64_t last_ns;   /* of the last command; 0: there was none */
    uint64_t last_ms;   /* monotonic, of then */
    uint64_t budget_ms; /* by which the next may be ahead of the monotonic clock */
    uint64_t ahead_ns;  /* the clock was at the start, further than is believed; or 0 */
};

struct node {
    struct node_ports ports;
    struct log *log; /* from the start on */
    char *name, *cluster_name, *actor;
    Pb__NodeFacts *facts;
    struct node_config config; /* its pointers are those above */
    struct rng rng;

    bool started, dead;
    struct fault why_dead;
    struct node_load load;

    struct cluster *cluster;
    struct raft *raft;
    uint64_t command_index, command_term; /* of the last entry that was a command */
    uint64_t command_bytes;               /* of all commands applied since the start */

    struct log_events log_events;
    struct node_held held;
    uint64_t apply_to;          /* entries up to here are committed and durable */
    uint64_t log_retry_ms;      /* of what is held; UINT64_MAX: nothing is */
    uint64_t token;             /* of the newest that was given to the log */
    struct apply_result result; /* of the newest command, until there is time to free it */
    struct node_snapshot snapshot;

    struct waiters proposals, reads;
    struct inflight inflight;
    struct list watches;
    struct node_time time;

    enum hello hello;
    bool hello_asked; /* a command of it is on its way */
    uint64_t hello_retry_ms;
    uint32_t number;

    struct reconcile reconcile;
    struct images images;

    bool busy;      /* something is to be done at once */
    bool unwritten; /* something was proposed that the log was not given yet */
    uint64_t proposed, proposals_refused, proposals_timed_out, commands_replayed, commands_joined,
        snapshots;
};

uint64_t node_now_ms(const struct node *n);
void node_die(struct node *n, const struct fault *why);
/* A random uid. */
void node_new_uid(struct node *n, char out[OBJECT_UID_MAX]);

/* --- apply.c --- */
void node_write_out(struct node *n); /* what raft has ready: to the log, and to be applied */
void node_apply(struct node *n);     /* some of what is committed and durable */
void node_foresee(struct node *n);   /* what comes next */
void node_held_done(struct node_held *h);

/* --- recover.c --- */
void node_load_done(struct node_load *l);

/* --- hello.c --- */
void node_hello_step(struct node *n);
uint64_t node_hello_deadline_ms(const struct node *n);

/* --- propose.c --- */
/* Tell who waits for the entry what became of it. */
void node_tell(struct node *n, const struct raft_entry *e, const struct apply_result *r);
void node_expire(struct node *n); /* whose deadline has passed */

/* --- read.c --- */
void node_read_step(struct node *n);

/* --- snapshot.c --- */
void node_snapshot_step(struct node *n);
void node_snapshot_durable(struct node *n, uint64_t index);
uint64_t node_snapshot_deadline_ms(const struct node *n); /* UINT64_MAX: nothing is to be sent */
void node_snapshot_done(struct node_snapshot *s);
