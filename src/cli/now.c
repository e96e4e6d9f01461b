#include "cli/now.h"

#include <limits.h>

#include "os/clock_os.h"

uint64_t now_ms(void)
{
    struct clock c;
    clock_os_init(&c);
    return c.now_ms(&c);
}

uint64_t now_wall_ns(void)
{
    struct clock c;
    clock_os_init(&c);
    return c.wall_ns(&c);
}

uint64_t now_plus(uint64_t ms)
{
    uint64_t now = now_ms();
    return ms > NEVER - now ? NEVER : now + ms;
}

int now_until(uint64_t deadline_ms)
{
    uint64_t now = now_ms();
    if (deadline_ms == NEVER)
        return -1;
    return deadline_ms > now ? (int)MIN(deadline_ms - now, (uint64_t)INT_MAX) : 0;
}
