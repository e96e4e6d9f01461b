/*
 * vm_life: the phases of a VM and what may follow what; docs/explanation/vm-life.md tells the story.
 *
 * The core keeps what is wanted and what was reported; the node's reconciler acts. Both judge by
 * these rules.
 */
#pragma once

#include "base/defs.h"
#include "pb/vm.pb-c.h"

/* Does a monitor of it run, as far as is known: starting, running, paused, stopping, unknown? */
bool vm_alive(Pb__VmPhase phase);
/* Did its last incarnation end: stopped or failed? */
bool vm_ended(Pb__VmPhase phase);

/* May a report of `to` follow `from` for the same incarnation? What ended stays ended. */
bool vm_may_follow(Pb__VmPhase from, Pb__VmPhase to);
/* May a report of `to` begin a later incarnation? */
bool vm_may_begin(Pb__VmPhase to);

enum vm_restart {
    VM_RESTART_NO,
    VM_RESTART_LATER, /* after the back-off */
    VM_RESTART_NOW,   /* a reboot: at once, unless it came too soon after the one before */
};
/* What a VM that is wanted running does when it ended by `cause`. */
enum vm_restart vm_restart_rule(Pb__Restart policy, Pb__ExitCause cause);

/* A user asked for a start that no incarnation has answered yet. */
bool vm_start_asked(const Pb__Vm *vm);
/* It does not run, and its node will start it, or may be about to: asked for, or by policy. */
bool vm_start_due(const Pb__Vm *vm);

const char *vm_phase_name(Pb__VmPhase phase);   /* "running" */
const char *vm_cause_name(Pb__ExitCause cause); /* "guest-panic" */
