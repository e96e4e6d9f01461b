#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "vmm/vm.h"

enum { HEADROOM_MIB = 192, TASKS = 256 };

struct start_job {
    struct job job; /* first */
    struct vm *vm;
    struct order order;
    struct prepared prepared;
    struct record before; /* what vm->rec said */
    bool recorded;
    const struct prepare_site *site;
    uint64_t time_ns;
    uint8_t seed[GUESTCFG_SEED];
    enum status status;
    struct fault why;
};

static void job_free(struct start_job *j)
{
    order_done(&j->order);
    prepared_done(&j->prepared);
    explicit_bzero(j->seed, sizeof j->seed);
    free(j);
}

static void drop(struct job *j)
{
    job_free((struct start_job *)j);
}

/* The intent is on the disk: so must be that nothing came of it. */
static void not_started(struct vm *vm, const struct fault *why)
{
    vm_start_failed(vm, why);
    vm_save(vm);
    vm_settled(vm);
}

/* ---- with the helper ---- */

static void on_spawned(void *ctx, enum status s, const struct fault *why,
                       const struct host_spawned *r)
{
    struct vm *vm = ctx;
    if (s != ST_OK) {
        not_started(vm, why);
        return;
    }
    vm->state = VM_IS_UP;
    vm_watch(vm, &vm->shim, r->shim_pid, r->shim_pidfd);
    if (vm->rec.asked_kill)
        vm_kill(vm);
    vm_connect(vm);
}

static void spawn(struct vm *vm, const struct start_job *j)
{
    const struct order *o = &j->order;
    const struct prepared *p = &j->prepared;
    uint64_t mem_mib = o->mem_mib + o->mem_mib / 16 + HEADROOM_MIB;
    struct host_spawn w = {
        .uid = vm->rec.uid,
        .slot = vm->rec.slot,
        .epoch = vm->rec.epoch,
        .incarnation = vm->rec.incarnation,
        .deadline_ms = UINT64_MAX,
        .net = vm->rec.tap ? HOST_NET_TAP : HOST_NET_USER,
        .address = vm->rec.address,
        .kvm = vm->q->config.kvm,
        .mem_bytes = mem_mib << 20,
        /* One more than its own CPUs: for its disks and network, and so that no boot is throttled. */
        .cpu_milli = (o->vcpus + 1) * 1000,
        .task_count = TASKS + o->vcpus,
        .dir = p->dir,
        .listen = p->listen,
        .fd = p->fd,
        .fd_count = p->fd_count,
        .argv = p->args.argv,
        .argc = p->args.count,
    };
    vm->state = VM_IS_SPAWNING;
    vm->q->host->spawn(vm->q->host, &w, on_spawned, vm);
}

/* ---- with the worker ---- */

static void run(struct job *job)
{
    struct start_job *j = (struct start_job *)job;
    j->status = prepare(j->site, &j->order, j->time_ns, j->seed, &j->prepared, &j->why);
}

/* The intent was not written: on the disk all is as it was, and so it is here. */
static void not_prepared(struct vm *vm, const struct start_job *j)
{
    vm_start_failed(vm, &j->why);
    vm->rec = j->before;
    vm->recorded = j->recorded;
    vm_settled(vm);
}

static void on_prepared(struct job *job)
{
    struct start_job *j = (struct start_job *)job;
    struct vm *vm = j->vm;
    close_fd(&vm->dir);
    vm->dir = j->prepared.dir < 0 ? -1 : fcntl(j->prepared.dir, F_DUPFD_CLOEXEC, 0);
    if (j->status != ST_OK) {
        not_prepared(vm, j);
    } else if (vm->rec.asked_kill) {
        (void)fault_set(&j->why, ST_CANCELLED, "it was to be stopped before it was started");
        not_started(vm, &j->why);
    } else {
        spawn(vm, j);
    }
    job_free(j);
}

/* ---- the order ---- */

static bool is_taken(struct qemu *q, const struct vm *but, uint32_t slot)
{
    MAP_EACH(&q->vms, uid, value) {
        const struct vm *vm = value;
        if (vm != but && vm->recorded && vm->rec.slot == slot)
            return true;
    }
    return false;
}

/* A VM keeps its slot, and so its address, for as long as it is on this machine. */
static enum status choose_slot(struct vm *vm, uint32_t *ret, struct fault *why)
{
    uint32_t slots = vm->q->host->facts.slots;
    if (vm->recorded && vm->rec.slot < slots && !is_taken(vm->q, vm, vm->rec.slot)) {
        *ret = vm->rec.slot;
        return ST_OK;
    }
    for (uint32_t slot = 0; slot < slots; slot++) {
        if (is_taken(vm->q, vm, slot))
            continue;
        *ret = slot;
        return ST_OK;
    }
    return fault_set(why, ST_CAPACITY, "all %" PRIu32 " user ids for VMs are in use", slots);
}

static enum status choose_network(struct qemu *q, struct order *o, struct fault *why)
{
    const struct host_facts *f = &q->host->facts;
    enum vmm_qemu_network n = q->config.network;
    if (n == VMM_QEMU_TAP && o->port_count) {
        enum status s = fault_set(why, ST_INVALID, "forwarded ports need QEMU's own network");
        fault_hint(why, "set vm.network to auto or user, or reach the guest by its address");
        return s;
    }
    if (n == VMM_QEMU_TAP && !f->tap)
        return fault_set(why, ST_UNSUPPORTED, "vm.network says tap, but there is none: %s", f->why);
    o->record.tap = n == VMM_QEMU_TAP || (n == VMM_QEMU_AUTO && f->tap && !o->port_count);
    o->record.address = o->record.tap ? f->subnet + 1 + o->record.slot : 0;
    return ST_OK;
}

/* An answer to this order alone; the VM stays as it is. */
static void refuse(struct qemu *q, const struct vmm_start *s, const char *detail)
{
    struct vmm_event e = {.type = VMM_EXITED,
                          .epoch = s->epoch,
                          .incarnation = s->incarnation,
                          .generation = s->generation,
                          .cause = PB__EXIT_CAUSE__EXIT_START_FAILED,
                          .ended_ns = q->clock->wall_ns(q->clock)};
    (void)!str_copy(str_from(s->vm->meta ? s->vm->meta->uid : ""), e.uid, sizeof e.uid, NULL);
    (void)snprintf(e.detail, sizeof e.detail, "%s", detail);
    qemu_tell(q, &e);
}

static void begin(struct vm *vm, struct start_job *j)
{
    struct qemu *q = vm->q;
    j->before = vm->rec;
    j->recorded = vm->recorded;
    memcpy(j->order.record.host_boot, vm->q->host_boot, sizeof j->order.record.host_boot);
    vm->rec = j->order.record;
    vm->recorded = true;
    vm->state = VM_IS_PREPARING;
    vm->ordered_ms = q->clock->now_ms(q->clock);
    vm->shim = vm->monitor = (struct vm_process){.pidfd = -1};
    vm->reason[0] = 0;
    vm->adopted = vm->spoke = vm->paused = vm->down_pending = false;
    vm->told_found = true;
    j->vm = vm;
    j->site = &q->site;
    j->prepared = (struct prepared){.dir = -1, .listen = -1};
    j->time_ns = q->clock->wall_ns(q->clock);
    q->entropy->fill(q->entropy, j->seed, sizeof j->seed);
    j->job = (struct job){.run = run, .done = on_prepared, .drop = drop};
    worker_add(q->worker, &j->job);
}

void vm_start(struct qemu *q, const struct vmm_start *s)
{
    struct start_job *j = NEW(struct start_job);
    struct fault why;
    enum status st = order_init(&j->order, s, &why);
    struct vm *vm = st == ST_OK ? vm_find(q, j->order.record.uid) : NULL;
    if (vm && vm->state != VM_IS_DOWN) {
        bool same = vm->rec.incarnation == s->incarnation && vm->state != VM_IS_CLEANING &&
                    vm->state != VM_IS_REMOVING;
        if (!same)
            refuse(q, s, "an older incarnation of this VM still runs");
        job_free(j);
        return;
    }
    if (st == ST_OK && !vm)
        vm = vm_new(q, j->order.record.uid);
    if (st == ST_OK)
        st = choose_slot(vm, &j->order.record.slot, &why);
    if (st == ST_OK)
        st = choose_network(q, &j->order, &why);
    if (st == ST_OK) {
        begin(vm, j);
        return;
    }
    refuse(q, s, why.text);
    job_free(j);
}
