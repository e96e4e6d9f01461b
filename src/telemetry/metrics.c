#include "telemetry/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"

struct series {
    struct list item;
    struct metric *family;
    char labels[METRIC_LABELS_MAX];
    uint64_t count; /* counter; histogram: observations */
    double value;   /* histogram: sum */
    uint64_t buckets[METRIC_BUCKETS_MAX];
};

struct metric {
    struct list item;
    enum metric_type type;
    char *name, *unit, *help;
    double bounds[METRIC_BUCKETS_MAX];
    size_t bound_count;
    struct list series;
    metric_fill *fill;
    void *fill_ctx;
};

struct metrics {
    struct list families;
    size_t count;
};

struct metrics *metrics_new(void)
{
    struct metrics *m = NEW(struct metrics);
    list_init(&m->families);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    LIST_EACH(it, &m->families) {
        struct metric *f = CONTAINER_OF(it, struct metric, item);
        LIST_EACH(si, &f->series)
            free(CONTAINER_OF(si, struct series, item));
        free(f->name);
        free(f->unit);
        free(f->help);
        free(f);
    }
    free(m);
}

static bool is_name(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!(*p >= 'a' && *p <= 'z') && *p != '_' && !(p > name && *p >= '0' && *p <= '9'))
            return false;
    return name[0] != 0;
}

struct metric *metrics_add(struct metrics *m, enum metric_type type, const char *name,
                           const char *unit, const char *help)
{
    require(is_name(name) && m->count < METRICS_MAX);
    require(unit[0] == 0 || str_ends(str_from(name), unit));
    require(!str_ends(str_from(name), "_total"));
    require(help[0] && !strpbrk(help, "\\\"\n")); /* what would need escaping */
    LIST_EACH(it, &m->families)
        require(strcmp(CONTAINER_OF(it, struct metric, item)->name, name) != 0);
    struct metric *f = NEW(struct metric);
    f->type = type;
    f->name = mem_strdup(name);
    f->unit = mem_strdup(unit);
    f->help = mem_strdup(help);
    list_init(&f->series);
    list_push(&m->families, &f->item);
    m->count++;
    return f;
}

void metric_buckets(struct metric *f, const double *bounds, size_t count)
{
    require(f->type == METRIC_HISTOGRAM && count <= METRIC_BUCKETS_MAX && list_empty(&f->series));
    for (size_t i = 0; i < count; i++) {
        require(i == 0 || bounds[i] > bounds[i - 1]);
        f->bounds[i] = bounds[i];
    }
    f->bound_count = count;
}

struct series *metric_series(struct metric *f, const char *labels)
{
    require(strlen(labels) < METRIC_LABELS_MAX && !f->fill && f->type != METRIC_GAUGE);
    struct series *s = NEW(struct series);
    s->family = f;
    memcpy(s->labels, labels, strlen(labels) + 1);
    list_push(&f->series, &s->item);
    return s;
}

void series_add(struct series *s, uint64_t n)
{
    require(s->family->type == METRIC_COUNTER);
    s->count += n;
}

void series_observe(struct series *s, double value)
{
    const struct metric *f = s->family;
    require(f->type == METRIC_HISTOGRAM);
    for (size_t i = 0; i < f->bound_count; i++)
        if (value <= f->bounds[i]) {
            s->buckets[i]++;
            break;
        }
    s->count++;
    s->value += value;
}

void metric_on_demand(struct metric *f, metric_fill *fill, void *ctx)
{
    require(f->type != METRIC_HISTOGRAM && list_empty(&f->series));
    f->fill = fill;
    f->fill_ctx = ctx;
}

void metrics_label(struct buf *out, const char *name, const char *value)
{
    buf_fmt(out, "%s%s=\"", out->len ? "," : "", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\\' || *p == '"')
            buf_char(out, '\\');
        if (*p == '\n')
            buf_text(out, "\\n");
        else
            buf_char(out, *p);
    }
    buf_char(out, '"');
}

/* The shortest of the usual forms that reads back as the same number. */
static void put_value(struct buf *out, double value)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        buf_text(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 2) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_text(out, text);
}

static void put_line(struct buf *out, const struct metric *f, const char *suffix,
                     const char *labels, const char *more, double value)
{
    const char *total = f->type == METRIC_COUNTER ? "_total" : "";
    bool any = labels[0] || more[0];
    buf_fmt(out, "%s%s%s%s%s%s%s%s ", f->name, total, suffix, any ? "{" : "", labels,
            labels[0] && more[0] ? "," : "", more, any ? "}" : "");
    put_value(out, value);
    buf_char(out, '\n');
}

void metrics_sample(struct metric *f, struct buf *out, const char *labels, double value)
{
    put_line(out, f, "", labels, "", value);
}

static void put_histogram(struct buf *out, const struct metric *f, const struct series *s)
{
    uint64_t below = 0;
    for (size_t i = 0; i < f->bound_count; i++) {
        below += s->buckets[i];
        struct buf b;
        buf_init(&b, 64);
        buf_fmt(&b, "le=\"%.9g\"", f->bounds[i]);
        put_line(out, f, "_bucket", s->labels, buf_cstr(&b), (double)below);
        buf_done(&b);
    }
    put_line(out, f, "_bucket", s->labels, "le=\"+Inf\"", (double)s->count);
    put_line(out, f, "_sum", s->labels, "", s->value);
    put_line(out, f, "_count", s->labels, "", (double)s->count);
}

/* OpenMetrics names a counter's family without _total, the older text with it. */
static void put_head(struct buf *out, const struct metric *f, bool open_metrics)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *total = f->type == METRIC_COUNTER && !open_metrics ? "_total" : "";
    buf_fmt(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, total, f->help, f->name, total,
            types[f->type]);
    if (open_metrics && f->unit[0])
        buf_fmt(out, "# UNIT %s %s\n", f->name, f->unit);
}

void metrics_text(struct metrics *m, bool open_metrics, struct buf *out)
{
    LIST_EACH(it, &m->families) {
        struct metric *f = CONTAINER_OF(it, struct metric, item);
        put_head(out, f, open_metrics);
        if (f->fill)
            f->fill(f->fill_ctx, f, out);
        LIST_EACH(si, &f->series) {
            const struct series *s = CONTAINER_OF(si, struct series, item);
            if (f->type == METRIC_HISTOGRAM)
                put_histogram(out, f, s);
            else
                put_line(out, f, "", s->labels, "", (double)s->count);
        }
    }
    if (open_metrics)
        buf_text(out, "# EOF\n");
}
