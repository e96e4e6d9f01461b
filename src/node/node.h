/*
 * node: joins consensus and state, and makes real what the state wants of this machine.
 *
 * One thread. It is driven by its ports' events, by proposals, and by node_step(), which the driver
 * calls whenever node_deadline_ms() has come; after any call into the node that may be at once. All
 * work and all calls of waiters and watches happen within node_step, or when the log says that all it was
 * given is durable (a read that is served at once excepted), a bounded piece at a time. The same code runs in production and in the simulator; only
 * the ports differ.
 *
 * Life: node_new, then the log's adapter is opened and loads through node_loader(), then node_start
 * with it. A log that fails, or a state that cannot be, ends it: node_dead() tells why, and nothing
 * is served any more.
 */
#pragma once

#include "base/list.h"
#include "core/cluster.h"
#include "core/limits.h"
#include "port/blob.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/log.h"
#include "port/peers.h"
#include "port/vmm.h"
#include "raft/raft.h"

/*
 * What outlives the process, though not the machine: in production a shared mapping of a small file,
 * zeros when it is new. From it a node knows that it died while it applied an entry; one that did
 * so twice at the same entry stays down.
 */
struct node_mark {
    uint64_t applying; /* index of the entry that is being applied, 0 for none */
    uint64_t index;    /* of the entry at which it died last */
    uint64_t deaths;   /* how often in a row */
};

struct node_ports {
    struct clock *clock;
    struct entropy *entropy;
    struct vmm *vmm;
    struct blob *blob;
    struct node_mark *mark; /* or NULL: deaths are not noticed */
    struct peers *peers;    /* or NULL: this node is alone, and its members never change */
};

struct node_config {
    const char *name;           /* of this node; kept by copy */
    const char *cluster_name;   /* used when the log is empty: the first start makes the cluster */
    const Pb__NodeFacts *facts; /* kept by copy */
    struct limits limits;       /* of the state: the default ones, but in tests */
    uint64_t seed;              /* of back-offs' jitter */
    /* The state is saved after so many entries, if they have as many bytes as it had when it was saved
     * last; and after so many bytes of commands, however few they are. Both above 0. */
    uint64_t snapshot_entries, snapshot_log_max;
    /* So many stay in the log behind a snapshot, of no more than a fourth of snapshot_log_max. */
    uint64_t trailing_entries;
    uint64_t start_timeout_ms; /* a guest that has not answered by then has failed to start */
    uint64_t backoff_min_ms, backoff_max_ms; /* between restarts by policy */
    uint64_t backoff_reset_ms; /* a VM that ran for so long starts again from backoff_min_ms */
    /* The machine booted since a node here had last settled its VMs (node_view: reconciled, no news):
     * what is not found went down with it, and those with autostart start. */
    bool host_booted;

    /* Consensus. Without peers: member 1, alone, and no witness. */
    uint32_t member; /* the number of this member, which no other ever had */
    /* In force until the log tells of others, and the same for all that begin together. NULL: this one alone; none
     * at all: it waits to be taken in. Kept by copy. */
    const struct raft_members *members;
    /* It votes and keeps the log, but holds no state, and nothing runs on it. The same all its life, and as the
     * members in force say; if they say otherwise, the node stops. */
    bool witness;
    uint32_t election_ms, heartbeat_ms; /* raft/raft.h */
    /* As the leader, let the members be the nodes of the state, and those of them vote that node/roles.h says; and
     * stop once this node is not among them any more. Without it, members are whoever node_change_members() names. */
    bool keep_roles;
};
void node_config_default(struct node_config *c);

enum {
    NODE_STARTS_MAX = 4,             /* VMs that start at once */
    NODE_REPORTS_MAX = 64,           /* reports of VMs on their way through the log */
    NODE_WAITING_MAX = 20000,        /* proposals and reads that wait */
    NODE_SNAPSHOT_CHUNK = 128 << 10, /* bytes that one step packs of a snapshot */
};

struct node;

struct node *node_new(const struct node_config *c, const struct node_ports *p);
/* Closes nothing of the ports, which must not tell it anything any more. Waiters are told
 * ST_UNAVAILABLE, and must not call the node. NULL is fine. */
void node_free(struct node *n);

struct log_load node_loader(struct node *n);
/* log is kept until node_free.
 * ST_CORRUPT when what was loaded cannot be; ST_INTERNAL when it died twice at the same entry. */
MUST_USE enum status node_start(struct node *n, struct log *log, struct fault *why);

/* Bytes came from member `from`. They are borrowed, and may be anything: what no sound member sends is counted and
 * dropped. */
void node_receive(struct node *n, uint32_t from, struct str bytes);

void node_step(struct node *n);                  /* time has passed, or something happened */
uint64_t node_deadline_ms(const struct node *n); /* on clock->now_ms; UINT64_MAX: never */

/* Why the node stopped, or NULL while it runs. */
const struct fault *node_dead(const struct node *n);

/* --- writes --- */

/* Told once, on this thread, from within node_step, an event of the log, or node_free. `r` is NULL unless the command was
 * applied; then its status may still be a refusal. s says ST_TIMEOUT when the deadline passed, and
 * ST_UNAVAILABLE when the node ended or lost its place as the leader: in all cases the command may still be
 * applied, and the text says so; but when another's entry took the place of this one, it will not be. */
typedef void node_done(void *ctx, enum status s, const struct fault *why,
                       const struct apply_result *r);

/*
 * Propose a copy of cmd in which time and level are filled in.
 * cmd is borrowed; deadline on clock->now_ms; done may be NULL. While a command with the same id is on
 * its way, the log gets no other: `done` is told of that one, or the call is refused (ST_CONFLICT) if
 * that one asked for something else.
 *
 * Returns  ST_OK        taken; `done` will be called.
 *          ST_LIMIT, ST_NOT_LEADER, ST_TOO_BIG, ST_UNAVAILABLE   not taken, and will never be applied.
 *          With ST_NOT_LEADER the text tells who leads, and node_view().raft.leader does.
 */
MUST_USE enum status node_propose(struct node *n, const Pb__Command *cmd, uint64_t deadline_ms,
                                  node_done *done, void *ctx, struct fault *why);

/* --- reads --- */

/* Call done (its r is NULL) once the applied state is recent enough for a linearizable read; at once
 * if it is. The same refusals as node_propose. ST_UNAVAILABLE when the node leads no more: ask again, elsewhere. */
MUST_USE enum status node_read(struct node *n, uint64_t deadline_ms, node_done *done, void *ctx,
                               struct fault *why);

/* Forget a waiter: done is not called any more for this ctx. */
void node_forget(struct node *n, void *ctx);

const struct cluster *node_cluster(const struct node *n);
uint32_t node_number(const struct node *n); /* of this node in the state; 0 until it is known */
struct vmm *node_vmm(struct node *n);
struct clock *node_clock(struct node *n);
struct entropy *node_entropy(struct node *n);

/* Told of every applied command that changed something, after it. */
struct node_watch {
    struct list item;
    void (*applied)(struct node_watch *w, const struct apply_result *r);
    /* The whole state is another, later one, of a peer's: what changed between the two was not told. NULL is fine. */
    void (*restored)(struct node_watch *w);
};
void node_watch_add(struct node *n, struct node_watch *w); /* kept until node_watch_cut */
void node_watch_cut(struct node_watch *w);

/* --- members --- */

/* Those in force. Borrowed until the next call. */
const struct raft_members *node_members(const struct node *n);
/* As raft_change(); also ST_INVALID if a member is to become a witness, or is to be one no more: who was
 * without a state must not lead, and a number is not used for two. ST_UNSUPPORTED without peers. */
MUST_USE enum status node_change_members(struct node *n, const struct raft_members *wanted,
                                         uint64_t *ret_index, struct fault *why);
/* What the leader knows of another member; false if this node leads not, or there is none of that number. */
bool node_peer_view(const struct node *n, uint32_t number, struct raft_peer_view *ret);
/* As raft_transfer(). */
MUST_USE enum status node_hand_over(struct node *n, uint32_t to, struct fault *why);

/* --- host --- */

/* Stop all VMs of this node gracefully; kill those that still run at deadline_ms, on clock->now_ms.
 * What is wanted of them stays as it is: they start again with the host, or with the node. done is
 * called, from within node_step, when none runs and the state knows so, or the node is dead; with peers also when
 * none runs and some seconds passed since deadline_ms, since without a quorum nobody can be told. Not while
 * another call waits for that. */
void node_shutdown(struct node *n, uint64_t deadline_ms, void (*done)(void *ctx), void *ctx);

/* --- watching the node itself --- */

struct node_view {
    struct raft_view raft;
    uint64_t applied_hash; /* of the state */
    uint64_t proposals, proposals_refused, proposals_timed_out, commands_replayed, commands_joined;
    uint64_t reports, reports_refused;
    uint64_t snapshots, snapshot_index;
    uint64_t restores; /* snapshots of peers that came in */
    uint64_t gives;    /* snapshots that were begun to be given to peers */
    uint64_t forwards; /* commands of this node's own that went to the leader */
    uint64_t mails_sent, mails_received, mails_refused;
    uint64_t agreed_index; /* the newest entry of which the state's hash was noted */
    uint64_t
        clock_ahead_ns; /* of the state's time at the start, when that was not believed; or 0 */
    size_t waiting;
    size_t vms, vms_starting, vms_running; /* of this node, as it knows them */
    size_t news;                           /* reports that wait or are on their way */
    bool reconciled;                       /* the vmm was looked at, unknown VMs are settled */
    const char *look_trouble;              /* why looking at the vmm failed the last time, or "" */
};
struct node_view node_view(const struct node *n);
