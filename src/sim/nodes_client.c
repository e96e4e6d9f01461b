/*
 * nodes_client: users of a cluster. Each asks one thing after another, of whoever leads as far as it knows, and asks
 * again, under the same id, until it is answered.
 *
 * Some of them append to lists and read these, which shows the order of what was done (history.h): a list is the
 * projects of a common prefix, in the order in which they were made.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/nodes_state.h"
#include "sim/wants.h"
#include "wire/proto.h"

enum { RETRY_US = 50000, READS = 250, LISTS = 400, HISTORY_MAX = 100000, NAME_ROOM = 40 };

static void go_on(void *ctx, uint64_t number);

static void later(struct nodes_client *c, uint64_t us)
{
    sim_after(c->all->sim, us, go_on, c->all, c->number);
}

static void think(struct nodes_client *c)
{
    struct sim *s = c->all->sim;
    later(c, sim_between(&s->client, 1000, UINT64_C(2000) * c->all->faults.think_ms));
}

/* Nobody knows what became of it: ask again, perhaps another. */
static void try_again(struct nodes_client *c)
{
    struct sim *s = c->all->sim;
    c->waiting = false;
    c->asks = (uint32_t)rng_range(&s->client, 1, c->all->number_last);
    later(c, sim_between(&s->client, 1000, RETRY_US));
}

/* --- lists --- */

struct entry {
    uint64_t index, value;
};

static int by_index(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->index, y = ((const struct entry *)b)->index;
    return (x > y) - (x < y);
}

static void show(struct nodes *all, uint64_t op, uint32_t key, const struct cluster *state)
{
    char prefix[NAME_ROOM];
    size_t count = 0, most = cluster_count(state, OBJECT_PROJECT);
    struct entry *e = NEW_ARRAY(struct entry, most + 1);
    uint64_t *value = NEW_ARRAY(uint64_t, most + 1);
    int len = snprintf(prefix, sizeof prefix, "list-%u-", key);
    MAP_EACH(cluster_table(state, OBJECT_PROJECT), uid, o) {
        const Pb__Meta *meta = object_meta(o);
        if (strncmp(meta->name, prefix, (size_t)len) == 0)
            e[count++] = (struct entry){meta->index, strtoull(meta->name + len, NULL, 10)};
    }
    qsort(e, count, sizeof *e, by_index);
    for (size_t i = 0; i < count; i++)
        value[i] = e[i].value;
    history_seen(&all->history, op, value, count, sim_now_ms(all->sim));
    free(e);
    free(value);
}

static void random_bytes(struct sim *s, uint8_t out[16])
{
    for (size_t i = 0; i < 16; i++)
        out[i] = (uint8_t)rng_next(&s->client);
}

static ProtobufCBinaryData own_bytes(const uint8_t bytes[16])
{
    return (ProtobufCBinaryData){16, mem_dup(bytes, 16)};
}

static Pb__Command *append_command(struct nodes_client *c)
{
    uint8_t bytes[16];
    char text[NAME_ROOM], uid[OBJECT_UID_MAX];
    Pb__Command *cmd = (Pb__Command *)(void *)proto_new(&pb__command__descriptor);
    random_bytes(c->all->sim, bytes);
    cmd->has_id = cmd->has_request = 1;
    cmd->id = own_bytes(bytes);
    cmd->request = own_bytes(bytes); /* a retry is the same command */
    proto_set(&cmd->actor, "user/sim");
    random_bytes(c->all->sim, bytes);
    str_hex(bytes, sizeof bytes, uid);
    (void)snprintf(text, sizeof text, "list-%u-%" PRIu64, c->key, c->op);
    Pb__CmdProjectPut *put =
        (Pb__CmdProjectPut *)(void *)proto_new(&pb__cmd_project_put__descriptor);
    put->project = (Pb__Project *)(void *)proto_new(&pb__project__descriptor);
    put->project->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&put->project->meta->uid, uid);
    proto_set(&put->project->meta->name, text);
    proto_set(&put->project->tenant, "default");
    cmd->body_case = PB__COMMAND__BODY_PROJECT_PUT;
    cmd->project_put = put;
    return cmd;
}

/* --- answers --- */

static void end_command(struct nodes_client *c)
{
    proto_free(c->command ? &c->command->base : NULL);
    c->command = NULL;
    c->waiting = c->lists = false;
    think(c);
}

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct nodes_client *c = ctx;
    struct nodes *all = c->all;
    struct sim *sim = all->sim;
    (void)why;
    if (s != ST_OK) {
        sim->stats.unknown++;
        sim_trace(sim, "client %u: %s", c->number, status_code(s));
        try_again(c);
        return;
    }
    sim_trace(sim, "client %u: entry %" PRIu64 " %s%s", c->number, r->index, status_code(r->status),
              r->replay ? " again" : "");
    all->answered = MAX(all->answered, r->index);
    if (c->lists && r->status == ST_OK)
        history_appended(&all->history, c->op, sim_now_ms(sim));
    else if (c->lists)
        history_refused(&all->history, c->op, sim_now_ms(sim));
    sim->stats.acked += r->status == ST_OK;
    sim->stats.refused += r->status != ST_OK;
    sim->stats.conflicts += r->status == ST_CONFLICT;
    sim->stats.limited += r->status == ST_LIMIT;
    sim->stats.replays += r->replay;
    end_command(c);
}

static void read_done(void *ctx, enum status s, const struct fault *why,
                      const struct apply_result *r)
{
    struct nodes_client *c = ctx;
    struct nodes *all = c->all;
    (void)why, (void)r;
    c->reading = c->waiting = false;
    if (s == ST_OK) {
        struct node *n = all->member[c->asked].node;
        uint64_t applied = node_view(n).raft.applied;
        if (applied < c->floor)
            sim_fail(all->sim,
                     "a read sees entry %" PRIu64 ", before it entry %" PRIu64 " was answered",
                     applied, c->floor);
        all->sim->stats.reads++;
        show(all, c->op, c->key, node_cluster(n));
    } else {
        all->sim->stats.unknown++;
    }
    think(c);
}

/* --- asking --- */

/* A refusal at once: it may tell who leads. */
static void refused(struct nodes_client *c, enum status s, struct node *n)
{
    uint32_t leader = node_view(n).raft.leader;
    bool hint = s == ST_NOT_LEADER && leader && leader < NODES_MAX && c->all->member[leader].number;
    try_again(c);
    if (hint)
        c->asks = leader;
}

static void read_list(struct nodes_client *c, struct nodes_member *m)
{
    struct nodes *all = c->all;
    c->reading = c->waiting = true;
    c->asked = m->number;
    c->floor = all->answered;
    c->key = (uint32_t)rng_below(&all->sim->client, NODES_LISTS);
    c->op = history_read(&all->history, c->number, c->key, sim_now_ms(all->sim));
    uint64_t deadline_ms = sim_now_ms(all->sim) + all->sim->faults.deadline_ms;
    enum status s = node_read(m->node, deadline_ms, read_done, c, NULL);
    if (s == ST_OK)
        return;
    c->reading = false;
    refused(c, s, m->node);
}

static uint32_t some_node(struct nodes *all, const struct cluster *state)
{
    const struct map *table = cluster_table(state, OBJECT_NODE);
    uint64_t which = rng_below(&all->sim->client, MAX(table->count, (size_t)1));
    MAP_EACH(table, uid, o)
        if (which-- == 0)
            return object_node(o)->number;
    return 1;
}

static void new_command(struct nodes_client *c, struct nodes_member *m)
{
    struct nodes *all = c->all;
    const struct cluster *state = node_cluster(m->node);
    c->lists = rng_chance(&all->sim->client, LISTS);
    c->tries = 0;
    if (c->lists) {
        c->key = (uint32_t)rng_below(&all->sim->client, NODES_LISTS);
        c->op = history_append(&all->history, c->number, c->key, sim_now_ms(all->sim));
        c->command = append_command(c);
    } else {
        c->command = want_any(all->sim, state, some_node(all, state), ++all->names);
    }
    all->sim->stats.commands++;
}

static void propose(struct nodes_client *c, struct nodes_member *m)
{
    struct sim *sim = c->all->sim;
    uint64_t deadline_ms = sim_now_ms(sim) + sim->faults.deadline_ms;
    sim->stats.retries += c->tries++ > 0;
    c->waiting = true;
    c->asked = m->number;
    enum status s = node_propose(m->node, c->command, deadline_ms, told, c, NULL);
    sim_trace(sim, "client %u asks %u: %d, %s", c->number, m->number, (int)c->command->body_case,
              status_code(s));
    if (s != ST_OK)
        refused(c, s, m->node);
}

static void go_on(void *ctx, uint64_t number)
{
    struct nodes *all = ctx;
    struct nodes_client *c = &all->client[number];
    if (c->waiting || (!c->command && !all->asking))
        return;
    struct nodes_member *m = &all->member[c->asks];
    bool there = m->number && nodes_member_awake(m) && !node_dead(m->node) && !m->witness &&
                 cluster_level(node_cluster(m->node)) > 0;
    if (!there) {
        try_again(c);
        return;
    }
    if (!c->command && rng_chance(&all->sim->client, READS)) {
        read_list(c, m);
    } else {
        if (!c->command)
            new_command(c, m);
        propose(c, m);
    }
    nodes_member_arm(m);
}

/* --- all --- */

void nodes_clients_start(struct nodes *all)
{
    history_init(&all->history, NODES_LISTS, HISTORY_MAX);
    IGNORE(history_read(&all->history, 0, 0, sim_now_ms(all->sim))); /* so that no value is 0 */
    all->asking = true;
    for (unsigned i = 0; i < NODES_CLIENTS; i++) {
        all->client[i] = (struct nodes_client){.all = all, .number = i, .asks = 1};
        think(&all->client[i]);
    }
}

void nodes_clients_done(struct nodes *all)
{
    for (unsigned i = 0; i < NODES_CLIENTS; i++)
        proto_free(all->client[i].command ? &all->client[i].command->base : NULL);
    history_done(&all->history);
}

bool nodes_clients_idle(const struct nodes *all)
{
    for (unsigned i = 0; i < NODES_CLIENTS; i++)
        if (all->client[i].command || all->client[i].waiting)
            return false;
    return true;
}

void nodes_clients_check(struct nodes *all, struct node *n)
{
    struct fault why;
    for (uint32_t key = 0; key < NODES_LISTS; key++) {
        uint64_t op = history_read(&all->history, 0, key, sim_now_ms(all->sim));
        show(all, op, key, node_cluster(n));
    }
    if (history_check(&all->history, &why) != ST_OK)
        sim_fail(all->sim, "Linearizable: %s", why.text);
}
