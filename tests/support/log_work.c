#include "support/log_work.h"

void model_step(struct model *m, const struct step *s)
{
    switch (s->kind) {
    case STEP_HARD: m->hard = s->hard; break;
    case STEP_ENTRY:
        require(s->index <= m->last + 1 && s->index < ENTRIES_MAX);
        m->item[s->index] = s->item;
        m->last = s->index;
        break;
    case STEP_SNAPSHOT:
        if (s->index > m->last || m->item[s->index].term != s->item.term) {
            m->start = m->last = s->index;
            m->item[s->index].term = s->item.term;
        }
        m->snapshot = s->index;
        m->snapshot_term = s->item.term;
        m->snapshot_hash = s->hash;
        break;
    }
}

static bool same_entry(const struct item *want, const struct item *got, uint64_t hash)
{
    static char bytes[LOG_CHUNK_MAX];
    fill(want->seed, want->len, bytes);
    return want->term == got->term && want->type == got->type && want->len == got->len &&
           hash_fnv(HASH_FNV_START, bytes, want->len) == hash;
}

bool model_held(const struct model *m, const struct loaded *l, bool older)
{
    if (l->hard.term != m->hard.term || l->hard.vote != m->hard.vote)
        return false;
    bool same = l->snapshot == m->snapshot && l->snapshot_term == m->snapshot_term &&
                (l->snapshot == 0 || l->snapshot_hash == m->snapshot_hash);
    if (!same && !(older && l->snapshot < m->snapshot && l->snapshot >= m->start))
        return false;
    if ((l->entries ? l->last : l->snapshot) != m->last)
        return false;
    for (uint64_t i = l->snapshot + 1; i <= m->last; i++)
        if (!same_entry(&m->item[i], &l->item[i], l->hash[i]))
            return false;
    return true;
}

bool log_work_find(const struct log_work *w, size_t from, const struct model *start,
                   const struct loaded *l, bool older, struct model *ret)
{
    *ret = *start;
    for (size_t i = 0;; i++) {
        if (i >= from && model_held(ret, l, older))
            return true;
        if (i == w->step_count)
            return false;
        model_step(ret, &w->step[i]);
    }
}

void log_work_settle(struct log_work *w)
{
    w->step_count = w->acked = w->token_count = 0;
}

void log_work_appended(struct log_work *w, uint64_t token)
{
    CHECK(w->acked <= w->steps_of_token[token]);
    w->acked = w->steps_of_token[token];
}

void log_work_snapshotted(struct log_work *w, uint64_t index)
{
    CHECK_EQ(w->now.snapshot, index);
    w->acked = w->snapshot_steps;
}

static void take_step(struct log_work *w, struct step s)
{
    require(w->step_count < STEPS_MAX);
    w->step[w->step_count++] = s;
    model_step(&w->now, &s);
    if (w->asked)
        w->asked(w->ctx, &s);
}

void log_work_append(struct log_work *w)
{
    struct model *m = &w->now;
    static char bytes[4][1500];
    struct log_entry entry[4];
    struct log_hard hard = m->hard;
    bool bump = m->hard.term == 0 || rng_chance(&w->rng, 200);
    bool vote = !bump && !hard.vote && rng_chance(&w->rng, 300);
    if (bump)
        hard.term += rng_range(&w->rng, 1, 3);
    if (bump || vote) {
        hard.vote = (uint32_t)rng_below(&w->rng, 4);
        take_step(w, (struct step){.kind = STEP_HARD, .hard = hard});
    }
    size_t count = (size_t)rng_below(&w->rng, 5);
    uint64_t index = m->last + 1;
    if (m->last > m->snapshot && rng_chance(&w->rng, 200))
        index = rng_range(&w->rng, m->snapshot + 1, m->last);
    if (index + count >= ENTRIES_MAX)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        struct item it = {.term = hard.term,
                          .type = (uint32_t)rng_below(&w->rng, 3),
                          .len = (uint32_t)rng_below(&w->rng, rng_chance(&w->rng, 300) ? 1500 : 60),
                          .seed = rng_next(&w->rng)};
        fill(it.seed, it.len, bytes[i]);
        entry[i] = (struct log_entry){index + i, it.term, it.type, {bytes[i], it.len}};
        take_step(w, (struct step){.kind = STEP_ENTRY, .index = index + i, .item = it});
    }
    uint64_t token = w->token_count++;
    w->steps_of_token[token] = w->step_count;
    CHECK_EQ(ST_OK, w->log->append(w->log, bump || vote ? &hard : NULL, entry, count, token));
}

uint64_t log_work_snapshot(struct log_work *w)
{
    struct model *m = &w->now;
    char bytes[CHUNK_BYTES_MAX];
    bool peers = rng_chance(&w->rng, 300);
    uint64_t index = peers ? rng_range(&w->rng, m->snapshot + 1, m->last + 4)
                           : rng_range(&w->rng, m->snapshot, m->last);
    if (index == 0 || index >= ENTRIES_MAX - 10 || m->hard.term == 0)
        return 0;
    uint64_t term = peers ? m->hard.term : m->item[index].term;
    uint64_t hash = HASH_FNV_START, offset = 0;
    size_t chunks = (size_t)rng_below(&w->rng, 4);
    for (size_t i = 0; i <= chunks; i++) {
        size_t len = i == 0 ? 0 : (size_t)rng_range(&w->rng, 1, sizeof bytes);
        fill(rng_next(&w->rng), len, bytes);
        hash = hash_fnv(hash, bytes, len);
        if (i == chunks) {
            take_step(w, (struct step){.kind = STEP_SNAPSHOT,
                                       .index = index,
                                       .item = {.term = term},
                                       .hash = hash});
            w->snapshot_steps = w->step_count;
        }
        struct str chunk = {bytes, len};
        CHECK_EQ(ST_OK, w->log->snapshot(w->log, index, term, offset, chunk, i == chunks));
        offset += len;
    }
    return index;
}
