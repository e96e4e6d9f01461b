/*
 * raft: consensus as a step function (Ongaro, "Consensus: Bridging Theory and Practice", 2014).
 *
 * Pure: no clock, no I/O, no randomness but the seed's. The driver feeds time, messages, proposals and
 * completions; after each it takes `raft_ready` until that is false, and does what it says:
 *
 *   1. hand hard state and entries to the log, in that order; when they are durable, call
 *      raft_persisted with the token of that ready,
 *   2. send the messages, in their order; they may be lost, doubled or late,
 *   3. apply committed entries, in order, then call raft_applied.
 *
 * A message that speaks of something durable is not given before it is durable (votes, what is
 * acknowledged); a leader's entries are given at once, so that its disk and its peers' work at the same
 * time. An entry is committed when it is durable on a quorum and its term is the leader's own, or when
 * one after it is committed. Entries are applied up to min(commit, persisted).
 *
 * docs/explanation/consensus.md tells the rules beyond the thesis and why they hold.
 */
#pragma once

#include "base/str.h"
#include "raft/members.h"

enum raft_entry_type {
    RAFT_ENTRY_NOOP,    /* opens a leader's term */
    RAFT_ENTRY_COMMAND, /* the driver's */
    RAFT_ENTRY_MEMBERS, /* raft_members_encode() */
    RAFT_ENTRY_TYPE_COUNT,
};
enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* Bytes shared by log, journal and state machine: counted, never changed. */
struct raft_data {
    uint32_t refs;
    uint32_t len;
    char bytes[];
};
struct raft_data *raft_data_new(const void *bytes, size_t len); /* one reference, the caller's */
struct raft_data *raft_data_ref(struct raft_data *d);
void raft_data_unref(struct raft_data *d); /* NULL is fine */

struct raft_entry {
    uint64_t index; /* from 1 */
    uint64_t term;  /* from 1 */
    enum raft_entry_type type;
    struct raft_data *data; /* NULL for a no-op */
};

struct raft_hard {
    uint64_t term;
    uint32_t vote; /* 0: nobody */
};

/* --- messages --- */

enum raft_message_type {
    RAFT_VOTE_ASK,  /* index, log_term: the candidate's last entry; commit */
    RAFT_VOTE,      /* refused or not */
    RAFT_APPEND,    /* index, log_term: the entry before the first; entries, commit, read, kept */
    RAFT_APPENDED,  /* index, matched, read; refused: index is the append's, hint and log_term */
    RAFT_OFFER,     /* the log does not reach back: a snapshot of index, log_term is to be had */
    RAFT_TAKE_OVER, /* the leader hands over */
    RAFT_LEND,      /* a witness gives a candidate what it lacks: index, log_term, entries */
    RAFT_MESSAGE_TYPE_COUNT,
};

/* Fields that a type does not name are 0. */
struct raft_message {
    enum raft_message_type type;
    uint32_t from, to;
    uint64_t
        term; /* the sender's; of a VOTE_ASK for a pre-vote, and its grant: the one it would be */
    uint64_t index; /* APPENDED: durable there up to here, as in the leader's log */
    uint64_t log_term;
    uint64_t commit;
    uint64_t read;    /* number of the newest read that this message confirms */
    uint64_t matched; /* APPENDED: equal to the leader's log up to here, durable or not */
    uint64_t hint;    /* refused: an index that may match, of term log_term there */
    uint64_t kept;    /* APPEND: all full voters hold what is up to here */
    bool pre;         /* VOTE_ASK, VOTE: a pre-vote */
    bool force;       /* VOTE_ASK: the leader hands over, so it is no reason to refuse */
    bool refused;
    const struct raft_entry *entries; /* borrowed */
    size_t count;
};

/* --- life --- */

struct raft_config {
    uint32_t self;         /* > 0 */
    uint64_t seed;         /* of the timeouts */
    uint32_t election_ms;  /* a follower campaigns after so much to twice as much of silence */
    uint32_t heartbeat_ms; /* well below election_ms */
    size_t uncommitted_bytes_max; /* raft_propose refuses beyond */
    uint32_t batch_entries_max; /* of one raft_ready, each for append and apply, and of a message */
    size_t batch_bytes_max;     /* likewise; one entry is given even if it is larger */
    uint32_t window_messages;   /* appends under way to one peer, 1..RAFT_WINDOW_MAX */
    size_t window_bytes;        /* likewise */
    uint64_t join_lag;          /* who is to join votes once it lacks no more entries than that */
    const struct raft_members
        *first; /* in force before the log says otherwise; borrowed by raft_new() */
};
enum { RAFT_WINDOW_MAX = 256 };
void raft_config_default(struct raft_config *c, uint32_t self);

/* Where a state begins that the log no longer tells whole. */
struct raft_snapshot {
    uint64_t index, term;               /* 0: none */
    const struct raft_members *members; /* in force there; NULL: the first ones */
};

struct raft;

/*
 * Start at now_ms from what the log held, as a follower. Entries have no gap, begin at snapshot.index + 1 or
 * before, and are kept (their data is referenced). All of it is taken to be durable.
 *
 * Returns  ST_CORRUPT  gaps, terms that go back, a term above that of the hard state, members that
 *                      cannot be.
 */
MUST_USE enum status raft_new(const struct raft_config *c, uint64_t now_ms,
                              const struct raft_hard *hard, const struct raft_snapshot *snapshot,
                              const struct raft_entry *entries, size_t count, struct raft **ret,
                              struct fault *why);
void raft_free(struct raft *r); /* NULL is fine */

/* It is now_ms, which is never less than it was. Elections, heartbeats and time-outs follow. */
void raft_tick(struct raft *r, uint64_t now_ms);
/* When raft_tick() is due; UINT64_MAX: never. */
uint64_t raft_deadline_ms(const struct raft *r);

/*
 * A message came. Entries are referenced if they are kept.
 *
 * Returns  ST_INVALID  it cannot have come from a sound member of this cluster: nothing changed.
 */
MUST_USE enum status raft_step(struct raft *r, const struct raft_message *m, struct fault *why);

/* Append a command of the driver's; data's reference is taken, even on failure.
 * ST_NOT_LEADER; ST_LIMIT when too much is uncommitted, ST_UNAVAILABLE while leadership is handed
 * over (try again later). */
MUST_USE enum status raft_propose(struct raft *r, struct raft_data *data, uint64_t *ret_index,
                                  uint64_t *ret_term, struct fault *why);

/*
 * A linearizable read (ReadIndex; thesis, section 6.4): first the leader makes sure that it still is
 * one. Once raft_confirmed() says so, what is applied up to `index` may be read.
 *
 * raft_read: ST_NOT_LEADER; ST_UNAVAILABLE until an entry of the own term is committed.
 */
struct raft_read {
    uint64_t term, number, index;
};
enum raft_confirmed { RAFT_CONFIRM_WAITS, RAFT_CONFIRMED, RAFT_CONFIRM_LOST };
MUST_USE enum status raft_read(struct raft *r, struct raft_read *ret, struct fault *why);
enum raft_confirmed raft_confirmed(const struct raft *r, const struct raft_read *read);

/* --- members --- */

/*
 * Become `wanted`, which is not joint. Voters that differ go through a joint configuration, and the rest
 * follows by itself. Who RAFT_JOINS votes once it has caught up, by another change that follows by itself;
 * so does who is to vote and has not caught up: until then no voter may go, nor become a witness, or what is left
 * would be fewer than before and than after.
 *
 * ST_NOT_LEADER; ST_CONFLICT while another change is under way; ST_UNAVAILABLE until an entry of the own
 * term is committed, while leadership is handed over, or if a voter is to go and another has not caught up; ST_INVALID, ST_TOO_BIG by raft_members_check()
 * and raft_members_toward(). ret_index is the entry's: when it is committed the change has begun.
 */
MUST_USE enum status raft_change(struct raft *r, const struct raft_members *wanted,
                                 uint64_t *ret_index, struct fault *why);
/* Those in force; borrowed until the next call on r. */
const struct raft_members *raft_members(const struct raft *r);
/* As of an entry that is applied, for a snapshot of it. */
const struct raft_members *raft_members_at(const struct raft *r, uint64_t index);

/* Hand leadership to another: no proposals are taken until it took over, or an election timeout passed.
 * ST_NOT_LEADER; ST_INVALID if it may not lead; ST_CONFLICT while another hand-over is under way. */
MUST_USE enum status raft_transfer(struct raft *r, uint32_t to, struct fault *why);

/* --- what is to be done --- */

/* What is to be done now. All of it is borrowed until the next call on r, and given once. */
struct raft_ready {
    uint64_t token; /* of what is to be made durable; 0: nothing is */
    bool hard_changed;
    struct raft_hard hard;
    const struct raft_entry *append; /* to the log; append[0].index may cut it back */
    size_t append_count;
    const struct raft_entry *apply; /* committed and durable */
    size_t apply_count;
    const struct raft_message *messages;
    size_t message_count;
};
bool raft_ready(struct raft *r, struct raft_ready *out); /* false: nothing to do */

/* What was given with this token, and with those before it, is durable. */
void raft_persisted(struct raft *r, uint64_t token);
void raft_applied(struct raft *r, uint64_t index);

/* A snapshot at `index` is durable: entries below first_kept are dropped, and who lags behind is offered it.
 * index <= applied; first_kept <= index + 1. */
void raft_compact(struct raft *r, uint64_t index, uint64_t first_kept);
/* The first entry to keep with a snapshot at `index` <= applied: before it stay at most count_max entries, with at
 * most bytes_max of data, or up to twice as much of both for a peer that was heard from lately. */
uint64_t raft_keep_from(const struct raft *r, uint64_t index, uint64_t count_max,
                        uint64_t bytes_max);

/* May a peer's snapshot be taken now? Its numbers are the peer's words: it must be newer than what is
 * committed here, of a term that the log was told of, in accord with what the leader has shown, and this
 * node a follower. Ask before it is made durable; nothing is to be given to the log, no
 * message stepped and no time told from then until raft_restore(). */
bool raft_may_restore(const struct raft *r, uint64_t index, uint64_t term);
/* It is durable and in the state: it takes the place of what it covers, and of the whole log unless the
 * log holds its last entry. Nothing is to be applied that was given before. */
void raft_restore(struct raft *r, const struct raft_snapshot *snapshot);

struct raft_view {
    enum raft_role role;
    uint32_t leader;   /* 0: unknown */
    uint32_t transfer; /* whom leadership is handed to; 0: nobody */
    uint64_t term, first, last, persisted, commit, applied;
    /* All full voters hold what is up to here, as far as is known. A witness's own snapshot goes no further, since
     * a log that is opened tells nothing of what that covers. */
    uint64_t kept;
    uint64_t members_index; /* of the configuration in force */
    size_t uncommitted_bytes;
    uint64_t elections, truncations, refused; /* counted since raft_new(); refused: messages */
};
struct raft_view raft_view(const struct raft *r);
/* An entry that the log keeps, as those are that are given to be applied and not applied yet. Borrowed until the next
 * call on r. */
const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index);
/* Of an entry in the log, or of the one before it; 0: not known. */
uint64_t raft_term_at(const struct raft *r, uint64_t index);

/* What a leader knows of a peer; false if it leads not, or there is none of that number. */
struct raft_peer_view {
    uint64_t match, next;
    bool active;   /* heard from lately */
    bool snapshot; /* it is offered one */
    uint32_t window_messages;
};
bool raft_peer_view(const struct raft *r, uint32_t number, struct raft_peer_view *ret);
