/* What a node does with commands, reads, its log and its clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/node_bench.h"
#include "support/tap.h"

TEST(node_makes_the_cluster_and_says_what_it_is_then_looks)
{
    struct bench b;
    bench_start(&b);
    CHECK_EQ(1, cluster_level(node_cluster(b.n)));
    CHECK_EQ(1, cluster_count(node_cluster(b.n), OBJECT_NODE));
    CHECK(b.looked && node_view(b.n).reconciled);
    CHECK(node_deadline_ms(b.n) == UINT64_MAX); /* an idle node sleeps */
    bench_finish(&b);
}

TEST(node_tells_a_proposal_when_it_is_applied_and_no_sooner)
{
    struct bench b;
    struct answer a, again;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    CHECK_EQ(0, a.count);
    CHECK(node_deadline_ms(b.n) <= b.now_ms);
    node_step(b.n);
    node_step(b.n);
    CHECK_EQ(0, a.count); /* written, not durable */
    bench_settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.s);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1 + BENCH_SAME_NAME, &again));
    bench_settle(&b);
    CHECK_EQ(ST_OK, again.s);
    CHECK_EQ(ST_EXISTS, again.applied);
    bench_finish(&b);
}

TEST(node_many_proposals_go_into_one_append)
{
    struct bench b;
    struct answer a[20];
    bench_start(&b);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(ST_OK, bench_put_tenant(&b, i, &a[i]));
    uint64_t before = b.last;
    node_step(b.n);
    CHECK_EQ(before + 20, b.last);
    uint64_t token = b.token;
    bench_settle(&b);
    CHECK(token != 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(1, a[i].count);
    bench_finish(&b);
}

TEST(node_proposal_times_out_and_may_still_be_applied)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    node_step(b.n);
    CHECK_EQ(b.now_ms + 1000, node_deadline_ms(b.n));
    b.now_ms += 1000;
    node_step(b.n);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_TIMEOUT, a.s);
    bench_settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(2, cluster_count(node_cluster(b.n), OBJECT_TENANT));
    bench_finish(&b);
}

/* A disk that is slower than its callers are patient must not be given a copy for each try. */
TEST(node_retry_waits_for_the_command_that_is_on_its_way)
{
    struct bench b;
    struct answer a, other, again;
    bench_start(&b);
    uint64_t before = b.last;
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 1, 1, &a));
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 2, 2, &other));
    node_step(b.n);
    b.now_ms += 1000;
    node_step(b.n);
    CHECK_EQ(ST_TIMEOUT, a.s);
    CHECK_EQ(ST_TIMEOUT, other.s);
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 2, 2, &other));
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 1, 1, &again)); /* which is told first nevertheless */
    bench_settle(&b);
    CHECK_EQ(before + 2, b.last);
    CHECK_EQ(2, node_view(b.n).commands_joined);
    CHECK_EQ(1, again.count);
    CHECK_EQ(ST_OK, again.applied);
    CHECK_EQ(before + 1, again.index);
    CHECK_EQ(1, other.count);
    CHECK_EQ(before + 2, other.index);
    bench_finish(&b);
}

TEST(node_other_request_under_an_id_that_is_on_its_way_is_refused)
{
    struct bench b;
    struct answer a, other;
    bench_start(&b);
    uint64_t before = b.last;
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 1, 1, &a));
    CHECK_EQ(ST_CONFLICT, bench_put_tenant_as(&b, 1, 2, &other));
    bench_settle(&b);
    CHECK_EQ(before + 1, b.last);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(0, other.count);
    bench_finish(&b);
}

TEST(node_retry_of_what_was_applied_is_answered_from_the_state)
{
    struct bench b;
    struct answer a, again;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 1, 1, &a));
    bench_settle(&b);
    CHECK_EQ(ST_OK, bench_put_tenant_as(&b, 1, 1, &again));
    bench_settle(&b);
    CHECK_EQ(ST_OK, again.applied);
    CHECK_EQ(a.index + 1, again.index);
    CHECK_EQ(0, node_view(b.n).commands_joined);
    CHECK_EQ(1, node_view(b.n).commands_replayed);
    bench_finish(&b);
}

TEST(node_forgets_a_waiter_and_ends_the_others_when_it_ends)
{
    struct bench b;
    struct answer gone, kept;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &gone));
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 2, &kept));
    node_forget(b.n, &gone);
    node_step(b.n);
    bench_finish(&b);
    CHECK_EQ(0, gone.count);
    CHECK_EQ(1, kept.count);
    CHECK_EQ(ST_UNAVAILABLE, kept.s);
}

TEST(node_refuses_commands_that_are_too_big_untaken)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    size_t len = 100000;
    char *text = mem_new(len + 1);
    memset(text, 'x', len);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = text;
    CHECK_EQ(ST_TOO_BIG, node_propose(b.n, &cmd, UINT64_MAX, answer_told, &a, NULL));
    free(text);
    CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    bench_finish(&b);
}

TEST(node_read_waits_for_what_was_committed_before)
{
    struct bench b;
    struct answer a = {0}, w;
    bench_start(&b);
    CHECK_EQ(ST_OK, node_read(b.n, UINT64_MAX, answer_told, &a, NULL));
    CHECK_EQ(1, a.count); /* nothing is ahead: at once */
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(ST_OK, bench_put_tenant(&b, i, &w));
    node_step(b.n);
    bench_sync(&b);
    node_step(b.n); /* some of them are applied */
    struct raft_view v = node_view(b.n).raft;
    CHECK(v.applied < v.commit);
    a = (struct answer){0};
    CHECK_EQ(ST_OK, node_read(b.n, UINT64_MAX, answer_told, &a, NULL));
    CHECK_EQ(0, a.count);
    bench_settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.s);
    bench_finish(&b);
}

TEST(node_log_without_room_is_asked_again)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    b.log_full = true;
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    node_step(b.n);
    CHECK(node_deadline_ms(b.n) > b.now_ms && node_deadline_ms(b.n) <= b.now_ms + 10);
    b.now_ms += 10;
    node_step(b.n);
    CHECK_EQ(0, a.count);
    b.log_full = false;
    b.now_ms += 10;
    bench_settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.applied);
    bench_finish(&b);
}

TEST(node_log_that_fails_ends_it)
{
    struct bench b;
    struct answer a;
    struct fault why;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    node_step(b.n);
    (void)fault_set(&why, ST_IO, "sync: Input/output error");
    b.log.events->failed(b.log.events->ctx, &why);
    CHECK(node_dead(b.n) != NULL);
    node_step(b.n);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_UNAVAILABLE, a.s);
    CHECK_STR("the log failed: sync: Input/output error", node_dead(b.n)->text);
    CHECK_EQ(ST_UNAVAILABLE, bench_put_tenant(&b, 2, &a));
    CHECK_EQ(ST_UNAVAILABLE, node_read(b.n, UINT64_MAX, answer_told, &a, NULL));
    CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    bench_finish(&b);
}

TEST(node_takes_snapshots_in_pieces_and_starts_from_them)
{
    struct bench b;
    struct answer a;
    struct fault why;
    bench_start(&b);
    b.snapshot_log_max = 67000; /* what is saved is larger than a thousand commands */
    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    bench_settle(&b);
    for (unsigned i = 0; i < 2200; i++) {
        CHECK_EQ(ST_OK, bench_put_tenant(&b, i, &a));
        if (i % 50 == 0)
            bench_settle(&b);
    }
    bench_settle(&b);
    struct node_view v = node_view(b.n);
    CHECK_EQ(2, v.snapshots);
    CHECK(v.snapshot_index > 2000 && v.snapshot_index == b.snapshot_index);
    CHECK_EQ(v.snapshot_index + 1 - 10, b.first_kept);
    CHECK_EQ(b.first_kept, v.raft.first);
    CHECK(b.chunk_max <= NODE_SNAPSHOT_CHUNK && b.snapshot.len > b.chunk_max);

    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    bench_settle(&b);
    struct node_view w = node_view(b.n);
    CHECK_EQ(v.raft.term + 1, w.raft.term);
    CHECK_EQ(1000, cluster_count(node_cluster(b.n), OBJECT_TENANT)); /* all that fit */
    bench_finish(&b);
}

/* What a snapshot costs is bounded by what the log does: a large state is not saved for each small
 * change. */
TEST(node_saves_the_state_when_the_log_has_grown_by_as_much)
{
    struct bench b;
    struct answer a;
    unsigned tenants = 0;
    bench_start(&b);
    b.snapshot_entries = 20;
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    bench_settle(&b);
    for (; node_view(b.n).snapshots == 0; bench_settle(&b))
        CHECK_EQ(ST_OK, bench_put_tenant(&b, tenants++, &a));
    CHECK(tenants <= 20);

    b.snapshot_log_max = UINT64_MAX;
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    bench_settle(&b);
    for (int more = 0; more < 2;
         more++) { /* its size is known from the log, then from its writing */
        uint64_t before = b.snapshot_index, size = b.snapshot.len, grown = 0;
        for (; node_view(b.n).snapshots == (unsigned)more; bench_settle(&b))
            CHECK_EQ(ST_OK, bench_put_tenant(&b, tenants++, &a));
        CHECK(b.snapshot_index > before + 20);
        for (uint64_t i = before + 1; i <= b.snapshot_index; i++)
            grown += b.entry[i].data.len;
        CHECK(grown >= size);
        CHECK(grown - b.entry[b.snapshot_index].data.len < size);
    }
    bench_finish(&b);
}

/* Few commands may be a long log: it is in memory, and read at each start. */
TEST(node_saves_the_state_when_the_log_is_long_however_few_its_entries)
{
    struct bench b;
    struct answer a = {0};
    static char text[50000];
    bench_start(&b);
    b.snapshot_log_max = 1 << 20;
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    bench_settle(&b);
    memset(text, 'x', sizeof text - 1);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = text;
    for (unsigned i = 1; i <= 50; i++) {
        CHECK_EQ(ST_OK, node_propose(b.n, &cmd, UINT64_MAX, answer_told, &a, NULL));
        bench_settle(&b);
        CHECK_EQ(i * sizeof text >> 20, node_view(b.n).snapshots);
    }
    struct raft_view v = node_view(b.n).raft;
    CHECK((v.last + 1 - v.first) * sizeof text <= (1 << 20) + (256 << 10));
    CHECK(b.snapshot_index + 1 - b.first_kept == 5); /* the bench's 10 would be too long */
    bench_finish(&b);
}

TEST(node_sleeps_again_after_a_chunk_of_a_snapshot_was_refused)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    b.snapshot_entries = 20;
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    bench_settle(&b);
    b.chunks_full = true;
    for (unsigned i = 0; i < 30; i++)
        CHECK_EQ(ST_OK, bench_put_tenant(&b, i, &a));
    bench_settle(&b);
    CHECK_EQ(30, a.count); /* commands go on */
    CHECK(node_deadline_ms(b.n) > b.now_ms && node_deadline_ms(b.n) <= b.now_ms + 10);
    b.chunks_full = false;
    b.now_ms += 10;
    bench_settle(&b);
    CHECK_EQ(1, node_view(b.n).snapshots);
    CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    bench_finish(&b);
}

struct asker {
    struct bench *b;
    unsigned asked, answered, more;
};

static void ask_next(struct asker *x);

static void told_asker(void *ctx, enum status s, const struct fault *why,
                       const struct apply_result *r)
{
    struct asker *x = ctx;
    (void)why;
    CHECK_EQ(ST_OK, s);
    CHECK_EQ(ST_OK, r->status);
    x->answered++;
    if (x->more) {
        x->more--;
        ask_next(x);
    }
}

static void ask_next(struct asker *x)
{
    Pb__Command cmd = PB__COMMAND__INIT;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    Pb__Tenant tenant = PB__TENANT__INIT;
    Pb__Meta meta = PB__META__INIT;
    char id[OBJECT_UID_MAX], name[20];
    bench_uid(id, 0x1000 + x->asked);
    (void)snprintf(name, sizeof name, "tenant-%u", x->asked++);
    meta.uid = id;
    meta.name = name;
    tenant.meta = &meta;
    put.tenant = &tenant;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    CHECK_EQ(ST_OK, node_propose(x->b->n, &cmd, UINT64_MAX, told_asker, x, NULL));
}

/* Log and state work at the same time: else each would wait for the other with many commands under way. */
TEST(node_gives_the_log_what_answers_bring_while_others_wait_to_be_applied)
{
    struct bench b;
    struct asker x = {.b = &b, .more = 100};
    bench_start(&b);
    for (int i = 0; i < 64; i++)
        ask_next(&x);
    node_step(b.n);
    uint64_t given = b.last;
    bench_sync(&b);
    node_step(b.n);
    CHECK(x.answered > 0 && x.answered < 64);
    CHECK_EQ(given + x.answered, b.last);
    bench_settle(&b);
    CHECK_EQ(164, x.answered);
    bench_finish(&b);
}

TEST(node_rests_while_the_log_works)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    CHECK_EQ(0, node_deadline_ms(b.n));
    node_step(b.n);
    CHECK_EQ(0, a.count);
    CHECK(node_deadline_ms(b.n) > b.now_ms);
    bench_finish(&b);
}

TEST(node_that_died_twice_at_the_same_entry_stays_down)
{
    struct bench b;
    struct fault why;
    bench_start(&b);
    b.mark.applying = 7; /* as a death in the middle of it leaves it */
    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    b.mark.applying = 7;
    CHECK_EQ(ST_INTERNAL, bench_start_again(&b, &why));
    CHECK_STR("this node died 2 times while it applied log entry 7; it stays down so as not to die "
              "again",
              why.text);
    CHECK_EQ(ST_INTERNAL, bench_start_again(&b, &why));
    b.mark = (struct node_mark){0};
    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    bench_finish(&b);
}

TEST(node_death_at_an_entry_is_forgotten_once_it_was_applied)
{
    struct bench b;
    struct fault why;
    bench_start(&b);
    b.mark.applying = 2;
    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    CHECK_EQ(1, b.mark.deaths);
    bench_settle(&b);
    CHECK_EQ(0, b.mark.deaths);
    bench_finish(&b);
}

struct watch {
    struct node_watch w;
    unsigned changes, events;
};

static void watched(struct node_watch *w, const struct apply_result *r)
{
    struct watch *x = CONTAINER_OF(w, struct watch, w);
    x->changes += (unsigned)r->change_count;
    x->events += (unsigned)r->event_count;
}

TEST(node_watches_see_what_changed_until_they_are_cut)
{
    struct bench b;
    struct answer a;
    struct watch x = {.w.applied = watched};
    bench_start(&b);
    node_watch_add(b.n, &x.w);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    bench_settle(&b);
    CHECK_EQ(1, x.changes);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1 + BENCH_SAME_NAME, &a)); /* refused: nothing changed */
    bench_settle(&b);
    CHECK_EQ(1, x.changes);
    node_watch_cut(&x.w);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 2, &a));
    bench_settle(&b);
    CHECK_EQ(1, x.changes);
    bench_finish(&b);
}

TEST(node_clock_that_leaps_is_followed_at_a_bounded_rate)
{
    struct bench b;
    struct answer a;
    bench_start(&b);
    uint64_t hour_ns = UINT64_C(3600) * 1000000000;
    b.wall_ns += 1000 * hour_ns; /* years ahead */
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 1, &a));
    bench_settle(&b);
    uint64_t t = cluster_time_ns(node_cluster(b.n));
    CHECK(t <= 5000000000 + hour_ns);
    b.now_ms += 10000;
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 2, &a));
    bench_settle(&b);
    uint64_t more = cluster_time_ns(node_cluster(b.n)) - t;
    CHECK(more > 10 * UINT64_C(1000000000) && more <= 620 * UINT64_C(1000000000));
    b.wall_ns = 1; /* and back: the state's time never does */
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 3, &a));
    bench_settle(&b);
    CHECK(cluster_time_ns(node_cluster(b.n)) == t + more);
    bench_finish(&b);
}

/* As soon as the node takes it, which is before its state is as new as its log. */
static void put_tenant_early(struct bench *b, unsigned number, struct answer *a)
{
    while (bench_put_tenant(b, number, a) == ST_NOT_LEADER) {
        node_step(b->n);
        bench_sync(b);
    }
    bench_settle(b);
    CHECK_EQ(ST_OK, a->applied);
}

/* A board whose clock stands in 2099 until the network corrects it. */
TEST(node_clock_that_is_far_ahead_at_the_start_is_not_believed)
{
    struct bench b;
    struct answer a;
    uint64_t hour_ns = UINT64_C(3600) * 1000000000, year_ns = 365 * 24 * hour_ns;
    bench_start(&b);
    b.wall_ns += year_ns; /* it may have been off for so long */
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    put_tenant_early(&b, 1, &a);
    uint64_t t = cluster_time_ns(node_cluster(b.n));
    CHECK_EQ(b.wall_ns, t);
    CHECK_EQ(0, node_view(b.n).clock_ahead_ns);

    b.wall_ns += 70 * year_ns;
    CHECK_EQ(ST_OK, bench_start_again(&b, NULL));
    put_tenant_early(&b, 2, &a);
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 3, &a));
    bench_settle(&b);
    CHECK(cluster_time_ns(node_cluster(b.n)) <= t + hour_ns);
    CHECK_EQ(70 * year_ns, node_view(b.n).clock_ahead_ns);
    b.wall_ns -= 70 * year_ns - 2 * hour_ns; /* corrected */
    b.now_ms += 3600 * 1000;
    CHECK_EQ(ST_OK, bench_put_tenant(&b, 4, &a));
    bench_settle(&b);
    CHECK_EQ(b.wall_ns, cluster_time_ns(node_cluster(b.n)));
    bench_finish(&b);
}
