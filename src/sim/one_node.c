#include "sim/one_node.h"

#include <stdlib.h>

#include "core/vm_life.h"
#include "journal/journal_inline.h"
#include "sim/blob.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/settled.h"
#include "sim/vmm.h"

enum {
    STEP_US_MAX = 300, /* until the daemon's loop comes round */
    RESTART_US_MAX = 1500000,
    PEEK_EVERY = 60, /* disk runs */
};

enum crash { CRASH_KILL, CRASH_POWER };

struct machine {
    struct sim *sim;
    struct sim_disk disk;
    struct sim_vmm vmm;
    struct sim_blob blob;
    struct check check;
    struct clients clients;

    struct node *node; /* NULL while the daemon is down */
    struct journal_inline *journal;
    struct node_mark mark;
    uint64_t life;
    bool booted;      /* since a node last settled its VMs */
    bool off;         /* the machine is off, on its way to boot */
    uint64_t step_at; /* when the next step is due; 0: none is */
    bool disk_at_work;
    bool shutting_down; /* the daemon ends its VMs, then itself */
    bool calm;          /* the second phase */
};

static void daemon_start(void *ctx, uint64_t arg);

/* --- the end of a daemon --- */

static void daemon_stop(struct machine *m)
{
    sim_vmm_daemon_down(&m->vmm);
    sim_blob_daemon_down(&m->blob);
    clients_daemon_down(&m->clients);
    m->life++;
    if (m->node)
        m->sim->stats.joined += node_view(m->node).commands_joined;
    node_free(m->node);
    journal_inline_close(m->journal);
    check_daemon_down(&m->check);
    m->node = NULL;
    m->journal = NULL;
    m->step_at = 0;
    m->disk_at_work = m->shutting_down = false;
}

static void machine_off(struct machine *m)
{
    sim_vmm_power_cut(&m->vmm);
    m->mark = (struct node_mark){0};
    m->booted = true;
}

static void start_later(struct machine *m)
{
    uint64_t us = sim_between(&m->sim->crashes, 1000, RESTART_US_MAX);
    sim_after(m->sim, us, daemon_start, m, m->life);
}

static void crash(struct machine *m, enum crash how)
{
    struct sim *s = m->sim;
    sim_trace(s, "crash: %s", how == CRASH_KILL ? "the daemon is killed" : "power is cut");
    daemon_stop(m);
    if (how == CRASH_POWER) {
        s->stats.power_cuts++;
        sim_disk_power_cut(&m->disk);
        machine_off(m);
    } else {
        s->stats.kills++;
        sim_disk_thaw(&m->disk);
    }
    start_later(m);
}

/* The disk froze in the middle of an operation: so it ends there. */
static void crash_at_disk(struct machine *m)
{
    m->sim->stats.at_disk++;
    crash(m, rng_chance(&m->sim->crashes, m->sim->faults.keep_cache) ? CRASH_KILL : CRASH_POWER);
}

/* --- a daemon that runs --- */

static void arm_disk_crash(struct machine *m, bool recovery)
{
    struct sim *s = m->sim;
    if (recovery && rng_chance(&s->crashes, s->faults.crash_in_recovery))
        sim_disk_crash_after(&m->disk, 1 + rng_below(&s->crashes, 12));
    else if (s->faults.crash_at_op_every)
        sim_disk_crash_after(&m->disk,
                             1 + rng_below(&s->crashes, 2u * s->faults.crash_at_op_every));
}

static void step(void *ctx, uint64_t life);
static void disk_work(void *ctx, uint64_t life);

/* See to it that the loop comes round when there is something to do. */
static void arm(struct machine *m)
{
    struct sim *s = m->sim;
    if (!m->node)
        return;
    uint64_t deadline_ms = node_deadline_ms(m->node);
    if (deadline_ms != UINT64_MAX) {
        uint64_t at = MAX(deadline_ms * 1000, s->now_us + sim_between(&s->world, 1, STEP_US_MAX));
        if (m->step_at == 0 || at < m->step_at) {
            m->step_at = at;
            sim_after(s, at - s->now_us, step, m, m->life);
        }
    }
    if (!m->disk_at_work && journal_inline_waiting(m->journal)) {
        uint64_t us = sim_between(&s->disk, s->faults.disk_us / 2, s->faults.disk_us);
        if (rng_chance(&s->disk, s->faults.slow_disk)) {
            s->stats.slow_syncs++;
            us += sim_between(&s->disk, 1000, UINT64_C(1000) * s->faults.slow_disk_ms);
        }
        m->disk_at_work = true;
        sim_after(s, us, disk_work, m, m->life);
    }
}

/* A log that failed has stopped the node: somebody starts it again. */
static void see_if_dead(struct machine *m)
{
    if (!m->node || !node_dead(m->node))
        return;
    sim_trace(m->sim, "dead: %s", node_dead(m->node)->text);
    daemon_stop(m);
    sim_disk_thaw(&m->disk);
    start_later(m);
}

/* As the daemon does: the boot is over when its VMs are settled. */
static void note_boot(struct machine *m)
{
    struct node_view v = node_view(m->node);
    if (v.reconciled && v.news == 0)
        m->booted = false;
}

static void step(void *ctx, uint64_t life)
{
    struct machine *m = ctx;
    if (life != m->life || m->step_at == 0 || m->sim->now_us < m->step_at)
        return;
    m->step_at = 0;
    node_step(m->node);
    if (m->disk.frozen) {
        crash_at_disk(m);
        return;
    }
    check_node(&m->check, m->node);
    note_boot(m);
    see_if_dead(m);
    arm(m);
}

static void disk_work(void *ctx, uint64_t life)
{
    struct machine *m = ctx;
    struct sim *s = m->sim;
    if (life != m->life)
        return;
    m->disk_at_work = false;
    size_t most = SIZE_MAX;
    if (s->faults.batch_max)
        most = 1 + (size_t)rng_below(&s->disk, s->faults.batch_max);
    size_t count = journal_inline_run(m->journal, most);
    if (m->disk.frozen) {
        crash_at_disk(m);
        return;
    }
    sim_trace(s, "disk: %zu done, durable %" PRIu64, count, m->check.durable);
    if (rng_below(&s->crashes, PEEK_EVERY) == 0)
        check_platter(&m->check, &m->disk);
    arm(m);
}

static void check_start(void *ctx, const struct vmm_start *start)
{
    struct machine *m = ctx;
    const char *uid = start->vm->meta->uid;
    struct object *o = cluster_find(node_cluster(m->node), OBJECT_VM, uid);
    const Pb__VmStatus *st = o ? object_vm(o)->status : NULL;
    if (!st || st->incarnation != start->incarnation || st->epoch != start->epoch ||
        st->phase != PB__VM_PHASE__VM_STARTING)
        sim_fail(m->sim, "vm %s: incarnation %" PRIu64 " is started, which the state knows not of",
                 uid, start->incarnation);
    if (start->generation != start->vm->generation)
        sim_fail(m->sim, "vm %s: generation %" PRIu64 " is started as %" PRIu64, uid,
                 start->vm->generation, start->generation);
    if (cluster_index(node_cluster(m->node)) > m->check.durable)
        sim_fail(m->sim, "vm %s: is started by an entry that is not durable", uid);
    if (!sim_blob_has(&m->blob, start->image->digest))
        sim_fail(m->sim, "vm %s: its image's files are gone", uid);
}

/* --- starts --- */

static void configure(struct machine *m, struct node_config *c, Pb__NodeFacts *facts)
{
    struct sim *s = m->sim;
    node_config_default(c);
    *facts = (Pb__NodeFacts)PB__NODE_FACTS__INIT;
    static char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    facts->key = key;
    facts->has_cpus = facts->has_mem_mib = facts->has_feature_level_max = 1;
    facts->cpus = 64;
    facts->mem_mib = 1 << 20;
    facts->feature_level_max = CLUSTER_LEVEL_MAX;
    c->name = "node-1";
    c->facts = facts;
    c->limits = s->faults.limits;
    c->seed = rng_next(&s->world);
    c->snapshot_entries = s->faults.snapshot_entries;
    c->snapshot_log_max = rng_range(&s->world, 1 << 10, 32 << 10);
    c->trailing_entries = s->faults.trailing_entries;
    c->start_timeout_ms = 4000;
    c->backoff_min_ms = 100;
    c->backoff_max_ms = 3000;
    c->backoff_reset_ms = 10000;
    c->host_booted = m->booted;
}

/* Open the log and start the node on it. */
static enum status open_and_start(struct machine *m, struct fault *why)
{
    struct journal_config jc = {.segment_size = m->sim->faults.segment_bytes};
    m->sim->entropy.fill(&m->sim->entropy, jc.new_id, sizeof jc.new_id);
    struct log_load load = check_loader(&m->check, node_loader(m->node));
    m->disk.recovering = true;
    enum status s = journal_inline_open(&m->disk.port, &jc, &load, &m->journal, NULL, why);
    m->disk.recovering = false;
    if (s != ST_OK)
        return s;
    check_loaded(&m->check);
    struct log *log = check_log(&m->check, journal_inline_log(m->journal));
    return node_start(m->node, log, why);
}

static void start_failed(struct machine *m, enum status status, const struct fault *why)
{
    if (status == ST_CORRUPT || status == ST_INTERNAL || status == ST_UNSUPPORTED)
        sim_fail(m->sim, "the daemon does not start: %s", why->text);
    m->sim->stats.refused_starts++;
    sim_trace(m->sim, "start refused: %s", why->text);
    daemon_stop(m);
    start_later(m);
}

static void daemon_start(void *ctx, uint64_t life)
{
    struct machine *m = ctx;
    if (life != m->life || m->node)
        return;
    struct node_config c;
    Pb__NodeFacts facts;
    struct fault why;
    configure(m, &c, &facts);
    m->life++;
    m->off = false;
    m->sim->stats.starts++;
    sim_trace(m->sim, "daemon start%s", c.host_booted ? " after boot" : "");
    sim_vmm_daemon_up(&m->vmm, m->life);
    sim_blob_daemon_up(&m->blob, m->life);
    struct node_ports ports = {&m->sim->clock, &m->sim->entropy, &m->vmm.port, &m->blob.port,
                               &m->mark};
    m->node = node_new(&c, &ports);
    arm_disk_crash(m, true);
    enum status s = open_and_start(m, &why);
    if (m->disk.frozen) {
        m->sim->stats.in_recovery++;
        crash_at_disk(m);
        return;
    }
    if (s != ST_OK) {
        start_failed(m, s, &why);
        return;
    }
    arm_disk_crash(m, false);
    clients_daemon_up(&m->clients, m->node);
    check_node(&m->check, m->node);
    arm(m);
}

/* --- what goes wrong from time to time --- */

/* The next time, exponential enough: uniform in [0, 2 * mean). */
static void again_after(struct machine *m, uint32_t every_ms, sim_fn *fn)
{
    if (every_ms)
        sim_after(m->sim, rng_below(&m->sim->crashes, UINT64_C(2000) * every_ms) + 1, fn, m, 0);
}

static void kill_daemon(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    (void)arg;
    if (m->calm)
        return;
    if (m->node)
        crash(m, CRASH_KILL);
    again_after(m, m->sim->faults.kill_every_ms, kill_daemon);
}

static void cut_power(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    (void)arg;
    if (m->calm)
        return;
    if (!m->off)
        crash(m, CRASH_POWER);
    again_after(m, m->sim->faults.power_cut_every_ms, cut_power);
}

/* The daemon ended orderly, and the machine with it: everything is written out. */
static void power_off(void *ctx, uint64_t life)
{
    struct machine *m = ctx;
    if (life != m->life)
        return;
    daemon_stop(m);
    sim_disk_flush(&m->disk);
    machine_off(m);
    m->off = true;
    start_later(m);
}

static void host_is_down(void *ctx)
{
    struct machine *m = ctx;
    struct sim *s = m->sim;
    if (!m->node || node_dead(m->node))
        return;
    if (sim_vmm_running(&m->vmm))
        sim_fail(s, "the node says that its VMs are down, %zu run", sim_vmm_running(&m->vmm));
    MAP_EACH(cluster_table(node_cluster(m->node), OBJECT_VM), uid, vm)
        if (vm_alive(object_vm(vm)->status->phase))
            sim_fail(s, "the node says that its VMs are down, the state that vm %s is %s",
                     object_meta(vm)->name, vm_phase_name(object_vm(vm)->status->phase));
    s->stats.shutdowns++;
    sim_trace(s, "host down");
    sim_after(s, 1, power_off, m, m->life);
}

static void shut_down(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    (void)arg;
    if (m->calm)
        return;
    if (m->node && !m->shutting_down) {
        sim_trace(m->sim, "host shutdown");
        m->shutting_down = true;
        uint64_t grace_ms = sim_between(&m->sim->crashes, 50, 3000);
        node_shutdown(m->node, sim_now_ms(m->sim) + grace_ms, host_is_down, m);
        arm(m);
    }
    again_after(m, m->sim->faults.shutdown_every_ms, shut_down);
}

static void vm_dies(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    (void)arg;
    if (m->calm)
        return;
    sim_vmm_some_dies(&m->vmm);
    again_after(m, m->sim->faults.vm_death_every_ms, vm_dies);
}

static void clock_jumps(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    struct sim *s = m->sim;
    (void)arg;
    if (m->calm)
        return;
    s->stats.clock_jumps++;
    s->wall_offset_ms = (int64_t)rng_below(&s->crashes, 2000000) - 1000000;
    again_after(m, s->faults.clock_jump_every_ms, clock_jumps);
}

static void space_comes_back(void *ctx, uint64_t arg)
{
    (void)arg;
    ((struct machine *)ctx)->disk.full = false;
}

static void space_is_gone(void *ctx, uint64_t arg)
{
    struct machine *m = ctx;
    (void)arg;
    if (m->calm)
        return;
    m->disk.full = true;
    uint64_t us = sim_between(&m->sim->crashes, 1000, 1500000);
    sim_after(m->sim, us, space_comes_back, m, 0);
    again_after(m, m->sim->faults.no_space_every_ms, space_is_gone);
}

static void begin_faults(struct machine *m)
{
    const struct faults *f = &m->sim->faults;
    again_after(m, f->kill_every_ms, kill_daemon);
    again_after(m, f->power_cut_every_ms, cut_power);
    again_after(m, f->shutdown_every_ms, shut_down);
    again_after(m, f->vm_death_every_ms, vm_dies);
    again_after(m, f->clock_jump_every_ms, clock_jumps);
    again_after(m, f->no_space_every_ms, space_is_gone);
}

/* --- the two phases --- */

void one_node_defaults(struct one_node_options *o)
{
    *o = (struct one_node_options){.fault_ms = 30000, .commands_min = 200, .calm_ms = 60000};
}

static void run_one(struct machine *m, uint64_t until_us)
{
    if (sim_next(m->sim, until_us))
        arm(m); /* the event may have been something to the node */
}

static void phase_of_faults(struct machine *m, const struct one_node_options *o)
{
    struct sim *s = m->sim;
    uint64_t until_us = s->now_us + o->fault_ms * 1000;
    uint64_t most_us = until_us + 4 * o->fault_ms * 1000;
    clients_begin(&m->clients);
    begin_faults(m);
    while (!s->failed &&
           (s->now_us < until_us || (s->stats.commands < o->commands_min && s->now_us < most_us)))
        run_one(m, MAX(until_us, s->now_us + 1000));
}

static void phase_of_calm(struct machine *m, const struct one_node_options *o)
{
    struct sim *s = m->sim;
    sim_trace(s, "calm");
    m->calm = true;
    m->disk.full = false;
    m->disk.crash_at_op = UINT64_MAX;
    faults_stop(&s->faults);
    clients_stop(&m->clients);
    /* Half of the time one last start, so that what it gets wrong is not mended by another; else
     * none, so that what a long life gets wrong is not mended by a start. It also calls off a
     * shutdown that was under way. */
    if (m->node && (m->shutting_down || rng_chance(&s->crashes, 500)))
        crash(m, CRASH_KILL);
    uint64_t until_us = s->now_us + o->calm_ms * 1000;
    struct fault why = {.text = "nothing was looked at"};
    while (!s->failed && s->now_us < until_us) {
        for (uint64_t look_us = s->now_us + 200000; !s->failed && s->now_us < look_us;)
            run_one(m, look_us);
        bool idle = m->node && clients_idle(&m->clients);
        if (idle && settled(m->node, &m->vmm, &m->blob, &why) == ST_OK)
            return;
        if (!idle)
            (void)fault_set(&why, ST_FAILED, "%s",
                            m->node ? "clients still ask" : "the daemon does not run");
    }
    sim_fail(s, "not calm after %" PRIu64 " s: %s", o->calm_ms / 1000, why.text);
}

void one_node_run(struct sim *s, const struct one_node_options *o)
{
    struct machine *m = NEW(struct machine);
    m->sim = s;
    m->life = 1;
    m->booted = true;
    sim_disk_init(&m->disk, s);
    sim_vmm_init(&m->vmm, s);
    sim_blob_init(&m->blob, s);
    check_init(&m->check, s);
    clients_init(&m->clients, s, &m->check);
    m->vmm.check_start = check_start;
    m->vmm.ctx = m;

    sim_after(s, 1, daemon_start, m, m->life);
    phase_of_faults(m, o);
    if (!s->failed)
        phase_of_calm(m, o);
    if (!s->failed) {
        check_platter(&m->check, &m->disk);
        check_end(&m->check);
        s->hash = s->hash ^ cluster_hash(check_state(&m->check));
    }
    s->stats.virtual_s = s->now_us / 1000000;
    s->stats.events = s->events;
    if (m->node)
        daemon_stop(m);
    clients_done(&m->clients);
    check_done(&m->check);
    sim_blob_done(&m->blob);
    sim_vmm_done(&m->vmm);
    sim_disk_done(&m->disk);
    free(m);
}
