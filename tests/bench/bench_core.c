/*
 * bench_core: how fast commands are applied and how long the state stands still for a snapshot.
 *
 * usage: bench_core [VMS]   (100000 if left out)
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"

/* What a failed CHECK does here. */
void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    (void)fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* Of this process: other work on the machine does not count. */
static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double rss_mib(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

static void show_rate(const char *what, size_t count, double ms)
{
    printf("%-28s %10.0f /s   %8.2f us each\n", what, (double)count / ms * 1e3,
           ms * 1e3 / (double)count);
}

static void create(struct world *w, size_t count)
{
    struct kit_vm k;
    char name[32];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "vm-%zu", i);
        kit_vm(&k, WORLD_FREE + i, name);
        k.m.start = false;
        CHECK_EQ(ST_OK, world_vm(w, &k));
    }
}

static void report(struct world *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(ST_OK, world_says(w, WORLD_FREE + i, PB__VM_PHASE__VM_PREPARED, true));
}

static void snapshot(struct world *w, struct buf *bytes)
{
    double start = now_ms();
    struct cluster_snapshot *s = cluster_snapshot_new(w->c, 1);
    printf("%-28s %10.2f ms\n", "snapshot taken in", now_ms() - start);
    start = now_ms();
    double worst = 0;
    for (bool more = true; more;) {
        double t = now_ms();
        more = cluster_snapshot_next(s, 256 << 10, bytes);
        double took = now_ms() - t;
        worst = took > worst ? took : worst;
    }
    printf("%-28s %10.2f ms, %.1f MiB, longest piece %.2f ms\n", "snapshot written in",
           now_ms() - start, (double)bytes->len / 1048576, worst);
    start = now_ms();
    cluster_snapshot_free(s);
    printf("%-28s %10.2f ms\n", "snapshot freed in", now_ms() - start);
}

static void restore(const struct cluster *was, struct str bytes)
{
    double start = now_ms();
    struct cluster_restore *r = cluster_restore_new();
    struct cluster *c = NULL;
    uint64_t term;
    CHECK_EQ(ST_OK, cluster_restore_add(r, bytes, NULL));
    CHECK_EQ(ST_OK, cluster_restore_end(r, &c, &term, NULL));
    printf("%-28s %10.2f ms\n", "restored in", now_ms() - start);
    CHECK(cluster_hash(c) == cluster_hash(was));
    cluster_free(c);
}

int main(int argc, char **argv)
{
    size_t vms = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 100000;
    struct world w;
    struct buf bytes;
    double rss = rss_mib();
    world_start(&w);
    buf_init(&bytes, (size_t)4 << 30);

    double start = now_ms();
    create(&w, vms);
    show_rate("VMs created", vms, now_ms() - start);
    printf("%-28s %10.1f MiB\n", "memory", rss_mib() - rss);
    start = now_ms();
    report(&w, vms);
    show_rate("VMs reported", vms, now_ms() - start);
    snapshot(&w, &bytes);
    restore(w.c, buf_view(&bytes));
    buf_done(&bytes);
    world_done(&w);
    return 0;
}
