/*
 * group/state: what the files group_*.c share.
 */
#pragma once

#include "sim/group.h"
#include "sim/history.h"
#include "sim/ledger.h"
#include "sim/member_log.h"

struct group;

/* Who waits for an entry of a leader's. */
struct group_wait {
    struct list item;
    uint64_t index, term;
    struct raft_read read; /* of a read: number > 0 */
    struct group_client *client;
    uint32_t number; /* of the client's command */
};

struct member {
    struct group *group;
    uint32_t number; /* 0: there is none */
    bool up;
    bool lost;     /* it never starts again */
    bool witness;  /* it holds no state */
    bool away;     /* it stays down until others have led */
    uint64_t life; /* of a process; events of an older one are nothing */
    struct raft *raft;
    struct lists *state; /* of a witness: empty */
    struct member_log *log;
    bool disk_at_work;
    uint64_t disk_from_us; /* since when, if it is */
    bool saving;           /* a snapshot is on its way to the platter */
    bool installing;       /* it came from a peer: nothing else is done until it is there */
    bool fetching;         /* a peer's snapshot is on its way */
    uint64_t wake_at;
    uint64_t paused_until;
    uint64_t started_us;
    uint32_t clock_rate; /* thousandths; 0: it stands */
    uint32_t clock_usual;
    uint64_t clock_base_us, clock_base_ms;
    uint32_t heir; /* who is to take its place; 0: nobody yet */
    struct list waits;
};

struct group_client {
    struct group *group;
    uint32_t id, number;
    bool busy, read;
    struct list_command command;
    uint32_t asks; /* who is asked next */
    uint64_t attempt;
    uint64_t op;    /* in the history */
    uint64_t floor; /* position of the newest thing that was answered before this was asked */
};

struct group {
    struct sim *sim;
    struct group_options options;
    struct group_faults faults;
    struct net net;
    struct ledger ledger;
    struct member member[NET_MEMBERS_MAX];
    uint32_t number_last;
    struct raft_members first;
    bool calm;
    bool replacing;      /* somebody was lost, and an operator sees to it */
    struct rng rng;      /* of members and their logs */
    struct list parcels; /* snapshots on their way */

    struct group_client client[LISTS_CLIENTS_MAX];
    struct history history;
    uint64_t answered; /* position of the newest thing that was answered */
    bool asking;
};

/* --- group_member.c --- */
struct member *member_new(struct group *g); /* with an empty log; not yet up */
void member_start(struct member *m);
void member_stop(struct member *m); /* it crashes */
void member_done(struct member *m);
void group_parcels_done(struct group *g); /* what the end of the run found on its way */
void member_deliver(void *group, const struct raft_message *message, uint64_t sent_us);
void member_clock(struct member *m, uint32_t rate); /* from now on */
void member_run(struct member *m);                  /* do what is ready, and see to the next time */
struct member *group_leader(struct group *g);       /* of the highest term; NULL: none */
bool member_awake(const struct member *m);

/* --- group_client.c --- */
void group_clients_start(struct group *g);
/* All that was ever answered, seen from the end: what `state` shows. */
void group_clients_check(struct group *g, const struct lists *state);
/* What it waited for came to pass, at this position, where the state is this; w is gone after it. */
void group_answer(struct group_wait *w, uint64_t position, const struct lists *state);
void group_lose(struct group_wait *w); /* nobody knows what became of it */

/* --- group_watch.c --- */
void group_watch(const struct group *g); /* after each event */
void group_watch_message(void *group, const struct raft_message *m, uint64_t sent_us, bool lost);

/* --- group_trouble.c --- */
void trouble_start(struct group *g);
struct member *trouble_victim(struct group *g, struct rng *r); /* anybody, often a leader */
void trouble_crash(struct member *m);                          /* it starts again later */
void trouble_start_later(struct member *m);

/* --- group_lost.c --- */
void lost_disk(struct group *g);              /* somebody's disk fails for good */
void lost_lie(struct group *g);               /* somebody's disk lies for a while */
void lost_damage(struct member *m);           /* by chance, before it starts */
void lost_liar(struct member *m);             /* its power was cut; if its disk lied, it is lost */
void lost_for_good(struct member *m);         /* it is down */
void lost_replace(void *group, uint64_t arg); /* an operator looks, again and again */
bool lost_any(const struct group *g);         /* or somebody that may be */
/* Could those whose disks are sound, but for this number, decide by themselves? */
bool lost_bearable(const struct group *g, const struct raft_members *all, uint32_t but);

/* --- group_bad.c --- */
void bad_strike(struct group *g); /* say something that cannot be to somebody */

/* --- group_links.c --- */
void links_split(struct group *g);
void links_flap(struct group *g);
void links_slow(struct group *g);
void links_reset(struct group *g);
