#include "daemon/resolv.h"
#include "support/tap.h"

TEST(resolv_takes_what_a_guest_can_reach)
{
    uint32_t got[3];
    size_t count = 9;
    resolv_parse(
        STR("# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver\t10.0.0.1\n"
            "search example\nnameserver fe80::1\nnameserver 10.0.0.2 \nnameserver nonsense\n"
            "nameserver 10.0.0.3\nnameserver 10.0.0.4"),
        got, 3, &count);
    CHECK_EQ(3, count);
    CHECK_EQ(0x0a000001, got[0]);
    CHECK_EQ(0x0a000003, got[2]);
    resolv_parse(STR(""), got, 3, &count);
    CHECK_EQ(0, count);
}
