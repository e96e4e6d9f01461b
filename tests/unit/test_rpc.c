/* Calls between nodes: they are answered, or end otherwise, and once. */
#include "support/rpc_run.h"

/* --- they work --- */

static struct rpc_trace traced;

TEST(a_call_is_answered)
{
    begin(1);
    struct rpc_request r = request(HOLD, STR("hello"));
    r.trace = (struct rpc_trace){{1}, {2}, 1};
    struct asked *q = ask_with(&r, &plain_events);
    run_held(1);
    struct rpc_call *c = held[0];
    CHECK(str_is(rpc_call_body(c), "hello"));
    CHECK(memcmp(a->v->key.public, rpc_call_peer(c), KEY_PUBLIC_SIZE) == 0);
    CHECK_EQ(7, rpc_call_id(c));
    traced = *rpc_call_trace(c);
    CHECK(memcmp(&traced, &r.trace, sizeof traced) == 0);
    CHECK_EQ(HOLD, rpc_call_method(c)->number);
    uint64_t left_ms = rpc_call_deadline_ms(c) - net.net.now_ns / UNITS_NS_PER_MS;
    CHECK(left_ms > 59900 && left_ms <= 60000);
    CHECK(rpc_call_ctx(c) == NULL);
    rpc_call_set_ctx(c, &net);
    CHECK(rpc_call_ctx(c) == &net);
    rpc_answer(c, ST_OK, NULL, STR("yes"));
    run_told(q);
    is_answer(q, "yes");
    CHECK(q->by_peer);
    CHECK(a->wakes > 0);
    end();
}

TEST(a_fault_is_told_with_its_hint)
{
    struct fault f;
    begin(2);
    struct asked *q = ask(HOLD, STR(""));
    run_held(1);
    IGNORE(fault_set(&f, ST_NOT_LEADER, "node 2 leads"));
    fault_hint(&f, "10.0.0.2:7001");
    rpc_answer(held[0], ST_NOT_LEADER, &f, STR("not sent"));
    run_told(q);
    CHECK_EQ(ST_NOT_LEADER, q->status);
    CHECK(q->by_peer);
    CHECK_STR("node 2 leads", q->fault.text);
    CHECK_STR("10.0.0.2:7001", q->fault.hint);
    CHECK_EQ(0, q->answer.len);
    end();
}

static size_t next_call;

static void ask_next(struct asked *q)
{
    char body[20];
    CHECK_EQ(ST_OK, q->status);
    if (next_call == 1000)
        return;
    (void)snprintf(body, sizeof body, "call %zu", next_call++);
    ask(ECHO, str_from(body))->then = ask_next;
}

static void thousand(uint64_t seed)
{
    char text[20];
    for (next_call = 0; next_call < 64;)
        ask_next(&(struct asked){.status = ST_OK});
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    CHECK_EQ(1000, told_count);
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "call %zu", i);
        is_answer(&asked[i], text);
    }
    CHECK_EQ(1000, rpc_view(b->r).count.answered);
    (void)seed;
    end();
}

TEST(a_thousand_calls_64_at_once)
{
    begin(3);
    thousand(3);
}

TEST(a_thousand_calls_on_a_bad_network)
{
    begin(4);
    net.net.loss_per_mille = 50;
    net.net.twice_per_mille = 20;
    net.net.jitter_ns = 3 * UNITS_NS_PER_MS;
    thousand(4);
}

static void fill(char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (char)(i * 7 + (i >> 9));
}

/* More than the queue and the window of a stream hold, both ways. */
TEST(a_big_body_and_a_big_answer)
{
    static char body[8 * MIB];
    begin(5);
    fill(body, sizeof body);
    struct asked *q = ask(ECHO, (struct str){body, sizeof body});
    CHECK(rpc_view(a->r).queued > 3 * MIB);
    run_told(q);
    CHECK_EQ(ST_OK, q->status);
    CHECK_EQ(sizeof body, q->answer.len);
    CHECK(memcmp(body, q->answer.ptr, sizeof body) == 0);
    end();
}

/* With little room everywhere, and a network that loses. */
static void narrow(struct endpoint_config *c)
{
    c->stream_window = 80000;
    c->stream_send_max = 80000;
    c->conn_send_max = 120000;
}

TEST(big_bodies_wait_for_room)
{
    static char body[MIB];
    begin_with(6, narrow, NULL);
    net.net.loss_per_mille = 50;
    fill(body, sizeof body);
    for (int i = 0; i < 8; i++)
        IGNORE(ask(ECHO, (struct str){body, sizeof body}));
    CHECK(quic_net_run(&net.net, 120000, all_told, NULL));
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(ST_OK, asked[i].status);
        CHECK(asked[i].answer.len == sizeof body &&
              memcmp(body, asked[i].answer.ptr, sizeof body) == 0);
    }
    end();
}

/* --- streams of bytes --- */

TEST(an_answer_in_a_stream)
{
    begin(7);
    struct asked *q = ask(FLOOD, STR("20000000"));
    run_told(q);
    is_answer(q, "all");
    CHECK_EQ(20000000, q->more.len);
    CHECK(room_count > 0);
    end();
}

/* Who does not read holds back who writes; what waits is the windows and the queues, whatever is to come. */
TEST(a_slow_reader_holds_back_the_writer)
{
    begin_with(8, narrow, NULL);
    struct asked *q = ask(FLOOD, STR("20000000"));
    q->reads = false;
    run_ms(5000);
    CHECK(!q->told);
    CHECK(q->more.len <= 80000);
    CHECK(flood_left >= 20000000 - 2 * 80000);
    CHECK_EQ(0, rpc_view(b->r).queued);
    struct asked *other = ask(ECHO, STR("unharmed"));
    run_told(other);
    is_answer(other, "unharmed");
    for (int i = 0; i < 1000 && !q->told; i++) {
        size_t before = q->more.len;
        if (!q->told)
            rpc_ask_consume(q->ask, q->unread);
        q->unread = 0;
        run_ms(50);
        CHECK(q->more.len - before <= 80000);
    }
    is_answer(q, "all");
    CHECK_EQ(20000000, q->more.len);
    end();
}

TEST(both_sides_go_on_writing)
{
    begin(9);
    struct asked *q = ask(DUPLEX, STR(""));
    run_ms(50);
    CHECK_EQ(1, held_count);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(ST_OK, rpc_ask_write(q->ask, STR("tick "), NULL));
        run_ms(10);
        CHECK_EQ(5 * (i + 1), q->more.len);
    }
    rpc_ask_end(q->ask);
    rpc_ask_end(q->ask);
    run_told(q);
    is_answer(q, "bye");
    CHECK_EQ(50, q->more.len);
    end();
}

/* The called one does not read: the caller is refused, and told when there is room. */
static void lazy_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    *(size_t *)ctx += bytes.len;
    if (fin)
        rpc_answer(c, ST_OK, NULL, STR(""));
}

TEST(a_writer_waits_for_room)
{
    static char piece[30000];
    size_t came = 0, wrote = 0;
    struct rpc_method lazy = methods[3];
    lazy.data = lazy_data;
    lazy.ctx = &came;
    rpc_net_init(&net, 10);
    a = rpc_net_add(&net, NULL, 0, narrow, NULL);
    b = rpc_net_add(&net, &lazy, 1, narrow, NULL);
    conn = quic_net_join(a->v, b->v);
    struct asked *q = ask(DUPLEX, STR(""));
    for (int i = 0; i < 100; i++) {
        if (rpc_ask_write(q->ask, (struct str){piece, sizeof piece}, NULL) == ST_OK)
            wrote += sizeof piece;
        run_ms(20);
    }
    CHECK(wrote >= 60000 && wrote <= 160000);
    CHECK(came <= 80000);
    CHECK_EQ(0, q->rooms);
    rpc_call_consume(held[0], came);
    run_ms(100);
    CHECK_EQ(1, q->rooms);
    rpc_cancel(q->ask);
    told_count++;
    run_ms(100);
    CHECK_EQ(1, gone_count);
    held_count = 0;
    end();
}

/* Whoever has answered reads no more. */
TEST(an_answer_ends_what_the_caller_writes)
{
    begin(11);
    struct asked *q = ask(DUPLEX, STR(""));
    run_held(1);
    rpc_answer(held[0], ST_DENIED, NULL, STR(""));
    CHECK_EQ(ST_OK, rpc_ask_write(q->ask, STR("more"), NULL));
    run_told(q);
    CHECK_EQ(ST_DENIED, q->status);
    CHECK_STR("denied", q->fault.text);
    end();
}

/* --- they end otherwise --- */

TEST(a_caller_gives_up)
{
    begin(12);
    struct asked *q = ask(HOLD, STR("x"));
    run_held(1);
    rpc_cancel(q->ask);
    told_count++;
    run_ms(50);
    CHECK_EQ(1, gone_count);
    CHECK_EQ(ST_CANCELLED, gone_why);
    CHECK(!q->told);
    end();
}

/* Also before the request is out, and while its answer comes. */
TEST(a_caller_gives_up_early_and_late)
{
    static char body[8 * MIB];
    begin(13);
    rpc_cancel(ask(ECHO, (struct str){body, sizeof body})->ask);
    rpc_cancel(ask(ECHO, STR("x"))->ask);
    struct asked *q = ask(ECHO, (struct str){body, sizeof body}), *f = ask(FLOOD, STR("20000000"));
    run_ms(5);
    rpc_cancel(q->ask);
    for (int i = 0; i < 1000 && f->more.len == 0; i++)
        run_ms(1);
    CHECK(f->more.len > 0);
    rpc_cancel(f->ask);
    told_count = 4;
    run_ms(500);
    CHECK(!f->told);
    struct asked *other = ask(ECHO, STR("unharmed"));
    run_told(other);
    is_answer(other, "unharmed");
    end();
}

TEST(time_is_over_on_both_sides)
{
    begin(14);
    struct rpc_request r = request(HOLD, STR("x"));
    r.timeout_ms = 300;
    struct asked *q = ask_with(&r, &plain_events);
    run_ms(250);
    CHECK(!q->told && held_count == 1);
    run_ms(100);
    CHECK_EQ(ST_TIMEOUT, q->status);
    CHECK(!q->by_peer);
    CHECK_STR("no answer in time; it may have been done", q->fault.text);
    CHECK_EQ(1, gone_count);
    CHECK(gone_why == ST_TIMEOUT || gone_why == ST_CANCELLED);
    end();
}

/* By itself, when the caller is not heard any more. */
TEST(the_called_one_counts_the_time_too)
{
    begin(15);
    struct rpc_request r = request(HOLD, STR("x"));
    r.timeout_ms = 300;
    struct asked *q = ask_with(&r, &plain_events);
    run_held(1);
    net.net.loss_per_mille = 1000;
    run_ms(400);
    CHECK_EQ(1, gone_count);
    CHECK_EQ(ST_TIMEOUT, gone_why);
    CHECK_EQ(1, rpc_view(b->r).count.late);
    net.net.loss_per_mille = 0;
    run_ms(2000);
    CHECK_EQ(ST_TIMEOUT, q->status);
    end();
}

/* An answer that nobody fetches is not kept for longer than it was wanted. */
TEST(an_answer_does_not_wait_for_ever)
{
    static char body[8 * MIB];
    begin(16);
    struct rpc_request r = request(ECHO, (struct str){body, sizeof body});
    r.timeout_ms = 20000;
    IGNORE(ask_with(&r, &plain_events));
    for (int i = 0; i < 5000 && rpc_view(b->r).count.called == 0; i++)
        run_ms(1);
    net.net.loss_per_mille = 1000;
    run_ms(10000);
    CHECK(rpc_view(b->r).queued > 0);
    run_ms(11000);
    CHECK_EQ(0, rpc_view(b->r).queued);
    CHECK_EQ(0, rpc_view(b->r).calls);
    net.net.loss_per_mille = 0;
    run_ms(40000);
    end();
}

TEST(a_connection_is_cut_in_the_middle)
{
    begin(17);
    struct asked *q = ask(HOLD, STR("x")), *f = ask(FLOOD, STR("20000000")),
                 *d = ask(DUPLEX, STR(""));
    f->reads = false;
    run_held(2);
    quic_conn_close(conn, 1);
    CHECK_EQ(ST_UNAVAILABLE, rpc_ask(a->r, conn, &(struct rpc_request){.timeout_ms = 1},
                                     &plain_events, NULL, &q->ask, NULL));
    run_ms(100);
    CHECK(q->told && f->told && d->told);
    CHECK_EQ(ST_UNAVAILABLE, q->status);
    CHECK_EQ(ST_UNAVAILABLE, f->status);
    CHECK(!q->by_peer);
    CHECK_STR("the connection with 10.0.0.2:7001 was lost; it may have been done", q->fault.text);
    CHECK_EQ(3, gone_count);
    CHECK_EQ(ST_UNAVAILABLE, gone_why);
    end();
}

TEST(the_called_one_is_killed_and_back)
{
    begin(18);
    struct asked *q = ask(HOLD, STR("x"));
    run_held(1);
    rpc_net_restart(b);
    held_count = 0;
    struct asked *late = ask(ECHO, STR("are you there?"));
    run_told(q);
    CHECK_EQ(ST_UNAVAILABLE, q->status);
    CHECK_EQ(ST_UNAVAILABLE, late->status);
    conn = quic_net_join(a->v, b->v);
    struct asked *again = ask(ECHO, STR("again"));
    run_told(again);
    is_answer(again, "again");
    end();
}

/* Events may do anything: here each answer gives up all others, and asks again. */
static unsigned rounds;

static void give_up_others(struct asked *q)
{
    (void)q;
    for (size_t i = 0; i < asked_count; i++)
        if (asked[i].ask && asked[i].ask != q->ask) {
            rpc_cancel(asked[i].ask);
            asked[i].ask = NULL;
            told_count++;
        }
    if (rounds++ < 20)
        for (int i = 0; i < 5; i++)
            ask(ECHO, STR("next"))->then = give_up_others;
}

TEST(an_event_may_give_up_others)
{
    begin(34);
    give_up_others(&(struct asked){0});
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    CHECK_EQ(21, rounds);
    end();
}

/* Also when a connection ends, with whose streams all of them are told. */
TEST(an_event_may_give_up_others_at_the_end)
{
    begin(35);
    for (int i = 0; i < 10; i++)
        ask(HOLD, STR(""))->then = give_up_others;
    rounds = 20;
    run_held(10);
    quic_conn_close(conn, 1);
    run_ms(100);
    end();
}

/* It may give itself up while bytes of it are told. */
static void cancel_self(void *ctx, struct rpc_ask *ask, struct str bytes)
{
    (void)bytes;
    ((struct asked *)ctx)->ask = NULL;
    told_count++;
    rpc_cancel(ask);
}

TEST(an_event_may_give_up_its_own)
{
    static const struct rpc_ask_events ev = {.answered = on_answered, .more = cancel_self};
    begin(36);
    struct rpc_request r = request(FLOOD, STR("20000000"));
    IGNORE(ask_with(&r, &ev));
    run_ms(500);
    CHECK_EQ(1, told_count);
    CHECK_EQ(1, gone_count);
    end();
}

/* Freed with calls on both sides: nothing is told, nothing is left (the sanitizer looks). */
TEST(all_is_freed_in_the_middle)
{
    static char body[8 * MIB];
    begin(37);
    IGNORE(ask(HOLD, STR("x")));
    IGNORE(ask(DUPLEX, STR("")));
    IGNORE(ask(ECHO, (struct str){body, sizeof body}));
    run_held(2);
    CHECK(rpc_view(a->r).asks == 3 && rpc_view(b->r).calls == 3);
    rpc_net_done(&net);
    CHECK_EQ(0, told_count + gone_count);
    for (size_t i = 0; i < asked_count; i++) {
        buf_done(&asked[i].answer);
        buf_done(&asked[i].more);
    }
}
