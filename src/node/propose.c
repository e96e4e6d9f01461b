#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "core/limits.h"
#include "node/state.h"
#include "wire/proto.h"

enum {
    LEAP_RATE = 60,            /* the clock may gain a minute each second, ... */
    LEAP_MAX_MS = 3600 * 1000, /* ... and an hour at once */
    AWAY_DAYS_MAX = 400,       /* the node may have been down for so long */
};

/* What the clock says at the start is believed, unless the node would have to have been down for so
 * long that it is likelier that nobody has set the clock yet. */
static void begin_time(struct node *n, uint64_t wall_ns)
{
    uint64_t state_ns = cluster_time_ns(n->cluster);
    uint64_t ahead_ns = wall_ns > state_ns ? wall_ns - state_ns : 0;
    bool far = state_ns > 0 && ahead_ns / UNITS_NS_PER_S / 86400 >= AWAY_DAYS_MAX;
    n->time = (struct node_time){
        .last_ns = far ? state_ns : wall_ns,
        .last_ms = node_now_ms(n),
        .budget_ms = LEAP_MAX_MS,
        .ahead_ns = far ? ahead_ns : 0,
    };
}

/*
 * The time for a command. The state's time never goes back, so a clock that leaps into the future
 * would leave it there: leaps are followed at a bounded rate. Until the state is as new as the log,
 * it is not known what would be a leap; a time that is too early is that of the state.
 */
static uint64_t command_time(struct node *n)
{
    struct node_time *t = &n->time;
    if (n->hello == HELLO_WAIT || (t->last_ns == 0 && !node_state_is_current(n)))
        return cluster_time_ns(n->cluster);
    uint64_t wall_ns = n->ports.clock->wall_ns(n->ports.clock);
    uint64_t now_ms = node_now_ms(n);
    if (t->last_ns == 0)
        begin_time(n, wall_ns);
    uint64_t passed_ms = now_ms - t->last_ms;
    t->budget_ms = MIN(t->budget_ms + passed_ms * LEAP_RATE, (uint64_t)LEAP_MAX_MS);
    uint64_t even_ns = t->last_ns + passed_ms * UNITS_NS_PER_MS;
    uint64_t most_ns = even_ns + t->budget_ms * UNITS_NS_PER_MS;
    uint64_t ns = MIN(wall_ns, most_ns);
    if (ns > even_ns)
        t->budget_ms -= (ns - even_ns) / UNITS_NS_PER_MS;
    t->last_ns = ns;
    t->last_ms = now_ms;
    return ns;
}

static enum status pack(struct node *n, const Pb__Command *cmd, struct raft_data **ret,
                        struct fault *why)
{
    Pb__Command c = *cmd;
    PROTO_SET(&c, time_ns, command_time(n));
    if (!c.has_level)
        PROTO_SET(&c, level, MAX(cluster_level(n->cluster), 1u));
    AUTO(buf_done) struct buf b;
    buf_init(&b, LIMIT_COMMAND_BYTES);
    proto_pack(&c.base, &b);
    enum status s = buf_status(&b, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "command");
    *ret = raft_data_new(b.ptr, b.len);
    return ST_OK;
}

bool node_leads(const struct node *n)
{
    return raft_view(n->raft).role == RAFT_LEADER;
}

enum status node_not_leader(const struct node *n, struct fault *why)
{
    uint32_t leader = raft_view(n->raft).leader;
    if (leader)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead, member %" PRIu32 " does",
                         leader);
    return fault_set(why, ST_NOT_LEADER, "this node does not lead, and it is not known who does");
}

static void await(struct node *n, uint64_t index, uint64_t term, uint64_t deadline_ms,
                  node_done *done, void *ctx)
{
    if (done)
        (void)waiters_add(&n->proposals, index, term, deadline_ms, done, ctx);
}

enum status node_propose(struct node *n, const Pb__Command *cmd, uint64_t deadline_ms,
                         node_done *done, void *ctx, struct fault *why)
{
    require(n->started);
    if (n->dead)
        return fault_set(why, ST_UNAVAILABLE, "the node has stopped: %s", n->why_dead.text);
    if (n->ports.peers && !node_leads(n)) /* before what it costs to pack it */
        return node_not_leader(n, why);
    if (n->ports.peers && raft_view(n->raft).truncations != n->truncations)
        return fault_set(why, ST_UNAVAILABLE, "those who wait for what was cut are told first");
    if (MAX(n->proposals.count, n->inflight.count) >= NODE_WAITING_MAX)
        return fault_set(why, ST_LIMIT, "%d commands wait already", NODE_WAITING_MAX);
    struct command_key key;
    bool named = command_key_of(cmd, &key);
    const struct inflight_command *same = named ? inflight_find(&n->inflight, key.id) : NULL;
    if (same) {
        enum status s = command_key_check(&same->key, &key, why);
        if (s != ST_OK)
            return s;
        n->commands_joined++;
        await(n, same->index, same->term, deadline_ms, done, ctx);
        return ST_OK;
    }
    struct raft_data *data = NULL;
    uint64_t index, term;
    enum status s = pack(n, cmd, &data, why);
    if (s == ST_OK)
        s = raft_propose(n->raft, data, &index, &term, why);
    if (s != ST_OK)
        return s;
    n->proposed++;
    n->unwritten = true;
    if (named)
        inflight_add(&n->inflight, &key, index, term);
    await(n, index, term, deadline_ms, done, ctx);
    return ST_OK;
}

void node_tell(struct node *n, const struct raft_entry *e, const struct apply_result *r)
{
    inflight_passed(&n->inflight, e->index); /* first: who is told may ask again */
    for (struct waiter *x; (x = waiters_take(&n->proposals, e->index));) {
        if (r && x->index == e->index && x->term == e->term) {
            x->done(x->ctx, ST_OK, NULL, r);
        } else {
            struct fault why;
            (void)fault_set(&why, ST_UNAVAILABLE,
                            "another leader's entry took the place of this command");
            x->done(x->ctx, ST_UNAVAILABLE, &why, NULL);
        }
        free(x);
    }
}

/* Does the log still hold what was proposed? */
static bool stands(const struct node *n, uint64_t index, uint64_t term)
{
    return index <= raft_view(n->raft).applied || raft_term_at(n->raft, index) == term;
}

/* Nothing may come in their place for long. What is cut is the end of the log, so they are the last ones. */
void node_tell_lost(struct node *n)
{
    struct raft_view v = raft_view(n->raft);
    if (v.truncations == n->truncations)
        return;
    n->truncations = v.truncations;
    for (const struct inflight_command *c;
         (c = inflight_last(&n->inflight)) && !stands(n, c->index, c->term);)
        inflight_drop_last(&n->inflight);
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "another leader cut this command from the log");
    for (struct waiter *x; (x = waiters_last(&n->proposals)) && !stands(n, x->index, x->term);)
        waiters_end(&n->proposals, x, ST_UNAVAILABLE, &why);
}

void node_expire(struct node *n)
{
    uint64_t now_ms = node_now_ms(n);
    struct fault why;
    for (struct waiter *x; (x = waiters_take_due(&n->proposals, now_ms));) {
        n->proposals_timed_out++;
        (void)fault_set(&why, ST_TIMEOUT, "the command was not committed in time; it may still be");
        x->done(x->ctx, ST_TIMEOUT, &why, NULL);
        free(x);
    }
    for (struct waiter *x; (x = waiters_take_due(&n->reads, now_ms));) {
        (void)fault_set(&why, ST_TIMEOUT, "the state was not recent enough in time");
        x->done(x->ctx, ST_TIMEOUT, &why, NULL);
        free(x);
    }
}

void node_forget(struct node *n, void *ctx)
{
    waiters_forget(&n->proposals, ctx);
    waiters_forget(&n->reads, ctx);
}
