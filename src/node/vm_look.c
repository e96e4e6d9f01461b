/*
 * vm_look: what a VM is when its node has just started: what the state last heard of it, against
 * what the monitor port found.
 */
#include <string.h>

#include "core/vm_life.h"
#include "node/vm_end.h"
#include "node/vm_machine.h"

static void copy_text(char *out, size_t size, const char *text)
{
    vm_text(out, size, text ? text : "");
}

static void load_status(struct vm_machine *m, const Pb__VmStatus *s)
{
    m->status = (struct vm_status){
        .phase = s->phase,
        .epoch = s->epoch,
        .incarnation = s->incarnation,
        .generation = s->generation,
        .cause = s->cause,
        .restarts = s->restarts,
        .started_ns = s->started_ns,
        .ended_ns = s->ended_ns,
        .start_ms = s->start_ms,
    };
    copy_text(m->status.boot_id, sizeof m->status.boot_id, s->boot_id);
    copy_text(m->status.address, sizeof m->status.address, s->address);
    copy_text(m->status.detail, sizeof m->status.detail, s->detail);
    m->reported = m->version; /* what was told before the restart is in the state */
}

/* How often it failed in a row is not kept; restarts since a user's start are, which is no less. */
static void load_failures(struct vm_machine *m, const struct vm_wish *w)
{
    uint64_t ran_ns =
        m->status.ended_ns > m->status.started_ns ? m->status.ended_ns - m->status.started_ns : 0;
    bool ran_long = m->status.started_ns && ran_ns / 1000000 >= w->policy->backoff_reset_ms;
    m->failures = ran_long ? 0 : m->status.restarts;
}

static bool found_runs(const struct vmm_event *f)
{
    return f && (f->phase == PB__VM_PHASE__VM_STARTING || f->phase == PB__VM_PHASE__VM_RUNNING ||
                 f->phase == PB__VM_PHASE__VM_PAUSED);
}

static bool found_current(const struct vm_machine *m, const struct vmm_event *f)
{
    return f && f->incarnation == m->status.incarnation && f->epoch == m->status.epoch;
}

/* May what was found go on? What is known to have ended may not. */
static bool adoptable(const struct vm_machine *m, const struct vmm_event *f)
{
    return found_current(m, f) && !vm_ended(m->status.phase);
}

/* It runs on, as if the node had never been away. */
static void adopt(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *f)
{
    m->running = f->incarnation;
    Pb__VmPhase phase = f->phase;
    switch (phase) {
    case PB__VM_PHASE__VM_STARTING:
        m->state = VM_STATE_STARTING;
        m->deadline_ms = w->now_ms + w->policy->start_timeout_ms;
        break;
    case PB__VM_PHASE__VM_PAUSED: m->state = VM_STATE_PAUSED; break;
    default: m->state = VM_STATE_RUNNING; break;
    }
    if (phase != PB__VM_PHASE__VM_STARTING)
        m->ready_ms = w->now_ms;
    struct vm_status before = m->status;
    if (vm_may_follow(m->status.phase, phase)) /* a stop that has begun is carried through */
        m->status.phase = phase;
    if (f->boot_id[0])
        copy_text(m->status.boot_id, sizeof m->status.boot_id, f->boot_id);
    if (f->address[0])
        copy_text(m->status.address, sizeof m->status.address, f->address);
    if (f->started_ns)
        m->status.started_ns = f->started_ns;
    if (before.phase != m->status.phase || strcmp(before.boot_id, m->status.boot_id) != 0 ||
        strcmp(before.address, m->status.address) != 0 || before.started_ns != m->status.started_ns)
        m->version++;
}

/* What the state believes to be up is not: tell how it ended, as far as that is known. */
static void ended_meanwhile(struct vm_machine *m, const struct vm_wish *w,
                            const struct vmm_event *f, bool host_booted)
{
    bool stopping = m->status.phase == PB__VM_PHASE__VM_STOPPING;
    bool starting = m->status.phase == PB__VM_PHASE__VM_STARTING;
    Pb__ExitCause cause = f ? f->cause : PB__EXIT_CAUSE__EXIT_LOST;
    bool known = cause != PB__EXIT_CAUSE__EXIT_NONE && cause != PB__EXIT_CAUSE__EXIT_LOST;
    const char *detail = f ? f->detail : "";
    if (!known) {
        cause = PB__EXIT_CAUSE__EXIT_LOST;
        detail = "it was gone when the node looked for it";
    }
    if (!known && host_booted) {
        m->stop = VM_STOP_HOST;
        detail = "the host went down while it ran";
    } else if (stopping && (w->vm->deleting || w->vm->power == PB__POWER__POWER_STOPPED)) {
        m->stop = VM_STOP_WANTED;
    }
    m->state = starting ? VM_STATE_STARTING : VM_STATE_RUNNING;
    vm_end(m, w, cause, detail, f ? f->ended_ns : 0);
}

/* Had it ended before it was marked as stopping? The state keeps an end until the next: is it that of
 * this incarnation, and does the port know of no other? */
static bool ended_before_stop(const struct vm_machine *m, const struct vmm_event *f)
{
    const struct vm_status *s = &m->status;
    if (s->cause == PB__EXIT_CAUSE__EXIT_NONE || !s->started_ns || s->ended_ns < s->started_ns)
        return false;
    return !f || !f->ended_ns || f->ended_ns == s->ended_ns;
}

/* VMs that went down with the host come up with it, if they should. */
static void rest_after_boot(struct vm_machine *m, const struct vm_wish *w, bool host_booted)
{
    bool autostart = !w->vm->spec || w->vm->spec->autostart;
    if (m->status.cause == PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN)
        m->rest = autostart ? VM_REST_NONE : VM_REST_HOLD;
    else if (host_booted && m->rest == VM_REST_UNTIL && !autostart)
        m->rest = VM_REST_HOLD;
}

static void settle_off(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *f,
                       bool host_booted)
{
    bool current = found_current(m, f);
    m->state = VM_STATE_OFF;
    m->rest = VM_REST_NONE;
    load_failures(m, w);
    switch (m->status.phase) {
    case PB__VM_PHASE__VM_STARTING:
        if (!current && !host_booted) {
            /* Committed, but it never came to this machine: nothing of that incarnation was ever
             * started, so it still may be. */
            m->state = VM_STATE_INTENT;
            m->intent = m->reported;
            return;
        }
        ended_meanwhile(m, w, current ? f : NULL, host_booted);
        break;
    case PB__VM_PHASE__VM_RUNNING:
    case PB__VM_PHASE__VM_PAUSED:
    case PB__VM_PHASE__VM_STOPPING:
        if (m->status.incarnation == 0) { /* a stop before the first start */
            m->status.phase = PB__VM_PHASE__VM_ABSENT;
            m->version++;
            return;
        }
        if (m->status.phase != PB__VM_PHASE__VM_STOPPING ||
            !ended_before_stop(m, current ? f : NULL)) {
            ended_meanwhile(m, w, current ? f : NULL, host_booted);
            break;
        }
        m->status.phase = vm_end_phase(m->status.cause);
        m->version++;
        break; /* what is wanted decides, not a policy */
    case PB__VM_PHASE__VM_STOPPED:
    case PB__VM_PHASE__VM_FAILED:
        if (m->status.cause != PB__EXIT_CAUSE__EXIT_STOPPED &&
            m->status.cause != PB__EXIT_CAUSE__EXIT_KILLED)
            vm_end_rest(m, w, m->status.cause, true);
        break;
    default: return; /* never started, or being deleted */
    }
    rest_after_boot(m, w, host_booted);
}

void vm_machine_looked(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *found,
                       bool host_booted)
{
    m->stop = VM_STOP_NONE;
    m->killed = false;
    m->running = 0;
    if (!w->vm) {
        /* Not in the state: whatever is there goes. */
        m->running = found && found_runs(found) ? found->incarnation : 0;
        m->state = !found ? VM_STATE_GONE : m->running ? VM_STATE_RUNNING : VM_STATE_OFF;
        return;
    }
    if (w->vm->status)
        load_status(m, w->vm->status);
    if (!found_runs(found)) {
        settle_off(m, w, found, host_booted);
    } else if (adoptable(m, found)) {
        adopt(m, w, found);
    } else {
        /* An incarnation that the state knows nothing of must end before another may begin. */
        m->state = VM_STATE_RUNNING;
        m->running = found->incarnation;
        m->stop = VM_STOP_STRAY;
    }
}
