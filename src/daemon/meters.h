/*
 * meters: what the daemon measures of itself, and its text for Prometheus.
 *
 * Counters and histograms are moved by the adapters' events; gauges are read while the text is
 * written, so that measuring costs nothing while nobody asks.
 */
#pragma once

#include "http/http.h"
#include "journal/journal_thread.h"
#include "node/node.h"
#include "telemetry/log.h"

struct meters;

/* log: kept; requests are logged there. vm_series: have series of each VM. */
struct meters *meters_new(struct loop *l, bool vm_series, struct logger *log);
void meters_free(struct meters *m); /* NULL is fine */

/* What the gauges read; kept. */
void meters_watch(struct meters *m, struct node *n, struct journal_thread *j, struct http *h,
                  struct http *https);

void meters_show_vms(struct meters *m, bool vm_series);

const struct journal_meter *meters_journal(struct meters *m);
void meters_request(void *ctx, const struct http_seen *seen); /* ctx: struct meters */
void meters_text(void *ctx, bool open_metrics, struct buf *out);
