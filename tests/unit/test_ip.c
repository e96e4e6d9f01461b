#include <arpa/inet.h>

#include "base/ip.h"
#include "support/prop.h"
#include "support/tap.h"

/* The C library is the oracle, both ways. */
static void agrees_with_libc(struct tape *t)
{
    static const char *const pieces[] = {":", "::", "0", "1", "ab", "ffff", "10.0.0.1", ".", "255"};
    char text[200] = "", out[IP_TEXT_MAX];
    for (uint64_t n = draw_below(t, 16); n > 0; n--)
        strcat(text, pieces[draw_below(t, ARRAY_COUNT(pieces))]);
    struct ip ip = {0};
    uint8_t want[16] = {0};
    int family = inet_pton(AF_INET, text, want) == 1    ? 4
                 : inet_pton(AF_INET6, text, want) == 1 ? 6
                                                        : 0;
    CHECK_EQ(family != 0, ip_parse(str_from(text), &ip));
    CHECK_EQ(family, ip.family);
    CHECK(memcmp(want, ip.byte, 16) == 0);
    ip_format(&ip, out);
    struct ip again = {0};
    CHECK_EQ(family != 0, ip_parse(str_from(out), &again));
    CHECK(memcmp(&again, &ip, sizeof ip) == 0);
}

static void random_v6_comes_back(struct tape *t)
{
    struct ip ip = {.family = 6}, again = {0};
    char out[IP_TEXT_MAX], libc[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < 16; i++)
        ip.byte[i] = draw_below(t, 2) ? 0 : (uint8_t)draw_below(t, 256);
    ip_format(&ip, out);
    CHECK(ip_parse(str_from(out), &again) && memcmp(&again, &ip, sizeof ip) == 0);
    CHECK(inet_ntop(AF_INET6, ip.byte, libc, sizeof libc) != NULL);
    CHECK(ip_parse(str_from(libc), &again) && memcmp(&again, &ip, sizeof ip) == 0);
    if (!strchr(libc, '.')) /* it writes some addresses with an IPv4 tail */
        CHECK_STR(libc, out);
}

TEST(ip_endpoint_is_an_address_and_a_port)
{
    static const char *const good[] = {"0.0.0.0:7003", "127.0.0.1:1", "[::]:65535", "[fe80::1]:80"};
    static const char *const bad[] = {"",           ":",        "7003",        ":7003",
                                      "1.2.3.4",    "1.2.3.4:", "1.2.3.4:0",   "1.2.3.4:65536",
                                      "1.2.3.4:07", "::1:7003", "[1.2.3.4]:1", "[::1]",
                                      "[]:1",       "[::1]:x",  "host:7003",   "1.2.3.4: 7"};
    struct ip_endpoint e = {0};
    char text[IP_ENDPOINT_TEXT_MAX];
    ip_endpoint_format(&e, text);
    CHECK_STR("", text);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK(!ip_endpoint_parse(str_from(bad[i]), &e) && e.port == 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        CHECK(ip_endpoint_parse(str_from(good[i]), &e));
        ip_endpoint_format(&e, text);
        CHECK_STR(good[i], text);
    }
}

TEST(ip_addresses_are_read_as_the_c_library_reads_them)
{
    prop_run(agrees_with_libc, 1, 300);
}

TEST(ip_v6_is_written_as_rfc_5952_says)
{
    prop_run(random_v6_comes_back, 1, 200);
}

TEST(ip_networks_have_no_bits_beyond_their_prefix)
{
    static const char *const good[] = {"10.83.0.0/16", "0.0.0.0/0", "1.2.3.4/32", "128.0.0.0/1"};
    static const char *const bad[] = {"10.83.0.1/16", "10.83.0.0", "10.83.0.0/33", "10.83.0.0/",
                                      "10.83.0/16",   "::/0",      "1.0.0.0/0",    "10.83.0.0/016"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct ip_net n;
        char out[IP_TEXT_MAX];
        CHECK(ip_net_parse(str_from(good[i]), &n));
        ip_net_format(&n, out);
        CHECK_STR(good[i], out);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct ip_net n;
        if (ip_net_parse(str_from(bad[i]), &n))
            tap_fail(__FILE__, __LINE__, "accepted %s", bad[i]);
    }
}
