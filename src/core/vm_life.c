#include "core/vm_life.h"

#include "wire/schema.h"

enum {
    ABSENT = 1 << PB__VM_PHASE__VM_ABSENT,
    PREPARED = 1 << PB__VM_PHASE__VM_PREPARED,
    STARTING = 1 << PB__VM_PHASE__VM_STARTING,
    RUNNING = 1 << PB__VM_PHASE__VM_RUNNING,
    PAUSED = 1 << PB__VM_PHASE__VM_PAUSED,
    STOPPING = 1 << PB__VM_PHASE__VM_STOPPING,
    STOPPED = 1 << PB__VM_PHASE__VM_STOPPED,
    FAILED = 1 << PB__VM_PHASE__VM_FAILED,
    DELETING = 1 << PB__VM_PHASE__VM_DELETING,
    UNKNOWN = 1 << PB__VM_PHASE__VM_UNKNOWN,

    ALIVE = STARTING | RUNNING | PAUSED | STOPPING | UNKNOWN,
    ENDED = STOPPED | FAILED,
    ANY = ABSENT | PREPARED | ALIVE | ENDED | DELETING,
};

/*
 * What may follow within one incarnation. A daemon that was killed may have missed any number of
 * steps, so a phase may be skipped; only these never happen: what ended runs no more, and what runs
 * does not go back to an earlier phase unless its node said that it does not know.
 */
static const unsigned follow[] = {
    [PB__VM_PHASE__VM_ABSENT] = ANY,
    [PB__VM_PHASE__VM_PREPARED] = ANY,
    [PB__VM_PHASE__VM_STARTING] = ALIVE | ENDED | DELETING,
    [PB__VM_PHASE__VM_RUNNING] = (ALIVE & ~STARTING) | ENDED | DELETING,
    [PB__VM_PHASE__VM_PAUSED] = (ALIVE & ~STARTING) | ENDED | DELETING,
    /* Back to absent or prepared: it was marked as stopping before its node had started it. */
    [PB__VM_PHASE__VM_STOPPING] = STOPPING | UNKNOWN | ENDED | DELETING | ABSENT | PREPARED,
    [PB__VM_PHASE__VM_STOPPED] = ENDED | DELETING | ABSENT,
    [PB__VM_PHASE__VM_FAILED] = ENDED | DELETING | ABSENT,
    [PB__VM_PHASE__VM_DELETING] = DELETING | ENDED | ABSENT,
    [PB__VM_PHASE__VM_UNKNOWN] = ANY,
};
enum { PHASE_COUNT = ARRAY_COUNT(follow) };

static bool is_one_of(Pb__VmPhase phase, unsigned set)
{
    require((unsigned)phase < PHASE_COUNT);
    return (set >> phase & 1) != 0;
}

bool vm_alive(Pb__VmPhase phase)
{
    return is_one_of(phase, ALIVE);
}

bool vm_ended(Pb__VmPhase phase)
{
    return is_one_of(phase, ENDED);
}

bool vm_may_follow(Pb__VmPhase from, Pb__VmPhase to)
{
    require((unsigned)from < PHASE_COUNT);
    return is_one_of(to, follow[from]);
}

bool vm_may_begin(Pb__VmPhase to)
{
    return is_one_of(to, ANY & ~ABSENT);
}

/* Did it end because something went wrong? */
static bool is_failure(Pb__ExitCause cause)
{
    switch (cause) {
    case PB__EXIT_CAUSE__EXIT_GUEST_PANIC:
    case PB__EXIT_CAUSE__EXIT_CRASHED:
    case PB__EXIT_CAUSE__EXIT_START_FAILED:
    case PB__EXIT_CAUSE__EXIT_LEASE_EXPIRED:
    case PB__EXIT_CAUSE__EXIT_LOST: return true;
    default: return false;
    }
}

enum vm_restart vm_restart_rule(Pb__Restart policy, Pb__ExitCause cause)
{
    if (cause == PB__EXIT_CAUSE__EXIT_NONE)
        return VM_RESTART_NO;
    /* Not an end but a wish of the guest to go on, which no policy is about. */
    if (cause == PB__EXIT_CAUSE__EXIT_GUEST_RESET)
        return VM_RESTART_NOW;
    /* The host's boot decides, by autostart. */
    if (cause == PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN)
        return VM_RESTART_NO;
    if (policy == PB__RESTART__RESTART_ALWAYS)
        return VM_RESTART_LATER;
    if (policy == PB__RESTART__RESTART_ON_FAILURE && is_failure(cause))
        return VM_RESTART_LATER;
    return VM_RESTART_NO;
}

bool vm_start_asked(const Pb__Vm *vm)
{
    return vm->power == PB__POWER__POWER_RUNNING && vm->start_nonce > vm->status->generation;
}

bool vm_start_due(const Pb__Vm *vm)
{
    if (vm->power != PB__POWER__POWER_RUNNING || vm_alive(vm->status->phase))
        return false;
    return vm_start_asked(vm) || vm->status->phase == PB__VM_PHASE__VM_PREPARED ||
           vm_restart_rule(vm->spec->restart, vm->status->cause) != VM_RESTART_NO;
}

const char *vm_phase_name(Pb__VmPhase phase)
{
    return schema_word(&pb__vm_phase__descriptor, (int)phase);
}

const char *vm_cause_name(Pb__ExitCause cause)
{
    return schema_word(&pb__exit_cause__descriptor, (int)cause);
}
