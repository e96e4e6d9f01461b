#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "vmm/process.h"
#include "vmm/vm.h"

enum {
    FRESH_MS = 2000,
    BLOCKSTATS_TIMEOUT_MS = 10000,
    NET_FRESH_MS = 500,
    NET_TABLE_MAX = 4 << 20,
    RECEIVED = 0, /* bytes, among the fields of /proc/net/dev */
    TRANSMITTED = 8,
};

/* What was last measured; taken by asking monitor and agent, and only when somebody wants to know. */
struct vm_measured {
    uint64_t asked_ms;
    struct agent_channel *channel; /* the agent is being asked */
    uint64_t read_bytes, write_bytes;
    struct agent_stats agent;
};

static struct vm_measured *measured(struct vm *vm)
{
    if (vm->measured)
        return vm->measured;
    struct vm_measured *m = NEW(struct vm_measured);
    m->read_bytes = m->write_bytes = UINT64_MAX;
#define X(field, what) m->agent.field = AGENT_UNKNOWN;
    AGENT_STATS_TABLE(X)
#undef X
    return vm->measured = m;
}

void vm_measured_done(struct vm *vm)
{
    if (vm->measured && vm->measured->channel)
        agent_channel_close(vm->measured->channel);
    free(vm->measured);
    vm->measured = NULL;
}

/* ---- monitor ---- */

static uint64_t number(const json_t *stats, const char *name)
{
    json_int_t v = json_integer_value(json_object_get(stats, name));
    return v > 0 ? (uint64_t)v : 0;
}

static void on_blockstats(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct vm *vm = ctx;
    (void)why;
    if (s != ST_OK)
        return;
    uint64_t read = 0, written = 0;
    size_t i;
    const json_t *device;
    json_array_foreach((json_t *)(uintptr_t)result, i, device)
    {
        const json_t *stats = json_object_get(device, "stats");
        read += number(stats, "rd_bytes");
        written += number(stats, "wr_bytes");
    }
    measured(vm)->read_bytes = read;
    measured(vm)->write_bytes = written;
}

/* ---- agent ---- */

static void on_agent_data(void *ctx, enum agent_type type, struct str bytes)
{
    (void)ctx;
    (void)type;
    (void)bytes;
}

static void on_agent_writable(void *ctx)
{
    (void)ctx;
}

static void on_agent_stats(void *ctx, enum status s, const struct fault *why,
                           const struct agent_frame *last)
{
    struct vm *vm = ctx;
    struct agent_stats stats;
    (void)why;
    vm->measured->channel = NULL;
    if (s == ST_OK && agent_get_stats(last->payload, &stats, NULL) == ST_OK)
        vm->measured->agent = stats;
}

static const struct agent_channel_events agent_events = {on_agent_data, on_agent_writable,
                                                         on_agent_stats};

void vm_measure(struct vm *vm)
{
    struct vm_measured *m = measured(vm);
    struct clock *c = vm->q->clock;
    uint64_t now = c->now_ms(c);
    if (m->asked_ms && now - m->asked_ms < FRESH_MS)
        return;
    m->asked_ms = now;
    if (vm->qmp && vm->spoke)
        (void)!qmp_run(vm->qmp, "query-blockstats", NULL, BLOCKSTATS_TIMEOUT_MS, on_blockstats, vm,
                       NULL);
    if (vm->agent && !m->channel && !vm->paused)
        (void)!agent_link_stats(vm->agent, &agent_events, vm, &m->channel, NULL);
}

/* ---- the kernel's own counts ---- */

/* One reading of the kernel's table serves all VMs that are asked about at the same time. */
static struct str net_table(struct qemu *q)
{
    uint64_t now = q->clock->now_ms(q->clock);
    if (!q->net_table.len || now - q->net_table_ms >= NET_FRESH_MS) {
        q->net_table_ms = now;
        buf_done(&q->net_table);
        buf_init(&q->net_table, NET_TABLE_MAX);
        (void)!file_read(AT_FDCWD, "/proc/self/net/dev", &q->net_table, NULL);
    }
    return buf_view(&q->net_table);
}

/* What follows "bx0-7:" in the table, which pads short names with spaces; empty when it is not there. */
static struct str find_device(struct str table, const char *name)
{
    size_t len = strlen(name);
    struct str line;
    while (table.len) {
        (void)str_cut(&table, '\n', &line);
        line = str_trim(line);
        if (line.len > len && memcmp(line.ptr, name, len) == 0 && line.ptr[len] == ':')
            return (struct str){line.ptr + len + 1, line.len - len - 1};
    }
    return (struct str){"", 0};
}

/* One of its numbers; UINT64_MAX when there is none. */
static uint64_t tap_field(struct vm *vm, size_t index)
{
    char name[HOST_TAP_MAX + 16];
    uint64_t v = UINT64_MAX;
    (void)snprintf(name, sizeof name, "%s%" PRIu32, vm->q->host->facts.tap_prefix, vm->rec.slot);
    struct str rest = find_device(net_table(vm->q), name), word = {"", 0};
    for (size_t i = 0; i <= index; i++) {
        rest = str_trim(rest);
        (void)str_cut(&rest, ' ', &word);
    }
    return str_u64(word, 0, UINT64_MAX, &v, NULL) == ST_OK ? v : UINT64_MAX;
}

static uint64_t kib(uint64_t v)
{
    return v == AGENT_UNKNOWN ? UINT64_MAX : v * 1024;
}

enum status vm_stats(struct vmm *v, const char *uid, struct vmm_stats *ret)
{
    struct vm *vm = vm_find((struct qemu *)v, uid);
    if (!vm || vm->state != VM_IS_UP)
        return ST_NOT_FOUND;
    struct process_usage use;
    process_usage(vm->monitor.pid, &use);
    const struct vm_measured *m = measured(vm);
    bool tap = vm->rec.tap;
    *ret = (struct vmm_stats){
        .cpu_ns = use.cpu_ns,
        .rss_bytes = use.rss_bytes,
        .read_bytes = m->read_bytes,
        .write_bytes = m->write_bytes,
        /* The tap's two directions are the host's: what it sends, the guest receives. */
        .rx_bytes = tap ? tap_field(vm, TRANSMITTED) : m->agent.net_rx_bytes,
        .tx_bytes = tap ? tap_field(vm, RECEIVED) : m->agent.net_tx_bytes,
        .guest_mem_total = kib(m->agent.mem_total_kib),
        .guest_mem_available = kib(m->agent.mem_available_kib),
    };
    vm_measure(vm);
    return ST_OK;
}
