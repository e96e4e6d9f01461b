#include "support/raft_net.h"

#include <stdlib.h>

#include "support/tap.h"

enum { PASS_STEP_MS = 10 };

/* --- entries --- */

static bool entry_eq(const struct raft_entry *a, const struct raft_entry *b)
{
    if (a->term != b->term || a->type != b->type || !a->data != !b->data)
        return false;
    return !a->data ||
           (a->data->len == b->data->len && !memcmp(a->data->bytes, b->data->bytes, a->data->len));
}

/* --- platter --- */

static void keep(struct net_node *x, const struct raft_entry *e)
{
    CHECK(e->index < NET_INDEX_MAX);
    if (e->index == x->snapshot.index + 1 && x->last < x->snapshot.index)
        x->first = e->index; /* what is before is in the snapshot */
    else
        CHECK(e->index >= x->first && e->index <= x->last + 1);
    struct raft_entry own = net_entry_ref(e);
    raft_data_unref(x->entry[e->index].data);
    x->entry[e->index] = own;
    x->last = e->index;
}

static void write_free(struct net_write *w)
{
    net_entries_free(w->entries, w->count);
}

static void write_oldest(struct net_node *x)
{
    struct net_write w = x->write[0];
    memmove(x->write, x->write + 1, --x->write_count * sizeof *x->write);
    CHECK(w.hard.term >= x->hard.term);
    CHECK(w.hard.term > x->hard.term || x->hard.vote == 0 || w.hard.vote == x->hard.vote);
    x->hard = w.hard;
    for (size_t i = 0; i < w.count; i++)
        keep(x, &w.entries[i]);
    write_free(&w);
    raft_persisted(x->r, w.token);
}

static bool has_entry(const struct net_node *x, const struct raft_entry *e)
{
    if (e->index <= x->snapshot.index)
        return true;
    return e->index >= x->first && e->index <= x->last && entry_eq(&x->entry[e->index], e);
}

void net_disk_hold(struct net *n, uint32_t i)
{
    n->node[i].disk_held = true;
}

void net_disk_do(struct net *n, uint32_t i, size_t count)
{
    struct net_node *x = &n->node[i];
    for (CHECK(count <= x->write_count); count > 0; count--)
        write_oldest(x);
    net_run(n, i);
}

void net_disk_release(struct net *n, uint32_t i)
{
    n->node[i].disk_held = false;
    net_disk_do(n, i, n->node[i].write_count);
}

/* --- what holds in every story --- */

static void check_sent(struct net *n, const struct net_node *x, const struct raft_message *m)
{
    bool granted = m->type == RAFT_VOTE && !m->pre && !m->refused;
    if (granted)
        CHECK(x->hard.term > m->term || (x->hard.term == m->term && x->hard.vote == m->to));
    if (m->type == RAFT_VOTE_ASK && !m->pre)
        CHECK(x->hard.term == m->term && x->hard.vote == m->from &&
              MAX(x->last, x->snapshot.index) == m->index);
    if (m->type == RAFT_APPENDED && !m->refused)
        CHECK(x->hard.term >= m->term && MAX(x->last, x->snapshot.index) >= m->index);
    if (m->type == RAFT_APPEND) {
        CHECK(m->term < NET_TERM_MAX);
        CHECK(n->leader[m->term] == 0 || n->leader[m->term] == m->from);
        n->leader[m->term] = m->from;
    }
}

static void check_quorum_has(const struct net *n, const struct net_node *x,
                             const struct raft_entry *e)
{
    const struct raft_members *m = raft_members(x->r);
    uint64_t value[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < m->count; i++)
        value[i] = has_entry(&n->node[m->member[i].number], e);
    CHECK(raft_members_quorum(m, value) >= 1);
}

static void apply(struct net *n, struct net_node *x, const struct raft_entry *e)
{
    CHECK_EQ(x->applied + 1, e->index);
    CHECK(has_entry(x, e));
    if (e->index > n->truth_last) {
        check_quorum_has(n, x, e);
        CHECK_EQ(n->truth_last + 1, e->index);
        n->truth[++n->truth_last] = net_entry_ref(e);
    }
    CHECK(entry_eq(&n->truth[e->index], e));
    x->applied = e->index;
}

/* --- nodes --- */

struct net *net_new(uint32_t voters)
{
    struct net *n = NEW(struct net);
    raft_config_default(&n->config, 1);
    for (uint32_t i = 1; i <= voters; i++)
        CHECK(raft_members_put(&n->first, i, RAFT_VOTES));
    for (uint32_t i = 1; i <= NET_NODES_MAX; i++)
        n->node[i].first = 1;
    return n;
}

struct net *net_start_all(uint32_t voters)
{
    struct net *n = net_new(voters);
    net_start_each(n, voters);
    return n;
}

struct net *net_start_led(uint32_t voters)
{
    struct net *n = net_start_all(voters);
    net_elect(n, 1);
    return n;
}

void net_free(struct net *n)
{
    (void)net_drop(n, 0, 0, NET_ANY);
    for (uint32_t i = 1; i <= NET_NODES_MAX; i++) {
        net_crash(n, i);
        for (size_t k = 0; k < NET_INDEX_MAX; k++)
            raft_data_unref(n->node[i].entry[k].data);
    }
    for (size_t k = 0; k < NET_INDEX_MAX; k++)
        raft_data_unref(n->truth[k].data);
    free(n->pool);
    free(n);
}

void net_load(struct net *n, uint32_t i, const char *terms, uint64_t term)
{
    struct net_node *x = &n->node[i];
    x->hard = (struct raft_hard){.term = term};
    for (uint64_t k = 1; *terms; terms++, k++) {
        char text[32];
        int len = snprintf(text, sizeof text, "%d.%c", (int)k, *terms);
        struct raft_data *d = raft_data_new(text, (size_t)len);
        keep(x, &(struct raft_entry){k, (uint64_t)(*terms - '0'), RAFT_ENTRY_COMMAND, d});
        raft_data_unref(d);
    }
}

void net_start(struct net *n, uint32_t i)
{
    struct net_node *x = &n->node[i];
    struct raft_config c = n->config;
    struct fault why;
    c.self = i;
    c.seed += i;
    c.first = &n->first;
    /* As its driver would: what the log lacks, the snapshot tells. */
    if (x->last <= x->snapshot.index) {
        x->last = x->snapshot.index;
        x->first = x->last + 1;
    }
    size_t count = x->last + 1 - x->first;
    enum status s = raft_new(&c, x->now_ms, &x->hard, &x->snapshot,
                             count ? &x->entry[x->first] : NULL, count, &x->r, &why);
    if (s != ST_OK)
        tap_fail(__FILE__, __LINE__, "node %u: %s", (unsigned)i, why.text);
    x->applied = x->snapshot.index;
    net_run(n, i);
}

void net_start_each(struct net *n, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++)
        net_start(n, i);
}

void net_crash(struct net *n, uint32_t i)
{
    struct net_node *x = &n->node[i];
    for (size_t k = 0; k < x->write_count; k++)
        write_free(&x->write[k]);
    x->write_count = 0;
    x->disk_held = false;
    raft_free(x->r);
    x->r = NULL;
}

void net_restart(struct net *n, uint32_t i)
{
    net_crash(n, i);
    net_start(n, i);
}

struct raft_view net_view(const struct net *n, uint32_t i)
{
    return raft_view(n->node[i].r);
}

struct raft_peer_view net_peer(const struct net *n, uint32_t leader, uint32_t i)
{
    struct raft_peer_view v;
    CHECK(raft_peer_view(n->node[leader].r, i, &v));
    return v;
}

const char *net_log(struct net *n, uint32_t i)
{
    const struct net_node *x = &n->node[i];
    size_t len = 0;
    for (uint64_t k = x->first; k <= x->last; k++)
        n->text[len++] = (char)('0' + x->entry[k].term);
    n->text[len] = 0;
    return n->text;
}

void net_run(struct net *n, uint32_t i)
{
    struct net_node *x = &n->node[i];
    struct raft_ready rd;
    while (x->r && raft_ready(x->r, &rd)) {
        if (rd.token) {
            CHECK(x->write_count < NET_INDEX_MAX);
            x->write[x->write_count++] = (struct net_write){
                rd.token, rd.hard, net_entries_copy(rd.append, rd.append_count), rd.append_count};
        }
        for (size_t k = 0; k < rd.message_count; k++) {
            check_sent(n, x, &rd.messages[k]);
            if (!n->cut[i][rd.messages[k].to])
                raft_net_send(n, &rd.messages[k]);
        }
        for (size_t k = 0; k < rd.apply_count; k++)
            apply(n, x, &rd.apply[k]);
        raft_applied(x->r, x->applied);
        while (!x->disk_held && x->write_count)
            write_oldest(x);
    }
}

uint64_t net_propose(struct net *n, uint32_t i, const char *text)
{
    uint64_t index, term;
    struct raft_data *d = raft_data_new(text, strlen(text));
    CHECK_EQ(ST_OK, raft_propose(n->node[i].r, d, &index, &term, NULL));
    net_run(n, i);
    return index;
}

void net_propose_many(struct net *n, uint32_t i, size_t count)
{
    for (size_t k = 0; k < count; k++)
        (void)net_propose(n, i, "a");
}

void net_fill(struct net *n, uint32_t i, size_t count)
{
    net_propose_many(n, i, count);
    net_settle(n);
}

uint64_t net_change(struct net *n, uint32_t i, const struct raft_members *wanted)
{
    uint64_t index;
    struct fault why;
    enum status s = raft_change(n->node[i].r, wanted, &index, &why);
    if (s != ST_OK)
        tap_fail(__FILE__, __LINE__, "no change: %s", why.text);
    net_run(n, i);
    return index;
}

/* --- snapshots --- */

void net_compact(struct net *n, uint32_t i, uint64_t index, uint64_t first_kept)
{
    struct net_node *x = &n->node[i];
    CHECK(index <= x->applied);
    x->snapshot_members = *raft_members_at(x->r, index);
    x->snapshot = (struct raft_snapshot){index, n->truth[index].term, &x->snapshot_members};
    raft_compact(x->r, index, first_kept);
    x->first = MAX(x->first, first_kept);
    net_run(n, i);
}

bool net_restore(struct net *n, uint32_t i, uint32_t from)
{
    struct net_node *x = &n->node[i];
    struct raft_snapshot s = n->node[from].snapshot;
    CHECK(s.index > 0);
    if (!raft_may_restore(x->r, s.index, s.term))
        return false;
    raft_restore(x->r, &s);
    x->snapshot_members = *s.members;
    x->snapshot = (struct raft_snapshot){s.index, s.term, &x->snapshot_members};
    bool all = raft_view(x->r).last == s.index; /* the log goes, and what was still to be written */
    for (size_t k = 0; all && k < x->write_count; k++) {
        net_entries_free(x->write[k].entries, x->write[k].count);
        x->write[k] = (struct net_write){.token = x->write[k].token, .hard = x->write[k].hard};
    }
    if (all) {
        x->last = s.index;
        x->first = s.index + 1;
    }
    x->applied = s.index;
    net_run(n, i);
    return true;
}

/* --- time --- */

void net_tick(struct net *n, uint32_t i, uint64_t ms)
{
    struct net_node *x = &n->node[i];
    x->now_ms += ms;
    if (x->r)
        raft_tick(x->r, x->now_ms);
    net_run(n, i);
}

void net_pass(struct net *n, uint64_t ms)
{
    for (uint64_t past = 0; past < ms; past += PASS_STEP_MS) {
        for (uint32_t i = 1; i <= NET_NODES_MAX; i++)
            net_tick(n, i, PASS_STEP_MS);
        net_settle(n);
    }
}

void net_beat(struct net *n, uint32_t i)
{
    net_tick(n, i, n->config.heartbeat_ms);
    net_settle(n);
}

void net_campaign(struct net *n, uint32_t i)
{
    for (uint32_t j = 1; j <= NET_NODES_MAX; j++) {
        struct net_node *x = &n->node[j];
        if (!x->r || j == i || raft_view(x->r).role == RAFT_LEADER)
            continue;
        uint64_t due = raft_deadline_ms(x->r) - 1; /* it does not campaign itself */
        if (due > x->now_ms)
            net_tick(n, j, MIN(due - x->now_ms, (uint64_t)n->config.election_ms));
    }
    struct net_node *x = &n->node[i];
    net_tick(n, i, raft_deadline_ms(x->r) - x->now_ms);
}

void net_elect(struct net *n, uint32_t i)
{
    net_campaign(n, i);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, i).role);
}

void net_elect_by(struct net *n, uint32_t i, uint32_t by)
{
    net_campaign(n, i);
    net_vote(n, i, by); /* the pre-vote */
    net_vote(n, i, by);
    CHECK_EQ(RAFT_LEADER, net_view(n, i).role);
}
