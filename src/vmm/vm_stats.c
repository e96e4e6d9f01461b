#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "vmm/process.h"
#include "vmm/vm.h"

enum {
    FRESH_MS = 2000, /* not measured again before */
    AGAIN_MS = 4000, /* measured again after, while it is wanted */
    AGAIN_SLACK_MS = 1000,
    STALE_MS = 10000,  /* not told any more */
    WANTED_MS = 90000, /* one who asked will ask again within: scrapes come every minute at least */
    BLOCKSTATS_TIMEOUT_MS = 10000,
    NET_FRESH_MS = 500,
    NET_TABLE_MAX = 4 << 20,
    RECEIVED = 0, /* bytes, among the fields of /proc/net/dev */
    TRANSMITTED = 8,
};

/* When something was measured. */
struct stamp {
    bool ever;
    uint64_t at_ms;
};

/* What was last measured. Monitor and agent take time to answer: they are asked when somebody wants to
 * know, and from then on again and again for as long as one who comes regularly might come back. */
struct vm_measured {
    struct stamp asked, wanted;    /* monitor and agent; by somebody */
    struct loop_source *again;     /* timer */
    struct agent_channel *channel; /* the agent is being asked */
    struct stamp process_at, disk_at, agent_at;
    struct process_usage process;
    uint64_t read_bytes, write_bytes;
    struct agent_stats agent;
};

static uint64_t now_ms(const struct vm *vm)
{
    return vm->q->clock->now_ms(vm->q->clock);
}

static void stamp(const struct vm *vm, struct stamp *s)
{
    *s = (struct stamp){true, now_ms(vm)};
}

static bool is_within(const struct vm *vm, const struct stamp *s, uint64_t ms)
{
    return s->ever && now_ms(vm) - s->at_ms < ms;
}

static void on_again(void *ctx);

static struct vm_measured *measured(struct vm *vm)
{
    if (vm->measured)
        return vm->measured;
    struct fault why;
    struct vm_measured *m = NEW(struct vm_measured);
    enum status s =
        loop_timer_open(vm->q->loop, LOOP_MONOTONIC, AGAIN_SLACK_MS, on_again, vm, &m->again, &why);
    ensure(s == ST_OK); /* as for the VM's other timers: nothing can be lacking but memory */
    return vm->measured = m;
}

void vm_measured_done(struct vm *vm)
{
    if (!vm->measured)
        return;
    if (vm->measured->channel)
        agent_channel_close(vm->measured->channel);
    loop_source_close(vm->measured->again);
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
    struct vm_measured *m = measured(vm);
    m->read_bytes = read;
    m->write_bytes = written;
    stamp(vm, &m->disk_at);
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
    struct vm_measured *m = vm->measured;
    m->channel = NULL;
    if (s != ST_OK || agent_get_stats(last->payload, &stats, NULL) != ST_OK)
        return;
    m->agent = stats;
    stamp(vm, &m->agent_at);
}

static const struct agent_channel_events agent_events = {on_agent_data, on_agent_writable,
                                                         on_agent_stats};

void vm_measure(struct vm *vm)
{
    struct vm_measured *m = measured(vm);
    if (is_within(vm, &m->asked, FRESH_MS))
        return;
    stamp(vm, &m->asked);
    if (vm->qmp && vm->spoke)
        (void)!qmp_run(vm->qmp, "query-blockstats", NULL, BLOCKSTATS_TIMEOUT_MS, on_blockstats, vm,
                       NULL);
    if (vm->agent && !m->channel && !vm->paused)
        (void)!agent_link_stats(vm->agent, &agent_events, vm, &m->channel, NULL);
}

static void on_again(void *ctx)
{
    struct vm *vm = ctx;
    if (!is_within(vm, &vm->measured->wanted, WANTED_MS))
        return;
    vm_measure(vm);
    loop_timer_after(vm->measured->again, AGAIN_MS);
}

/* Somebody asked. */
static void want(struct vm *vm)
{
    struct vm_measured *m = measured(vm);
    if (!is_within(vm, &m->wanted, WANTED_MS))
        loop_timer_after(m->again, AGAIN_MS);
    stamp(vm, &m->wanted);
    vm_measure(vm);
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

/* One reading serves all that ask at the same time, as metrics do, once for each. */
static const struct process_usage *usage(struct vm *vm)
{
    struct vm_measured *m = measured(vm);
    if (!is_within(vm, &m->process_at, FRESH_MS)) {
        process_usage(vm->monitor.pid, &m->process);
        stamp(vm, &m->process_at);
    }
    return &m->process;
}

static uint64_t if_known(bool known, uint64_t v)
{
    return known ? v : UINT64_MAX;
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
    want(vm);
    const struct vm_measured *m = measured(vm);
    const struct process_usage *use = usage(vm);
    bool tap = vm->rec.tap, disk = is_within(vm, &m->disk_at, STALE_MS);
    bool guest = is_within(vm, &m->agent_at, STALE_MS);
    *ret = (struct vmm_stats){
        .cpu_ns = use->cpu_ns,
        .rss_bytes = use->rss_bytes,
        .read_bytes = if_known(disk, m->read_bytes),
        .write_bytes = if_known(disk, m->write_bytes),
        /* The tap's two directions are the host's: what it sends, the guest receives. */
        .rx_bytes = tap ? tap_field(vm, TRANSMITTED) : if_known(guest, m->agent.net_rx_bytes),
        .tx_bytes = tap ? tap_field(vm, RECEIVED) : if_known(guest, m->agent.net_tx_bytes),
        .guest_mem_total = kib(if_known(guest, m->agent.mem_total_kib)),
        .guest_mem_available = kib(if_known(guest, m->agent.mem_available_kib)),
    };
    return ST_OK;
}
