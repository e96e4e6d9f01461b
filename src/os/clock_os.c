#include "os/clock_os.h"

uint64_t clock_os_ns(clockid_t clock)
{
    struct timespec t;
    ensure(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t clock_os_now_ms(void)
{
    return clock_os_ns(CLOCK_MONOTONIC) / 1000000;
}

static uint64_t now_ms(struct clock *c)
{
    (void)c;
    return clock_os_now_ms();
}

static uint64_t boot_ms(struct clock *c)
{
    (void)c;
    return clock_os_ns(CLOCK_BOOTTIME) / 1000000;
}

static uint64_t wall_ns(struct clock *c)
{
    (void)c;
    return clock_os_ns(CLOCK_REALTIME);
}

void clock_os_init(struct clock *c)
{
    *c = (struct clock){.now_ms = now_ms, .boot_ms = boot_ms, .wall_ns = wall_ns};
}
