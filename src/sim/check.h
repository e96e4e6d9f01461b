/*
 * check: what must hold in every run, beside the node.
 *
 * It stands between the node and its log and sees every entry and what was called durable; it keeps
 * a state of its own that applies each entry once. After every step the node's state must be the
 * same at the same index, and nothing may be applied that is not durable. After every recovery, what
 * was durable must be there: entries, term and vote; and every answer that a client was given.
 */
#pragma once

#include "core/cluster.h"
#include "node/node.h"
#include "port/log.h"
#include "sim/disk.h"
#include "sim/sim.h"

/* One command of a client, or of the node itself, by its id. */
struct known {
    bool ours;     /* of a client */
    bool taken;    /* the node took it, at least once */
    bool answered; /* and told what became of it: */
    enum status status;
    char uid[OBJECT_UID_MAX];
    uint64_t index; /* where it was applied first; 0: nowhere yet */
};

struct checked_entry {
    uint64_t term;
    uint32_t type;
    uint64_t hash; /* of the data */
    char *data;    /* until it is applied */
    size_t len;
    uint64_t state_hash; /* of the state after it; once applied */
    bool applied;
};

struct check {
    struct sim *sim;
    struct log log; /* what the node gets */
    struct log *inner;
    struct log_events events; /* what the inner log gets */

    struct cluster *state;
    struct checked_entry *entries; /* by index */
    uint64_t last, room;
    uint64_t durable; /* entries up to here were called durable */
    struct log_hard hard, hard_durable;
    uint64_t applied; /* highest index that a node ever applied */
    uint64_t snapshot_given, snapshot_durable;
    struct map commands; /* id in hex -> struct known */

    /* Appends under way: token -> what is durable with it. */
    struct check_flight {
        uint64_t token, last;
        struct log_hard hard;
    } * flight;
    size_t flight_count, flight_room;

    /* Of a recovery. */
    struct log_load load; /* the node's */
    uint64_t load_first, load_last;
    struct log_hard load_hard;
};

void check_init(struct check *c, struct sim *s);
void check_done(struct check *c);

/* The daemon starts: what the log says goes through here to the node. */
struct log_load check_loader(struct check *c, struct log_load node);
/* All was loaded; was it enough? */
void check_loaded(struct check *c);
/* The log to give to the node. */
struct log *check_log(struct check *c, struct log *inner);
/* The daemon died: what is under way is nobody's any more. */
void check_daemon_down(struct check *c);

/* After a step of the node. */
void check_node(struct check *c, struct node *n);
/* What a power cut now would leave must be enough. */
void check_platter(struct check *c, const struct sim_disk *d);

/* A client proposes, and is told. */
struct known *check_command(struct check *c, const uint8_t id[16]);
void check_answer(struct check *c, struct known *k, const struct apply_result *r);
/* The node is at rest: all that was answered must have been applied. */
void check_end(struct check *c);

const struct cluster *check_state(const struct check *c);
