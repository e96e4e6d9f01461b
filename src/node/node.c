#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/state.h"
#include "wire/proto.h"

enum { ACTOR_MAX = 80 };

void node_config_default(struct node_config *c)
{
    *c = (struct node_config){
        .cluster_name = "blixard",
        .snapshot_entries = 10000,
        .snapshot_log_max = 16 << 20,
        .trailing_entries = 1000,
        .start_timeout_ms = 120000,
        .backoff_min_ms = 1000,
        .backoff_max_ms = 300000,
        .backoff_reset_ms = 600000,
        .member = 1,
    };
    struct raft_config r;
    raft_config_default(&r, c->member);
    c->election_ms = r.election_ms;
    c->heartbeat_ms = r.heartbeat_ms;
    limits_default(&c->limits);
}

uint64_t node_now_ms(const struct node *n)
{
    return n->ports.clock->now_ms(n->ports.clock);
}

void node_new_uid(struct node *n, char out[OBJECT_UID_MAX])
{
    uint8_t bytes[(OBJECT_UID_MAX - 1) / 2];
    n->ports.entropy->fill(n->ports.entropy, bytes, sizeof bytes);
    str_hex(bytes, sizeof bytes, out);
}

void node_die(struct node *n, const struct fault *why)
{
    if (n->dead)
        return; /* the first reason is the one that counts */
    n->dead = n->busy = true;
    n->why_dead = *why;
}

/* What is committed and durable is applied, and what those propose who are answered is on its way to the disk
 * before anything else is done. */
static void advance(struct node *n)
{
    node_write_out(n);
    node_apply(n);
    node_write_out(n);
}

/* --- what the log tells --- */

static void log_appended(void *ctx, uint64_t token)
{
    struct node *n = ctx;
    if (n->dead)
        return;
    raft_persisted(n->raft, token);
    n->busy = true;
    if (token == n->token && !n->fetch.freezes)
        advance(n); /* nothing else is on its way, so waiting for more gains nothing */
}

static void log_snapshotted(void *ctx, uint64_t index)
{
    struct node *n = ctx;
    if (n->dead)
        return;
    node_snapshot_durable(n, index);
    node_fetch_durable(n, index);
}

static void log_failed(void *ctx, const struct fault *why)
{
    struct fault f = *why;
    (void)fault_wrap(&f, f.status, "the log failed");
    node_die(ctx, &f);
}

/* --- life --- */

struct node *node_new(const struct node_config *c, const struct node_ports *p)
{
    require(c->name && c->cluster_name && c->facts && c->snapshot_entries > 0 &&
            c->snapshot_log_max > 0 && c->backoff_min_ms > 0 && c->member > 0);
    require(p->peers || (!c->members && !c->witness && c->member == 1));
    struct node *n = NEW(struct node);
    n->ports = *p;
    n->config = *c;
    n->config.name = n->name = mem_strdup(c->name);
    n->config.cluster_name = n->cluster_name = mem_strdup(c->cluster_name);
    n->facts = (Pb__NodeFacts *)(void *)proto_copy(&c->facts->base);
    n->config.facts = n->facts;
    n->first = c->members ? mem_dup(c->members, sizeof *c->members) : NULL;
    n->config.members = n->first;
    n->rng = (struct rng){c->seed};
    char actor[ACTOR_MAX];
    (void)snprintf(actor, sizeof actor, "node/%s", c->name);
    n->actor = mem_strdup(actor);

    n->cluster = cluster_new_limits(&n->config.limits);
    n->log_retry_ms = UINT64_MAX;
    waiters_init(&n->proposals);
    waiters_init(&n->reads);
    inflight_init(&n->inflight);
    list_init(&n->watches);
    list_init(&n->sender.waiting);
    buf_init(&n->mail, PEERS_MESSAGE_MAX);
    agree_init(&n->agree);
    n->agree_ms = n->members_index = UINT64_MAX;
    if (p->peers)
        p->entropy->fill(p->entropy, &n->sender.life, sizeof n->sender.life);
    n->sender.life += n->sender.life == 0;
    n->log_events = (struct log_events){log_appended, log_snapshotted, log_failed, n};
    reconcile_init(n);
    images_init(n);
    if (c->keep_roles)
        node_roles_init(n);
    return n;
}

void node_free(struct node *n)
{
    if (!n)
        return;
    n->dead = true;
    apply_result_done(&n->result);
    waiters_done(&n->proposals, ST_UNAVAILABLE, "the node ends; the command may still be applied");
    waiters_done(&n->reads, ST_UNAVAILABLE, "the node ends");
    node_forward_done(n, "the node ends; the command may still be applied");
    inflight_done(&n->inflight);
    images_done(n);
    reconcile_done(n);
    node_snapshot_done(&n->snapshot);
    node_fetch_done(&n->fetch);
    for (size_t i = 0; i < NODE_GIVES_MAX; i++)
        node_give_done(&n->give[i]);
    buf_done(&n->mail);
    node_held_done(&n->held);
    node_load_done(&n->load);
    raft_free(n->raft);
    cluster_free(n->cluster);
    cluster_free(n->old);
    free(n->first);
    proto_free(&n->facts->base);
    free(n->name);
    free(n->cluster_name);
    free(n->actor);
    free(n);
}

/* Who waits is told at once: nothing more will be applied. */
static void end(struct node *n)
{
    waiters_done(&n->proposals, ST_UNAVAILABLE, n->why_dead.text);
    waiters_done(&n->reads, ST_UNAVAILABLE, n->why_dead.text);
    node_forward_done(n, n->why_dead.text);
    reconcile_end(n);
}

/* Time, entries, and what came of them; but while a peer's snapshot becomes durable nothing may move. */
static void consensus(struct node *n)
{
    if (n->fetch.freezes) {
        node_expire(n);
        return;
    }
    raft_tick(n->raft, node_now_ms(n));
    node_expire(n);
    node_members_step(n);
    node_tell_lost(n);
    advance(n);
}

/* At most one chunk of a snapshot a step, the own or a peer's. */
static void pack_some(struct node *n)
{
    if (node_give_step(n))
        n->busy = true;
    else
        (void)node_snapshot_step(n);
}

void node_step(struct node *n)
{
    require(n->started);
    n->busy = false;
    if (!n->dead) {
        node_restore_step(n);
        consensus(n);
        node_hello_step(n);
        node_roles_step(n);
        node_read_step(n);
        node_forward_step(n);
        reconcile_step(n);
        images_step(n);
        node_hash_step(n);
        pack_some(n);
        node_fetch_step(n);
        if (!n->fetch.freezes) {
            node_write_out(n); /* what the steps above proposed */
            node_foresee(n);
        }
    }
    if (n->dead)
        end(n);
}

uint64_t node_deadline_ms(const struct node *n)
{
    require(n->started);
    if (n->busy || n->unwritten)
        return 0;
    if (n->dead)
        return UINT64_MAX;
    bool freezes = n->fetch.freezes;
    if (!freezes && raft_view(n->raft).applied < n->apply_to)
        return 0;
    const uint64_t due[] = {
        freezes ? UINT64_MAX : n->log_retry_ms,
        freezes ? UINT64_MAX : raft_deadline_ms(n->raft),
        node_snapshot_deadline_ms(n),
        node_fetch_deadline_ms(n),
        node_give_deadline_ms(n),
        node_forward_deadline_ms(n),
        node_hash_deadline_ms(n),
        heap_first_key(&n->proposals.due),
        heap_first_key(&n->reads.due),
        node_hello_deadline_ms(n),
        node_roles_deadline_ms(n),
        reconcile_deadline_ms(n),
        images_deadline_ms(n),
    };
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(due); i++)
        first = MIN(first, due[i]);
    return first;
}

const struct fault *node_dead(const struct node *n)
{
    return n->dead ? &n->why_dead : NULL;
}

/* --- views --- */

const struct cluster *node_cluster(const struct node *n)
{
    return n->cluster;
}

uint32_t node_number(const struct node *n)
{
    return n->number;
}

struct vmm *node_vmm(struct node *n)
{
    return n->ports.vmm;
}

struct clock *node_clock(struct node *n)
{
    return n->ports.clock;
}

struct entropy *node_entropy(struct node *n)
{
    return n->ports.entropy;
}

void node_watch_add(struct node *n, struct node_watch *w)
{
    list_push(&n->watches, &w->item);
}

void node_watch_cut(struct node_watch *w)
{
    list_cut(&w->item);
}

struct node_view node_view(const struct node *n)
{
    const struct reconcile *r = &n->reconcile;
    return (struct node_view){
        .raft = n->raft ? raft_view(n->raft) : (struct raft_view){0},
        .applied_hash = cluster_hash(n->cluster),
        .proposals = n->proposed,
        .proposals_refused = n->proposals_refused,
        .proposals_timed_out = n->proposals_timed_out,
        .commands_replayed = n->commands_replayed,
        .commands_joined = n->commands_joined,
        .reports = r->reports,
        .reports_refused = r->reports_refused,
        .snapshots = n->snapshots,
        .snapshot_index = n->snapshot.done_index,
        .restores = n->restores,
        .gives = n->gives,
        .forwards = n->forwards,
        .mails_sent = n->mails.sent,
        .mails_received = n->mails.received,
        .mails_refused = n->mails.refused,
        .agreed_index = agree_newest(&n->agree),
        .clock_ahead_ns = n->time.ahead_ns,
        .waiting = n->proposals.count + n->reads.count,
        .vms = r->vms.count,
        .vms_starting = r->starting,
        .vms_running = r->running,
        .news = reconcile_news(n),
        .reconciled = r->look == LOOK_DONE,
        .look_trouble = r->look_trouble,
    };
}
