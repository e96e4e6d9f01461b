/* Any commands in any order: replicas agree, indexes are right, refusals change nothing. */
#include <stdlib.h>

#include "base/rng.h"
#include "core/state.h"
#include "support/draw_command.h"
#include "support/state_check.h"
#include "support/tap.h"

/* Through a snapshot in pieces of a drawn size; gives what came out. */
static struct cluster *reborn(struct tape *t, struct cluster *c)
{
    struct cluster_snapshot *s = cluster_snapshot_new(c, 3);
    struct cluster_restore *r = cluster_restore_new_limits(&c->limits);
    struct cluster *ret = NULL;
    uint64_t term = 0;
    struct fault why;
    size_t piece = 1 + draw_below(t, 5000);
    AUTO(buf_done) struct buf b;
    buf_init(&b, 16 << 20);
    while (cluster_snapshot_next(s, SNAPSHOT_PIECE_MIN, &b))
        ;
    cluster_snapshot_free(s);
    for (size_t at = 0; at < b.len; at += piece) {
        struct str bytes = {b.ptr + at, MIN(piece, b.len - at)};
        if (cluster_restore_add(r, bytes, &why) != ST_OK)
            tap_fail(__FILE__, __LINE__, "restore: %s", why.text);
    }
    CHECK_EQ(ST_OK, cluster_restore_end(r, &ret, &term, &why));
    CHECK_EQ(3, term);
    state_check(ret);
    state_check_equal(c, ret);
    cluster_free(c);
    return ret;
}

static void same_result(const struct apply_result *a, const struct apply_result *b)
{
    CHECK_EQ(a->status, b->status);
    CHECK_EQ(a->replay, b->replay);
    CHECK_STR(a->uid, b->uid);
    CHECK_STR(a->operation_id, b->operation_id);
    CHECK_EQ(a->change_count, b->change_count);
    CHECK_EQ(a->event_count, b->event_count);
    if (a->status == ST_OK)
        return;
    CHECK_STR(a->why.text, b->why.text);
    CHECK_STR(a->why.hint, b->why.hint);
    CHECK_STR(a->why.field, b->why.field);
    CHECK(a->why.text[0] != 0);
}

/* Changes tell the whole way from one state to the next. */
static void check_changes(const struct world *w)
{
    for (size_t i = 0; i < w->r.change_count; i++) {
        const struct change *ch = &w->r.changes[i];
        const struct object *any = ch->after ? ch->after : ch->before;
        struct object *now = cluster_find(w->c, ch->kind, object_uid(any));
        CHECK(any->kind == ch->kind);
        if (ch->after &&
            ch->kind != OBJECT_OPERATION) /* an ended operation may be dropped at once */
            CHECK(now == ch->after);
        if (!ch->after)
            CHECK(now == NULL);
    }
}

/* A replica may look ahead, and at what comes to nothing: another entry took its place. */
static void foresee(struct tape *t, struct cluster *c, const struct world *w, struct buf *other)
{
    uint64_t hash = cluster_hash(c), index = cluster_index(c);
    switch (draw_below(t, 5)) {
    case 0: break;
    case 1: cluster_foresee(c, w->index, buf_view(other)); break;
    case 2: cluster_foresee(c, w->index + 1, buf_view(&w->packed)); break;
    default: cluster_foresee(c, w->index, buf_view(&w->packed)); break;
    }
    CHECK(cluster_hash(c) == hash);
    CHECK_EQ(index, cluster_index(c));
    buf_reset(other);
    buf_str(other, buf_view(&w->packed));
}

static void replicas_agree(struct tape *t)
{
    struct world w, twin;
    AUTO(buf_done) struct buf other;
    buf_init(&other, 1 << 20);
    draw_start(&w);
    draw_start(&twin);
    while (t->pos < t->len) {
        draw_step(t, &w);
        struct apply_result r;
        foresee(t, twin.c, &w, &other);
        cluster_apply(twin.c, w.index, buf_view(&w.packed), &r);
        same_result(&w.r, &r);
        apply_result_done(&r);
        CHECK(cluster_hash(w.c) == cluster_hash(twin.c));
        check_changes(&w);
        state_check(w.c);
        if (draw_below(t, 12) == 11)
            twin.c = reborn(t, twin.c);
    }
    state_check_equal(w.c, twin.c);
    world_done(&w);
    world_done(&twin);
}

TEST(state_replicas_agree_whatever_comes)
{
    prop_run(replicas_agree, 1, 300);
}

/* A long run by one seed, so that tables fill, drop and are used again. */
TEST(state_long_run_stays_within_bounds)
{
    enum { LEN = 40000 };
    struct rng rng = {42};
    uint8_t *bytes = mem_new(LEN);
    size_t accepted = 0, steps = 0;
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    struct tape t = {bytes, LEN, 0};
    struct world w;
    draw_start(&w);
    for (; t.pos < t.len; steps++) {
        draw_step(&t, &w);
        accepted += w.r.status == ST_OK && !w.r.replay;
        if (steps % 50 == 0)
            state_check(w.c);
    }
    state_check(w.c);
    CHECK(steps > 2000);
    CHECK(accepted > steps / 20); /* most are refused, but not all */
    world_done(&w);
    free(bytes);
}
