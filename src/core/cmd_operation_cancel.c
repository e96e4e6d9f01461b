/*
 * operation_cancel: nobody waits any more. The making of an image is given up; what is wanted of a
 * VM stays wanted, for that is changed by another command.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"
#include "wire/schema.h"

static enum status refuse_ended(const Pb__Operation *p, struct fault *why)
{
    return fault_set(why, ST_CONFLICT, "operation %s has %s already", p->id,
                     schema_word(&pb__operation_phase__descriptor, (int)p->phase));
}

static void give_up_image(struct txn *t, const struct object *o)
{
    Pb__Image *image = (Pb__Image *)(void *)proto_copy(&object_image(o)->base);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_FAILED);
    proto_set(&image->error, "cancelled");
    txn_event(t, "image.failed", txn_put(t, OBJECT_IMAGE, &image->base), "cancelled");
}

enum status cmd_operation_cancel(struct txn *t, const Pb__CmdOperationCancel *m, struct fault *why)
{
    struct object *op = NULL;
    enum status s = cmd_find(t, OBJECT_OPERATION, m->id, &op, why);
    if (s != ST_OK)
        return s;
    const Pb__Operation *p = object_operation(op);
    if (p->phase != PB__OPERATION_PHASE__OPERATION_RUNNING)
        return refuse_ended(p, why);
    if (strcmp(p->kind, OPERATION_VM_DELETE) == 0 || strcmp(p->kind, OPERATION_IMAGE_DELETE) == 0)
        return fault_set(why, ST_CONFLICT, "operation %s deletes, which cannot be undone", p->id);
    struct object *image = cluster_find(t->c, OBJECT_IMAGE, p->target_uid);
    if (image)
        give_up_image(t, image);
    operation_cancel(t, op, "cancelled%s%s", t->actor[0] ? " by " : "", t->actor);
    txn_event(t, "operation.cancelled", op, "%s of %s", p->kind,
              p->target_name ? p->target_name : p->target_uid);
    txn_result(t, p->target_uid);
    txn_result_operation(t, p->id);
    return ST_OK;
}
