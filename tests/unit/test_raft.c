#include <stdlib.h>

#include "raft/raft.h"
#include "support/prop.h"
#include "support/tap.h"

static const struct raft_members alone = {.count = 1, .member = {{1, RAFT_VOTES}}};
static const struct raft_snapshot none;

static void config_alone(struct raft_config *c)
{
    raft_config_default(c, 1);
    c->first = &alone;
}

static struct raft *start(const struct raft_config *c, struct raft_hard hard,
                          const struct raft_entry *e, size_t count)
{
    struct raft *r;
    struct fault why;
    CHECK_EQ(ST_OK, raft_new(c, 0, &hard, &none, e, count, &r, &why));
    return r;
}

static struct raft *start_empty(void)
{
    struct raft_config c;
    config_alone(&c);
    return start(&c, (struct raft_hard){0}, NULL, 0);
}

static enum status read_at(struct raft *r, uint64_t *index)
{
    struct raft_read read;
    enum status s = raft_read(r, &read, NULL);
    if (s == ST_OK) {
        CHECK_EQ(RAFT_CONFIRMED, raft_confirmed(r, &read));
        *index = read.index;
    }
    return s;
}

static enum status propose(struct raft *r, const char *text, uint64_t *index)
{
    uint64_t term;
    return raft_propose(r, raft_data_new(text, strlen(text)), index, &term, NULL);
}

/* Make all durable and apply all that may be. */
static void settle(struct raft *r)
{
    struct raft_ready rd;
    while (raft_ready(r, &rd)) {
        if (rd.token)
            raft_persisted(r, rd.token);
        if (rd.apply_count)
            raft_applied(r, rd.apply[rd.apply_count - 1].index);
    }
}

static struct raft *start_leader(void)
{
    struct raft *r = start_empty();
    raft_tick(r, 1);
    settle(r);
    CHECK_EQ(RAFT_LEADER, raft_view(r).role);
    return r;
}

TEST(raft_leads_only_after_its_own_vote_is_durable)
{
    struct raft *r = start_empty();
    struct raft_ready rd;
    CHECK(!raft_ready(r, &rd));
    CHECK_EQ(0, raft_deadline_ms(r));
    raft_tick(r, 1);
    CHECK_EQ(RAFT_CANDIDATE, raft_view(r).role);
    CHECK(raft_ready(r, &rd));
    CHECK(rd.hard_changed);
    CHECK_EQ(1, rd.hard.term);
    CHECK_EQ(1, rd.hard.vote);
    CHECK_EQ(0, rd.append_count);
    CHECK_EQ(RAFT_CANDIDATE, raft_view(r).role);
    raft_persisted(r, rd.token);
    CHECK_EQ(RAFT_LEADER, raft_view(r).role);
    CHECK_EQ(UINT64_MAX, raft_deadline_ms(r));
    raft_free(r);
}

TEST(raft_leader_opens_its_term_with_a_no_op)
{
    struct raft *r = start_empty();
    struct raft_ready rd;
    uint64_t index;
    raft_tick(r, 1);
    CHECK(raft_ready(r, &rd));
    raft_persisted(r, rd.token);
    CHECK_EQ(ST_UNAVAILABLE, read_at(r, &index));
    CHECK(raft_ready(r, &rd));
    CHECK(!rd.hard_changed);
    CHECK_EQ(1, rd.append_count);
    CHECK_EQ(RAFT_ENTRY_NOOP, rd.append[0].type);
    CHECK_EQ(0, rd.apply_count);
    raft_persisted(r, rd.token);
    CHECK_EQ(ST_OK, read_at(r, &index));
    CHECK_EQ(1, index);
    raft_free(r);
}

TEST(raft_applies_nothing_that_is_not_durable)
{
    struct raft *r = start_leader();
    struct raft_ready rd;
    uint64_t index;
    CHECK_EQ(ST_OK, propose(r, "a", &index));
    CHECK_EQ(2, index);
    CHECK(raft_ready(r, &rd));
    uint64_t first = rd.token;
    CHECK_EQ(ST_OK, propose(r, "b", &index));
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(3, rd.append[0].index);
    CHECK_EQ(0, rd.apply_count);
    CHECK(!raft_ready(r, &rd));
    raft_persisted(r, first);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(1, rd.apply_count);
    CHECK_EQ(2, rd.apply[0].index);
    CHECK_EQ(0, rd.token);
    raft_free(r);
}

TEST(raft_entries_of_an_older_term_wait_for_one_of_the_own)
{
    struct raft_config c;
    config_alone(&c);
    struct raft_entry old[] = {
        {1, 1, RAFT_ENTRY_NOOP, NULL},
        {2, 1, RAFT_ENTRY_COMMAND, raft_data_new("a", 1)},
    };
    struct raft *r = start(&c, (struct raft_hard){1, 1}, old, 2);
    raft_data_unref(old[1].data);
    struct raft_ready rd;
    raft_tick(r, 1);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(2, rd.hard.term);
    raft_persisted(r, rd.token);
    CHECK(raft_ready(r, &rd)); /* the no-op */
    CHECK_EQ(0, raft_view(r).commit);
    CHECK_EQ(0, rd.apply_count);
    CHECK_EQ(1, raft_view(r).uncommitted_bytes);
    raft_persisted(r, rd.token);
    CHECK_EQ(3, raft_view(r).commit);
    CHECK_EQ(0, raft_view(r).uncommitted_bytes);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(3, rd.apply_count);
    raft_free(r);
}

TEST(raft_refuses_proposals_beyond_what_may_wait)
{
    struct raft_config c;
    config_alone(&c);
    c.uncommitted_bytes_max = 4;
    struct raft *r = start(&c, (struct raft_hard){0}, NULL, 0);
    uint64_t index;
    CHECK_EQ(ST_NOT_LEADER, propose(r, "abc", &index));
    CHECK_EQ(ST_NOT_LEADER, read_at(r, &index));
    raft_tick(r, 1);
    settle(r);
    CHECK_EQ(ST_OK, propose(r, "abc", &index));
    CHECK_EQ(ST_LIMIT, propose(r, "de", &index));
    CHECK_EQ(ST_OK, propose(r, "d", &index));
    settle(r);
    CHECK_EQ(ST_OK, propose(r, "larger than all that may wait", &index));
    CHECK_EQ(ST_LIMIT, propose(r, "x", &index));
    settle(r);
    CHECK_EQ(ST_OK, propose(r, "x", &index));
    raft_free(r);
}

TEST(raft_batches_stay_within_their_bounds)
{
    struct raft_config c;
    config_alone(&c);
    c.batch_entries_max = 2;
    c.batch_bytes_max = 6;
    struct raft *r = start(&c, (struct raft_hard){0}, NULL, 0);
    struct raft_ready rd;
    uint64_t index;
    raft_tick(r, 1);
    settle(r);
    const char *text[] = {"a", "b", "c", "defghijkl", "mnop", "qrs"};
    for (size_t i = 0; i < ARRAY_COUNT(text); i++)
        CHECK_EQ(ST_OK, propose(r, text[i], &index));
    size_t want[] = {2, 1, 1, 1, 1};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        CHECK(raft_ready(r, &rd));
        CHECK_EQ(want[i], rd.append_count);
    }
    raft_free(r);
}

TEST(raft_compacts_and_goes_on)
{
    struct raft *r = start_leader();
    uint64_t index;
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(ST_OK, propose(r, "x", &index));
        settle(r);
        if (i % 10 == 9)
            raft_compact(r, index, index - 2);
    }
    struct raft_view v = raft_view(r);
    CHECK_EQ(201, v.applied);
    CHECK_EQ(199, v.first);
    raft_compact(r, 201, 202);
    CHECK_EQ(202, raft_view(r).first);
    CHECK_EQ(201, raft_view(r).last);
    CHECK_EQ(ST_OK, propose(r, "x", &index));
    CHECK_EQ(202, index);
    raft_free(r);
}

TEST(raft_trail_is_as_long_as_both_limits_allow)
{
    struct raft *r = start_leader(); /* entry 1 has no data */
    uint64_t index;
    for (int i = 0; i < 9; i++)
        CHECK_EQ(ST_OK, propose(r, "12345", &index));
    settle(r);
    CHECK_EQ(11, raft_keep_from(r, 10, 0, 1000));
    CHECK_EQ(8, raft_keep_from(r, 10, 3, 1000));
    CHECK_EQ(9, raft_keep_from(r, 10, 3, 14));
    CHECK_EQ(8, raft_keep_from(r, 10, 3, 15));
    CHECK_EQ(7, raft_keep_from(r, 8, 2, 1000));
    CHECK_EQ(1, raft_keep_from(r, 10, 1000, 1000));
    raft_compact(r, 10, 6);
    CHECK_EQ(6, raft_keep_from(r, 10, 1000, 1000));
    raft_compact(r, 10, 11);
    CHECK_EQ(11, raft_keep_from(r, 10, 1000, 1000));
    raft_free(r);
}

static enum status new_at(const struct raft_config *c, const struct raft_hard *hard, uint64_t index,
                          uint64_t snapshot_term, const struct raft_entry *e, size_t count,
                          struct raft **ret, struct fault *why)
{
    struct raft_snapshot s = {index, snapshot_term, NULL};
    return raft_new(c, 0, hard, &s, e, count, ret, why);
}

TEST(raft_refuses_a_log_that_cannot_be)
{
    struct raft_config c;
    config_alone(&c);
    struct raft *r;
    struct fault why;
    struct raft_hard hard = {3, 1};
    struct raft_entry gap[] = {{1, 1, RAFT_ENTRY_NOOP, NULL}, {3, 1, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 0, 0, gap, 2, &r, &why));
    CHECK_STR("entry 3 stands where 2 should", why.text);
    struct raft_entry back[] = {{1, 2, RAFT_ENTRY_NOOP, NULL}, {2, 1, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 0, 0, back, 2, &r, &why));
    struct raft_entry beyond[] = {{1, 4, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 0, 0, beyond, 1, &r, &why));
    struct raft_entry late[] = {{9, 3, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 7, 3, late, 1, &r, &why));
    CHECK_STR("the log begins at entry 9, the snapshot ends at 7", why.text);
    struct raft_entry other[] = {{7, 2, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 7, 3, other, 1, &r, &why));
    struct raft_entry early[] = {{5, 2, RAFT_ENTRY_NOOP, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 7, 3, early, 1, &r, &why));
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 7, 4, NULL, 0, &r, &why));
    struct raft_entry strange[] = {{1, 1, (enum raft_entry_type)9, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 0, 0, strange, 1, &r, &why));
    struct raft_entry bare[] = {{1, 1, RAFT_ENTRY_COMMAND, NULL}};
    CHECK_EQ(ST_CORRUPT, new_at(&c, &hard, 0, 0, bare, 1, &r, &why));
}

TEST_ABORTS(raft_applied_beyond_what_was_given_is_the_callers_error)
{
    struct raft *r = start_leader();
    raft_applied(r, 2);
}

/*
 * The property: a driver and a platter that lose, at every restart, any suffix of what was not yet
 * called durable. Nothing that was applied is ever lost or changed, nothing is applied before it is
 * on the platter, and terms and votes never go back.
 */
enum { MODEL_MAX = 600 };

struct model_write {
    uint64_t token;
    struct raft_hard hard;
    uint64_t last; /* entries up to here */
};

struct model {
    struct raft *r;
    struct raft_config config;
    struct raft_hard hard;              /* on the platter */
    struct raft_entry entry[MODEL_MAX]; /* by index; entries up to `last` are on the platter */
    uint64_t last, snapshot, first, given;
    struct model_write write[MODEL_MAX];
    size_t write_head, write_count;
    uint64_t applied_term[MODEL_MAX]; /* what was applied ever, by index */
    uint32_t applied_tag[MODEL_MAX];
    uint64_t applied_ever, applied;
    uint32_t tags;
};

static uint32_t tag_of(const struct raft_entry *e)
{
    uint32_t tag = 0;
    if (e->data)
        memcpy(&tag, e->data->bytes, sizeof tag);
    return tag;
}

static void keep(struct model *m, const struct raft_entry *e)
{
    CHECK(e->index < MODEL_MAX);
    raft_data_unref(m->entry[e->index].data);
    m->entry[e->index] = *e;
    if (e->data)
        raft_data_ref(e->data);
}

static void model_start(struct model *m)
{
    uint64_t snapshot_term = m->snapshot ? m->entry[m->snapshot].term : 0;
    uint64_t first = MIN(m->first, m->snapshot + 1);
    struct raft_snapshot s = {m->snapshot, snapshot_term, NULL};
    CHECK_EQ(ST_OK, raft_new(&m->config, 0, &m->hard, &s, &m->entry[first], m->last - first + 1,
                             &m->r, NULL));
    m->applied = m->snapshot;
    m->given = m->last;
    m->write_head = m->write_count = 0;
}

static void model_durable(struct model *m, const struct model_write *w)
{
    CHECK(w->hard.term >= m->hard.term);
    CHECK(w->hard.term > m->hard.term || m->hard.vote == 0 || w->hard.vote == m->hard.vote);
    m->hard = w->hard;
    m->last = w->last;
}

static void model_restart(struct model *m, struct tape *t)
{
    raft_free(m->r);
    size_t survive = draw_below(t, m->write_count + 1);
    for (size_t i = 0; i < survive; i++)
        model_durable(m, &m->write[m->write_head + i]);
    CHECK(m->applied_ever <= m->last);
    model_start(m);
}

static void model_ready(struct model *m)
{
    struct raft_ready rd;
    if (!raft_ready(m->r, &rd))
        return;
    for (size_t i = 0; i < rd.append_count; i++) {
        CHECK_EQ(m->given + 1 + i, rd.append[i].index);
        keep(m, &rd.append[i]);
    }
    if (rd.append_count)
        m->given = rd.append[rd.append_count - 1].index;
    if (rd.token)
        m->write[m->write_head + m->write_count++] =
            (struct model_write){rd.token, rd.hard, m->given};
    for (size_t i = 0; i < rd.apply_count; i++) {
        const struct raft_entry *e = &rd.apply[i];
        CHECK_EQ(m->applied + 1, e->index);
        CHECK(e->index <= m->last);
        if (e->index <= m->applied_ever) {
            CHECK_EQ(m->applied_term[e->index], e->term);
            CHECK_EQ(m->applied_tag[e->index], tag_of(e));
        } else {
            m->applied_ever = e->index;
            m->applied_term[e->index] = e->term;
            m->applied_tag[e->index] = tag_of(e);
        }
        m->applied = e->index;
    }
    if (rd.apply_count)
        raft_applied(m->r, m->applied);
}

static void model_persist(struct model *m)
{
    if (!m->write_count)
        return;
    struct model_write w = m->write[m->write_head++];
    m->write_count--;
    model_durable(m, &w);
    raft_persisted(m->r, w.token);
}

static void raft_keeps_what_it_applied(struct tape *t)
{
    struct model m = {.first = 1};
    config_alone(&m.config);
    m.config.batch_entries_max = 1 + (uint32_t)draw_below(t, 4);
    m.config.batch_bytes_max = draw_below(t, 64);
    m.config.uncommitted_bytes_max = 4 + draw_below(t, 200);
    model_start(&m);
    while (t->pos < t->len && raft_view(m.r).last + 2 < MODEL_MAX) {
        switch (draw_below(t, 16)) {
        case 0: raft_tick(m.r, 1); break;
        case 1: model_restart(&m, t); break;
        case 2:
            if (m.applied > 0) {
                m.snapshot = m.applied;
                m.first = MAX(m.first, m.snapshot + 1 - draw_below(t, m.snapshot + 1));
                raft_compact(m.r, m.snapshot, m.first);
            }
            break;
        case 3:
        case 4:
        case 5: model_persist(&m); break;
        case 6:
        case 7:
        case 8:
        case 9: {
            char bytes[16] = {0};
            uint32_t tag = ++m.tags;
            uint64_t index, term;
            memcpy(bytes, &tag, sizeof tag);
            size_t len = sizeof tag + draw_below(t, sizeof bytes - sizeof tag);
            if (raft_propose(m.r, raft_data_new(bytes, len), &index, &term, NULL) == ST_OK)
                CHECK(term == raft_view(m.r).term && index == raft_view(m.r).last);
            break;
        }
        default: model_ready(&m); break;
        }
        CHECK(raft_view(m.r).persisted <= m.last && raft_view(m.r).commit <= m.last);
    }
    /* Left alone, it elects itself and applies all that it has. */
    raft_tick(m.r, 1);
    for (int i = 0; i < 2 * MODEL_MAX; i++) {
        model_ready(&m);
        model_persist(&m);
    }
    struct raft_view v = raft_view(m.r);
    CHECK_EQ(RAFT_LEADER, v.role);
    CHECK(v.applied == v.last && v.commit == v.last);
    raft_free(m.r);
    for (size_t i = 0; i < MODEL_MAX; i++)
        raft_data_unref(m.entry[i].data);
}

TEST(raft_never_loses_and_never_runs_ahead_of_the_platter)
{
    prop_run(raft_keeps_what_it_applied, 1, 400);
}
