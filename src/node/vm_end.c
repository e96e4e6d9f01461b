#include "node/vm_end.h"

#include <string.h>

#include "core/vm_life.h"

enum { FAILURES_MAX = 20 }; /* the back-off has long reached its maximum */

void vm_text(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--; /* not in the middle of a character */
    bool utf8 = str_utf8((struct str){text, len});
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool bad = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || (c >= 0x80 && !utf8);
        out[i] = bad ? '?' : (char)c;
    }
    out[len] = 0;
}

/* Double with each failure in a row, up to the maximum; the later half of it is left to chance, so
 * that VMs that fell together do not rise together. */
static uint64_t backoff_ms(const struct vm_machine *m, const struct vm_wish *w)
{
    const struct vm_policy *p = w->policy;
    uint64_t ms = p->backoff_min_ms;
    for (uint32_t i = 0; i < m->failures && ms < p->backoff_max_ms; i++)
        ms *= 2;
    ms = MIN(ms, p->backoff_max_ms);
    return ms / 2 + rng_range(w->rng, 0, ms - ms / 2);
}

void vm_end_rest(struct vm_machine *m, const struct vm_wish *w, Pb__ExitCause cause, bool soon)
{
    m->rest = VM_REST_HOLD;
    if (!w->vm || !w->vm->spec || w->vm->power != PB__POWER__POWER_RUNNING)
        return;
    enum vm_restart rule = vm_restart_rule(w->vm->spec->restart, cause);
    if (rule == VM_RESTART_NO)
        return;
    m->rest = VM_REST_UNTIL;
    m->restart_ms = w->now_ms;
    if (rule == VM_RESTART_NOW && !soon)
        return;
    m->restart_ms += backoff_ms(m, w);
    m->failures = MIN(m->failures + 1, (uint32_t)FAILURES_MAX);
}

/* How it ended, knowing what was asked of it. */
static Pb__ExitCause judge(const struct vm_machine *m, Pb__ExitCause told)
{
    bool by_guest = told == PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN;
    switch (m->stop) {
    case VM_STOP_HOST: return PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN;
    case VM_STOP_START_TIMEOUT: return PB__EXIT_CAUSE__EXIT_START_FAILED;
    case VM_STOP_STRAY: return told;
    case VM_STOP_WANTED:
        /* A guest that powers off at the last moment still did so by itself. */
        if (by_guest)
            return PB__EXIT_CAUSE__EXIT_STOPPED;
        return m->killed ? PB__EXIT_CAUSE__EXIT_KILLED : told;
    case VM_STOP_NONE: break;
    }
    if (m->state == VM_STATE_STARTING && by_guest)
        return PB__EXIT_CAUSE__EXIT_START_FAILED;
    /* Killed, but not by us: for its user that is a crash. */
    return told == PB__EXIT_CAUSE__EXIT_KILLED ? PB__EXIT_CAUSE__EXIT_CRASHED : told;
}

static const char *say(const struct vm_machine *m, const char *detail)
{
    if (m->stop == VM_STOP_START_TIMEOUT)
        return "the guest did not answer in time";
    if (m->state == VM_STATE_STARTING && !detail[0] && m->stop == VM_STOP_NONE)
        return "it ended before its guest answered";
    if (m->stop == VM_STOP_HOST && m->killed && !detail[0])
        return "it did not power off in time and was killed";
    return detail;
}

Pb__VmPhase vm_end_phase(Pb__ExitCause cause)
{
    switch (cause) {
    case PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN:
    case PB__EXIT_CAUSE__EXIT_GUEST_RESET:
    case PB__EXIT_CAUSE__EXIT_STOPPED:
    case PB__EXIT_CAUSE__EXIT_KILLED:
    case PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN: return PB__VM_PHASE__VM_STOPPED;
    default: return PB__VM_PHASE__VM_FAILED;
    }
}

void vm_end(struct vm_machine *m, const struct vm_wish *w, Pb__ExitCause cause, const char *detail,
            uint64_t ended_ns)
{
    Pb__ExitCause judged = judge(m, cause);
    vm_text(m->status.detail, sizeof m->status.detail, say(m, detail));
    m->status.cause = judged;
    bool wanted = m->stop == VM_STOP_WANTED || m->stop == VM_STOP_HOST;
    m->status.phase = wanted ? PB__VM_PHASE__VM_STOPPED : vm_end_phase(judged);
    m->status.ended_ns = ended_ns;
    m->status.boot_id[0] = m->status.address[0] = 0;
    m->version++;

    uint64_t ran_ms = m->ready_ms ? w->now_ms - m->ready_ms : 0;
    if (ran_ms >= w->policy->backoff_reset_ms)
        m->failures = 0;
    if (m->stop == VM_STOP_WANTED)
        m->rest = VM_REST_NONE;
    else if (m->stop == VM_STOP_HOST)
        m->rest = VM_REST_HOLD;
    else
        vm_end_rest(m, w, judged, ran_ms < w->policy->backoff_min_ms);

    m->state = VM_STATE_OFF;
    m->stop = VM_STOP_NONE;
    m->killed = false;
    m->running = 0;
    m->ready_ms = 0;
}
