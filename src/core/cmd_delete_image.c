/*
 * delete of an image: refused while a VM was made from it; then its node removes the files, reports
 * that they are gone, and the object goes.
 */
#include <stdio.h>
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"

enum { NAMED_MAX = 5 };

/* Does another ready image of the project have the same content on the same node, which VMs could start from? */
static bool has_twin(const struct txn *t, const struct object *o)
{
    struct ikey prefix;
    struct str key;
    void *value;
    ikey_init(&prefix);
    ikey_text(&prefix, object_project_name(o));
    ikey_text(&prefix, object_image(o)->digest);
    const struct map *m = &t->c->derived.image_by_digest;
    for (bool more = ikey_first(m, &prefix, &key, &value); more;
         more = ikey_next(m, &prefix, &key, &value))
        if (value != o && object_image(value)->node == object_image(o)->node)
            return true;
    return false;
}

/* The VM after `uid` that starts from the files of this image, or NULL. */
static struct object *next_user(const struct txn *t, const struct object *o, const char *uid)
{
    const Pb__Image *image = object_image(o);
    struct object *vm = NULL;
    if (!image->digest)
        return NULL;
    do {
        vm = cluster_vm_of_image(t->c, object_project_name(o), image->digest, uid);
        uid = vm ? object_uid(vm) : NULL;
    } while (vm && object_vm(vm)->status->node != image->node);
    return vm;
}

static enum status check_unused(const struct txn *t, const struct object *o, struct fault *why)
{
    struct object *vm = next_user(t, o, "");
    if (!vm || has_twin(t, o))
        return ST_OK;
    char users[NAMED_MAX * 66 + 16] = "";
    size_t count = 0, len = 0;
    for (; vm && count < NAMED_MAX; count++) {
        len += (size_t)snprintf(users + len, sizeof users - len, "%s%s", count ? ", " : "",
                                object_name(vm));
        vm = next_user(t, o, object_uid(vm));
    }
    enum status s = fault_set(why, ST_IN_USE, "image %s is in use by vm %s%s", object_name(o),
                              users, vm ? " and others" : "");
    fault_hint(why, "delete those VMs first");
    return s;
}

enum status cmd_delete_image(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                             struct fault *why)
{
    const struct object *before = cluster_operation_on(t->c, object_uid(o));
    txn_result(t, object_uid(o));
    if (object_image(o)->phase == PB__IMAGE_PHASE__IMAGE_DELETING && before) {
        txn_result_operation(t, object_operation(before)->id);
        return ST_OK;
    }
    enum status s = check_unused(t, o, why);
    if (s != ST_OK)
        return s;
    Pb__Image *image = (Pb__Image *)(void *)proto_copy(&object_image(o)->base);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_DELETING);
    struct object *now = txn_put(t, OBJECT_IMAGE, &image->base);
    txn_event(t, "image.deleting", now, "%s", "");
    return operation_begin(t, m->operation_id, OPERATION_IMAGE_DELETE, now, 0, false, why);
}
