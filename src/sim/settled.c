#include "sim/settled.h"

#include <string.h>

#include "core/vm_life.h"

/* Should it run, by what users want and, if it ended by itself, by policy? */
static bool should_run(const Pb__Vm *vm)
{
    if (vm->power == PB__POWER__POWER_STOPPED)
        return false;
    return vm_alive(vm->status->phase) || vm_start_due(vm);
}

/* It went down with the host. Whether it comes up again was decided by the autostart of then. */
static bool waits_for_host(const Pb__Vm *vm)
{
    return vm_ended(vm->status->phase) && vm->status->cause == PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN &&
           vm->status->generation >= vm->start_nonce;
}

static enum status check_vm(const struct object *o, const struct sim_vmm *vmm, struct fault *why)
{
    const Pb__Vm *vm = object_vm(o);
    const Pb__VmStatus *st = vm->status;
    const struct sim_vm *is = sim_vmm_find(vmm, vm->meta->uid);
    bool runs = is && is->process;
    const char *name = vm->meta->name;
    if (vm->deleting)
        return fault_set(why, ST_FAILED, "vm %s is still there", name);
    if (!should_run(vm) || waits_for_host(vm)) {
        if (runs)
            return fault_set(why, ST_FAILED, "vm %s runs and should not", name);
        if (vm_alive(st->phase))
            return fault_set(why, ST_FAILED, "vm %s is said to be %s", name,
                             vm_phase_name(st->phase));
        return ST_OK;
    }
    if (!runs)
        return fault_set(why, ST_FAILED, "vm %s does not run, is said to be %s", name,
                         vm_phase_name(st->phase));
    bool paused = vm->power == PB__POWER__POWER_PAUSED;
    Pb__VmPhase want = paused ? PB__VM_PHASE__VM_PAUSED : PB__VM_PHASE__VM_RUNNING;
    if (is->paused != paused || st->phase != want)
        return fault_set(why, ST_FAILED, "vm %s is said to be %s, should be %s", name,
                         vm_phase_name(st->phase), vm_phase_name(want));
    if (st->incarnation != is->incarnation || !st->boot_id || strcmp(st->boot_id, is->boot_id) != 0)
        return fault_set(why, ST_FAILED,
                         "vm %s runs in incarnation %" PRIu64 ", is said to in %" PRIu64, name,
                         is->incarnation, st->incarnation);
    return vm_start_asked(vm) ? fault_set(why, ST_FAILED, "vm %s: a start has no answer", name)
                              : ST_OK;
}

static enum status check_image(const struct object *o, const struct sim_blob *blob,
                               struct fault *why)
{
    const Pb__Image *image = object_image(o);
    switch (image->phase) {
    case PB__IMAGE_PHASE__IMAGE_PENDING:
    case PB__IMAGE_PHASE__IMAGE_DELETING:
        return fault_set(why, ST_FAILED, "image %s is still under way", image->meta->name);
    case PB__IMAGE_PHASE__IMAGE_READY:
        if (!sim_blob_has(blob, image->digest))
            return fault_set(why, ST_FAILED, "image %s has no files", image->meta->name);
        return ST_OK;
    default: return ST_OK;
    }
}

/* Has the store what belongs to no image of the node that is ready? */
static enum status check_blobs(const struct cluster *c, uint32_t node, const struct sim_blob *blob,
                               struct fault *why)
{
    MAP_EACH(&blob->digests, digest, present) {
        bool named = false;
        MAP_EACH(cluster_table(c, OBJECT_IMAGE), uid, value) {
            const Pb__Image *image = object_image(value);
            named |= image->node == node && image->phase == PB__IMAGE_PHASE__IMAGE_READY &&
                     str_is(digest, image->digest);
        }
        if (!named)
            return fault_set(why, ST_FAILED, "files are here of " STR_FMT ", which is no image",
                             STR_ARG(digest));
    }
    return ST_OK;
}

static enum status check_orphans(const struct cluster *c, const struct sim_vmm *vmm,
                                 struct fault *why)
{
    MAP_EACH(&vmm->vms, uid, value) {
        const struct sim_vm *vm = value;
        if ((vm->files || vm->process) && !cluster_find(c, OBJECT_VM, vm->uid))
            return fault_set(why, ST_FAILED, "vm %s is not in the state, and is here", vm->uid);
    }
    return ST_OK;
}

enum status settled(struct node *n, const struct sim_vmm *vmm, const struct sim_blob *blob,
                    struct fault *why)
{
    const struct cluster *c = node_cluster(n);
    struct node_view v = node_view(n);
    if (node_dead(n) || !v.reconciled)
        return fault_set(why, ST_FAILED, "the node is not at work");
    if (v.news || v.waiting || v.vms_starting)
        return fault_set(why, ST_FAILED, "%zu reports wait, %zu commands, %zu VMs start", v.news,
                         v.waiting, v.vms_starting);
    struct clock *clock = node_clock(n);
    if (node_deadline_ms(n) <= clock->now_ms(clock))
        return fault_set(why, ST_FAILED, "the node does not come to rest");
    MAP_EACH(cluster_table(c, OBJECT_OPERATION), id, op)
        if (object_operation(op)->phase == PB__OPERATION_PHASE__OPERATION_RUNNING)
            return fault_set(why, ST_FAILED, "operation %s on %s has no end",
                             object_operation(op)->kind, object_operation(op)->target_name);
    MAP_EACH(cluster_table(c, OBJECT_VM), uid, vm) {
        bool ours = object_vm(vm)->status->node == node_number(n);
        enum status s = ours ? check_vm(vm, vmm, why) : ST_OK;
        if (s != ST_OK)
            return s;
    }
    MAP_EACH(cluster_table(c, OBJECT_IMAGE), key, image) {
        bool ours = object_image(image)->node == node_number(n);
        enum status s = ours ? check_image(image, blob, why) : ST_OK;
        if (s != ST_OK)
            return s;
    }
    enum status s = check_blobs(c, node_number(n), blob, why);
    return s == ST_OK ? check_orphans(c, vmm, why) : s;
}
