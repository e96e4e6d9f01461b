#include "sim/client.h"

#include "sim/wants.h"
#include "wire/proto.h"

enum { RETRY_US = 50000 };

static void go_on(void *ctx, uint64_t number);

static void think(struct client *c)
{
    struct sim *s = c->all->sim;
    uint64_t us = sim_between(&s->client, 1000, UINT64_C(2000) * s->faults.think_ms);
    sim_after(s, us, go_on, c->all, c->number);
}

static void drop_command(struct client *c)
{
    proto_free(c->command ? &c->command->base : NULL);
    c->command = NULL;
    c->known = NULL;
}

/* Nobody knows what became of it: ask again, with the same id. */
static void try_again(struct client *c)
{
    c->waiting = false;
    uint64_t us = sim_between(&c->all->sim->client, 1000, RETRY_US);
    sim_after(c->all->sim, us, go_on, c->all, c->number);
}

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct client *c = ctx;
    struct sim *sim = c->all->sim;
    (void)why;
    if (s != ST_OK) {
        sim->stats.unknown++;
        sim_trace(sim, "client %u: %s", c->number, status_code(s));
        try_again(c);
        return;
    }
    sim_trace(sim, "client %u: entry %" PRIu64 " %s%s", c->number, r->index, status_code(r->status),
              r->replay ? " again" : "");
    check_answer(c->all->check, c->known, r);
    c->all->answered_to = MAX(c->all->answered_to, r->index);
    sim->stats.acked += r->status == ST_OK;
    sim->stats.refused += r->status != ST_OK;
    sim->stats.conflicts += r->status == ST_CONFLICT;
    sim->stats.limited += r->status == ST_LIMIT;
    sim->stats.replays += r->replay;
    c->waiting = false;
    drop_command(c);
    think(c);
}

static void read_done(void *ctx, enum status s, const struct fault *why,
                      const struct apply_result *r)
{
    struct client *c = ctx;
    struct sim *sim = c->all->sim;
    (void)why, (void)r;
    c->reading = c->waiting = false;
    if (s == ST_OK) {
        sim->stats.reads++;
        uint64_t applied = node_view(c->all->node).raft.applied;
        if (applied < c->read_floor)
            sim_fail(sim, "a read sees entry %" PRIu64 ", before it entry %" PRIu64 " was answered",
                     applied, c->read_floor);
    }
    think(c);
}

static void read_state(struct client *c)
{
    struct sim *sim = c->all->sim;
    uint64_t deadline = sim_now_ms(sim) + sim->faults.deadline_ms;
    c->read_floor = c->all->answered_to;
    c->reading = c->waiting = true;
    if (node_read(c->all->node, deadline, read_done, c, NULL) == ST_OK)
        return;
    c->reading = c->waiting = false;
    think(c);
}

static void propose(struct client *c)
{
    struct clients *all = c->all;
    struct sim *sim = all->sim;
    sim->stats.commands += c->tries == 0;
    sim->stats.retries += c->tries > 0;
    c->tries++;
    c->waiting = true;
    uint64_t deadline = sim_now_ms(sim) + sim->faults.deadline_ms;
    bool taken_before = c->known->taken;
    c->known->taken = true;
    enum status s = node_propose(all->node, c->command, deadline, told, c, NULL);
    sim_trace(sim, "client %u: propose %d, %s", c->number, (int)c->command->body_case,
              status_code(s));
    if (s == ST_OK)
        return;
    c->known->taken = taken_before;
    try_again(c);
}

static void go_on(void *ctx, uint64_t number)
{
    struct clients *all = ctx;
    struct client *c = &all->client[number];
    if (c->waiting)
        return;
    bool down = !all->node || node_dead(all->node) || node_number(all->node) == 0;
    if (down && (c->command || !all->stopped)) {
        try_again(c);
        return;
    }
    if (!c->command && all->stopped)
        return;
    if (!c->command && rng_chance(&all->sim->client, 100)) {
        read_state(c);
        return;
    }
    if (!c->command) {
        c->command =
            want_any(all->sim, node_cluster(all->node), node_number(all->node), ++all->names);
        c->known = check_command(all->check, c->command->id.data);
        c->known->ours = true;
        c->tries = 0;
    }
    propose(c);
}

void clients_init(struct clients *c, struct sim *s, struct check *check)
{
    *c = (struct clients){.sim = s, .check = check, .count = s->faults.clients};
    require(c->count <= CLIENTS_MAX);
    for (unsigned i = 0; i < c->count; i++)
        c->client[i] = (struct client){.all = c, .number = i};
}

void clients_done(struct clients *c)
{
    for (unsigned i = 0; i < c->count; i++)
        drop_command(&c->client[i]);
}

void clients_begin(struct clients *c)
{
    for (unsigned i = 0; i < c->count; i++)
        think(&c->client[i]);
}

void clients_daemon_up(struct clients *c, struct node *n)
{
    c->node = n;
}

void clients_daemon_down(struct clients *c)
{
    c->node = NULL;
}

void clients_stop(struct clients *c)
{
    c->stopped = true;
}

bool clients_idle(const struct clients *c)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->client[i].command || c->client[i].waiting)
            return false;
    return true;
}
