/*
 * node_group: a few nodes that are members of one cluster, on ports that are played by hand: one clock, a network in
 * memory, logs that are durable at once. What is lost, doubled or held back is what the test says.
 */
#pragma once

#include "node/mail.h"
#include "node/node.h"
#include "support/answer.h"

enum { GROUP_MAX = 6, GROUP_MAILS_MAX = 4000 };

struct group_log {
    struct log port;
    struct log_hard hard;
    struct log_entry *entry; /* entry[i] has index first + i; data is ours */
    size_t count, room;
    uint64_t first;
    uint64_t tokens[4096];
    size_t token_count;
    struct buf saved, coming; /* a snapshot that is whole; one that is not */
    uint64_t saved_index, saved_term, coming_index, coming_term;
    bool coming_whole;
    bool slow_snapshots; /* none becomes durable */
    bool no_chunks;      /* it takes none */
};

struct group_member {
    struct node_group *group;
    uint32_t number;
    struct peers peers;
    struct group_log log;
    struct vmm vmm;
    struct blob blob;
    struct node *node; /* NULL: it is down */
    bool witness;
    struct raft_members first;
    unsigned restored; /* times that a watch was told */
    struct node_watch watch;
    unsigned started, looked, removed; /* VMs; looks; images */
};

struct group_mail {
    uint32_t from, to;
    char *bytes;
    size_t len;
};

struct node_group {
    struct clock clock;
    struct entropy entropy;
    uint64_t now_ms, draws;
    struct group_member member[GROUP_MAX + 1]; /* by number, from 1 */
    uint32_t count;
    struct group_mail mail[GROUP_MAILS_MAX];
    size_t mail_count;
    bool cut[GROUP_MAX + 1][GROUP_MAX + 1];
    bool twice, backwards; /* every mail comes twice; the newest comes first */
    /* true: it is lost. NULL: none is. */
    bool (*lose)(struct node_group *g, uint32_t from, uint32_t to, const struct mail *m);
    /* Takes what is not lost to another network, which gives it to node_receive(). NULL: it goes by this one. */
    void (*carry)(struct node_group *g, uint32_t from, uint32_t to, struct str bytes);
    void *ctx;
    /* Before and after a node is called. NULL is fine. */
    void (*around)(struct node_group *g, uint32_t number, bool after);
    unsigned sent[MAIL_KIND_END];                                  /* by kind */
    uint64_t snapshot_entries, trailing_entries, snapshot_log_max; /* of the next start */
};

/* Members 1 to count, of which the last `witnesses` are such; all in force from the first. */
void node_group_start(struct node_group *g, uint32_t count, uint32_t witnesses);
void node_group_finish(struct node_group *g);

/* One more that waits to be taken in; returns its number. */
uint32_t node_group_add(struct node_group *g, bool witness);
void node_group_stop(struct node_group *g, uint32_t number);
MUST_USE enum status node_group_restart(struct node_group *g, uint32_t number, struct fault *why);

void node_group_run(struct node_group *g, uint64_t ms);
/* Until is() says so; false: not within 20 s. */
bool node_group_wait(struct node_group *g, bool (*is)(struct node_group *g));
uint32_t node_group_leader(const struct node_group *g); /* 0: none, of those that are up */
uint32_t node_group_wait_leader(struct node_group *g);
struct node *node_group_node(struct node_group *g, uint32_t number);
/* All that are up have applied what the leader has, and have told it who they are. */
bool node_group_level(struct node_group *g);

MUST_USE enum status node_group_put(struct node_group *g, uint32_t number, unsigned tenant,
                                    struct answer *a);
/* So many new tenants, one after the other, through whoever leads. */
void node_group_put_many(struct node_group *g, unsigned first, unsigned count);

/* As if it came from `from`. */
void node_group_inject(struct node_group *g, uint32_t from, uint32_t to, const struct mail *m);
