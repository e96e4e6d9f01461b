/*
 * What can happen in a small world, in breadth-first order, as far as STATES reach: three cores, elections
 * up to a term, a few commands; messages that are lost, doubled and overtake each other; writes that
 * complete late; a crash that keeps any part of what was on its way to the disk. After every step the
 * invariants must hold.
 *
 * A state is reached by its steps, from the beginning: nothing of a core need be copied. A state that was met before is not
 * gone into again; two states are taken for the same when a hash of all that matters is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "raft/state.h"
#include "support/tap.h"

enum {
    NODES = 3,
    TERM_MAX = 2,
    COMMANDS_MAX = 2,
    CRASHES_MAX = 1,
    POOL_MAX = 12,
    WRITES_MAX = 8,
    LOG_MAX = 16,
    STATES = 20000, /* or EXPLORE_STATES, of the environment */
};

enum kind { DELIVER, CAMPAIGN, BEAT, PERSIST, CRASH, PROPOSE };

struct action {
    uint8_t kind, node, arg;
};

struct write {
    uint64_t token;
    bool hard_changed;
    struct raft_hard hard;
    uint64_t first, count;
    uint64_t term[LOG_MAX], tag[LOG_MAX];
};

struct letter {
    struct raft_message m;
    struct raft_entry entry[LOG_MAX];
};

struct world {
    struct raft *r[NODES + 1];
    uint64_t now_ms[NODES + 1];
    struct raft_hard hard[NODES + 1]; /* on the platter */
    uint64_t last[NODES + 1], term[NODES + 1][LOG_MAX], tag[NODES + 1][LOG_MAX];
    struct write write[NODES + 1][WRITES_MAX];
    size_t writes[NODES + 1];
    struct letter pool[POOL_MAX];
    size_t letters;
    uint64_t committed[LOG_MAX], committed_tag[LOG_MAX], commit;
    uint32_t leader[TERM_MAX + 2];
    unsigned commands, crashes;
};

static const struct raft_members three = {
    .count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES}}};

static uint64_t tag_of(const struct raft_entry *e)
{
    uint64_t tag = 0;
    if (e->data)
        memcpy(&tag, e->data->bytes, sizeof tag);
    return tag;
}

/* --- a world --- */

static void node_up(struct world *w, uint32_t i)
{
    const struct raft_snapshot none = {0};
    struct raft_entry e[LOG_MAX];
    struct raft_config c;
    raft_config_default(&c, i);
    c.first = &three;
    c.window_messages = 2;
    for (uint64_t k = 1; k <= w->last[i]; k++)
        e[k - 1] = (struct raft_entry){
            k, w->term[i][k], w->tag[i][k] ? RAFT_ENTRY_COMMAND : RAFT_ENTRY_NOOP,
            w->tag[i][k] ? raft_data_new(&w->tag[i][k], sizeof w->tag[i][k]) : NULL};
    CHECK_EQ(ST_OK, raft_new(&c, w->now_ms[i], &w->hard[i], &none, e, w->last[i], &w->r[i], NULL));
    for (uint64_t k = 0; k < w->last[i]; k++)
        raft_data_unref(e[k].data);
}

static void drop_letters(struct world *w)
{
    for (size_t k = 0; k < w->letters; k++)
        for (size_t n = 0; n < w->pool[k].m.count; n++)
            raft_data_unref(w->pool[k].entry[n].data);
    w->letters = 0;
}

static void world_free(struct world *w)
{
    for (uint32_t i = 1; i <= NODES; i++)
        raft_free(w->r[i]);
    drop_letters(w);
}

static bool same_message(const struct raft_message *a, const struct raft_message *b)
{
    if (a->type != b->type || a->from != b->from || a->to != b->to || a->term != b->term ||
        a->index != b->index || a->log_term != b->log_term || a->commit != b->commit ||
        a->matched != b->matched || a->hint != b->hint || a->pre != b->pre ||
        a->force != b->force || a->refused != b->refused || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->entries[i].term != b->entries[i].term)
            return false;
    return true;
}

/* Into the pool, where it stays: it may be delivered never, or often. What has no room is lost. */
static void post(struct world *w, const struct raft_message *m)
{
    for (size_t k = 0; k < w->letters; k++)
        if (same_message(&w->pool[k].m, m))
            return;
    if (w->letters == POOL_MAX)
        return;
    struct letter *l = &w->pool[w->letters++];
    l->m = *m;
    l->m.entries = l->entry;
    for (size_t i = 0; i < m->count; i++) {
        l->entry[i] = m->entries[i];
        if (l->entry[i].data)
            (void)raft_data_ref(l->entry[i].data);
    }
}

static void pend(struct world *w, uint32_t i, const struct raft_ready *rd)
{
    CHECK(w->writes[i] < WRITES_MAX);
    struct write *x = &w->write[i][w->writes[i]++];
    *x = (struct write){.token = rd->token, .hard_changed = rd->hard_changed, .hard = rd->hard};
    x->count = rd->append_count;
    x->first = rd->append_count ? rd->append[0].index : 0;
    for (size_t k = 0; k < rd->append_count; k++) {
        x->term[k] = rd->append[k].term;
        x->tag[k] = tag_of(&rd->append[k]);
    }
}

/* Its hard state and its first `count` entries. */
static void write_down(struct world *w, uint32_t i, const struct write *x, uint64_t count)
{
    if (x->hard_changed)
        w->hard[i] = x->hard;
    for (uint64_t k = 0; k < count; k++) {
        w->term[i][x->first + k] = x->term[k];
        w->tag[i][x->first + k] = x->tag[k];
        w->last[i] = x->first + k;
    }
}

static bool holds(const struct world *w, uint32_t i, uint64_t index, uint64_t term)
{
    return w->last[i] >= index && w->term[i][index] == term;
}

/* --- invariants --- */

static void look(struct world *w, uint32_t i)
{
    struct raft_view v = raft_view(w->r[i]);
    if (v.role == RAFT_LEADER) {
        CHECK(w->leader[v.term] == 0 || w->leader[v.term] == i); /* ElectionSafety */
        w->leader[v.term] = i;
    }
    for (uint64_t k = 1; v.role == RAFT_LEADER && k <= v.commit; k++) { /* CommittedIsDurable */
        unsigned count = 0;
        for (uint32_t n = 1; n <= NODES; n++)
            count += holds(w, n, k, raft_term_at(w->r[i], k));
        CHECK(count >= 2);
    }
    for (uint64_t k = 1; k <= v.commit; k++) { /* StateMachineSafety, LeaderCompleteness */
        const struct raft_entry *e = raft_log_at(&w->r[i]->log, k);
        CHECK(k > w->commit || (w->committed[k] == e->term && w->committed_tag[k] == tag_of(e)));
        w->committed[k] = e->term;
        w->committed_tag[k] = tag_of(e);
        w->commit = MAX(w->commit, k);
    }
}

static void check_sent(const struct world *w, uint32_t i, const struct raft_message *m)
{
    if (m->type == RAFT_VOTE && !m->pre && !m->refused)
        CHECK(w->hard[i].term == m->term && w->hard[i].vote == m->to);
    if (m->type == RAFT_VOTE_ASK && !m->pre)
        CHECK(w->hard[i].term == m->term && w->hard[i].vote == i);
    if (m->type == RAFT_APPENDED && !m->refused && m->index)
        CHECK(holds(w, i, m->index, raft_term_at(w->r[i], m->index)));
}

static void run(struct world *w, uint32_t i)
{
    struct raft_ready rd;
    look(w, i);
    while (raft_ready(w->r[i], &rd)) {
        if (rd.token)
            pend(w, i, &rd);
        for (size_t k = 0; k < rd.message_count; k++) {
            check_sent(w, i, &rd.messages[k]);
            post(w, &rd.messages[k]);
        }
        if (rd.apply_count)
            raft_applied(w->r[i], rd.apply[rd.apply_count - 1].index);
        look(w, i);
    }
}

/* --- what may happen --- */

static size_t list_actions(const struct world *w, struct action *out)
{
    size_t count = 0;
    for (size_t k = 0; k < w->letters; k++)
        out[count++] = (struct action){DELIVER, (uint8_t)w->pool[k].m.to, (uint8_t)k};
    for (uint8_t i = 1; i <= NODES; i++) {
        struct raft_view v = raft_view(w->r[i]);
        if (v.role != RAFT_LEADER && v.term < TERM_MAX)
            out[count++] = (struct action){CAMPAIGN, i, 0};
        if (v.role == RAFT_LEADER)
            out[count++] = (struct action){BEAT, i, 0};
        if (v.role == RAFT_LEADER && w->commands < COMMANDS_MAX)
            out[count++] = (struct action){PROPOSE, i, 0};
        if (w->writes[i])
            out[count++] = (struct action){PERSIST, i, 0};
        for (uint8_t k = 0; w->crashes < CRASHES_MAX && k <= w->writes[i]; k++)
            out[count++] = (struct action){CRASH, i, k};
    }
    return count;
}

static void act(struct world *w, struct action a)
{
    uint32_t i = a.node;
    struct raft *r = w->r[i];
    switch ((enum kind)a.kind) {
    case DELIVER: CHECK_EQ(ST_OK, raft_step(r, &w->pool[a.arg].m, NULL)); break;
    case CAMPAIGN:
        /* By then the lease is over. Without a pre-vote, which takes nothing away that could go wrong. */
        w->now_ms[i] = MAX(raft_deadline_ms(r), w->now_ms[i] + 1000);
        r->now_ms = w->now_ms[i];
        raft_campaign(r, false);
        break;
    case BEAT: raft_beat(r); break;
    case PROPOSE: {
        uint64_t index, term, tag = ++w->commands;
        CHECK_EQ(ST_OK, raft_propose(r, raft_data_new(&tag, sizeof tag), &index, &term, NULL));
        break;
    }
    case PERSIST: {
        struct write x = w->write[i][0];
        memmove(&w->write[i][0], &w->write[i][1], --w->writes[i] * sizeof x);
        write_down(w, i, &x, x.count);
        raft_persisted(r, x.token);
        break;
    }
    case CRASH:
        raft_free(r);
        for (size_t k = 0; k < a.arg; k++)
            write_down(w, i, &w->write[i][k], w->write[i][k].count);
        w->writes[i] = 0;
        w->crashes++;
        node_up(w, i);
        break;
    }
    run(w, i);
}

/* --- the search --- */

static uint64_t add(uint64_t h, uint64_t v)
{
    return hash_mix(h ^ hash_mix(v));
}

/* All that decides what can still happen; times do not, since any may pass. */
static uint64_t hash_node(const struct world *w, uint32_t i)
{
    const struct raft *r = w->r[i];
    const uint64_t all[] = {i,
                            r->hard.term,
                            r->hard.vote,
                            r->hard_given.term,
                            r->hard_given.vote,
                            r->hard_durable.term,
                            r->hard_durable.vote,
                            (uint64_t)r->role,
                            r->leader,
                            r->given,
                            r->persisted,
                            r->commit,
                            r->applied,
                            r->matched,
                            r->answer_due,
                            r->vote_asked,
                            r->grant_due,
                            r->term_start,
                            raft_heard_lately(r),
                            w->hard[i].term,
                            w->hard[i].vote,
                            w->last[i],
                            w->writes[i]};
    uint64_t h = 0;
    for (size_t k = 0; k < ARRAY_COUNT(all); k++)
        h = add(h, all[k]);
    for (uint64_t k = 1; k <= raft_log_last(&r->log); k++)
        h = add(h, raft_log_term(&r->log, k));
    for (uint64_t k = 1; k <= w->last[i]; k++)
        h = add(h, w->term[i][k]);
    for (uint32_t k = 0; k < NODES; k++)
        h = add(h, r->votes[k] | r->refusals[k] << 1);
    for (size_t k = 0; k < r->peer_count; k++) {
        const struct raft_peer *p = &r->peers[k];
        h = add(h, p->match << 32 | p->next << 8 | (uint64_t)p->flow << 4 |
                       (uint64_t)p->asked << 1 | p->beat);
        h = add(h, p->sent_count);
    }
    for (size_t k = 0; k < w->writes[i]; k++)
        h = add(h,
                w->write[i][k].hard.term << 32 | w->write[i][k].first << 8 | w->write[i][k].count);
    for (size_t k = 0; k < r->flight_count; k++)
        h = add(h, r->flight[r->flight_head + k].index);
    return h;
}

static uint64_t hash_world(const struct world *w)
{
    uint64_t h = add(w->commands, w->crashes), letters = 0;
    for (uint32_t i = 1; i <= NODES; i++)
        h = add(h, hash_node(w, i));
    for (size_t k = 0; k < w->letters; k++) { /* in any order */
        const struct raft_message *m = &w->pool[k].m;
        uint64_t x = add((uint64_t)m->type << 16 | m->from << 8 | m->to, m->term);
        x = add(add(x, m->index << 32 | m->log_term << 16 | m->commit), m->matched << 16 | m->hint);
        letters +=
            add(x, m->count << 3 | (uint64_t)m->refused << 2 | (uint64_t)m->force << 1 | m->pre);
    }
    return add(h, letters);
}

struct state {
    uint32_t parent;
    uint16_t depth;
    struct action by;
};

enum beginning {
    FROM_NOTHING, /* three that never heard of each other */
    FROM_LEADER,  /* one leads, and all have its first entry */
    FROM_UNSENT,  /* and it has a command of which nobody else has heard */
};

struct search {
    enum beginning from;
    struct state *state;
    uint32_t count, max;
    uint64_t *seen;   /* 0: free */
    size_t seen_size; /* a power of two, above 2 * max */
    unsigned elected, committed, deepest;
};

static bool is_new(struct search *s, uint64_t hash)
{
    hash |= hash == 0;
    size_t at = hash & (s->seen_size - 1);
    for (; s->seen[at]; at = (at + 1) & (s->seen_size - 1))
        if (s->seen[at] == hash)
            return false;
    s->seen[at] = hash;
    return true;
}

/* Deliver and write all that there is, in order, then forget the messages. */
static void settle(struct world *w)
{
    for (size_t k = 0; k < w->letters; k++) {
        for (uint32_t i = 1; i <= NODES; i++)
            while (w->writes[i])
                act(w, (struct action){PERSIST, (uint8_t)i, 0});
        if (k < w->letters)
            act(w, (struct action){DELIVER, (uint8_t)w->pool[k].m.to, (uint8_t)k});
    }
    drop_letters(w);
}

static void begin(struct world *w, enum beginning from)
{
    *w = (struct world){0};
    for (uint32_t i = 1; i <= NODES; i++)
        node_up(w, i);
    if (from == FROM_NOTHING)
        return;
    act(w, (struct action){CAMPAIGN, 1, 0});
    act(w, (struct action){PERSIST, 1, 0});
    for (int i = 0; i < 4; i++) {
        settle(w);
        if (raft_view(w->r[1]).role == RAFT_LEADER)
            act(w, (struct action){BEAT, 1, 0});
    }
    settle(w);
    CHECK(raft_view(w->r[1]).role == RAFT_LEADER && w->commit == 1);
    if (from == FROM_UNSENT) {
        act(w, (struct action){PROPOSE, 1, 0});
        drop_letters(w);
    }
}

static void reach(const struct search *s, uint32_t at, struct world *w)
{
    struct action path[256];
    size_t count = 0;
    for (; at; at = s->state[at].parent)
        path[count++] = s->state[at].by;
    begin(w, s->from);
    while (count)
        act(w, path[--count]);
}

static void expand(struct search *s, uint32_t at)
{
    struct action all[POOL_MAX + NODES * (4 + WRITES_MAX)];
    struct world w;
    reach(s, at, &w);
    size_t count = list_actions(&w, all);
    world_free(&w);
    for (size_t k = 0; k < count && s->count < s->max; k++) {
        reach(s, at, &w);
        act(&w, all[k]);
        if (is_new(s, hash_world(&w))) {
            s->state[s->count++] = (struct state){at, (uint16_t)(s->state[at].depth + 1), all[k]};
            s->deepest = s->state[at].depth + 1u;
            for (uint32_t i = 1; i <= NODES; i++)
                s->elected += raft_view(w.r[i]).role == RAFT_LEADER;
            s->committed += w.commit > 0;
        }
        world_free(&w);
    }
}

static void explore(enum beginning from)
{
    struct search *s = NEW(struct search);
    const char *most = getenv("EXPLORE_STATES");
    s->from = from;
    s->max = most ? (uint32_t)strtoul(most, NULL, 10) : STATES;
    for (s->seen_size = 1; s->seen_size < 2 * (size_t)s->max;)
        s->seen_size *= 2;
    s->state = mem_new(s->max * sizeof *s->state);
    s->seen = mem_new(s->seen_size * sizeof *s->seen);
    s->count = 1; /* the beginning */
    for (uint32_t at = 0; at < s->count && s->count < s->max; at++)
        expand(s, at);
    CHECK(s->elected > 0);
    (void)printf("# %u states, %u steps deep, %u with a leader, %u with something committed\n",
                 s->count, s->deepest, s->elected, s->committed);
    free(s->state);
    free(s->seen);
    free(s);
}

TEST(raft_every_small_story_from_nothing_is_safe)
{
    explore(FROM_NOTHING);
}

TEST(raft_every_small_story_of_a_leader_is_safe)
{
    explore(FROM_LEADER);
}

TEST(raft_every_small_story_with_something_unsent_is_safe)
{
    explore(FROM_UNSENT);
}
