#include "sim/stats.h"

#include <stdio.h>

void stats_take(struct times *t, uint64_t ms)
{
    t->count++;
    t->longest_ms = (uint32_t)MAX((uint64_t)t->longest_ms, ms);
    t->bucket[MIN(ms / TIMES_BUCKET_MS, (uint64_t)TIMES_BUCKETS - 1)]++;
}

static void add_times(struct times *sum, const struct times *t)
{
    sum->count += t->count;
    sum->longest_ms = MAX(sum->longest_ms, t->longest_ms);
    for (size_t i = 0; t->count && i < TIMES_BUCKETS; i++)
        sum->bucket[i] += t->bucket[i];
}

void stats_add(struct stats *sum, const struct stats *s)
{
#define X(name, text) sum->name += s->name;
    STATS_TABLE(X)
#undef X
#define X(name, text) add_times(&sum->name, &s->name);
    STATS_TIMES_TABLE(X)
#undef X
}

/* The end of the bucket within which so many per mille lie. */
static unsigned quantile_ms(const struct times *t, unsigned per_mille)
{
    uint64_t want = ((uint64_t)t->count * per_mille + 999) / 1000, seen = 0;
    unsigned i = 0;
    while (i < TIMES_BUCKETS - 1 && (seen += t->bucket[i]) < want)
        i++;
    return (i + 1) * TIMES_BUCKET_MS;
}

static void print_times(const struct times *t, const char *text)
{
    if (t->count)
        (void)printf("%s: %u times, median %u ms, p99 %u ms, longest %u ms\n", text, t->count,
                     quantile_ms(t, 500), quantile_ms(t, 990), t->longest_ms);
}

void stats_print(const struct stats *s, uint64_t seeds)
{
    (void)printf("%" PRIu64 " seeds:", seeds);
    const char *before = " ";
#define X(name, text) \
    if (s->name)      \
        (void)printf("%s%" PRIu64 " " text, before, s->name), before = ", ";
    STATS_TABLE(X)
#undef X
    (void)printf("\n");
#define X(name, text) print_times(&s->name, text);
    STATS_TIMES_TABLE(X)
#undef X
}
