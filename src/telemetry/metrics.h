/*
 * metrics: counters, gauges and histograms, and their text for Prometheus.
 *
 * Names are those of the field: base units, `_total` for counters, no node in them. Labels are few and
 * bounded: each series is made beforehand, or, for those that come and go with an object, given while
 * the text is written (metrics_sample). Not thread-safe: it belongs to the loop's thread.
 *
 * Texts: Prometheus exposition format 0.0.4 and OpenMetrics 1.0.
 */
#pragma once

#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum { METRIC_BUCKETS_MAX = 20, METRIC_LABELS_MAX = 256, METRICS_MAX = 256 };

struct metrics;
struct metric; /* a family of series */
struct series; /* one of them */

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/*
 * name   "blixard_raft_commits" (counters get _total by themselves); a-z, 0-9, _. Unique.
 * unit   "seconds", "bytes", "ratio", or ""; the name must end with it.
 * help   one sentence without a full stop.
 */
struct metric *metrics_add(struct metrics *m, enum metric_type type, const char *name,
                           const char *unit, const char *help);
/* Upper bounds of a histogram, ascending; +Inf comes by itself. Before its first series. */
void metric_buckets(struct metric *f, const double *bounds, size_t count);
/* Of a counter or histogram. labels: as they are written: `state="running"`, or "". */
struct series *metric_series(struct metric *f, const char *labels);

void series_add(struct series *s, uint64_t n);       /* counter */
void series_observe(struct series *s, double value); /* histogram */

/* Gauges and counters whose values are asked for when the text is written: `fill` calls metrics_sample for each
 * series that there is at that moment. */
typedef void metric_fill(void *ctx, struct metric *f, struct buf *out);
void metric_on_demand(struct metric *f, metric_fill *fill, void *ctx);
void metrics_sample(struct metric *f, struct buf *out, const char *labels, double value);

/* A label value with what must be escaped escaped: append `name="value"`. */
void metrics_label(struct buf *out, const char *name, const char *value);

void metrics_text(struct metrics *m, bool open_metrics, struct buf *out);
