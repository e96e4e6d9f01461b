#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/tap.h"
#include "telemetry/metrics.h"

static void fill(void *ctx, struct metric *f, struct buf *out)
{
    (void)ctx;
    AUTO(buf_done) struct buf labels;
    buf_init(&labels, 100);
    metrics_label(&labels, "vm", "a\"b\\c");
    metrics_label(&labels, "project", "default");
    metrics_sample(f, out, buf_cstr(&labels), 1.5);
}

static void fill_memory(void *ctx, struct metric *f, struct buf *out)
{
    (void)ctx;
    metrics_sample(f, out, "", 1048576);
}

static struct metrics *example(void)
{
    static const double bounds[] = {0.001, 0.01, 0.1};
    struct metrics *m = metrics_new();
    struct metric *c =
        metrics_add(m, METRIC_COUNTER, "blixard_api_requests", "", "Requests answered");
    series_add(metric_series(c, "code=\"200\""), 3);
    series_add(metric_series(c, "code=\"404\""), 1);
    struct metric *g = metrics_add(m, METRIC_GAUGE, "blixard_node_memory_bytes", "bytes", "Memory");
    metric_on_demand(g, fill_memory, NULL);
    struct metric *h = metrics_add(m, METRIC_HISTOGRAM, "blixard_journal_sync_seconds", "seconds",
                                   "Time of one sync");
    metric_buckets(h, bounds, 3);
    struct series *s = metric_series(h, "");
    series_observe(s, 0.0005);
    series_observe(s, 0.01); /* a bound is within its bucket */
    series_observe(s, 7);
    metric_on_demand(metrics_add(m, METRIC_GAUGE, "blixard_vm_cpu_ratio", "ratio", "CPU of a VM"),
                     fill, NULL);
    return m;
}

TEST(metrics_open_metrics_text)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 10000);
    struct metrics *m = example();
    metrics_text(m, true, &out);
    CHECK_STR("# HELP blixard_api_requests Requests answered\n"
              "# TYPE blixard_api_requests counter\n"
              "blixard_api_requests_total{code=\"200\"} 3\n"
              "blixard_api_requests_total{code=\"404\"} 1\n"
              "# HELP blixard_node_memory_bytes Memory\n"
              "# TYPE blixard_node_memory_bytes gauge\n"
              "# UNIT blixard_node_memory_bytes bytes\n"
              "blixard_node_memory_bytes 1048576\n"
              "# HELP blixard_journal_sync_seconds Time of one sync\n"
              "# TYPE blixard_journal_sync_seconds histogram\n"
              "# UNIT blixard_journal_sync_seconds seconds\n"
              "blixard_journal_sync_seconds_bucket{le=\"0.001\"} 1\n"
              "blixard_journal_sync_seconds_bucket{le=\"0.01\"} 2\n"
              "blixard_journal_sync_seconds_bucket{le=\"0.1\"} 2\n"
              "blixard_journal_sync_seconds_bucket{le=\"+Inf\"} 3\n"
              "blixard_journal_sync_seconds_sum 7.0105\n"
              "blixard_journal_sync_seconds_count 3\n"
              "# HELP blixard_vm_cpu_ratio CPU of a VM\n"
              "# TYPE blixard_vm_cpu_ratio gauge\n"
              "# UNIT blixard_vm_cpu_ratio ratio\n"
              "blixard_vm_cpu_ratio{vm=\"a\\\"b\\\\c\",project=\"default\"} 1.5\n"
              "# EOF\n",
              buf_cstr(&out));
    metrics_free(m);
}

TEST(metrics_older_text_names_counters_with_total)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 10000);
    struct metrics *m = example();
    metrics_text(m, false, &out);
    CHECK(strstr(buf_cstr(&out), "# TYPE blixard_api_requests_total counter\n") != NULL);
    CHECK(strstr(buf_cstr(&out), "# EOF") == NULL);
    metrics_free(m);
}

TEST(metrics_text_pleases_promtool)
{
    if (access("/usr/bin/promtool", X_OK) != 0)
        tap_skip("promtool is not installed");
    AUTO(buf_done) struct buf out;
    buf_init(&out, 10000);
    struct metrics *m = example();
    metrics_text(m, false, &out);
    FILE *p = popen("promtool check metrics 2>&1", "w");
    CHECK(p != NULL);
    CHECK_EQ(out.len, fwrite(out.ptr, 1, out.len, p));
    int ws = pclose(p);
    CHECK(WIFEXITED(ws));
    CHECK_EQ(0, WEXITSTATUS(ws));
    metrics_free(m);
}

TEST(metrics_values_are_short_and_exact)
{
    static const struct {
        double value;
        const char *text;
    } all[] = {{0, "x 0\n"},
               {0.1, "x 0.1\n"},
               {1e-9, "x 1e-09\n"},
               {4294967296.0, "x 4294967296\n"},
               {9007199254740991.0, "x 9007199254740991\n"},
               {0.1 + 0.2, "x 0.30000000000000004\n"},
               {INFINITY, "x +Inf\n"},
               {-INFINITY, "x -Inf\n"},
               {NAN, "x NaN\n"}};
    struct metrics *m = metrics_new();
    struct metric *f = metrics_add(m, METRIC_GAUGE, "x", "", "X");
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        AUTO(buf_done) struct buf out;
        buf_init(&out, 100);
        metrics_sample(f, &out, "", all[i].value);
        CHECK_STR(all[i].text, buf_cstr(&out));
    }
    metrics_free(m);
}

TEST_ABORTS(metrics_two_of_one_name)
{
    struct metrics *m = metrics_new();
    (void)metrics_add(m, METRIC_GAUGE, "blixard_x", "", "X");
    (void)metrics_add(m, METRIC_GAUGE, "blixard_x", "", "X");
}
