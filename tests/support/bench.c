#include "support/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "os/clock_os.h"

enum { FILE_BYTES = 16 << 20, WRITE_MAX = 4096 };

void bench_check(enum status s, const struct fault *why)
{
    if (s == ST_OK)
        return;
    (void)fprintf(stderr, "error: %s\n", why->text);
    exit(1);
}

double bench_disk_rate(struct disk *d, size_t size, uint64_t for_ms)
{
    static const char bytes[WRITE_MAX];
    struct disk_file *f;
    struct fault why;
    require(size > 0 && size <= sizeof bytes);
    bench_check(d->open(d, "alone", true, &f, &why), &why);
    bench_check(d->allocate(d, f, FILE_BYTES, &why), &why);
    bench_check(d->sync(d, f, &why), &why);
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), end = from + for_ms * UNITS_NS_PER_MS, count = 0,
             at = 0;
    for (; clock_os_ns(CLOCK_MONOTONIC) < end; count++) {
        bench_check(d->write(d, f, at, bytes, size, &why), &why);
        bench_check(d->sync(d, f, &why), &why);
        at = at + 2 * size > FILE_BYTES ? 0 : at + size;
    }
    double seconds = (double)(clock_os_ns(CLOCK_MONOTONIC) - from) / UNITS_NS_PER_S;
    d->close(d, f);
    return (double)count / seconds;
}

void bench_add(struct bench_series *s, double rate, double disk_before, double disk_after)
{
    require(s->count < BENCH_ROUNDS_MAX);
    s->rate[s->count] = rate;
    s->ratio[s->count++] = 2 * rate / (disk_before + disk_after);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *value, size_t count)
{
    require(count > 0);
    qsort(value, count, sizeof *value, by_size);
    return value[count / 2];
}

void bench_print(const char *name, struct bench_series *s)
{
    printf("%s %.0f /s %.2f\n", name, median(s->rate, s->count), median(s->ratio, s->count));
}
