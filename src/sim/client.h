/*
 * client: users who ask for random things, one after another, and keep asking with the same id
 * until they are answered.
 */
#pragma once

#include "node/node.h"
#include "sim/check.h"
#include "sim/sim.h"

enum { CLIENTS_MAX = 8 };

struct client {
    struct clients *all;
    unsigned number;
    Pb__Command *command; /* under way, or NULL */
    struct known *known;
    bool waiting; /* the node has it */
    unsigned tries;
    uint64_t read_floor; /* a read under way must see this entry */
    bool reading;
};

struct clients {
    struct sim *sim;
    struct check *check;
    struct node *node; /* NULL while the daemon is down */
    struct client client[CLIENTS_MAX];
    unsigned count;
    bool stopped;         /* nothing new is asked */
    uint64_t answered_to; /* entries up to here hold answers that were given */
    uint64_t names;
};

void clients_init(struct clients *c, struct sim *s, struct check *check);
void clients_done(struct clients *c);
void clients_begin(struct clients *c);

void clients_daemon_up(struct clients *c, struct node *n);
void clients_daemon_down(struct clients *c); /* before node_free: who waits is told then */

/* Nobody asks for anything new. */
void clients_stop(struct clients *c);
bool clients_idle(const struct clients *c);
