/*
 * image_create: a new image, pending; its node builds or imports it, and reports.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"

#define ROOT_NONE    "none"
#define ROOT_MINBASE "minbase"

static enum status refuse(const char *field, const char *what, const char *hint, struct fault *why)
{
    enum status s = fault_set(why, ST_INVALID, "%s: %s", field, what);
    fault_field(why, "%s", field);
    if (hint)
        fault_hint(why, "%s", hint);
    return s;
}

/* A file of a kind that can be a root. */
static bool is_root_file(const char *root)
{
    struct str s = str_from(root);
    return root[0] == '/' && (str_ends(s, ".raw") || str_ends(s, ".qcow2") || str_ends(s, ".tar"));
}

static enum status check_source(const Pb__ImageSource *source, struct fault *why)
{
    const char *root = source->root ? source->root : ROOT_NONE;
    bool minbase = strcmp(root, ROOT_MINBASE) == 0;
    bool tar = str_ends(str_from(root), ".tar");
    if (strcmp(root, ROOT_NONE) != 0 && !minbase && !is_root_file(root))
        return refuse("source.root",
                      "it must be none, minbase, or the path of a .raw, .qcow2 or .tar file", NULL,
                      why);
    if (source->has_root_size_mib && !minbase && !tar)
        return refuse("source.root_size_mib", "only a root made from minbase or a .tar has a size",
                      "leave it out", why);
    if (source->n_packages > 0 && !minbase)
        return refuse("source.packages", "packages are added to minbase only",
                      "add root: minbase, or leave them out", why);
    return ST_OK;
}

enum status cmd_image_create(struct txn *t, const Pb__CmdImageCreate *m, struct fault *why)
{
    struct object *node = NULL;
    enum status s = cmd_need(m->image != NULL, "image", why);
    if (s == ST_OK)
        s = cmd_new_meta(t, m->image->meta, true, why);
    if (s == ST_OK)
        s = cmd_find_node(t, m->node, &node, why);
    if (s == ST_OK && m->image->source)
        s = check_source(m->image->source, why);
    if (s == ST_OK)
        s = txn_room(t, OBJECT_IMAGE, why);
    if (s != ST_OK)
        return s;

    Pb__Image *image = (Pb__Image *)(void *)proto_new(&pb__image__descriptor);
    image->meta = cmd_copy_meta(m->image->meta);
    if (m->image->source)
        image->source = (Pb__ImageSource *)(void *)proto_copy(&m->image->source->base);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_PENDING);
    PROTO_SET(image, node, m->node);
    struct object *o = txn_put(t, OBJECT_IMAGE, &image->base);
    txn_event(t, "image.created", o, "%s on node %s", m->import ? "import" : "build",
              object_name(node));
    txn_result(t, object_uid(o));
    const char *kind = m->import ? OPERATION_IMAGE_IMPORT : OPERATION_IMAGE_BUILD;
    return operation_begin(t, m->operation_id, kind, o, 0, false, why);
}
