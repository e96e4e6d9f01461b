#include "support/node_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/proto.h"

/* --- clock, entropy --- */

static uint64_t now_ms(struct clock *c)
{
    return CONTAINER_OF(c, struct node_group, clock)->now_ms;
}

static uint64_t wall_ns(struct clock *c)
{
    return (1700000000000 + now_ms(c)) * 1000000;
}

static void fill(struct entropy *e, void *out, size_t len)
{
    struct node_group *g = CONTAINER_OF(e, struct node_group, entropy);
    memset(out, 0, len);
    g->draws++;
    memcpy(out, &g->draws, MIN(len, sizeof g->draws));
}

/* --- log --- */

static void cut(struct group_log *l, uint64_t last)
{
    while (l->count && l->first + l->count - 1 > last)
        free((void *)(uintptr_t)l->entry[--l->count].data.ptr);
}

static void push(struct group_log *l, const struct log_entry *e)
{
    if (l->count == 0 && l->first == 0)
        l->first = 1;
    cut(l, e->index - 1);
    ensure(l->first + l->count == e->index);
    if (l->count == l->room) {
        l->room = MAX(2 * l->room, (size_t)64);
        l->entry = mem_grow(l->entry, l->room, sizeof *l->entry);
    }
    l->entry[l->count] = *e;
    l->entry[l->count++].data.ptr = mem_dup(e->data.ptr, e->data.len + (e->data.len == 0));
}

static enum status log_append(struct log *p, const struct log_hard *hard,
                              const struct log_entry *entries, size_t count, uint64_t token)
{
    struct group_log *l = CONTAINER_OF(p, struct group_log, port);
    if (l->token_count == ARRAY_COUNT(l->tokens))
        return ST_LIMIT;
    ensure(!l->slow_snapshots || !l->coming_whole);
    if (hard)
        l->hard = *hard;
    for (size_t i = 0; i < count; i++)
        push(l, &entries[i]);
    l->tokens[l->token_count++] = token;
    return ST_OK;
}

static enum status log_snapshot(struct log *p, uint64_t index, uint64_t term, uint64_t offset,
                                struct str chunk, bool last)
{
    struct group_log *l = CONTAINER_OF(p, struct group_log, port);
    if (l->no_chunks)
        return ST_LIMIT;
    ensure(index >= l->saved_index);
    if (offset == 0) {
        buf_reset(&l->coming);
        l->coming_index = index;
        l->coming_term = term;
    }
    ensure(index == l->coming_index && term == l->coming_term && offset == l->coming.len);
    buf_str(&l->coming, chunk);
    l->coming_whole = last;
    return ST_OK;
}

static void log_compact(struct log *p, uint64_t first_kept)
{
    struct group_log *l = CONTAINER_OF(p, struct group_log, port);
    size_t gone = first_kept > l->first ? (size_t)MIN(first_kept - l->first, l->count) : 0;
    for (size_t i = 0; i < gone; i++)
        free((void *)(uintptr_t)l->entry[i].data.ptr);
    memmove(l->entry, l->entry + gone, (l->count - gone) * sizeof *l->entry);
    l->count -= gone;
    l->first += gone;
}

static bool holds(const struct group_log *l, uint64_t index, uint64_t term)
{
    return index >= l->first && index < l->first + l->count &&
           l->entry[index - l->first].term == term;
}

static void keep_snapshot(struct group_log *l)
{
    buf_reset(&l->saved);
    buf_str(&l->saved, buf_view(&l->coming));
    l->saved_index = l->coming_index;
    l->saved_term = l->coming_term;
    l->coming_whole = false;
    l->coming_index = l->coming_term = 0;
    buf_reset(&l->coming);
    if (!holds(l, l->saved_index, l->saved_term)) {
        cut(l, 0);
        l->first = l->saved_index + 1;
    }
}

/* What was asked for is durable; true if there was something. */
static bool sync_log(struct group_member *m)
{
    struct group_log *l = &m->log;
    bool saves = l->coming_whole && !l->slow_snapshots;
    if (!l->token_count && !saves)
        return false;
    for (size_t i = 0; i < l->token_count; i++)
        l->port.events->appended(l->port.events->ctx, l->tokens[i]);
    l->token_count = 0;
    if (saves) {
        keep_snapshot(l);
        l->port.events->snapshotted(l->port.events->ctx, l->saved_index);
    }
    return true;
}

/* --- VMs and images --- */

static void vmm_look(struct vmm *v)
{
    CONTAINER_OF(v, struct group_member, vmm)->looked++;
    v->events->event(v->events->ctx, &(struct vmm_event){.type = VMM_LOOKED});
}

static void vmm_start(struct vmm *v, const struct vmm_start *s)
{
    (void)s;
    CONTAINER_OF(v, struct group_member, vmm)->started++;
}

static void vmm_power(struct vmm *v, const char *uid, uint64_t incarnation, enum vmm_power p)
{
    (void)v, (void)uid, (void)incarnation, (void)p;
}

static void vmm_remove(struct vmm *v, const char *uid)
{
    (void)v, (void)uid;
}

static void blob_make(struct blob *b, const Pb__Image *image)
{
    static char digest[] =
        "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    Pb__Blob part = PB__BLOB__INIT;
    part.digest = digest;
    PROTO_SET(&part, size, 1);
    Pb__Image made = PB__IMAGE__INIT;
    made.digest = digest;
    PROTO_SET(&made, kind, PB__IMAGE_KIND__IMAGE_INITRAMFS);
    made.kernel = made.initrd = &part;
    b->events->event(
        b->events->ctx,
        &(struct blob_event){.type = BLOB_READY, .uid = image->meta->uid, .image = &made});
}

static void blob_cancel(struct blob *b, const char *uid)
{
    (void)b, (void)uid;
}

static void blob_remove(struct blob *b, const Pb__Image *image, const Pb__Image *const *keep,
                        size_t keep_count)
{
    (void)keep, (void)keep_count;
    CONTAINER_OF(b, struct group_member, blob)->removed++;
    b->events->event(b->events->ctx,
                     &(struct blob_event){.type = BLOB_REMOVED, .uid = image->meta->uid});
}

static void blob_sweep(struct blob *b, const Pb__Image *const *keep, size_t keep_count)
{
    (void)b, (void)keep, (void)keep_count;
}

/* --- network --- */

static void post(struct node_group *g, uint32_t from, uint32_t to, struct str bytes)
{
    if (g->mail_count == GROUP_MAILS_MAX)
        return;
    g->mail[g->mail_count++] =
        (struct group_mail){from, to, mem_dup(bytes.ptr, bytes.len), bytes.len};
}

static void peers_send(struct peers *p, uint32_t to, struct str bytes)
{
    struct group_member *m = CONTAINER_OF(p, struct group_member, peers);
    struct node_group *g = m->group;
    struct mail mail;
    ensure(bytes.len > 0 && bytes.len <= PEERS_MESSAGE_MAX);
    ensure(ST_OK == mail_decode(bytes, &mail, NULL));
    g->sent[mail.kind]++;
    bool lost =
        to > g->count || g->cut[m->number][to] || (g->lose && g->lose(g, m->number, to, &mail));
    mail_done(&mail);
    if (lost)
        return;
    if (g->carry) {
        g->carry(g, m->number, to, bytes);
        return;
    }
    post(g, m->number, to, bytes);
    if (g->twice)
        post(g, m->number, to, bytes);
}

static void around(struct node_group *g, uint32_t number, bool after)
{
    if (g->around)
        g->around(g, number, after);
}

static bool deliver_one(struct node_group *g)
{
    if (g->mail_count == 0)
        return false;
    size_t at = g->backwards ? g->mail_count - 1 : 0;
    struct group_mail m = g->mail[at];
    memmove(&g->mail[at], &g->mail[at + 1], (--g->mail_count - at) * sizeof m);
    struct node *n = g->member[m.to].node;
    if (n && !g->cut[m.from][m.to]) {
        around(g, m.to, false);
        node_receive(n, m.from, (struct str){m.bytes, m.len});
        around(g, m.to, true);
    }
    free(m.bytes);
    return true;
}

void node_group_inject(struct node_group *g, uint32_t from, uint32_t to, const struct mail *m)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, PEERS_MESSAGE_MAX);
    mail_encode(m, &b);
    if (g->member[to].node)
        node_receive(g->member[to].node, from, buf_view(&b));
}

/* --- life --- */

static void watch_applied(struct node_watch *w, const struct apply_result *r)
{
    (void)w, (void)r;
}

static void watch_restored(struct node_watch *w)
{
    CONTAINER_OF(w, struct group_member, watch)->restored++;
}

static void make(struct group_member *m)
{
    struct node_group *g = m->group;
    struct node_config c;
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    char key[65], name[20];
    node_config_default(&c);
    (void)snprintf(key, sizeof key, "%064x", m->number);
    (void)snprintf(name, sizeof name, "node-%u", m->number);
    facts.key = key;
    PROTO_SET(&facts, cpus, 64);
    PROTO_SET(&facts, mem_mib, 1 << 20);
    PROTO_SET(&facts, feature_level_max, 1);
    c.name = name;
    c.facts = &facts;
    c.seed = m->number + 100 * g->draws;
    c.member = m->number;
    c.members = &m->first;
    c.witness = m->witness;
    c.snapshot_entries = g->snapshot_entries;
    c.trailing_entries = g->trailing_entries;
    c.snapshot_log_max = g->snapshot_log_max;
    c.host_booted = true;
    struct node_ports p = {&g->clock, &g->entropy, &m->vmm, &m->blob, NULL, &m->peers};
    m->node = node_new(&c, &p);
    m->watch = (struct node_watch){.applied = watch_applied, .restored = watch_restored};
    node_watch_add(m->node, &m->watch);
}

static void init_member(struct node_group *g, uint32_t number, bool witness)
{
    struct group_member *m = &g->member[number];
    *m = (struct group_member){
        .group = g,
        .number = number,
        .witness = witness,
        .peers = {peers_send},
        .log.port = {.append = log_append, .snapshot = log_snapshot, .compact = log_compact},
        .vmm = {.look = vmm_look, .start = vmm_start, .power = vmm_power, .remove = vmm_remove},
        .blob = {.make = blob_make,
                 .cancel = blob_cancel,
                 .remove = blob_remove,
                 .sweep = blob_sweep},
    };
    buf_init(&m->log.saved, 64 << 20);
    buf_init(&m->log.coming, 64 << 20);
}

void node_group_start(struct node_group *g, uint32_t count, uint32_t witnesses)
{
    *g = (struct node_group){
        .clock = {now_ms, now_ms, wall_ns},
        .entropy = {fill},
        .now_ms = 1000,
        .count = count,
        .snapshot_entries = 100000,
        .trailing_entries = 10,
        .snapshot_log_max = 16 << 20,
    };
    struct raft_members all = {0};
    for (uint32_t i = 1; i <= count; i++)
        ensure(raft_members_put(&all, i, RAFT_VOTES | (i > count - witnesses ? RAFT_WITNESS : 0)));
    for (uint32_t i = 1; i <= count; i++) {
        init_member(g, i, i > count - witnesses);
        g->member[i].first = all;
        ensure(ST_OK == node_group_restart(g, i, NULL));
    }
}

uint32_t node_group_add(struct node_group *g, bool witness)
{
    init_member(g, ++g->count, witness);
    ensure(ST_OK == node_group_restart(g, g->count, NULL));
    return g->count;
}

void node_group_stop(struct node_group *g, uint32_t number)
{
    struct group_member *m = &g->member[number];
    if (!m->node)
        return;
    node_watch_cut(&m->watch);
    node_free(m->node);
    m->node = NULL;
    m->log.token_count = 0;
    m->log.coming_whole = false;
    m->log.coming_index = m->log.coming_term = 0;
}

enum status node_group_restart(struct node_group *g, uint32_t number, struct fault *why)
{
    struct group_member *m = &g->member[number];
    struct group_log *l = &m->log;
    node_group_stop(g, number);
    make(m);
    struct log_load load = node_loader(m->node);
    load.hard(load.ctx, &l->hard);
    enum status s = ST_OK;
    if (l->saved_index) {
        s = load.snapshot(load.ctx, l->saved_index, l->saved_term, STR(""), false, why);
        struct str rest = buf_view(&l->saved);
        for (size_t n; s == ST_OK && rest.len; rest.ptr += n, rest.len -= n) {
            n = MIN(rest.len, 777);
            s = load.snapshot(load.ctx, l->saved_index, l->saved_term, (struct str){rest.ptr, n},
                              n == rest.len, why);
        }
    }
    for (size_t i = 0; s == ST_OK && i < l->count; i++)
        if (l->entry[i].index > l->saved_index)
            s = load.entry(load.ctx, &l->entry[i], why);
    return s == ST_OK ? node_start(m->node, &l->port, why) : s;
}

void node_group_finish(struct node_group *g)
{
    for (uint32_t i = 1; i <= g->count; i++) {
        struct group_log *l = &g->member[i].log;
        node_group_stop(g, i);
        cut(l, 0);
        free(l->entry);
        buf_done(&l->saved);
        buf_done(&l->coming);
    }
    while (g->mail_count)
        free(g->mail[--g->mail_count].bytes);
}

/* --- running --- */

/* false: nothing is to be done at this time. */
static bool turn(struct node_group *g)
{
    bool did = deliver_one(g);
    for (uint32_t i = 1; i <= g->count; i++) {
        struct group_member *m = &g->member[i];
        if (!m->node || node_dead(m->node))
            continue;
        did |= sync_log(m);
        if (node_deadline_ms(m->node) <= g->now_ms) {
            around(g, i, false);
            node_step(m->node);
            around(g, i, true);
            did = true;
        }
    }
    return did;
}

static uint64_t next_ms(const struct node_group *g)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 1; i <= g->count; i++)
        if (g->member[i].node && !node_dead(g->member[i].node))
            next = MIN(next, node_deadline_ms(g->member[i].node));
    return next;
}

void node_group_run(struct node_group *g, uint64_t ms)
{
    uint64_t until = g->now_ms + ms;
    for (;;) {
        unsigned turns = 0;
        while (turn(g))
            ensure(++turns < 200000); /* it comes to rest */
        uint64_t next = next_ms(g);
        if (next > until)
            break;
        g->now_ms = MAX(next, g->now_ms + 1);
    }
    g->now_ms = until;
}

bool node_group_wait(struct node_group *g, bool (*is)(struct node_group *g))
{
    for (unsigned i = 0; i < 2000; i++) {
        if (is(g))
            return true;
        node_group_run(g, 10);
    }
    return false;
}

struct node *node_group_node(struct node_group *g, uint32_t number)
{
    return g->member[number].node;
}

uint32_t node_group_leader(const struct node_group *g)
{
    uint32_t best = 0;
    uint64_t term = 0;
    for (uint32_t i = 1; i <= g->count; i++) {
        struct node *n = g->member[i].node;
        if (!n || node_dead(n))
            continue;
        struct raft_view v = node_view(n).raft;
        if (v.role == RAFT_LEADER && v.term > term) {
            best = i;
            term = v.term;
        }
    }
    return best;
}

static bool has_leader(struct node_group *g)
{
    uint32_t i = node_group_leader(g);
    if (!i)
        return false;
    struct raft_view v = node_view(g->member[i].node).raft;
    return v.applied == v.last && cluster_level(node_cluster(g->member[i].node)) > 0;
}

uint32_t node_group_wait_leader(struct node_group *g)
{
    ensure(node_group_wait(g, has_leader));
    return node_group_leader(g);
}

bool node_group_level(struct node_group *g)
{
    if (!has_leader(g))
        return false;
    struct raft_view v = node_view(g->member[node_group_leader(g)].node).raft;
    for (uint32_t i = 1; i <= g->count; i++) {
        struct group_member *m = &g->member[i];
        if (!m->node || node_dead(m->node))
            continue;
        if (node_view(m->node).raft.applied != v.applied ||
            (!m->witness && node_number(m->node) == 0))
            return false;
    }
    return true;
}

enum status node_group_put(struct node_group *g, uint32_t number, unsigned tenant, struct answer *a)
{
    char text[OBJECT_UID_MAX], name[20];
    bench_uid(text, 0x1000 + tenant);
    (void)snprintf(name, sizeof name, "tenant-%u", tenant);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = text;
    meta.name = name;
    Pb__Tenant t = PB__TENANT__INIT;
    t.meta = &meta;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &t;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    *a = (struct answer){0};
    return node_propose(g->member[number].node, &cmd, g->now_ms + 2000, answer_told, a, NULL);
}

void node_group_put_many(struct node_group *g, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct answer a;
        uint32_t leader = node_group_wait_leader(g);
        ensure(ST_OK == node_group_put(g, leader, first + i, &a));
        for (unsigned k = 0; k < 1000 && !a.count; k++)
            node_group_run(g, 1);
        ensure(1 == a.count);
        ensure(ST_OK == a.applied);
    }
}
