/*
 * nodes/state: what the files nodes*.c share.
 */
#pragma once

#include "journal/journal_inline.h"
#include "node/mail.h"
#include "node/node.h"
#include "sim/blob.h"
#include "sim/disk.h"
#include "sim/group_faults.h"
#include "sim/history.h"
#include "sim/nodes.h"
#include "sim/vmm.h"

enum { NODES_MAX = 9 /* numbers are below */, NODES_CLIENTS = 6, NODES_LISTS = 4 };

struct nodes;

/* A machine. */
struct nodes_member {
    struct nodes *all;
    uint32_t number; /* 0: there is none */
    bool witness;
    struct sim_disk disk;
    struct sim_vmm vmm;
    struct sim_blob blob;
    struct peers peers;

    struct node *node; /* NULL: its daemon is down */
    struct journal_inline *journal;
    struct node_watch watch;
    uint64_t life;
    bool booted; /* since a node last settled its VMs */
    uint64_t step_at;
    bool disk_at_work;
    uint64_t paused_until;
    uint64_t restores; /* of this life, as far as they were looked at */
};

struct nodes_client {
    struct nodes *all;
    unsigned number;
    Pb__Command *command; /* under way, or NULL */
    bool lists;           /* it appends to a list */
    bool reading, waiting;
    uint32_t key;
    uint32_t asks;  /* who is asked next */
    uint32_t asked; /* whom it waits for */
    uint64_t op;    /* in the history */
    uint64_t floor; /* a read must see this entry */
    unsigned tries;
};

struct nodes {
    struct sim *sim;
    struct nodes_options options;
    struct group_faults faults;
    struct net net;
    struct rng rng;
    struct nodes_member member[NODES_MAX]; /* by number, from 1 */
    uint32_t number_last;
    struct raft_members first;
    bool calm;

    /* What is known of the one history that all must share. */
    uint64_t *hash;   /* of the state after the entry of that index; 0: not known */
    uint64_t *leader; /* of a term: number; 0: nobody yet */
    uint64_t hash_room, leader_room;
    uint64_t applied; /* the highest that anybody came to */

    struct nodes_client client[NODES_CLIENTS];
    struct history history;
    uint64_t answered; /* entries up to here hold answers that were given */
    uint64_t names;
    bool asking;
};

/* --- nodes_member.c --- */
struct nodes_member *nodes_member_new(struct nodes *all, bool witness); /* not yet up */
void nodes_member_start(struct nodes_member *m);
void nodes_member_crash(struct nodes_member *m, bool power); /* it starts again later */
void nodes_member_done(struct nodes_member *m);
void nodes_member_arm(struct nodes_member *m); /* see to the next step */
bool nodes_member_awake(const struct nodes_member *m);
void nodes_deliver(void *ctx, uint32_t from, uint32_t to, struct str bytes);
struct nodes_member *nodes_leader(struct nodes *all); /* of the highest term; NULL: none */

/* --- nodes_check.c --- */
void nodes_look(struct nodes_member *m); /* after something happened to it */
void nodes_state_is(struct nodes *all, const struct nodes_member *m, uint64_t index, uint64_t hash);

/* --- nodes_client.c --- */
void nodes_clients_start(struct nodes *all);
void nodes_clients_done(struct nodes *all);
bool nodes_clients_idle(const struct nodes *all);
void nodes_clients_check(struct nodes *all,
                         struct node *n); /* all that was answered, seen from the end */

/* --- nodes_trouble.c --- */
void nodes_trouble_start(struct nodes *all);
