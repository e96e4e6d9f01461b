/* How often an address may fail. */
#include <stdlib.h>

#include "base/rng.h"
#include "http/guard.h"
#include "support/tap.h"

static const uint8_t seed[16] = "a seed of a test";

static struct ip address(const char *text)
{
    struct ip ip;
    CHECK(ip_parse(str_from(text), &ip));
    return ip;
}

static struct guard *new_guard(void)
{
    struct guard *g = NEW(struct guard);
    guard_init(g, seed);
    return g;
}

static void fail(struct guard *g, const struct ip *from, unsigned count, uint64_t now_ms)
{
    for (unsigned i = 0; i < count; i++)
        guard_failed(g, from, now_ms);
}

TEST(guard_lets_ten_fail_and_then_one_each_six_seconds)
{
    AUTO(auto_free) struct guard *g = new_guard();
    struct ip a = address("192.0.2.1");
    fail(g, &a, 9, 1000);
    CHECK_EQ(0, guard_wait_ms(g, &a, 1000));
    fail(g, &a, 1, 1000);
    CHECK_EQ(6000, guard_wait_ms(g, &a, 1000));
    CHECK_EQ(1, guard_wait_ms(g, &a, 6999));
    CHECK_EQ(0, guard_wait_ms(g, &a, 7000));
    fail(g, &a, 1, 7000);
    CHECK_EQ(6000, guard_wait_ms(g, &a, 7000));
    CHECK_EQ(0, guard_wait_ms(g, &a, 100000)); /* in the end all is forgiven */
    fail(g, &a, 9, 100000);
    CHECK_EQ(0, guard_wait_ms(g, &a, 100000));
}

TEST(guard_keeps_addresses_apart_but_not_those_of_one_network)
{
    AUTO(auto_free) struct guard *g = new_guard();
    struct ip a = address("192.0.2.1"), b = address("192.0.2.2");
    struct ip six = address("2001:db8::1"), near = address("2001:db8::ffff:1"),
              far = address("2001:db8:0:1::1");
    fail(g, &a, 20, 0);
    CHECK(guard_wait_ms(g, &a, 0) > 0);
    CHECK_EQ(0, guard_wait_ms(g, &b, 0));
    fail(g, &six, 20, 0);
    CHECK(guard_wait_ms(g, &near, 0) > 0);
    CHECK_EQ(0, guard_wait_ms(g, &far, 0));
}

/* One that fails again and again is not forgotten for many that fail once. */
TEST(guard_forgets_who_failed_least)
{
    AUTO(auto_free) struct guard *g = new_guard();
    struct ip bad = address("192.0.2.1"), other = address("198.51.100.1");
    struct rng r = {1};
    fail(g, &bad, 10, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = rng_next(&r);
        for (int k = 0; k < 4; k++)
            other.byte[k] = (uint8_t)(v >> (8 * k));
        guard_failed(g, &other, 0);
    }
    CHECK(guard_wait_ms(g, &bad, 0) > 0);
}
