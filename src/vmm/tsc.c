#include "vmm/tsc.h"

#include <time.h>

#ifdef __x86_64__
#include <x86intrin.h>

enum { SAMPLES = 16, SPAN_NS = 20 * 1000 * 1000 };

struct sample {
    uint64_t ns, ticks;
};

static uint64_t raw_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* The tightest of several: being descheduled in the middle widens a sample, it cannot narrow it. */
static struct sample take(void)
{
    struct sample best = {0};
    uint64_t best_width = UINT64_MAX;
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t before = __rdtsc(), ns = raw_ns(), width = __rdtsc() - before;
        if (width < best_width) {
            best_width = width;
            best = (struct sample){.ns = ns, .ticks = before + width / 2};
        }
    }
    return best;
}

enum status tsc_measure_khz(uint32_t *ret_khz, struct fault *why)
{
    struct sample a = take();
    (void)nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
    struct sample b = take();
    if (b.ns <= a.ns || b.ticks <= a.ticks)
        return fault_set(why, ST_UNSUPPORTED, "the time stamp counter does not run forward");
    /* No overflow while the span is below an hour. */
    uint64_t khz = (b.ticks - a.ticks) * 1000000 / (b.ns - a.ns);
    if (khz < 100000 || khz > 20000000)
        return fault_set(why, ST_UNSUPPORTED, "the time stamp counter runs at no likely rate");
    *ret_khz = (uint32_t)khz;
    return ST_OK;
}
#else
enum status tsc_measure_khz(uint32_t *ret_khz, struct fault *why)
{
    (void)ret_khz;
    return fault_set(why, ST_UNSUPPORTED, "this machine has no time stamp counter");
}
#endif
