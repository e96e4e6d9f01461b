#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/process.h"
#include "vmm/sock.h"
#include "vmm/vm.h"

enum {
    RETRY_MIN_MS = 500,
    RETRY_MAX_MS = 30000,
    QMP_TIMEOUT_MS = 20000,
    ADOPT_MS = 3000,
    ADOPT_TRIES = 5
};

/* Is there something to talk to? */
static bool is_alive(const struct vm *vm)
{
    return vm->state == VM_IS_UP || vm->state == VM_IS_ADOPTING;
}

static void try_later(struct vm *vm)
{
    loop_timer_after(vm->retry, vm->retry_ms);
    vm->retry_ms = MIN(vm->retry_ms * 2, (uint32_t)RETRY_MAX_MS);
}

/* ---- monitor ---- */

static void on_status(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct vm *vm = ctx;
    bool before = vm->paused;
    (void)why;
    const char *status = s == ST_OK ? json_string_value(json_object_get(result, "status")) : NULL;
    if (status)
        vm->paused = strcmp(status, "paused") == 0;
    if (vm->told_found && vm->paused != before)
        vm_tell(vm, vm->paused ? VMM_PAUSED : VMM_RESUMED);
    vm_found(vm, vm->paused      ? PB__VM_PHASE__VM_PAUSED
                 : vm->rec.ready ? PB__VM_PHASE__VM_RUNNING
                                 : PB__VM_PHASE__VM_STARTING);
}

static void on_qmp_ready(void *ctx)
{
    struct vm *vm = ctx;
    struct fault why;
    bool fresh = !vm->spoke && !vm->adopted;
    vm->spoke = true;
    vm->retry_ms = RETRY_MIN_MS;
    if (fresh)
        vm_tell(vm, VMM_SPAWNED);
    else if (qmp_run(vm->qmp, "query-status", NULL, QMP_TIMEOUT_MS, on_status, vm, &why) != ST_OK)
        on_status(vm, why.status, &why, NULL);
    if (vm->down_pending) {
        vm->down_pending = false;
        vm_power_down(vm);
    }
}

static void on_stop(struct vm *vm)
{
    if (vm->reason[0]) /* it is ending: nobody paused it */
        return;
    vm->paused = true;
    if (vm->agent)
        agent_link_hold(vm->agent, true);
    vm_tell(vm, VMM_PAUSED);
}

static void on_resume(struct vm *vm)
{
    vm->paused = false;
    if (vm->agent)
        agent_link_hold(vm->agent, false);
    vm_tell(vm, VMM_RESUMED);
}

static void on_qmp_event(void *ctx, const char *name, const json_t *data)
{
    struct vm *vm = ctx;
    const char *reason = json_string_value(json_object_get(data, "reason"));
    if (strcmp(name, "SHUTDOWN") == 0)
        (void)snprintf(vm->reason, sizeof vm->reason, "%s", reason ? reason : "unknown");
    else if (strcmp(name, "STOP") == 0)
        on_stop(vm);
    else if (strcmp(name, "RESUME") == 0)
        on_resume(vm);
}

static void on_qmp_closed(void *ctx, const struct fault *why)
{
    struct vm *vm = ctx;
    (void)why;
    qmp_close(vm->qmp);
    vm->qmp = NULL;
    if (is_alive(vm))
        try_later(vm);
    vm_check_end(vm);
}

static void connect_qmp(struct vm *vm)
{
    int fd = -1;
    struct fault why;
    vm->qmp_events = (struct qmp_events){on_qmp_ready, on_qmp_event, on_qmp_closed, vm};
    if (sock_connect(vm->dir, PREPARE_QMP_SOCKET, SOCK_STREAM, &fd, &why) != ST_OK ||
        qmp_open(vm->q->loop, fd, &vm->qmp_events, &vm->qmp, &why) != ST_OK)
        try_later(vm);
}

/* ---- agent ---- */

static void boot_id_text(const uint8_t id[16], char out[VMM_BOOT_ID_MAX])
{
    char hex[33];
    str_hex(id, 16, hex);
    (void)snprintf(out, VMM_BOOT_ID_MAX, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}

static void on_agent_ready(void *ctx, const struct agent_hello *h)
{
    struct vm *vm = ctx;
    struct clock *c = vm->q->clock;
    vm->retry_ms = RETRY_MIN_MS;
    agent_link_hold(vm->agent, vm->paused);
    if (!vm->rec.ready) {
        char trouble[VMM_DETAIL_MAX];
        vm->rec.ready = true;
        vm->rec.started_ns = c->wall_ns(c);
        /* A later driver does not know when the order came. */
        vm->rec.start_ms = vm->ordered_ms ? c->now_ms(c) - vm->ordered_ms : 0;
        boot_id_text(h->boot_id, vm->rec.boot_id);
        (void)snprintf(trouble, sizeof trouble, STR_FMT, STR_ARG(h->trouble));
        vm_save(vm);
        vm_tell_why(vm, VMM_READY, trouble);
    }
    vm_measure(vm);
}

static void on_agent_closed(void *ctx, const struct fault *why)
{
    struct vm *vm = ctx;
    (void)why;
    agent_link_close(vm->agent);
    vm->agent = NULL;
    if (is_alive(vm))
        try_later(vm);
}

static void connect_agent(struct vm *vm)
{
    int fd = -1;
    struct fault why;
    vm->agent_events = (struct agent_link_events){on_agent_ready, on_agent_closed, vm};
    if (sock_connect(vm->dir, PREPARE_AGENT_SOCKET, SOCK_STREAM, &fd, &why) != ST_OK ||
        agent_link_open(vm->q->loop, vm->q->entropy, fd, &vm->agent_events, &vm->agent, &why) !=
            ST_OK)
        try_later(vm);
}

/* ---- shim ---- */

/* Is this the shim of the incarnation that the record tells of? */
static bool is_ours(const struct vm *vm, const struct shim_record *r)
{
    return strcmp(r->uid, vm->rec.uid) == 0 && r->incarnation == vm->rec.incarnation &&
           r->epoch == vm->rec.epoch;
}

static bool hold_both(struct vm *vm, const struct shim_record *r)
{
    bool shim = vm_hold(vm, &vm->shim, r->shim_pid, r->shim_start);
    bool monitor = vm_hold(vm, &vm->monitor, r->pid, r->start);
    return shim && monitor;
}

static void adopted(struct vm *vm)
{
    vm->state = VM_IS_UP;
    vm_connect(vm);
    if (vm->rec.asked_kill)
        vm_kill(vm);
}

static void on_shim_told(void *ctx, const struct shim_answer *a)
{
    struct vm *vm = ctx;
    const struct shim_record *r = &a->record;
    if (!is_ours(vm, r)) /* what the record does not know of must not run */
        (void)shim_link_ask(vm->shim_link, SHIM_KILL, 0);
    bool seen = hold_both(vm, r);
    if (vm->state == VM_IS_ADOPTING && !seen) {
        loop_timer_after(vm->adopt_timer, ADOPT_MS);
        return;
    }
    if (vm->state == VM_IS_ADOPTING && !vm->shim.gone)
        adopted(vm);
    vm_check_end(vm);
}

static void on_shim_closed(void *ctx)
{
    struct vm *vm = ctx;
    shim_link_close(vm->shim_link);
    vm->shim_link = NULL;
    if (vm->state == VM_IS_ADOPTING)
        vm_found_dead(vm);
    else if (is_alive(vm))
        try_later(vm);
}

static enum status connect_shim(struct vm *vm)
{
    struct fault why;
    vm->shim_events = (struct shim_link_events){on_shim_told, on_shim_closed, vm};
    enum status s = shim_link_open(vm->q->loop, vm->dir, PREPARE_SHIM_SOCKET, &vm->shim_events,
                                   &vm->shim_link, &why);
    if (s == ST_OK)
        (void)shim_link_ask(vm->shim_link, SHIM_STATUS, 0);
    return s;
}

/* ---- all three ---- */

void vm_connect(struct vm *vm)
{
    if (!is_alive(vm))
        return;
    if (vm->state == VM_IS_UP)
        qemu_keep(vm->q);
    if (!vm->shim_link && connect_shim(vm) != ST_OK && vm->state != VM_IS_ADOPTING)
        try_later(vm);
    if (vm->state != VM_IS_UP || vm->monitor.gone)
        return;
    if (!vm->qmp)
        connect_qmp(vm);
    if (!vm->agent)
        connect_agent(vm);
}

void vm_disconnect(struct vm *vm)
{
    vm_measured_done(vm); /* it may hold a channel of the agent's */
    shim_link_close(vm->shim_link);
    qmp_close(vm->qmp);
    agent_link_close(vm->agent);
    vm->shim_link = NULL;
    vm->qmp = NULL;
    vm->agent = NULL;
    loop_timer_at(vm->retry, UINT64_MAX);
    vm->retry_ms = RETRY_MIN_MS;
}

void vm_adopt(struct vm *vm)
{
    vm->state = VM_IS_ADOPTING;
    vm->adopted = true;
    vm->adopt_tries = 0;
    loop_timer_after(vm->adopt_timer, ADOPT_MS);
    enum status s = connect_shim(vm);
    if (s == ST_UNAVAILABLE || s == ST_LIMIT)
        vm_found_dead(vm);
    /* Any other failure is ours and says nothing of the VM: the timer has it tried again. */
}

/* A socket is listened at, and nobody answers: a shim that cannot run just now, or one that an older
 * helper is only about to start. */
static void adopt_silent(struct vm *vm)
{
    struct shim_record r;
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_RECORD_MAX);
    enum status s = vm_shim_record(vm, &b, &r);
    bool seen = s == ST_OK ? hold_both(vm, &r) : s == ST_NOT_FOUND;
    if (!seen)
        loop_timer_after(vm->adopt_timer, ADOPT_MS);
    else if (vm->shim.pid && !vm->shim.gone)
        adopted(vm);
    else if (++vm->adopt_tries < ADOPT_TRIES)
        loop_timer_after(vm->adopt_timer, ADOPT_MS);
    else
        vm_found_dead(vm);
}

void vm_adopt_late(void *ctx)
{
    struct vm *vm = ctx;
    if (vm->state == VM_IS_ADOPTING && !vm->shim_link)
        vm_adopt(vm);
    else if (vm->state == VM_IS_ADOPTING)
        adopt_silent(vm);
    if (vm->state == VM_IS_UP) /* its monitor does not answer; the record has to do */
        vm_found(vm, vm->rec.ready ? PB__VM_PHASE__VM_RUNNING : PB__VM_PHASE__VM_STARTING);
}

/* ---- power ---- */

static void on_refusal(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct vm *vm = ctx;
    (void)result;
    if (s != ST_OK)
        vm_tell_why(vm, VMM_REFUSED, why->text);
}

static void command(struct vm *vm, const char *name)
{
    struct fault why;
    if (!vm->qmp || !vm->spoke)
        vm_tell_why(vm, VMM_REFUSED, "QEMU's monitor does not answer");
    else if (qmp_run(vm->qmp, name, NULL, QMP_TIMEOUT_MS, on_refusal, vm, &why) != ST_OK)
        vm_tell_why(vm, VMM_REFUSED, why.text);
}

void vm_power_down(struct vm *vm)
{
    vm->rec.asked_down = true;
    if (vm->state != VM_IS_UP || !vm->qmp || !vm->spoke) {
        vm->down_pending = true;
        return;
    }
    vm_save(vm);
    if (vm->paused)
        command(vm, "cont"); /* a guest that stands still cannot power off */
    command(vm, "system_powerdown");
}

void vm_pause(struct vm *vm)
{
    if (vm->paused)
        vm_tell(vm, VMM_PAUSED);
    else
        command(vm, "stop");
}

void vm_resume(struct vm *vm)
{
    if (!vm->paused)
        vm_tell(vm, VMM_RESUMED);
    else
        command(vm, "cont");
}
