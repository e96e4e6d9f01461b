/*
 * raft_net: a few Raft cores, their platters and the messages between them, for tests that tell a story.
 *
 * Nothing happens by itself. A message waits in the pool until the test delivers, doubles or drops it;
 * time stands still until the test moves it, and each node has a clock of its own. What a core gives to
 * be made durable is durable at once, or once the test says so; a crash loses the rest.
 *
 * While it runs, the harness itself checks (by CHECK) what holds in every story: one leader a term; a
 * message speaks of nothing that is not on the platter of its sender; no sound member's message is refused;
 * everybody applies the same entries, from its own platter, and each was on the platters of a
 * quorum when it was first applied.
 */
#pragma once

#include "raft/raft.h"

enum { NET_NODES_MAX = 8, NET_INDEX_MAX = 512, NET_TERM_MAX = 64 };
enum { NET_ANY = -1 }; /* any type of message; 0 is any node */

struct net_write {
    uint64_t token;
    struct raft_hard hard;
    struct raft_entry *entries; /* ours, and a reference to each one's data */
    size_t count;
};

struct net_node {
    struct raft *r; /* NULL while it is down */
    uint64_t now_ms;
    uint64_t applied;

    /* The platter: entry[index] for first..last. */
    struct raft_hard hard;
    struct raft_entry entry[NET_INDEX_MAX];
    uint64_t first, last;
    struct raft_snapshot snapshot; /* members: &snapshot_members, or NULL */
    struct raft_members snapshot_members;

    bool disk_held;
    struct net_write write[NET_INDEX_MAX]; /* not yet durable, oldest first */
    size_t write_count;
};

struct net {
    struct raft_config config; /* of every node that is started; self is set then */
    struct raft_members first;
    struct net_node node[NET_NODES_MAX + 1]; /* by number */

    struct raft_message *pool; /* in the order they were sent; entries are copies */
    size_t pool_count, pool_room;
    bool cut[NET_NODES_MAX + 1][NET_NODES_MAX + 1];  /* [from][to]: what is sent is lost */
    bool held[NET_NODES_MAX + 1][NET_NODES_MAX + 1]; /* net_settle() delivers nothing */

    struct raft_entry truth[NET_INDEX_MAX]; /* what was applied first, anywhere, by index */
    uint64_t truth_last;
    uint32_t leader[NET_TERM_MAX]; /* who led a term; 0: nobody yet */
    char text[NET_INDEX_MAX];
};

/* The first members are voters 1..voters; none is started. */
struct net *net_new(uint32_t voters);
void net_free(struct net *n);
struct net *net_start_all(uint32_t voters); /* net_new, net_start of each */
struct net *net_start_led(uint32_t voters); /* and 1 leads */

/* --- nodes --- */

/* Before it is started: its log, by a digit for each entry's term, and the term of its hard state. */
void net_load(struct net *n, uint32_t i, const char *terms, uint64_t term);
void net_start(struct net *n, uint32_t i);          /* from its platter */
void net_start_each(struct net *n, uint32_t count); /* 1..count */
void net_crash(struct net *n, uint32_t i);          /* writes that are held are lost */
void net_restart(struct net *n, uint32_t i);

struct raft_view net_view(const struct net *n, uint32_t i);
struct raft_peer_view net_peer(const struct net *n, uint32_t leader, uint32_t i);
const char *net_log(struct net *n,
                    uint32_t i); /* the platter's, as for net_load(); until the next */

/* Do what raft_ready() says, until it says nothing. Called by all that follow. */
void net_run(struct net *n, uint32_t i);
/* The command goes into the log of who leads; returns its index. */
uint64_t net_propose(struct net *n, uint32_t i, const char *text);
/* So many commands, one after the other. */
void net_propose_many(struct net *n, uint32_t i, size_t count);
void net_fill(struct net *n, uint32_t i, size_t count); /* and everybody gets them */
uint64_t net_change(struct net *n, uint32_t i, const struct raft_members *wanted);

/* --- disk --- */

void net_disk_hold(struct net *n, uint32_t i);
void net_disk_do(struct net *n, uint32_t i, size_t count); /* the oldest writes; still held */
void net_disk_release(struct net *n, uint32_t i);          /* all of them, and hold no more */

void net_compact(struct net *n, uint32_t i, uint64_t index, uint64_t first_kept);
/* What node `from` has as its snapshot is installed at i, if it may be. */
bool net_restore(struct net *n, uint32_t i, uint32_t from);

/* --- messages --- */

/* The oldest of those that match; NULL if there is none. */
const struct raft_message *net_find(const struct net *n, uint32_t from, uint32_t to, int type);
size_t net_count(const struct net *n, uint32_t from, uint32_t to, int type);
void net_deliver(struct net *n, uint32_t from, uint32_t to, int type);      /* the oldest */
void net_deliver_last(struct net *n, uint32_t from, uint32_t to, int type); /* the newest */
/* The oldest append, or request for a vote, of i to `to`; then the oldest answer. */
void net_replicate(struct net *n, uint32_t i, uint32_t to);
void net_vote(struct net *n, uint32_t i, uint32_t to);
/* Each of those that match, one at least, gets a copy, last. */
void net_double(struct net *n, uint32_t from, uint32_t to, int type);
size_t net_drop(struct net *n, uint32_t from, uint32_t to, int type); /* all */
void raft_net_send(struct net *n, const struct raft_message *m);      /* a copy into the pool */
void net_settle(struct net *n); /* deliver until nothing is left but what is held */

void net_isolate(struct net *n, uint32_t i); /* nothing comes and goes; what is under way is lost */
void net_rejoin(struct net *n, uint32_t i);

/* --- time --- */

void net_tick(struct net *n, uint32_t i, uint64_t ms); /* its clock alone goes on so much */
void net_pass(struct net *n, uint64_t ms);             /* all clocks, with delivery in between */
/* A heartbeat of i, and delivery. */
void net_beat(struct net *n, uint32_t i);
/* Its election timeout passes, and everybody's lease before; it wins. */
void net_elect(struct net *n, uint32_t i);
/* Likewise, but nothing is delivered. */
void net_campaign(struct net *n, uint32_t i);
/* Likewise, and it wins by the votes of `by` alone; what it sends to the others, and then as leader, waits. */
void net_elect_by(struct net *n, uint32_t i, uint32_t by);

/* --- for the harness itself --- */

struct raft_entry
net_entry_ref(const struct raft_entry *e); /* the same, with a reference of its own */
struct raft_entry *net_entries_copy(const struct raft_entry *e, size_t count);
void net_entries_free(struct raft_entry *e, size_t count);
