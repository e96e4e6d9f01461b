/*
 * group_client: clients of a group. Each asks one thing after another, and asks again, elsewhere too and under
 * the same number, until it is answered.
 *
 * Everything that is answered has a position in the log. What was answered before another thing was asked must not
 * stand behind it. That is held against the log at each answer, and at the end the whole history is judged by what
 * clients saw alone (history.h).
 */
#include <stdlib.h>

#include "sim/group_state.h"

enum {
    DEADLINE_US = 1500000,
    RETRY_US = 30000,
    READS = 300,
    HISTORY_MAX = 100000,
    HUGE_MAX = 200000
};

static void go_on(void *ctx, uint64_t attempt);

static void later(struct group_client *c, uint64_t us)
{
    sim_after(c->group->sim, us, go_on, c, ++c->attempt);
}

static void think(struct group_client *c)
{
    c->busy = false;
    later(c, sim_between(&c->group->sim->client, 100, UINT64_C(2000) * c->group->faults.think_ms));
}

static void retry(struct group_client *c)
{
    c->group->sim->stats.retries++;
    c->asks = (uint32_t)rng_range(&c->group->sim->client, 1, c->group->number_last);
    later(c, sim_between(&c->group->sim->client, 100, RETRY_US));
}

static void wait_free(struct group_wait *w)
{
    list_cut(&w->item);
    free(w);
}

/* Does it still want what w waits for? */
static bool is_current(const struct group_wait *w)
{
    return w->client->busy && w->client->number == w->number;
}

static void record(struct group_client *c, const struct lists *state)
{
    struct group *g = c->group;
    uint32_t key = c->command.list;
    if (c->read)
        history_seen(&g->history, c->op, state->list[key].value, state->list[key].count,
                     sim_now_ms(g->sim));
    else
        history_appended(&g->history, c->op, sim_now_ms(g->sim));
}

void group_answer(struct group_wait *w, uint64_t position, const struct lists *state)
{
    struct group_client *c = w->client;
    struct group *g = c->group;
    if (is_current(w)) {
        bool early = c->read ? position < c->floor : position <= c->floor;
        if (early)
            sim_fail(g->sim,
                     "client %u: its %s stands at entry %" PRIu64
                     ", before it was asked entry %" PRIu64 " was answered",
                     c->id, c->read ? "read" : "append", position, c->floor);
        g->answered = MAX(g->answered, position);
        record(c, state);
        g->sim->stats.reads += c->read;
        g->sim->stats.acked += !c->read;
        sim_trace(g->sim, "client %u: answered at %" PRIu64, c->id, position);
        think(c);
    }
    wait_free(w);
}

void group_lose(struct group_wait *w)
{
    struct group_client *c = w->client;
    if (is_current(w)) {
        c->group->sim->stats.unknown++;
        retry(c);
    }
    wait_free(w);
}

static enum status ask(struct group_client *c, struct member *m, struct group_wait *w)
{
    struct group *g = c->group;
    struct fault why;
    if (c->read)
        return raft_read(m->raft, &w->read, &why);
    AUTO(buf_done) struct buf b;
    size_t padding = (size_t)rng_below(&g->sim->client, g->faults.padding + 1u);
    if (rng_chance(&g->sim->extra, g->faults.huge)) {
        g->sim->stats.huge++;
        padding += (size_t)rng_below(&g->sim->extra, HUGE_MAX);
    }
    buf_init(&b, HUGE_MAX + 4096);
    list_command_pack(&c->command, padding, &b);
    return raft_propose(m->raft, raft_data_new(b.ptr, b.len), &w->index, &w->term, &why);
}

static void next_command(struct group_client *c)
{
    struct group *g = c->group;
    c->busy = true;
    c->read = rng_chance(&g->sim->client, READS);
    c->number++;
    c->floor = g->answered;
    c->command.list = (uint32_t)rng_below(&g->sim->client, LISTS_COUNT);
    uint64_t now_ms = sim_now_ms(g->sim);
    c->op = c->read ? history_read(&g->history, c->id, c->command.list, now_ms)
                    : history_append(&g->history, c->id, c->command.list, now_ms);
    if (c->read)
        return;
    c->command.client = c->id;
    c->command.number = c->number;
    c->command.value = c->op;
    g->sim->stats.commands++;
}

static void go_on(void *ctx, uint64_t attempt)
{
    struct group_client *c = ctx;
    struct group *g = c->group;
    if (attempt != c->attempt || (!c->busy && !g->asking))
        return;
    if (!c->busy)
        next_command(c);
    struct member *m = &g->member[c->asks];
    if (!m->number || !member_awake(m) || m->installing) {
        retry(c);
        return;
    }
    struct group_wait w = {.client = c, .number = c->number};
    enum status s = ask(c, m, &w);
    sim_trace(g->sim, "client %u asks %u: %s", c->id, m->number, status_code(s));
    if (s == ST_NOT_LEADER && raft_view(m->raft).leader) {
        c->asks = raft_view(m->raft).leader;
        later(c, sim_between(&g->sim->client, 100, 5000));
        return;
    }
    g->sim->stats.full += s == ST_LIMIT;
    if (s != ST_OK) {
        retry(c);
        return;
    }
    struct group_wait *kept = NEW(struct group_wait);
    *kept = w;
    list_push(&m->waits, &kept->item);
    later(c, DEADLINE_US); /* if nothing is heard by then: ask again */
    member_run(m);
}

void group_clients_check(struct group *g, const struct lists *state)
{
    struct fault why;
    for (uint32_t key = 0; key < LISTS_COUNT; key++) {
        uint64_t op = history_read(&g->history, 0, key, sim_now_ms(g->sim));
        history_seen(&g->history, op, state->list[key].value, state->list[key].count,
                     sim_now_ms(g->sim));
    }
    if (history_check(&g->history, &why) != ST_OK)
        sim_fail(g->sim, "Linearizable: %s", why.text);
}

void group_clients_start(struct group *g)
{
    history_init(&g->history, LISTS_COUNT, HISTORY_MAX);
    IGNORE(history_read(&g->history, 0, 0, sim_now_ms(g->sim))); /* so that no value is 0 */
    g->asking = true;
    for (uint32_t i = 0; i < g->faults.clients; i++) {
        g->client[i] = (struct group_client){.group = g, .id = i, .asks = 1};
        think(&g->client[i]);
    }
}
