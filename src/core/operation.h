/*
 * operation: what a user waits for. It is made with the command, and ends when a report shows that
 * its goal is reached or missed, when another wish takes its place, or when it is cancelled.
 *
 * An object has one operation under way at most.
 */
#pragma once

#include "core/txn.h"

/* Kinds, as Operation.kind and the API have them. */
#define OPERATION_VM_CREATE    "vm.create"
#define OPERATION_VM_START     "vm.start"
#define OPERATION_VM_STOP      "vm.stop"
#define OPERATION_VM_RESTART   "vm.restart"
#define OPERATION_VM_PAUSE     "vm.pause"
#define OPERATION_VM_RESUME    "vm.resume"
#define OPERATION_VM_DELETE    "vm.delete"
#define OPERATION_IMAGE_BUILD  "image.build"
#define OPERATION_IMAGE_IMPORT "image.import"
#define OPERATION_IMAGE_DELETE "image.delete"

/* What an operation on a VM waits for. */
enum operation_goal {
    GOAL_RUNNING,
    GOAL_PAUSED,
    GOAL_STOPPED,
    GOAL_GONE,
};
/* kind is one of a VM's. */
enum operation_goal operation_goal(const char *kind);

enum operation_verdict { VERDICT_WAIT, VERDICT_REACHED, VERDICT_MISSED };
/* How far a VM is on the way to a goal. */
enum operation_verdict operation_judge(enum operation_goal goal, const Pb__Vm *vm);

/*
 * Stage an operation on `target` (as staged, if it is), and name it in the result. One that is under
 * way on the target ends as cancelled: "superseded by <kind>".
 *
 * id       uid for it, from the command.
 * ended    its goal is reached already: it has succeeded.
 *
 * Returns  ST_OK, ST_INVALID or ST_EXISTS for the id, ST_LIMIT.
 */
MUST_USE enum status operation_begin(struct txn *t, const char *id, const char *kind,
                                     const struct object *target, uint64_t generation, bool ended,
                                     struct fault *why);

/* Stage the end of an operation. */
void operation_succeed(struct txn *t, const struct object *op);
void operation_fail(struct txn *t, const struct object *op, enum status code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
void operation_cancel(struct txn *t, const struct object *op, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Stage how far it is, if that is news. step may be NULL: as before. has_progress false: not known. */
void operation_step(struct txn *t, const struct object *op, const char *step, bool has_progress,
                    uint32_t progress);
