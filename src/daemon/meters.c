#include "daemon/meters.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/self.h"
#include "telemetry/metrics.h"
#include "wire/schema.h"

enum { ROWS_MAX = 32 };

struct row;

/* A row of the table below, as the context of its family. */
struct reader {
    struct meters *m;
    const struct row *row;
};

/* A family with a series for each VM. */
struct vm_family {
    struct meters *m;
    int value; /* enum vm_value */
};

struct meters {
    struct metrics *metrics;
    struct reader readers[ROWS_MAX];
    struct vm_family vm_families[6];
    struct logger *log;
    bool vm_series;
    struct node *node;
    struct journal_thread *journal;
    struct http *http, *https; /* https: NULL if the API is not on the network */

    struct journal_meter journal_meter;
    struct loop_meter loop_meter;
    struct series *sync_seconds, *batch_requests, *busy_seconds, *late_seconds;
    struct series *requests[6], *request_seconds[2]; /* by first digit of the code; read, write */
};

static const double seconds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                 0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
static const double counts[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

static struct series *histogram(struct meters *m, const char *name, const char *unit,
                                const char *help, const double *bounds, size_t count)
{
    struct metric *f = metrics_add(m->metrics, METRIC_HISTOGRAM, name, unit, help);
    metric_buckets(f, bounds, count);
    return metric_series(f, "");
}

/* --- moved by events --- */

static void on_batch(void *ctx, const struct journal_batch *b)
{
    struct meters *m = ctx;
    series_observe(m->sync_seconds, (double)b->took_ns / 1e9);
    series_observe(m->batch_requests, (double)b->requests);
}

static void on_busy(void *ctx, uint64_t ns)
{
    series_observe(((struct meters *)ctx)->busy_seconds, (double)ns / 1e9);
}

static void on_late(void *ctx, uint64_t ns)
{
    series_observe(((struct meters *)ctx)->late_seconds, (double)ns / 1e9);
}

void meters_request(void *ctx, const struct http_seen *seen)
{
    struct meters *m = ctx;
    unsigned digit = MIN(seen->status / 100, 5u);
    bool writes = seen->op && (seen->op->flags & OP_MUTATES);
    series_add(m->requests[digit], 1);
    if (!seen->op || !(seen->op->flags & (OP_STREAM | OP_SOCKET)))
        series_observe(m->request_seconds[writes], (double)seen->ns / 1e9);
    bool unknown = seen->status == 401;
    enum log_level level = seen->status >= 500 || unknown ? LOG_WARN
                           : writes                       ? LOG_INFO
                                                          : LOG_DEBUG;
    char from[IP_TEXT_MAX];
    ip_format(&seen->from, from);
    LOG(m->log, level, "api.request", F_STR("op", seen->op ? seen->op->name : NULL),
        F_STR("actor", seen->actor[0] ? seen->actor : NULL), F_STR("from", from[0] ? from : NULL),
        F_U64("status", seen->status), F_U64("us", seen->ns / 1000),
        F_STR("err", seen->why ? seen->why->text : NULL));
}

static void add_moved(struct meters *m)
{
    static const char *const codes[] = {"code=\"0xx\"", "code=\"1xx\"", "code=\"2xx\"",
                                        "code=\"3xx\"", "code=\"4xx\"", "code=\"5xx\""};
    struct metric *f;
    m->sync_seconds = histogram(m, "blixard_journal_sync_seconds", "seconds",
                                "Time from a batch being taken to its being durable", seconds,
                                ARRAY_COUNT(seconds));
    m->batch_requests = histogram(m, "blixard_journal_batch_requests", "",
                                  "Requests made durable by one sync", counts, ARRAY_COUNT(counts));
    m->busy_seconds = histogram(m, "blixard_loop_busy_seconds", "seconds",
                                "Time for which one event kept all others waiting", seconds,
                                ARRAY_COUNT(seconds));
    m->late_seconds =
        histogram(m, "blixard_loop_late_seconds", "seconds",
                  "How late timers came, beyond their slack", seconds, ARRAY_COUNT(seconds));
    f = metrics_add(m->metrics, METRIC_COUNTER, "blixard_api_requests", "", "Requests answered");
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++)
        m->requests[i] = metric_series(f, codes[i]);
    f = metrics_add(m->metrics, METRIC_HISTOGRAM, "blixard_api_request_seconds", "seconds",
                    "Time from a request's headers to its answer, without streams");
    metric_buckets(f, seconds, ARRAY_COUNT(seconds));
    m->request_seconds[0] = metric_series(f, "kind=\"read\"");
    m->request_seconds[1] = metric_series(f, "kind=\"write\"");
}

/* --- read when asked --- */

/* Gauges and counters of one number each: a row is a name and how to read it. */
struct row {
    enum metric_type type;
    const char *name, *unit, *help;
    double (*read)(struct meters *m);
};

static double r_term(struct meters *m)
{
    return (double)node_view(m->node).raft.term;
}
static double r_leader(struct meters *m)
{
    return node_view(m->node).raft.role == RAFT_LEADER;
}
static double r_commit(struct meters *m)
{
    return (double)node_view(m->node).raft.commit;
}
static double r_applied(struct meters *m)
{
    return (double)node_view(m->node).raft.applied;
}
static double r_entries(struct meters *m)
{
    struct raft_view v = node_view(m->node).raft;
    return (double)(v.last + 1 - v.first);
}
static double r_proposals(struct meters *m)
{
    return (double)node_view(m->node).proposals;
}
static double r_refused(struct meters *m)
{
    return (double)node_view(m->node).proposals_refused;
}
static double r_timed_out(struct meters *m)
{
    return (double)node_view(m->node).proposals_timed_out;
}
static double r_waiting(struct meters *m)
{
    return (double)node_view(m->node).waiting;
}
static double r_snapshots(struct meters *m)
{
    return (double)node_view(m->node).snapshots;
}
static double r_snapshot_index(struct meters *m)
{
    return (double)node_view(m->node).snapshot_index;
}
static double r_syncs(struct meters *m)
{
    return (double)journal_thread_view(m->journal).syncs;
}
static double r_written(struct meters *m)
{
    return (double)journal_thread_view(m->journal).written_bytes;
}
static double r_segments(struct meters *m)
{
    return (double)journal_thread_view(m->journal).segment_count;
}
static double r_queued(struct meters *m)
{
    return (double)journal_thread_queued(m->journal);
}
static struct http_view network(struct meters *m)
{
    return m->https ? http_view(m->https) : (struct http_view){0};
}
static double r_connections(struct meters *m)
{
    return http_view(m->http).connections + network(m).connections;
}
static double r_feeds(struct meters *m)
{
    return http_view(m->http).feeds + network(m).feeds;
}
static double r_sockets(struct meters *m)
{
    return http_view(m->http).sockets + network(m).sockets;
}
static double r_crowded(struct meters *m)
{
    return (double)network(m).crowded;
}
static double r_strange(struct meters *m)
{
    return (double)network(m).strange;
}
static double r_unknown(struct meters *m)
{
    return (double)network(m).unknown;
}
static double r_images(struct meters *m)
{
    return (double)cluster_count(node_cluster(m->node), OBJECT_IMAGE);
}
static double r_log_lost(struct meters *m)
{
    return (double)log_lost(m->log);
}
static double r_log_suppressed(struct meters *m)
{
    return (double)log_suppressed(m->log);
}
static double r_rss(struct meters *m)
{
    (void)m;
    return self_rss_bytes();
}
static double r_cpu(struct meters *m)
{
    (void)m;
    return self_cpu_seconds();
}
static double r_fds(struct meters *m)
{
    (void)m;
    return self_open_fds();
}
static double r_threads(struct meters *m)
{
    (void)m;
    return self_threads();
}
static double r_start(struct meters *m)
{
    (void)m;
    return self_start_seconds();
}

static const struct row rows[] = {
    {METRIC_GAUGE, "blixard_raft_term", "", "Term of the consensus", r_term},
    {METRIC_GAUGE, "blixard_raft_is_leader", "", "1 on the leader, 0 elsewhere", r_leader},
    {METRIC_GAUGE, "blixard_raft_commit_index", "", "Index of the last committed entry", r_commit},
    {METRIC_GAUGE, "blixard_raft_applied_index", "", "Index of the last applied entry", r_applied},
    {METRIC_GAUGE, "blixard_raft_log_entries", "", "Entries in the log", r_entries},
    {METRIC_COUNTER, "blixard_node_proposals", "", "Commands proposed", r_proposals},
    {METRIC_COUNTER, "blixard_node_proposals_refused", "", "Commands not taken", r_refused},
    {METRIC_COUNTER, "blixard_node_proposals_timed_out", "", "Commands not applied in time",
     r_timed_out},
    {METRIC_GAUGE, "blixard_node_waiting", "", "Proposals and reads that wait", r_waiting},
    {METRIC_COUNTER, "blixard_snapshots", "", "Snapshots made", r_snapshots},
    {METRIC_GAUGE, "blixard_snapshot_index", "", "Index of the newest snapshot", r_snapshot_index},
    {METRIC_COUNTER, "blixard_journal_syncs", "", "Syncs of the journal", r_syncs},
    {METRIC_COUNTER, "blixard_journal_written_bytes", "bytes", "Bytes written to the journal",
     r_written},
    {METRIC_GAUGE, "blixard_journal_segments", "", "Files of the journal", r_segments},
    {METRIC_GAUGE, "blixard_journal_queued_bytes", "bytes", "Bytes that wait for the disk",
     r_queued},
    {METRIC_GAUGE, "blixard_api_connections", "", "Open connections", r_connections},
    {METRIC_GAUGE, "blixard_api_event_streams", "", "Clients that wait for events", r_feeds},
    {METRIC_GAUGE, "blixard_api_sockets", "", "Consoles and processes in use", r_sockets},
    {METRIC_COUNTER, "blixard_api_crowded", "", "Connections closed since their address has many",
     r_crowded},
    {METRIC_COUNTER, "blixard_api_handshakes_failed", "",
     "Connections that ended before TLS was agreed on", r_strange},
    {METRIC_COUNTER, "blixard_api_unauthenticated", "", "Requests without a good token", r_unknown},
    {METRIC_GAUGE, "blixard_images", "", "Images", r_images},
    {METRIC_COUNTER, "blixard_log_lost", "", "Log lines that could not be written", r_log_lost},
    {METRIC_COUNTER, "blixard_log_suppressed", "", "Log lines left out by the rate limit",
     r_log_suppressed},
    {METRIC_GAUGE, "process_resident_memory_bytes", "bytes", "Resident memory", r_rss},
    {METRIC_COUNTER, "process_cpu_seconds", "seconds", "CPU time, user and system", r_cpu},
    {METRIC_GAUGE, "process_open_fds", "", "Open descriptors", r_fds},
    {METRIC_GAUGE, "process_threads", "", "Threads", r_threads},
    {METRIC_GAUGE, "process_start_time_seconds", "seconds", "Start, in seconds since 1970",
     r_start},
};

_Static_assert(ARRAY_COUNT(rows) <= ROWS_MAX, "ROWS_MAX");

static void fill_row(void *ctx, struct metric *f, struct buf *out)
{
    const struct reader *r = ctx;
    double value = r->row->read(r->m);
    if (!isnan(value)) /* not known: no sample */
        metrics_sample(f, out, "", value);
}

static void add_rows(struct meters *m)
{
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        m->readers[i] = (struct reader){m, &rows[i]};
        metric_on_demand(
            metrics_add(m->metrics, rows[i].type, rows[i].name, rows[i].unit, rows[i].help),
            fill_row, &m->readers[i]);
    }
}

/* --- objects --- */

static void fill_build(void *ctx, struct metric *f, struct buf *out)
{
    (void)ctx;
    AUTO(buf_done) struct buf labels;
    buf_init(&labels, METRIC_LABELS_MAX);
    metrics_label(&labels, "version", BLIXARD_VERSION);
    metrics_sample(f, out, buf_cstr(&labels), 1);
}

static void fill_vms(void *ctx, struct metric *f, struct buf *out)
{
    struct meters *m = ctx;
    const ProtobufCEnumDescriptor *e = &pb__vm_phase__descriptor;
    uint64_t count[32] = {0};
    MAP_EACH(cluster_table(node_cluster(m->node), OBJECT_VM), uid, value) {
        const Pb__Vm *vm = object_vm(value);
        unsigned phase = vm->status && vm->status->has_phase ? (unsigned)vm->status->phase : 0;
        if (phase < ARRAY_COUNT(count))
            count[phase]++;
    }
    for (unsigned i = 0; i < e->n_values; i++) {
        AUTO(buf_done) struct buf labels;
        buf_init(&labels, METRIC_LABELS_MAX);
        int phase = e->values[i].value;
        metrics_label(&labels, "phase", schema_word(e, phase));
        metrics_sample(f, out, buf_cstr(&labels), (double)count[phase]);
    }
}

/* Which of a VM's measurements a family shows. */
enum vm_value { VM_CPU, VM_MEMORY, VM_READ, VM_WRITTEN, VM_RECEIVED, VM_SENT, VM_VALUE_COUNT };

static const struct {
    enum metric_type type;
    const char *name, *unit, *help;
    double scale;
} vm_values[VM_VALUE_COUNT] = {
    [VM_CPU] = {METRIC_COUNTER, "blixard_vm_cpu_seconds", "seconds", "CPU time of a VM", 1e-9},
    [VM_MEMORY] = {METRIC_GAUGE, "blixard_vm_memory_bytes", "bytes", "Memory of a VM", 1},
    [VM_READ] = {METRIC_COUNTER, "blixard_vm_disk_read_bytes", "bytes", "Read from disks", 1},
    [VM_WRITTEN] = {METRIC_COUNTER, "blixard_vm_disk_written_bytes", "bytes", "Written to disks",
                    1},
    [VM_RECEIVED] = {METRIC_COUNTER, "blixard_vm_network_received_bytes", "bytes",
                     "Received by a VM", 1},
    [VM_SENT] = {METRIC_COUNTER, "blixard_vm_network_sent_bytes", "bytes", "Sent by a VM", 1},
};

static uint64_t pick(const struct vmm_stats *s, enum vm_value v)
{
    switch (v) {
    case VM_CPU: return s->cpu_ns;
    case VM_MEMORY: return s->rss_bytes;
    case VM_READ: return s->read_bytes;
    case VM_WRITTEN: return s->write_bytes;
    case VM_RECEIVED: return s->rx_bytes;
    case VM_SENT: return s->tx_bytes;
    case VM_VALUE_COUNT: break;
    }
    defs_unreachable("measurement of a VM");
}

static void fill_vm(void *ctx, struct metric *f, struct buf *out)
{
    const struct vm_family *family = ctx;
    struct vmm *vmm = node_vmm(family->m->node);
    if (!family->m->vm_series)
        return;
    MAP_EACH(cluster_table(node_cluster(family->m->node), OBJECT_VM), uid, value) {
        const Pb__Meta *meta = object_meta(value);
        struct vmm_stats stats;
        if (vmm->stats(vmm, meta->uid, &stats) != ST_OK)
            continue;
        uint64_t v = pick(&stats, (enum vm_value)family->value);
        if (v == UINT64_MAX) /* not known: no sample */
            continue;
        AUTO(buf_done) struct buf labels;
        buf_init(&labels, METRIC_LABELS_MAX);
        metrics_label(&labels, "vm", meta->name);
        metrics_label(&labels, "project", meta->project);
        metrics_sample(f, out, buf_cstr(&labels), (double)v * vm_values[family->value].scale);
    }
}

static void add_objects(struct meters *m)
{
    metric_on_demand(metrics_add(m->metrics, METRIC_GAUGE, "blixard_build_info", "",
                                 "1, with what runs as labels"),
                     fill_build, m);
    metric_on_demand(metrics_add(m->metrics, METRIC_GAUGE, "blixard_vms", "", "VMs by phase"),
                     fill_vms, m);
    for (int v = 0; v < VM_VALUE_COUNT; v++) {
        m->vm_families[v] = (struct vm_family){m, v};
        metric_on_demand(metrics_add(m->metrics, vm_values[v].type, vm_values[v].name,
                                     vm_values[v].unit, vm_values[v].help),
                         fill_vm, &m->vm_families[v]);
    }
}

/* --- life --- */

struct meters *meters_new(struct loop *l, bool vm_series, struct logger *log)
{
    struct meters *m = NEW(struct meters);
    m->metrics = metrics_new();
    m->log = log;
    m->vm_series = vm_series;
    m->journal_meter = (struct journal_meter){on_batch, m};
    m->loop_meter = (struct loop_meter){on_busy, on_late, m};
    add_moved(m);
    add_rows(m);
    add_objects(m);
    loop_measure(l, &m->loop_meter);
    return m;
}

void meters_free(struct meters *m)
{
    if (!m)
        return;
    metrics_free(m->metrics);
    free(m);
}

void meters_watch(struct meters *m, struct node *n, struct journal_thread *j, struct http *h,
                  struct http *https)
{
    m->node = n;
    m->journal = j;
    m->http = h;
    m->https = https;
}

void meters_show_vms(struct meters *m, bool vm_series)
{
    m->vm_series = vm_series;
}

const struct journal_meter *meters_journal(struct meters *m)
{
    return &m->journal_meter;
}

void meters_text(void *ctx, bool open_metrics, struct buf *out)
{
    metrics_text(((struct meters *)ctx)->metrics, open_metrics, out);
}
