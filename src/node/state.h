/*
 * node/state: what the files of this folder share. Nobody outside includes it.
 */
#pragma once

#include "base/rng.h"
#include "node/agree.h"
#include "node/images.h"
#include "node/inflight.h"
#include "node/mail.h"
#include "node/node.h"
#include "node/reconcile.h"
#include "node/saved.h"
#include "node/waiters.h"

/* What was loaded before the start. */
struct node_load {
    struct log_hard hard;
    uint64_t snapshot_index, snapshot_term, snapshot_bytes;
    struct saved_in in;      /* while a snapshot comes in, */
    bool coming;             /* as it does now */
    bool whole;              /* it has come */
    struct cluster *cluster; /* from it */
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
    bool under_way;
    struct cluster_snapshot *from; /* NULL: of a witness, which has no state */
    uint64_t index, term;
    struct buf chunk; /* packed, not yet taken by the log */
    bool packed, last;
    bool sent;           /* all of it; the log has still to say that it is durable */
    uint64_t retry_ms;   /* the log took no chunk; 0: it does */
    uint64_t bytes;      /* of what was sent */
    uint64_t from_bytes; /* node.command_bytes as of it */
    uint64_t done_index; /* of the newest that is durable, perhaps a peer's */
    uint64_t done_bytes, done_from_bytes;
};

/* A peer's snapshot on its way here. */
struct node_fetch {
    uint32_t from; /* 0: none is */
    uint64_t id;
    uint64_t index, term; /* 0 until the first bytes came */
    uint64_t offset;      /* bytes that the log has taken */
    uint64_t ask_ms;      /* when to ask for the next ones */
    uint32_t asks;        /* that were not answered */
    struct saved_in in;
    struct buf chunk; /* what came and is not yet in the log */
    bool has_chunk, last;
    size_t decoded;          /* bytes of it */
    bool checked;            /* all of it is decoded, and may go to the log */
    uint64_t retry_ms;       /* the log took no chunk; 0: it does */
    struct cluster *cluster; /* all of it came: this is what it holds; NULL for a witness */
    bool freezes;            /* the log makes it durable: consensus stands still until then */
    bool durable;
};

enum { NODE_GIVES_MAX = 4 };

/* A snapshot on its way to a peer. */
struct node_give {
    uint32_t to; /* 0: none */
    uint64_t id;
    struct cluster_snapshot *from; /* NULL: not begun, all is packed, or `to` is a witness */
    struct saved_head head;
    bool begun, asked, next;
    struct buf chunk; /* packed last: what is asked for again */
    uint64_t offset;  /* of chunk */
    bool last;
    uint64_t heard_ms;
    uint64_t from_bytes; /* node.command_bytes as of it */
};

/* A command of this node's own that was sent to the leader. */
struct node_forward {
    struct list item; /* in the order of numbers */
    uint64_t number, due_ms;
    node_done *done;
    void *ctx;
    bool answered;
    uint64_t index;
    struct fault why; /* its status is the command's */
};

/* As who has commands: with the leader of a term, a session. */
struct node_sender {
    uint64_t life;
    uint64_t term, session; /* session 0: none yet */
    uint64_t number;
    uint64_t ask_ms; /* when to ask for a session again */
    struct list waiting;
    size_t count;
};

/* As the leader of a term, for one member. */
struct node_session {
    uint32_t member;
    uint64_t life, session, number; /* number: of the newest command that was taken */
};

struct node_leader {
    uint64_t term;
    uint64_t sessions;
    struct node_session of[RAFT_MEMBERS_MAX];
    size_t count;
    size_t waiting; /* commands of others in this log */
};

/* What came by mail, and went. */
struct node_mails {
    uint64_t sent, received, refused;
};

struct node_heard {
    uint32_t number;
    uint64_t ms; /* when the leader heard of it last */
};

/* As the leader of a term: who votes (roles.h). */
struct node_roles {
    struct node_watch watch;
    uint64_t term;
    uint64_t check_ms; /* when to look again */
    uint64_t
        removed_ms; /* this node is none of the cluster any more, and ends then; 0: it is one */
    bool changed;   /* look at once */
    bool
        again; /* a step was taken, or is still to be: look again at check_ms even if nothing happens */
    struct node_heard heard[RAFT_MEMBERS_MAX];
    size_t heard_count;
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
    struct raft_members *first; /* those of the configuration */
    struct node_config config;  /* its pointers are those above */
    struct rng rng;

    bool started, dead;
    struct fault why_dead;
    struct node_load load;

    struct cluster *cluster;
    struct cluster *old; /* what another took the place of: it goes a piece at a time; or NULL */
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
    struct node_fetch fetch;
    struct node_give give[NODE_GIVES_MAX];

    struct buf mail; /* room for one */
    struct node_mails mails;
    struct node_sender sender;
    struct node_leader leader;
    struct agree agree;
    uint64_t agree_ms;      /* when a quiet node notes the hash of its state; UINT64_MAX: it has */
    uint64_t truncations;   /* of the log, as far as who waits was told */
    uint64_t members_index; /* of the configuration that was looked at */

    struct waiters proposals, reads;
    struct inflight inflight;
    struct list watches;
    struct node_time time;

    enum hello hello;
    bool hello_asked; /* a command of it is on its way */
    uint64_t hello_retry_ms;
    uint32_t number;

    struct node_roles roles;
    struct reconcile reconcile;
    struct images images;

    bool busy;      /* something is to be done at once */
    bool unwritten; /* something was proposed that the log was not given yet */
    uint64_t proposed, proposals_refused, proposals_timed_out, commands_replayed, commands_joined,
        snapshots, restores, gives, forwards;
};

uint64_t node_now_ms(const struct node *n);
bool node_leads(const struct node *n);
/* ST_NOT_LEADER, and who does lead, if that is known. */
enum status node_not_leader(const struct node *n, struct fault *why);
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
/* Everything that was committed before this start, or before it led, is applied. */
bool node_state_is_current(const struct node *n);

/* --- propose.c --- */
/* Tell who waits for the entry what became of it. */
void node_tell(struct node *n, const struct raft_entry *e, const struct apply_result *r);
void node_expire(struct node *n);    /* whose deadline has passed */
void node_tell_lost(struct node *n); /* whose entry is cut from the log */

/* --- read.c --- */
void node_read_step(struct node *n);

/* --- snapshot.c --- */
/* At most one chunk is packed; true if one was. */
bool node_snapshot_step(struct node *n);
void node_snapshot_durable(struct node *n, uint64_t index);
uint64_t node_snapshot_deadline_ms(const struct node *n); /* UINT64_MAX: nothing is to be sent */
void node_snapshot_done(struct node_snapshot *s);

/* --- peers.c --- */
void node_send(struct node *n, uint32_t to, const struct mail *m);
void node_send_raft(struct node *n, const struct raft_message *m);
bool node_is_witness(const struct node *n, uint32_t member); /* by the members in force */

/* --- members.c --- */
void node_members_step(struct node *n); /* this node must be what they say */
void node_roles_init(struct node *n);
void node_roles_step(struct node *n); /* as the leader: let the members be those of the state */
uint64_t node_roles_deadline_ms(const struct node *n);

/* --- fetch.c, restore.c: a peer's snapshot comes in --- */
void node_fetch_offered(struct node *n, uint32_t from);
void node_fetch_chunk(struct node *n, uint32_t from, const struct mail_chunk *m);
void node_fetch_step(struct node *n);
void node_fetch_durable(struct node *n, uint64_t index);
uint64_t node_fetch_deadline_ms(const struct node *n);
void node_fetch_done(struct node_fetch *f);
void node_fetch_end(struct node *n); /* whatever became of it */
void node_restore_step(struct node *n);

/* --- give.c: one goes out --- */
void node_give_asked(struct node *n, uint32_t from, const struct mail_ask *m);
/* At most one chunk is packed; true if one was. */
bool node_give_step(struct node *n);
uint64_t node_give_deadline_ms(const struct node *n);
/* The first entry that a peer will need after a snapshot that it is being given. */
uint64_t node_give_first_needed(const struct node *n);
void node_give_done(struct node_give *g);

/* --- forward.c --- */
/* Propose a command of this node's own, wherever the leader is; as node_propose(), without a deadline. */
MUST_USE enum status node_propose_own(struct node *n, const Pb__Command *cmd, node_done *done,
                                      void *ctx, struct fault *why);
void node_forward_received(struct node *n, uint32_t from, const struct mail_forward *m);
void node_forwarded_received(struct node *n, uint32_t from, const struct mail_forwarded *m);
void node_forward_step(struct node *n);
uint64_t node_forward_deadline_ms(const struct node *n);
void node_forward_done(struct node *n, const char *text); /* who waits is told ST_UNAVAILABLE */

/* --- hash.c --- */
void node_hash_applied(struct node *n, uint64_t index);
void node_hash_received(struct node *n, uint32_t from, const struct mail_hash *m);
void node_hash_step(struct node *n);
uint64_t node_hash_deadline_ms(const struct node *n);
