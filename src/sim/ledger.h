/*
 * ledger: what the checker of a group knows, and the invariants of Raft (design names as in the thesis and in the
 * TLA+ model of etcd). Each look costs what has changed, so that every event can be followed by one.
 */
#pragma once

#include "raft/raft.h"
#include "sim/net.h"

struct member;
struct platter;

/* An entry that was ever made: (index, term) has one content and one entry before it. */
struct ledger_entry {
    uint64_t term, term_before, hash;
};

struct ledger_slot {
    struct ledger_entry *made;
    uint32_t made_count, made_room;
    uint64_t commit_term; /* 0: not committed */
    uint64_t commit_by;   /* term of the leader who did */
    uint64_t state_hash;  /* once applied; 0: not yet */
};

/* What a member promised. */
struct ledger_member {
    struct raft_hard told;  /* the newest vote that it told of */
    struct raft_hard hard;  /* the newest that was seen on its platter */
    uint64_t applied;       /* by this process */
    uint64_t commit_seen;   /* likewise */
    uint64_t led;           /* newest term in which it was seen to lead */
    uint64_t term;          /* highest that it was in */
    uint64_t last_durable;  /* entry on its platter */
    uint64_t members_index; /* of the configuration in force, when it was last looked at */
};

struct ledger {
    struct sim *sim;
    struct ledger_slot *slot; /* by index */
    size_t room;
    uint64_t commit;             /* highest ever */
    struct raft_members members; /* in force there */
    /* Configurations that were made and not yet committed, or never will be. */
    struct ledger_members {
        uint64_t index;
        struct raft_members members;
    } * open;
    size_t open_count, open_room;
    struct raft_members counted; /* in force at the leader that committed it */
    uint64_t gone;               /* who was a member and is none, a bit for each number */
    uint32_t *leader;            /* by term */
    size_t leader_room;
    struct ledger_member member[NET_MEMBERS_MAX];
    uint64_t *position; /* by value: the index that brought it first */
    size_t position_room;
};

void ledger_init(struct ledger *l, struct sim *s);
void ledger_done(struct ledger *l);

/* Entries that a member is about to make durable. */
void ledger_made(struct ledger *l, const struct member *m, const struct raft_ready *rd);
/* A message leaves. */
void ledger_sent(struct ledger *l, const struct member *m, const struct raft_message *message);
/* An entry was applied; value > 0: it was new. */
void ledger_applied(struct ledger *l, const struct member *m, const struct raft_entry *e,
                    uint64_t state_hash, uint64_t value);
/* A member's state came from a snapshot of `index`. */
void ledger_restored(struct ledger *l, const struct member *m, uint64_t index, uint64_t term,
                     uint64_t state_hash);
/* Its own snapshot of `index` is durable: what that covers, its log tells no more once it is opened again. */
void ledger_saved(struct ledger *l, const struct member *m, uint64_t index);
/* What is there of a disk that lost what it had called durable: nothing that never was. */
void ledger_found(struct ledger *l, const struct member *m, const struct platter *found);
void ledger_started(struct ledger *l, const struct member *m); /* a new process */
/* After each event of a member. */
void ledger_look(struct ledger *l, const struct member *m);

/* term 0: not known, as of what the own snapshot covers. */
bool ledger_committed(const struct ledger *l, uint64_t index, uint64_t term);
uint64_t ledger_position(const struct ledger *l, uint64_t value); /* 0: not applied anywhere */
