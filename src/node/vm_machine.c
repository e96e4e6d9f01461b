#include "node/vm_machine.h"

#include "core/vm_life.h"
#include "node/vm_end.h"

enum goal {
    GOAL_STAY,   /* as it is */
    GOAL_UP,     /* running */
    GOAL_PAUSE,  /* running, CPUs stopped */
    GOAL_DOWN,   /* off, gracefully */
    GOAL_KILL,   /* off, now */
    GOAL_DELETE, /* off, gracefully, then without a trace */
    GOAL_ERASE,  /* without a trace, now */
    GOAL_COUNT
};

enum move {
    MOVE_WAIT,
    MOVE_INTEND,  /* raise the incarnation and report that */
    MOVE_LAUNCH,  /* start what was intended */
    MOVE_ABANDON, /* give up what was intended */
    MOVE_STOP,
    MOVE_KILL,
    MOVE_PAUSE,
    MOVE_RESUME,
    MOVE_REMOVE,
};

/* Waiting means that an event of the port is under way, or that the goal is reached. A paused guest
 * cannot power off: it is resumed first. */
static const uint8_t table[VM_STATE_COUNT][GOAL_COUNT] = {
    [VM_STATE_OFF] =
        {
            [GOAL_UP] = MOVE_INTEND,
            [GOAL_DELETE] = MOVE_REMOVE,
            [GOAL_ERASE] = MOVE_REMOVE,
        },
    [VM_STATE_INTENT] =
        {
            [GOAL_STAY] = MOVE_LAUNCH,
            [GOAL_UP] = MOVE_LAUNCH,
            [GOAL_PAUSE] = MOVE_LAUNCH,
            [GOAL_DOWN] = MOVE_ABANDON,
            [GOAL_KILL] = MOVE_ABANDON,
            [GOAL_DELETE] = MOVE_ABANDON,
            [GOAL_ERASE] = MOVE_ABANDON,
        },
    [VM_STATE_STARTING] =
        {
            [GOAL_DOWN] = MOVE_STOP,
            [GOAL_KILL] = MOVE_KILL,
            [GOAL_DELETE] = MOVE_STOP,
            [GOAL_ERASE] = MOVE_REMOVE,
        },
    [VM_STATE_RUNNING] =
        {
            [GOAL_PAUSE] = MOVE_PAUSE,
            [GOAL_DOWN] = MOVE_STOP,
            [GOAL_KILL] = MOVE_KILL,
            [GOAL_DELETE] = MOVE_STOP,
            [GOAL_ERASE] = MOVE_REMOVE,
        },
    [VM_STATE_PAUSING] = {[GOAL_KILL] = MOVE_KILL, [GOAL_ERASE] = MOVE_REMOVE},
    [VM_STATE_PAUSED] =
        {
            [GOAL_UP] = MOVE_RESUME,
            [GOAL_DOWN] = MOVE_RESUME,
            [GOAL_KILL] = MOVE_KILL,
            [GOAL_DELETE] = MOVE_RESUME,
            [GOAL_ERASE] = MOVE_REMOVE,
        },
    [VM_STATE_RESUMING] = {[GOAL_KILL] = MOVE_KILL, [GOAL_ERASE] = MOVE_REMOVE},
    [VM_STATE_STOPPING] = {[GOAL_KILL] = MOVE_KILL, [GOAL_ERASE] = MOVE_REMOVE},
};

void vm_machine_init(struct vm_machine *m)
{
    *m = (struct vm_machine){.state = VM_STATE_UNKNOWN, .deadline_ms = UINT64_MAX};
}

bool vm_machine_starts(const struct vm_machine *m)
{
    return m->state == VM_STATE_INTENT || m->state == VM_STATE_STARTING;
}

static bool is_up(enum vm_state s)
{
    return s == VM_STATE_STARTING || s == VM_STATE_RUNNING || s == VM_STATE_PAUSING ||
           s == VM_STATE_PAUSED || s == VM_STATE_RESUMING;
}

bool vm_machine_runs(const struct vm_machine *m)
{
    return is_up(m->state) || m->state == VM_STATE_STOPPING || m->state == VM_STATE_KILLING ||
           m->state == VM_STATE_REMOVING || m->state == VM_STATE_UNKNOWN;
}

void vm_machine_reported(struct vm_machine *m, uint64_t version)
{
    require(version <= m->version);
    m->reported = MAX(m->reported, version);
}

bool vm_machine_has_news(const struct vm_machine *m)
{
    return m->reported < m->version;
}

/* A user's start or restart that what runs, or ran last, does not answer. */
static bool has_order(const struct vm_machine *m, const Pb__Vm *vm)
{
    return vm->start_nonce > m->status.generation;
}

/* A stop that found nothing running was marked as begun, since this node might just have been
 * starting it. It was not: say again how it is. */
static void answer_stop(struct vm_machine *m, const struct vm_wish *w)
{
    if (m->state == VM_STATE_OFF && w->vm && w->vm->status &&
        w->vm->status->phase == PB__VM_PHASE__VM_STOPPING && !vm_machine_has_news(m))
        m->version++;
}

static enum goal goal_of(const struct vm_machine *m, const struct vm_wish *w)
{
    const Pb__Vm *vm = w->vm;
    if (m->stop == VM_STOP_STRAY || m->killed)
        return GOAL_KILL;
    if (!vm)
        return GOAL_ERASE;
    if (vm->deleting)
        return vm->force ? GOAL_ERASE : GOAL_DELETE;
    enum goal down = vm->force ? GOAL_KILL : GOAL_DOWN;
    if (w->host_down)
        return w->now_ms >= w->host_deadline_ms ? GOAL_KILL : GOAL_DOWN;
    if (vm->power != PB__POWER__POWER_RUNNING && vm->power != PB__POWER__POWER_PAUSED)
        return down;
    /* A stop that has begun is carried through, also by the node after a restart. */
    if (is_up(m->state) && m->status.phase == PB__VM_PHASE__VM_STOPPING)
        return down;
    if (has_order(m, vm)) {
        if (is_up(m->state))
            return down; /* a restart: it comes back once it is off */
    } else if (m->state == VM_STATE_OFF) {
        if (m->rest == VM_REST_HOLD || (m->rest == VM_REST_UNTIL && w->now_ms < m->restart_ms))
            return GOAL_STAY;
    }
    return vm->power == PB__POWER__POWER_PAUSED ? GOAL_PAUSE : GOAL_UP;
}

/* What cannot follow, such as running after stopping, is not said: the end will be. */
static void set_phase(struct vm_machine *m, Pb__VmPhase phase)
{
    if (m->status.phase == phase || !vm_may_follow(m->status.phase, phase))
        return;
    m->status.phase = phase;
    m->version++;
}

/* Another policy may have come meanwhile. What went down with the host waits for the host. */
static void judge_rest_again(struct vm_machine *m, const struct vm_wish *w)
{
    if (m->state != VM_STATE_OFF || !w->vm || !w->vm->spec || m->rest == VM_REST_NONE ||
        m->status.cause == PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN)
        return;
    bool restarts = w->vm->power == PB__POWER__POWER_RUNNING &&
                    vm_restart_rule(w->vm->spec->restart, m->status.cause) != VM_RESTART_NO;
    if (restarts != (m->rest == VM_REST_UNTIL))
        vm_end_rest(m, w, m->status.cause, true);
}

/* --- moves --- */

enum { ANSWER_MS = 10000 }; /* the port has so long to carry out what is done at once */

static enum vm_action move_intend(struct vm_machine *m, const struct vm_wish *w)
{
    if (vm_machine_has_news(m)) /* how it ended is told before it begins anew */
        return VM_ACTION_NONE;
    if (!w->slot)
        return VM_ACTION_QUEUE;
    if (has_order(m, w->vm))
        m->status.restarts = m->failures = 0;
    else if (m->rest == VM_REST_UNTIL)
        m->status.restarts++;
    m->status.incarnation++;
    m->status.started_ns = m->status.start_ms = 0; /* it did not answer yet */
    m->status.generation = w->vm->generation;
    m->status.phase = PB__VM_PHASE__VM_STARTING;
    m->intent = ++m->version;
    m->state = VM_STATE_INTENT;
    return VM_ACTION_NONE;
}

static enum vm_action move_launch(struct vm_machine *m, const struct vm_wish *w)
{
    if (m->status.generation != w->vm->generation) { /* what starts is what is wanted by now */
        m->status.generation = w->vm->generation;
        m->intent = ++m->version;
    }
    if (m->reported < m->intent)
        return VM_ACTION_NONE;
    m->state = VM_STATE_STARTING;
    m->running = m->status.incarnation;
    m->deadline_ms = w->now_ms + w->policy->start_timeout_ms;
    return VM_ACTION_START;
}

static enum vm_action move_abandon(struct vm_machine *m, const struct vm_wish *w)
{
    m->status.phase = PB__VM_PHASE__VM_STOPPED;
    m->status.cause =
        w->host_down ? PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN : PB__EXIT_CAUSE__EXIT_STOPPED;
    m->status.detail[0] = 0;
    m->version++;
    m->state = VM_STATE_OFF;
    m->rest = w->host_down ? VM_REST_HOLD : VM_REST_NONE;
    return VM_ACTION_NONE;
}

static void note_stop(struct vm_machine *m, const struct vm_wish *w)
{
    if (m->stop == VM_STOP_NONE)
        m->stop = w->host_down && !(w->vm && w->vm->deleting) ? VM_STOP_HOST : VM_STOP_WANTED;
}

static enum vm_action move_stop(struct vm_machine *m, const struct vm_wish *w)
{
    note_stop(m, w);
    uint64_t grace_ms = (w->vm->spec ? w->vm->spec->stop_timeout_s : 0) * UINT64_C(1000);
    m->deadline_ms = w->now_ms + grace_ms;
    m->state = VM_STATE_STOPPING;
    m->ask_again = false;
    set_phase(m, PB__VM_PHASE__VM_STOPPING);
    return VM_ACTION_POWER_DOWN;
}

static enum vm_action move_kill(struct vm_machine *m, const struct vm_wish *w)
{
    note_stop(m, w);
    m->killed = true;
    m->state = VM_STATE_KILLING;
    m->deadline_ms = w->now_ms + ANSWER_MS;
    if (m->stop != VM_STOP_STRAY)
        set_phase(m, PB__VM_PHASE__VM_STOPPING);
    return VM_ACTION_KILL;
}

static enum vm_action move_pause(struct vm_machine *m, const struct vm_wish *w)
{
    m->state = VM_STATE_PAUSING;
    m->deadline_ms = w->now_ms + ANSWER_MS;
    return VM_ACTION_PAUSE;
}

static enum vm_action move_resume(struct vm_machine *m, const struct vm_wish *w)
{
    m->state = VM_STATE_RESUMING;
    m->deadline_ms = w->now_ms + ANSWER_MS;
    return VM_ACTION_RESUME;
}

static enum vm_action move_remove(struct vm_machine *m, const struct vm_wish *w)
{
    m->state = VM_STATE_REMOVING;
    m->deadline_ms = w->now_ms + ANSWER_MS;
    if (w->vm)
        set_phase(m, PB__VM_PHASE__VM_DELETING);
    return VM_ACTION_REMOVE;
}

static enum vm_action make_move(struct vm_machine *m, const struct vm_wish *w, enum move move)
{
    switch (move) {
    case MOVE_WAIT: return VM_ACTION_NONE;
    case MOVE_INTEND: return move_intend(m, w);
    case MOVE_LAUNCH: return move_launch(m, w);
    case MOVE_ABANDON: return move_abandon(m, w);
    case MOVE_STOP: return move_stop(m, w);
    case MOVE_KILL: return move_kill(m, w);
    case MOVE_PAUSE: return move_pause(m, w);
    case MOVE_RESUME: return move_resume(m, w);
    case MOVE_REMOVE: return move_remove(m, w);
    }
    defs_unreachable("move of a VM");
}

static bool under_way(enum vm_state s)
{
    return s == VM_STATE_STARTING || s == VM_STATE_STOPPING || s == VM_STATE_PAUSING ||
           s == VM_STATE_RESUMING || s == VM_STATE_KILLING || s == VM_STATE_REMOVING;
}

static uint64_t due_ms(const struct vm_machine *m, const struct vm_wish *w)
{
    bool host = w->host_down && m->state == VM_STATE_STOPPING;
    return host ? MIN(m->deadline_ms, w->host_deadline_ms) : m->deadline_ms;
}

/* Where it stands again when what was asked for did not happen. */
static enum vm_state fall_back(const struct vm_machine *m)
{
    switch (m->state) {
    case VM_STATE_PAUSING: return VM_STATE_RUNNING;
    case VM_STATE_RESUMING: return VM_STATE_PAUSED;
    case VM_STATE_KILLING: return VM_STATE_RUNNING;
    case VM_STATE_REMOVING: return m->running ? VM_STATE_RUNNING : VM_STATE_OFF;
    default: return m->state;
    }
}

enum vm_action vm_machine_step(struct vm_machine *m, const struct vm_wish *w)
{
    if (m->state == VM_STATE_UNKNOWN || w->now_ms < m->quiet_ms)
        return VM_ACTION_NONE;
    if (under_way(m->state) && w->now_ms >= due_ms(m, w)) {
        if (m->state == VM_STATE_STARTING)
            m->stop = VM_STOP_START_TIMEOUT;
        if (m->state == VM_STATE_STARTING || m->state == VM_STATE_STOPPING)
            return move_kill(m, w);
        m->state = fall_back(m);
    }
    if (m->state == VM_STATE_STOPPING && m->ask_again) {
        m->ask_again = false;
        return VM_ACTION_POWER_DOWN;
    }
    answer_stop(m, w);
    judge_rest_again(m, w);
    for (;;) {
        enum vm_state before = m->state;
        enum vm_action a = make_move(m, w, table[m->state][goal_of(m, w)]);
        if (a != VM_ACTION_NONE || m->state == before)
            return a;
    }
}

uint64_t vm_machine_deadline_ms(const struct vm_machine *m, const struct vm_wish *w)
{
    if (w->now_ms < m->quiet_ms) /* after a refusal there is something to do again */
        return m->quiet_ms;
    uint64_t at = UINT64_MAX;
    if (under_way(m->state))
        at = due_ms(m, w);
    else if (m->state == VM_STATE_OFF && m->rest == VM_REST_UNTIL && w->now_ms < m->restart_ms)
        at = m->restart_ms;
    if (w->host_down && is_up(m->state) && w->now_ms < w->host_deadline_ms)
        at = MIN(at, w->host_deadline_ms);
    return at;
}

/* --- events --- */

/* The guest answered, or was found to have. */
static void ready(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *e)
{
    m->ready_ms = w->now_ms;
    vm_text(m->status.boot_id, sizeof m->status.boot_id, e->boot_id);
    vm_text(m->status.address, sizeof m->status.address, e->address);
    m->status.started_ns = e->started_ns;
    m->status.start_ms = e->start_ms;
    m->version++;
    m->ask_again = m->state == VM_STATE_STOPPING;
    if (m->state != VM_STATE_STARTING)
        return;
    m->state = VM_STATE_RUNNING;
    set_phase(m, PB__VM_PHASE__VM_RUNNING);
}

/* Try again later, from where it was. */
static void refused(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *e)
{
    m->quiet_ms = w->now_ms + w->policy->backoff_min_ms;
    if (m->state == VM_STATE_STARTING)
        vm_machine_start_failed(m, w, e->detail);
    else
        m->state = fall_back(m); /* of a power-down nothing: its deadline stands */
}

/* Now it is as if the port had found nothing. */
static void stray_ended(struct vm_machine *m, const struct vm_wish *w)
{
    uint64_t ran = m->running;
    struct vmm_event files = {.type = VMM_FOUND, .phase = PB__VM_PHASE__VM_STOPPED};
    vm_machine_looked(m, w, &files, false);
    if (ran > m->status.incarnation) { /* its number is used up */
        m->status.incarnation = ran;
        if (m->state == VM_STATE_INTENT)
            m->state = VM_STATE_OFF;
    }
}

static void exited(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *e)
{
    if (m->state == VM_STATE_REMOVING) { /* it removes what is left */
        m->running = 0;
        return;
    }
    if (m->stop == VM_STOP_STRAY) {
        stray_ended(m, w);
        return;
    }
    vm_end(m, w, e->cause, e->detail, e->ended_ns);
}

void vm_machine_event(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *e)
{
    if (e->type == VMM_REMOVED) {
        if (m->state == VM_STATE_REMOVING)
            m->state = VM_STATE_GONE;
        return;
    }
    bool ours = m->running != 0 && e->incarnation == m->running;
    if (!ours && !(e->type == VMM_REFUSED && m->state == VM_STATE_REMOVING))
        return;
    switch (e->type) {
    case VMM_READY: ready(m, w, e); return;
    case VMM_PAUSED:
        if (m->state == VM_STATE_PAUSING || m->state == VM_STATE_RUNNING) {
            m->state = VM_STATE_PAUSED;
            set_phase(m, PB__VM_PHASE__VM_PAUSED);
        }
        return;
    case VMM_RESUMED:
        if (m->state == VM_STATE_RESUMING || m->state == VM_STATE_PAUSED) {
            m->state = VM_STATE_RUNNING;
            set_phase(m, PB__VM_PHASE__VM_RUNNING);
        }
        return;
    case VMM_EXITED: exited(m, w, e); return;
    case VMM_REFUSED: refused(m, w, e); return;
    default: return;
    }
}

void vm_machine_start_failed(struct vm_machine *m, const struct vm_wish *w, const char *detail)
{
    require(m->state == VM_STATE_STARTING);
    vm_end(m, w, PB__EXIT_CAUSE__EXIT_START_FAILED, detail, 0);
}

void vm_status_message(const struct vm_status *s, uint32_t node, Pb__VmStatus *out)
{
    *out = (Pb__VmStatus)PB__VM_STATUS__INIT;
    out->has_phase = out->has_node = out->has_epoch = out->has_incarnation = 1;
    out->has_generation = out->has_cause = out->has_restarts = 1;
    out->phase = s->phase;
    out->node = node;
    out->epoch = s->epoch;
    out->incarnation = s->incarnation;
    out->generation = s->generation;
    out->cause = s->cause;
    out->restarts = s->restarts;
    out->has_started_ns = s->started_ns != 0;
    out->started_ns = s->started_ns;
    out->has_ended_ns = s->ended_ns != 0;
    out->ended_ns = s->ended_ns;
    out->has_start_ms = s->start_ms != 0;
    out->start_ms = s->start_ms;
    /* protobuf-c has no const texts; nobody writes to them. */
    out->boot_id = s->boot_id[0] ? (char *)(uintptr_t)s->boot_id : NULL;
    out->address = s->address[0] ? (char *)(uintptr_t)s->address : NULL;
    out->detail = s->detail[0] ? (char *)(uintptr_t)s->detail : NULL;
}
