/*
 * raft/state: what the files of this folder share. Nobody outside includes it.
 */
#pragma once

#include "base/rng.h"
#include "raft/log.h"

enum {
    RAFT_POST_MAX = 256, /* short messages that wait for raft_ready() */
    RAFT_OUT_MAX = 512,  /* messages of one ready */
};

/* What one ready gave to be made durable. */
struct raft_given {
    uint64_t token;
    struct raft_hard hard;
    uint64_t
        index; /* its entries, and all before them, that still stand: a cut of the log lowers it */
};

/* A configuration and the entry that brought it. */
struct raft_config_at {
    uint64_t index;
    struct raft_members members;
};

enum raft_flow {
    RAFT_PROBE,     /* it is not known where its log matches ours: ask, an empty append at a time */
    RAFT_REPLICATE, /* its log matches up to next - 1, if nothing was lost */
    RAFT_SNAPSHOT,  /* its log ends before ours begins */
};

/* What a leader knows of a member, itself included. */
struct raft_peer {
    uint32_t number;
    enum raft_flow flow;
    uint64_t match; /* durable there */
    uint64_t next;  /* to send; match < next */
    uint64_t read;  /* newest read that it confirmed */
    bool beat;      /* an append is owed, be it empty */
    bool asked;     /* RAFT_PROBE: wait for the answer, or for the next heartbeat */
    bool active;    /* heard from since the quorum was last looked at */
    uint64_t heard_ms;
    struct raft_sent {
        uint64_t last;
        size_t bytes;
    } * sent; /* appends under way, a ring of config.window_messages */
    uint32_t sent_head, sent_count;
    size_t sent_bytes;
};

struct raft {
    struct raft_config config;
    struct rng rng;
    uint64_t now_ms;

    /* What the driver was told to make durable, and what it said is. */
    struct raft_hard hard;         /* as of now */
    struct raft_hard hard_given;   /* by the last ready */
    struct raft_hard hard_durable; /* on the platter */

    enum raft_role role;
    uint32_t leader;
    uint64_t
        election_ms;   /* when to campaign, or as a leader to look whether a quorum still listens */
    uint64_t heard_ms; /* from the leader, last */

    struct raft_log log;
    uint64_t given;     /* entries up to here were given for the log */
    uint64_t persisted; /* entries up to here are durable */
    uint64_t commit;
    uint64_t applying; /* entries up to here were given to be applied */
    uint64_t applied;
    uint64_t snapshot_index, snapshot_term; /* of the newest durable one */

    /* Rising; the last is in force, the first was at the newest snapshot. */
    struct raft_config_at *configs;
    size_t config_count, config_room;

    /* Follower: what it owes its leader. */
    uint64_t matched;   /* equal to the leader's log up to here */
    uint64_t read_seen; /* newest read of the leader's */
    bool answer_due;
    uint64_t kept;

    /* Candidate, of either kind; and who asked. */
    uint64_t votes[RAFT_MEMBERS_MAX]; /* of members in force: 1 granted */
    uint64_t refusals[RAFT_MEMBERS_MAX];
    bool vote_asked; /* the own vote is durable and all were asked */
    bool vote_force; /* the campaign was the leader's wish */
    bool grant_due;  /* the vote was given and not yet told */

    /* Leader. */
    struct raft_peer *peers; /* rising, those of the members in force */
    size_t peer_count;
    uint64_t term_start;  /* index of the no-op that opened its term */
    uint64_t beat_ms;     /* when heartbeats are due */
    uint64_t read_number; /* of the newest read */
    bool read_sent;       /* it was sent to somebody: the next read takes a new number */
    uint32_t transfer;    /* to whom; 0: nobody */
    bool transfer_told;
    uint64_t transfer_ms; /* when it is given up */
    size_t uncommitted_bytes;

    /* Witness: what it is about to lend, and to whom; 0: nobody. */
    uint32_t lend_to;
    uint64_t lend_term, lend_from;
    size_t lend_count;

    struct raft_given *flight; /* given and not yet durable, oldest first */
    size_t flight_head, flight_count, flight_room;
    uint64_t token_last;

    struct raft_message *post; /* without entries; at most RAFT_POST_MAX */
    size_t post_count, post_room;
    struct raft_message *out; /* of the last ready; at most RAFT_OUT_MAX */
    size_t out_count, out_room;

    uint64_t elections, truncations, refused;
};

/* applied <= applying <= min(commit, persisted), persisted <= given <= last, and so on. */
bool raft_holds_invariant(const struct raft *r);

/* --- raft.c --- */
/* Queue a short message; from and term are filled in. What has no room is lost, as on a network. */
void raft_post(struct raft *r, struct raft_message m);
void raft_follow(struct raft *r, uint64_t term, uint32_t leader); /* leader 0: unknown */
void raft_arm_election(struct raft *r);                           /* from now */

/* --- configs.c --- */
void raft_configs_add(struct raft *r, uint64_t index, const struct raft_members *m);
MUST_USE enum status raft_configs_decode(const struct raft_entry *e, struct raft_members *ret,
                                         struct fault *why);
/* Those of an entry that now ends the log. */
MUST_USE enum status raft_configs_take(struct raft *r, const struct raft_entry *e,
                                       struct fault *why);
void raft_configs_cut(struct raft *r, uint64_t last);      /* those after it are taken back */
void raft_configs_compact(struct raft *r, uint64_t index); /* keep those in force from it on */
/* Nothing is known before index, where m is in force. What the log still holds after it stays. */
void raft_configs_restore(struct raft *r, uint64_t index, const struct raft_members *m);

/* --- check.c --- */
bool raft_number_fits(uint64_t n); /* far from where additions overflow */
/* Could this have come from a sound member? Looks at r, changes nothing. */
MUST_USE enum status raft_check(const struct raft *r, const struct raft_message *m,
                                struct fault *why);

/* --- election.c, vote.c --- */
void raft_campaign(struct raft *r, bool force); /* a new term, without a pre-vote */
void raft_precampaign(struct raft *r);
bool raft_may_lead(const struct raft *r);
bool raft_may_ask(const struct raft *r); /* for pre-votes */
void raft_vote_step(struct raft *r);     /* after something became durable: ask, count, tell */
void raft_on_vote_ask(struct raft *r, const struct raft_message *m);
void raft_on_vote(struct raft *r, const struct raft_message *m);
bool raft_heard_lately(const struct raft *r); /* from a leader, or as one */

/* --- append.c: a follower's side --- */
void raft_on_append(struct raft *r, const struct raft_message *m);
void raft_take_entries(struct raft *r, const struct raft_message *m); /* they fit */
void raft_on_offer(struct raft *r, const struct raft_message *m);
void raft_answer(struct raft *r); /* tell the leader what it is owed, if that is durable */
void raft_reset_log(struct raft *r, uint64_t index, uint64_t term); /* nothing but what is before */

/* --- replicate.c: a leader's side --- */
void raft_lead(struct raft *r);
void raft_peers_renew(struct raft *r); /* after the members changed */
void raft_peers_done(struct raft *r);
struct raft_peer *raft_peer_find(const struct raft *r, uint32_t number);
void raft_on_appended(struct raft *r, const struct raft_message *m);
void raft_beat(struct raft *r); /* owe everybody an append */
void raft_send_appends(struct raft *r);
bool raft_quorum_active(struct raft *r);                                /* since last asked */
bool raft_peer_lately(const struct raft *r, const struct raft_peer *p); /* was it heard from? */

/* --- commit.c --- */
/* Append to the own log as its leader; data's reference is taken. */
void raft_lead_append(struct raft *r, enum raft_entry_type type, struct raft_data *data);
void raft_advance_commit(struct raft *r);
void raft_commit_to(struct raft *r, uint64_t index);
void raft_count_uncommitted(struct raft *r);
size_t raft_batch(const struct raft *r, uint64_t from, uint64_t to); /* entries of one batch */

void raft_out(struct raft *r, struct raft_message m); /* into this ready; entries are of the log */

/* --- lend.c --- */
void raft_lend(struct raft *r, const struct raft_message *ask); /* to a candidate that is refused */
void raft_send_lent(struct raft *r);
void raft_on_lend(struct raft *r, const struct raft_message *m);

/* --- change.c, transfer.c --- */
void raft_change_step(struct raft *r); /* what follows by itself from what is committed */
void raft_transfer_step(struct raft *r);
void raft_on_take_over(struct raft *r, const struct raft_message *m);
