/* The parts of an endpoint that stand alone: addresses, ids, the send queue, the gate. */
#include <netinet/in.h>
#include <stdlib.h>

#include "base/units.h"
#include "quic/addr.h"
#include "quic/cid.h"
#include "quic/gate.h"
#include "quic/sendq.h"
#include "support/prop.h"
#include "support/tap.h"

static void round_trip(const char *text)
{
    struct quic_addr a, b;
    struct sockaddr_storage sa;
    char out[QUIC_ADDR_TEXT_MAX];
    CHECK(quic_addr_parse(str_from(text), &a));
    quic_addr_format(&a, out);
    CHECK_STR(text, out);
    socklen_t len = quic_addr_to_sys(&a, a.ip.family, &sa);
    CHECK(quic_addr_from_sys((struct sockaddr *)&sa, len, &b));
    CHECK(quic_addr_eq(&a, &b));
    CHECK(!quic_addr_from_sys((struct sockaddr *)&sa, len - 1, &b));
}

TEST(addresses_are_read_and_written)
{
    round_trip("10.0.0.1:7001");
    round_trip("[fe80::1]:1");
    round_trip("[::]:65535");
}

TEST(bad_addresses_are_refused)
{
    static const char *const bad[] = {"",        "10.0.0.1",     "10.0.0.1:",       "10.0.0.1:0",
                                      "::1:700", "10.0.0.1:x",   "10.0.0.1:65536",  "[::1]",
                                      "[::1",    "[10.0.0.1]:1", "name.example:80", ":7001"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct quic_addr a = {.port = 9};
        CHECK(!quic_addr_parse(str_from(bad[i]), &a));
        CHECK_EQ(9, a.port);
    }
}

/* What a socket of IPv6 tells of a peer with IPv4. */
TEST(mapped_addresses_are_of_ipv4)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(5)};
    struct quic_addr a;
    char out[QUIC_ADDR_TEXT_MAX];
    memcpy(in6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1", 16);
    CHECK(quic_addr_from_sys((struct sockaddr *)&in6, sizeof in6, &a));
    quic_addr_format(&a, out);
    CHECK_STR("10.0.0.1:5", out);
}

TEST(ids_find_their_owner)
{
    static struct cid_map m;
    struct list x, y;
    struct cid a = cid_from("aaaaaaaa", 8), b = cid_from("bbbbbbbb", 8), e = cid_from("", 0);
    struct cid prefix = cid_from("aaaaaaa", 7);
    cid_map_init(&m, (const uint8_t *)"0123456789abcdef");
    list_init(&x);
    list_init(&y);
    cid_put(&m, &a, &x);
    cid_put(&m, &b, &x);
    cid_put(&m, &e, &y);
    CHECK(cid_find(&m, &a) == &x && cid_find(&m, &b) == &x && cid_find(&m, &e) == &y);
    CHECK(cid_find(&m, &prefix) == NULL);
    cid_put(&m, &b, &y); /* it goes over */
    CHECK(cid_find(&m, &b) == &y);
    cid_take(&m, &prefix);
    cid_take_all(&m, &y);
    CHECK(cid_find(&m, &b) == NULL && list_empty(&y));
    CHECK_EQ(1, m.count);
    cid_take(&m, &a);
    CHECK(list_empty(&x));
}

/* Against a plain array: what is peeked at is what was written, and it stays in place until acknowledged. */
static void sendq_as_array(struct tape *t)
{
    enum { ALL = 40000 };
    static uint8_t all[ALL];
    struct sendq_pool pool = {0};
    struct sendq q;
    size_t end = 0, sent = 0, acked = 0;
    sendq_init(&q);
    for (size_t i = 0; i < ALL; i++)
        all[i] = (uint8_t)(i * 31 + (i >> 7));
    for (int step = 0; step < 60; step++) {
        size_t n;
        struct iovec vec[3];
        switch (draw_below(t, 3)) {
        case 0:
            n = draw_below(t, MIN(ALL - end, 9000) + 1);
            sendq_write(&q, &pool, all + end, n);
            end += n;
            break;
        case 1: {
            size_t count = sendq_peek(&q, vec, 3), offered = 0;
            for (size_t i = 0; i < count; i++) {
                CHECK(vec[i].iov_len > 0);
                CHECK(memcmp(vec[i].iov_base, all + sent + offered, vec[i].iov_len) == 0);
                offered += vec[i].iov_len;
            }
            CHECK(offered <= end - sent && (offered == end - sent || count == 3));
            n = draw_below(t, offered + 1);
            sendq_sent(&q, n);
            sent += n;
            break;
        }
        default:
            acked += draw_below(t, sent - acked + 1);
            sendq_acked(&q, &pool, acked);
            break;
        }
        CHECK_EQ(end - acked, sendq_held(&q));
    }
    sendq_done(&q, &pool);
    CHECK(pool.spare_count <= SENDQ_SPARE_MAX);
    sendq_pool_done(&pool);
}

TEST(the_send_queue_keeps_bytes)
{
    prop_run(sendq_as_array, 1, 200);
}

static struct gate gate_of(uint32_t half_open_max, uint32_t retry_above, uint32_t per_source_s)
{
    struct gate g = {
        .half_open_max = half_open_max, .retry_above = retry_above, .per_source_s = per_source_s};
    gate_init(&g, (const uint8_t *)"0123456789abcdef");
    return g;
}

TEST(the_gate_checks_addresses_under_load)
{
    struct gate g = gate_of(10, 5, 1000);
    struct quic_addr a;
    CHECK(quic_addr_parse(STR("10.0.0.1:1"), &a));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &a, 4, false, 1));
    CHECK_EQ(GATE_RETRY, gate_ask(&g, &a, 5, false, 1));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &a, 9, true, 1));
    CHECK_EQ(GATE_DROP, gate_ask(&g, &a, 10, true, 1));
}

TEST(the_gate_counts_by_source)
{
    struct gate g = gate_of(100, 50, 2);
    struct quic_addr a, b, same;
    uint64_t s = UNITS_NS_PER_S;
    CHECK(quic_addr_parse(STR("[2001:db8::1]:1"), &a));
    CHECK(quic_addr_parse(STR("[2001:db8::9:1]:2"), &same));
    CHECK(quic_addr_parse(STR("[2001:db8:0:1::1]:1"), &b));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &a, 0, false, s));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &same, 0, false, s));
    CHECK_EQ(GATE_RETRY, gate_ask(&g, &a, 0, false, s));
    CHECK_EQ(GATE_DROP, gate_ask(&g, &a, 0, true, s));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &b, 0, false, s));
    CHECK_EQ(GATE_TAKE, gate_ask(&g, &a, 0, false, s + s / 2));
    CHECK_EQ(GATE_DROP, gate_ask(&g, &a, 0, true, s + s / 2));
}
