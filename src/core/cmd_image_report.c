/*
 * image_report: what became of an image on its node: how far it is, ready, failed, or gone.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"
#include "wire/schema.h"

static enum status need_blob(const Pb__Blob *b, const char *field, struct fault *why)
{
    return cmd_need(b && b->digest && b->has_size, field, why);
}

/* A ready image has all that its kind needs. */
static enum status check_ready(const Pb__Image *r, struct fault *why)
{
    bool disk = r->kind == PB__IMAGE_KIND__IMAGE_DISK;
    enum status s = cmd_need(r->digest != NULL, "image.digest", why);
    if (s == ST_OK)
        s = cmd_need(r->has_kind, "image.kind", why);
    if (s == ST_OK)
        s = need_blob(r->kernel, "image.kernel", why);
    if (s == ST_OK)
        s = need_blob(r->initrd, "image.initrd", why);
    if (s == ST_OK && disk)
        s = need_blob(r->disk, "image.disk", why);
    if (s == ST_OK && disk)
        s = cmd_need(r->has_disk_format, "image.disk_format", why);
    return s;
}

static Pb__Blob *copy_blob(const Pb__Blob *b)
{
    return (Pb__Blob *)(void *)proto_copy(&b->base);
}

static void become_ready(struct txn *t, Pb__Image *image, const Pb__Image *r,
                         const struct object *op)
{
    image->kernel = copy_blob(r->kernel);
    image->initrd = copy_blob(r->initrd);
    uint64_t size = r->kernel->size + r->initrd->size;
    if (r->kind == PB__IMAGE_KIND__IMAGE_DISK) {
        image->disk = copy_blob(r->disk);
        size += r->disk->size;
        PROTO_SET(image, disk_format, r->disk_format);
    }
    PROTO_SET(image, kind, r->kind);
    PROTO_SET(image, size, size);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_READY);
    proto_set(&image->digest, r->digest);
    proto_set(&image->kernel_release, r->kernel_release);
    struct object *o = txn_put(t, OBJECT_IMAGE, &image->base);
    txn_event(t, "image.ready", o, "%s", image->digest);
    if (op)
        operation_succeed(t, op);
}

static void become_failed(struct txn *t, Pb__Image *image, const Pb__Image *r,
                          const struct object *op)
{
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_FAILED);
    proto_set(&image->error, r->error ? r->error : "its node does not say why");
    struct object *o = txn_put(t, OBJECT_IMAGE, &image->base);
    txn_event(t, "image.failed", o, "%s", image->error);
    if (op)
        operation_fail(t, op, ST_FAILED, "%s", image->error);
}

static enum status report_gone(struct txn *t, struct object *o, struct fault *why)
{
    if (object_image(o)->phase != PB__IMAGE_PHASE__IMAGE_DELETING)
        return fault_set(why, ST_CONFLICT, "image %s is not being deleted", object_name(o));
    const struct object *op = cluster_operation_on(t->c, object_uid(o));
    txn_remove(t, o);
    txn_event(t, "image.deleted", o, "%s", "");
    if (op)
        operation_succeed(t, op);
    return ST_OK;
}

/* The step after the one that is stored: pending, then ready or failed; a ready one may turn out to be
 * damaged. */
static enum status report_phase(struct txn *t, struct object *o, const Pb__CmdImageReport *m,
                                struct fault *why)
{
    const Pb__Image *old = object_image(o), *r = m->image;
    enum status s = cmd_need(r && r->has_phase, "image.phase", why);
    if (s != ST_OK)
        return s;
    bool pending = old->phase == PB__IMAGE_PHASE__IMAGE_PENDING;
    bool ready = old->phase == PB__IMAGE_PHASE__IMAGE_READY;
    bool fails = r->phase == PB__IMAGE_PHASE__IMAGE_FAILED;
    if (!pending && !(ready && fails))
        return fault_set(why, ST_CONFLICT, "image %s is %s", object_name(o),
                         schema_word(&pb__image_phase__descriptor, (int)old->phase));
    const struct object *op = cluster_operation_on(t->c, object_uid(o));
    switch (r->phase) {
    case PB__IMAGE_PHASE__IMAGE_PENDING:
        if (op)
            operation_step(t, op, m->step, m->has_progress, m->progress);
        return ST_OK;
    case PB__IMAGE_PHASE__IMAGE_READY:
        s = check_ready(r, why);
        if (s == ST_OK)
            become_ready(t, (Pb__Image *)(void *)proto_copy(&old->base), r, op);
        return s;
    case PB__IMAGE_PHASE__IMAGE_FAILED:
        become_failed(t, (Pb__Image *)(void *)proto_copy(&old->base), r, op);
        return ST_OK;
    default:
        s = fault_set(why, ST_INVALID, "image.phase: a node reports pending, ready or failed");
        fault_field(why, "image.phase");
        return s;
    }
}

enum status cmd_image_report(struct txn *t, const Pb__CmdImageReport *m, struct fault *why)
{
    struct object *o = NULL;
    enum status s = cmd_find(t, OBJECT_IMAGE, m->uid, &o, why);
    if (s == ST_OK)
        s = cmd_need(m->has_node, "node", why);
    if (s != ST_OK)
        return s;
    if (m->node != object_image(o)->node)
        return fault_set(why, ST_CONFLICT,
                         "image %s is made by node %" PRIu32 ", not by node %" PRIu32,
                         object_name(o), object_image(o)->node, m->node);
    s = m->gone ? report_gone(t, o, why) : report_phase(t, o, m, why);
    if (s == ST_OK)
        txn_result(t, m->uid);
    return s;
}
