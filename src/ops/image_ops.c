#include <string.h>

#include "ops/run.h"
#include "wire/proto.h"

static enum status refuse_file(const char *field, struct fault *why)
{
    (void)fault_set(why, ST_INVALID, "source.%s: a build takes no files of the node", field);
    fault_field(why, "source.%s", field);
    fault_hint(why, "to take files: blixard image import");
    return ST_INVALID;
}

/* Build and import are told apart by the row: the one makes all from Debian's packages, the other takes
 * files that are there, which needs a higher role. */
static enum status check_source(const struct op_run *r, const Pb__ImageSource *source,
                                struct fault *why)
{
    bool import = r->op->id == OP_IMAGE_IMPORT;
    bool file_root = source && source->root && source->root[0] == '/';
    bool file = source && (source->kernel || source->initrd || file_root);
    if (import && !file) {
        (void)fault_set(why, ST_INVALID, "source: an import needs kernel, initrd or a root file");
        fault_field(why, "source");
        fault_hint(why, "to make an image from Debian packages: blixard image build");
        return ST_INVALID;
    }
    if (!import && file)
        return refuse_file(source->kernel ? "kernel" : source->initrd ? "initrd" : "root", why);
    if (source && source->n_packages > 0 &&
        (!source->root || strcmp(source->root, "minbase") != 0)) {
        (void)fault_set(why, ST_INVALID, "source.packages: only a root of minbase takes packages");
        fault_field(why, "source.packages");
        fault_hint(why, "add --root minbase");
        return ST_INVALID;
    }
    return ST_OK;
}

void image_op_create(struct op_run *r)
{
    const Pb__ImageRequest *q = (const Pb__ImageRequest *)r->request;
    struct fault why;
    if (check_source(r, q->source, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    char uid[OBJECT_UID_MAX], operation[OBJECT_UID_MAX], project[64];
    (void)snprintf(project, sizeof project, "%s", q->project ? q->project : "default");
    run_uid(r, uid);
    run_uid(r, operation);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = uid;
    meta.name = q->name;
    meta.project = project;
    meta.labels = q->labels;
    meta.n_labels = q->n_labels;
    Pb__ImageSource nothing = PB__IMAGE_SOURCE__INIT;
    Pb__Image image = PB__IMAGE__INIT;
    image.meta = &meta;
    image.source = q->source ? q->source : &nothing;
    Pb__CmdImageCreate create = PB__CMD_IMAGE_CREATE__INIT;
    create.image = &image;
    create.operation_id = operation;
    PROTO_SET(&create, node, r->asked);
    PROTO_SET(&create, import, r->op->id == OP_IMAGE_IMPORT);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_IMAGE_CREATE;
    cmd.image_create = &create;
    run_propose(r, &cmd, run_after_operation);
}
