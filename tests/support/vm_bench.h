/*
 * vm_bench: one VM, what the state says of it, and a machine that is asked by hand.
 */
#pragma once

#include "node/vm_machine.h"

struct bench {
    struct vm_machine m;
    Pb__Vm vm;
    Pb__VmSpec spec;
    Pb__VmStatus status;
    struct vm_status held; /* texts of `status` */
    struct vm_policy policy;
    struct rng rng;
    struct vm_wish w; /* at 1000 ms, with a slot */
};

void bench_init_new(struct bench *b);      /* one that never ran; nobody has looked yet */
void bench_init_starting(struct bench *b); /* its first incarnation was begun */
void bench_init_running(struct bench *b);  /* and its guest has answered */

/* The state takes the report, if it is one that may follow. */
void bench_commit(struct bench *b);
/* As cmd_vm_power does: a stop of what might be starting is marked at once. */
void bench_order(struct bench *b, Pb__Power power);
void bench_order_start(struct bench *b);

enum vm_action bench_step(struct bench *b);
/* What the monitor says of the incarnation that runs. */
void bench_tell(struct bench *b, enum vmm_event_type type, Pb__ExitCause cause);

/* The node starts again; then it looks. found: NULL if there is nothing. */
void bench_restart(struct bench *b);
void bench_look(struct bench *b, const struct vmm_event *found, bool booted);
/* That the incarnation of the state is found so. */
struct vmm_event bench_found(const struct bench *b, Pb__VmPhase phase, Pb__ExitCause cause);
/* Both: it starts again, and finds it so. */
void bench_restart_finding(struct bench *b, Pb__VmPhase phase, Pb__ExitCause cause);
