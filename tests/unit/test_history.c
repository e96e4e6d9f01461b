#include "base/rng.h"
#include "sim/history.h"
#include "support/prop.h"
#include "support/tap.h"

enum { OPS_MAX = 4096 };

static struct history start(void)
{
    struct history h;
    history_init(&h, 2, OPS_MAX);
    return h;
}

/* An append to key 0 that returns before anything else is called. */
static uint64_t append_now(struct history *h)
{
    uint64_t op = history_append(h, 1, 0, h->now_ms + 1);
    history_appended(h, op, h->now_ms + 1);
    return op;
}

static void seen(struct history *h, uint64_t op, size_t count, const uint64_t *value)
{
    history_seen(h, op, value, count, h->now_ms + 1);
}
#define SEEN(h, op, ...)                                                        \
    seen((h), (op), sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), \
         (const uint64_t[]){__VA_ARGS__})

static uint64_t read_call(struct history *h)
{
    return history_read(h, 2, 0, h->now_ms + 1);
}
#define READ_NOW(h, ...) SEEN((h), read_call(h), __VA_ARGS__)

static void check_fine(struct history *h)
{
    struct fault why;
    if (history_check(h, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    history_done(h);
}

static void check_bad(struct history *h, const char *text)
{
    struct fault why;
    CHECK_EQ(ST_CORRUPT, history_check(h, &why));
    CHECK_STR(text, why.text);
    history_done(h);
}

/* --- what is fine --- */

TEST(history_without_operations_is_fine)
{
    struct history h = start();
    check_fine(&h);
}

TEST(history_one_after_another_is_fine)
{
    struct history h = start();
    uint64_t read = read_call(&h);
    seen(&h, read, 0, NULL);
    uint64_t a = append_now(&h);
    READ_NOW(&h, a);
    uint64_t b = append_now(&h);
    READ_NOW(&h, a, b);
    READ_NOW(&h, a, b);
    check_fine(&h);
}

/* While an append is under way, reads may see it or not, and once one did all later ones do. */
TEST(history_overlap_leaves_the_order_open)
{
    struct history h = start();
    uint64_t early = read_call(&h), late = read_call(&h);
    uint64_t a = history_append(&h, 1, 0, 10), b = history_append(&h, 3, 0, 10);
    SEEN(&h, late, b);
    seen(&h, early, 0, NULL);
    history_appended(&h, a, 20);
    history_appended(&h, b, 20);
    READ_NOW(&h, b, a);
    check_fine(&h);
}

TEST(history_unknown_append_may_come_late_or_never)
{
    struct history h = start();
    uint64_t never = history_append(&h, 1, 0, 1), late = history_append(&h, 1, 0, 1);
    uint64_t a = append_now(&h);
    READ_NOW(&h, a);
    READ_NOW(&h, a, late);
    CHECK(never != late);
    check_fine(&h);
}

TEST(history_keys_have_nothing_to_do_with_each_other)
{
    struct history h = start();
    uint64_t other = history_append(&h, 1, 1, 5);
    history_appended(&h, other, 6);
    uint64_t a = append_now(&h);
    READ_NOW(&h, a);
    check_fine(&h);
}

TEST(history_refused_append_is_not_missed)
{
    struct history h = start();
    history_refused(&h, history_append(&h, 1, 0, 1), 2);
    history_refused(&h, history_read(&h, 1, 0, 3), 4);
    seen(&h, read_call(&h), 0, NULL);
    check_fine(&h);
}

TEST(history_acknowledged_appends_that_nobody_read_are_fine)
{
    struct history h = start();
    uint64_t read = read_call(&h);
    (void)append_now(&h);
    (void)append_now(&h);
    seen(&h, read, 0, NULL);
    check_fine(&h);
}

/* --- what is not --- */

TEST(history_stale_read_is_refused)
{
    struct history h = start();
    uint64_t a = append_now(&h), b = append_now(&h);
    READ_NOW(&h, a);
    READ_NOW(&h, a, b);
    check_bad(&h, "key 0: client 1's append (op 1, from 3 to 4 ms) was before client 2's read of 1 "
                  "values (op 2, from 5 to 6 ms)");
}

TEST(history_lost_acknowledged_append_is_refused)
{
    struct history h = start();
    (void)append_now(&h);
    seen(&h, read_call(&h), 0, NULL);
    check_bad(&h, "key 0: client 1's append (op 0, from 1 to 2 ms) was before client 2's read of 0 "
                  "values (op 1, from 3 to 4 ms)");
}

/* It was acknowledged, and another stands in its place for ever. */
TEST(history_append_lost_in_the_middle_is_refused)
{
    struct history h = start();
    uint64_t a = append_now(&h);
    (void)append_now(&h);
    uint64_t c = append_now(&h);
    READ_NOW(&h, a, c);
    check_bad(&h, "key 0: client 1's append (op 1, from 3 to 4 ms) was before client 1's append "
                  "(op 2, from 5 to 6 ms)");
}

TEST(history_append_seen_then_unseen_is_refused)
{
    struct history h = start();
    uint64_t a = history_append(&h, 1, 0, 1); /* its end is never known */
    READ_NOW(&h, a);
    seen(&h, read_call(&h), 0, NULL);
    check_bad(&h, "key 0: client 2's read of 1 values (op 1, from 2 to 3 ms) was before client 2's "
                  "read of 0 values (op 2, from 4 to 5 ms)");
}

/* Two reads while an append is under way, the second begun after the first returned. */
TEST(history_reads_that_go_back_are_refused)
{
    struct history h = start();
    uint64_t a = append_now(&h), b = history_append(&h, 1, 0, 9);
    READ_NOW(&h, a, b);
    READ_NOW(&h, a);
    history_appended(&h, b, 20);
    READ_NOW(&h, a, b);
    check_bad(&h, "key 0: client 2's read of 2 values (op 2, from 10 to 11 ms) was before client "
                  "2's read of 1 values (op 3, from 12 to 13 ms)");
}

TEST(history_appends_against_real_time_are_refused)
{
    struct history h = start();
    uint64_t a = append_now(&h), b = append_now(&h);
    READ_NOW(&h, b, a);
    check_bad(&h, "key 0: client 1's append (op 0, from 1 to 2 ms) was before client 1's append "
                  "(op 1, from 3 to 4 ms)");
}

TEST(history_duplicate_append_is_refused)
{
    struct history h = start();
    uint64_t a = append_now(&h);
    READ_NOW(&h, a, a);
    check_bad(&h, "key 0: 0 is there twice in client 2's read of 2 values (op 1, from 3 to 4 ms)");
}

TEST(history_value_that_nobody_wrote_is_refused)
{
    struct history h = start();
    READ_NOW(&h, 77);
    check_bad(&h, "key 0: nobody appended 77, which client 2's read of 1 values (op 0, from 1 to 2 "
                  "ms) saw");
}

TEST(history_value_of_another_key_is_refused)
{
    struct history h = start();
    uint64_t other = history_append(&h, 1, 1, 5);
    history_appended(&h, other, 6);
    READ_NOW(&h, other);
    check_bad(&h, "key 0: nobody appended 0, which client 2's read of 1 values (op 1, from 7 to 8 "
                  "ms) saw");
}

TEST(history_number_of_a_read_is_no_value)
{
    struct history h = start();
    uint64_t read = read_call(&h);
    SEEN(&h, read, read);
    check_bad(&h, "key 0: nobody appended 0, which client 2's read of 1 values (op 0, from 1 to 2 "
                  "ms) saw");
}

/* The value is seen before anybody was asked to append it. */
TEST(history_value_of_the_future_is_refused)
{
    struct history h = start();
    READ_NOW(&h, 1);
    CHECK_EQ(1, append_now(&h));
    check_bad(&h, "key 0: nobody appended 1, which client 2's read of 1 values (op 0, from 1 to 2 "
                  "ms) saw");
}

TEST(history_refused_write_that_is_seen_is_refused)
{
    struct history h = start();
    uint64_t a = history_append(&h, 1, 0, 1);
    history_refused(&h, a, 2);
    READ_NOW(&h, a);
    check_bad(&h, "key 0: client 1's append (op 0, from 1 to 2 ms) was refused and is there");
}

TEST(history_write_that_is_seen_and_then_refused_is_refused)
{
    struct history h = start();
    uint64_t a = history_append(&h, 1, 0, 1);
    READ_NOW(&h, a);
    history_refused(&h, a, 20);
    check_bad(&h, "key 0: client 1's append (op 0, from 1 to 20 ms) was refused and is there");
}

TEST(history_reads_that_show_different_lists_are_refused)
{
    struct history h = start();
    uint64_t a = history_append(&h, 1, 0, 1), b = history_append(&h, 3, 0, 1);
    READ_NOW(&h, a);
    READ_NOW(&h, b);
    check_bad(&h, "key 0: value 0 is 1 in client 2's read of 1 values (op 3, from 4 to 5 ms) and 0 "
                  "in client 2's read of 1 values (op 2, from 2 to 3 ms)");
}

TEST(history_beyond_its_limit_is_not_judged)
{
    struct history h;
    history_init(&h, 1, 3);
    uint64_t read = read_call(&h);
    (void)append_now(&h);
    (void)append_now(&h);
    CHECK_EQ(ST_OK, history_check(&h, NULL));
    CHECK(append_now(&h) == UINT64_MAX);
    SEEN(&h, read, UINT64_MAX); /* what was not recorded may be seen */
    CHECK_EQ(ST_LIMIT, history_check(&h, NULL));
    history_done(&h);
}

TEST_ABORTS(history_time_that_goes_back_is_the_callers_error)
{
    struct history h = start();
    (void)history_append(&h, 1, 0, 2);
    (void)history_append(&h, 1, 0, 1);
}

TEST_ABORTS(history_operation_that_ends_twice_is_the_callers_error)
{
    struct history h = start();
    uint64_t a = append_now(&h);
    history_appended(&h, a, 10);
}

/* --- histories of one copy of the data, with clients that overlap --- */

enum { CLIENTS = 5, LIST_MAX = 600 };

struct list {
    uint64_t value[LIST_MAX];
    size_t count;
};

struct user {
    enum { IDLE, CALLED, HAPPENED } state;
    bool reads;
    uint32_t key;
    uint64_t op;
    struct list saw;
};

static void user_call(struct tape *t, struct history *h, struct user *u, uint32_t number)
{
    u->reads = draw_below(t, 2);
    u->key = (uint32_t)draw_below(t, 2);
    u->op = u->reads ? history_read(h, number, u->key, h->now_ms)
                     : history_append(h, number, u->key, h->now_ms);
    u->state = CALLED;
}

static void user_happen(struct tape *t, struct history *h, struct user *u, struct list *list)
{
    if (draw_below(t, 8) == 7) {
        u->state = IDLE;
        if (draw_below(t, 2)) /* or it is never known */
            history_refused(h, u->op, h->now_ms);
        return;
    }
    if (u->reads)
        u->saw = *list;
    else
        list->value[list->count++] = u->op;
    u->state = HAPPENED;
}

static void user_return(struct tape *t, struct history *h, struct user *u)
{
    u->state = IDLE;
    if (draw_below(t, 8) == 7)
        return; /* it is never known */
    if (u->reads)
        history_seen(h, u->op, u->saw.value, u->saw.count, h->now_ms);
    else
        history_appended(h, u->op, h->now_ms);
}

static void live(struct tape *t, struct history *h)
{
    static struct user users[CLIENTS];
    static struct list lists[2];
    memset(users, 0, sizeof users);
    memset(lists, 0, sizeof lists);
    while (t->pos < t->len) {
        uint32_t number = (uint32_t)draw_below(t, CLIENTS);
        struct user *u = &users[number];
        switch (u->state) {
        case IDLE: user_call(t, h, u, number); break;
        case CALLED: user_happen(t, h, u, &lists[u->key]); break;
        case HAPPENED: user_return(t, h, u); break;
        }
    }
    for (uint32_t key = 0; key < 2; key++)
        history_seen(h, history_read(h, CLIENTS, key, h->now_ms), lists[key].value,
                     lists[key].count, h->now_ms);
}

static void prop_one_copy(struct tape *t)
{
    struct history h = start();
    live(t, &h);
    check_fine(&h);
}

TEST(history_of_one_copy_is_fine_however_clients_overlap)
{
    prop_run(prop_one_copy, 1, 150);
}

/* --- the same verdict as that of a search through all orders --- */

enum { SMALL = 6 };

struct small {
    struct history h;
    uint64_t call[SMALL], ret[SMALL]; /* times; UINT64_MAX: it did not return */
    struct list saw[SMALL];
};

/* Calls, ends, and reads of lists that are mostly near the truth. */
static void draw_small(struct tape *t, struct small *s)
{
    *s = (struct small){.h = start()};
    uint64_t now = 0, count = 2 + draw_below(t, SMALL - 1);
    struct list appended = {0};
    for (int i = 0; i < 3 * SMALL; i++, now++) {
        uint64_t op = draw_below(t, count);
        if (op >= s->h.op_count && s->h.op_count < count) {
            op = s->h.op_count;
            s->call[op] = now;
            s->ret[op] = UINT64_MAX;
            if (draw_below(t, 2))
                (void)history_read(&s->h, (uint32_t)op, 0, now);
            else
                appended.value[appended.count++] = history_append(&s->h, (uint32_t)op, 0, now);
            continue;
        }
        if (op >= s->h.op_count || s->ret[op] != UINT64_MAX || s->h.op[op].end == HISTORY_REFUSED)
            continue;
        s->ret[op] = now;
        if (draw_below(t, 8) == 7) {
            history_refused(&s->h, op, now);
        } else if (s->h.op[op].kind == HISTORY_APPEND) {
            history_appended(&s->h, op, now);
        } else {
            s->saw[op].count = (size_t)draw_below(t, appended.count + 1);
            memcpy(s->saw[op].value, appended.value, sizeof appended.value);
            if (s->saw[op].count >= 2 && draw_below(t, 4) == 3) {
                s->saw[op].value[0] = appended.value[1];
                s->saw[op].value[1] = appended.value[draw_below(t, 8) != 7 ? 0 : 1];
            }
            history_seen(&s->h, op, s->saw[op].value, s->saw[op].count, now);
        }
    }
}

/* Could `op` be next, when `done` have happened? Nobody who still has to happen returned before its call. */
static bool may_be_next(const struct small *s, unsigned done, uint64_t op, const struct list *list)
{
    const struct history_op *o = &s->h.op[op];
    if (done >> op & 1 || o->end == HISTORY_REFUSED)
        return false;
    for (uint64_t x = 0; x < s->h.op_count; x++)
        if (!(done >> x & 1) && s->h.op[x].end == HISTORY_DONE && s->ret[x] < s->call[op])
            return false;
    return o->kind == HISTORY_APPEND ||
           (o->end == HISTORY_DONE && s->saw[op].count == list->count &&
            memcmp(s->saw[op].value, list->value, list->count * sizeof *list->value) == 0);
}

static bool search(const struct small *s, unsigned done, struct list *list)
{
    bool all = true;
    for (uint64_t op = 0; op < s->h.op_count; op++)
        all = all && (done >> op & 1 || s->h.op[op].end != HISTORY_DONE);
    if (all)
        return true;
    for (uint64_t op = 0; op < s->h.op_count; op++) {
        if (!may_be_next(s, done, op, list))
            continue;
        bool append = s->h.op[op].kind == HISTORY_APPEND;
        if (append)
            list->value[list->count++] = op;
        if (search(s, done | 1U << op, list))
            return true;
        list->count -= append;
    }
    return false;
}

TEST(history_verdict_is_that_of_a_search_through_all_orders)
{
    enum { CASES = 20000, TAPE = 64 };
    struct rng r = {1};
    unsigned fine = 0;
    for (unsigned i = 0; i < CASES; i++) {
        uint8_t byte[TAPE];
        for (size_t k = 0; k < TAPE; k++)
            byte[k] = (uint8_t)rng_next(&r);
        static struct small s;
        struct list list = {0};
        struct fault why = {0};
        draw_small(&(struct tape){byte, TAPE, 0}, &s);
        bool want = search(&s, 0, &list), got = history_check(&s.h, &why) == ST_OK;
        if (want != got)
            tap_fail(__FILE__, __LINE__, "case %u: the search says %d, the check %d %s", i, want,
                     got, why.text);
        fine += got;
        history_done(&s.h);
    }
    CHECK(fine > CASES / 5 && fine < CASES * 4 / 5);
}
