/*
 * vm_create: a new VM, placed on the node that the proposer chose.
 */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "core/cmd.h"
#include "core/operation.h"
#include "core/vm_life.h"
#include "core/vm_spec.h"
#include "wire/schema.h"

enum { MAC_SIZE = 18, MAC_TRIES_MAX = 1000 };

static enum status refuse_image(enum status s, struct fault *why)
{
    fault_field(why, "spec.image");
    return s;
}

/* The image that a spec names, by name or digest, of the same project; it must be ready. */
static enum status find_image(const struct txn *t, const char *project, const char *wanted,
                              struct object **ret, struct fault *why)
{
    struct object *o = str_starts(str_from(wanted), "sha256:")
                           ? cluster_image_by_digest(t->c, project, wanted)
                           : cluster_find_name(t->c, OBJECT_IMAGE, project, wanted);
    if (!o) {
        (void)fault_set(why, ST_NOT_FOUND, "spec.image: there is no image %s in project %s", wanted,
                        project);
        fault_hint(why, "blixard image ls");
        return refuse_image(ST_NOT_FOUND, why);
    }
    if (object_image(o)->phase != PB__IMAGE_PHASE__IMAGE_READY) {
        (void)fault_set(why, ST_CONFLICT, "spec.image: image %s is %s, not ready", wanted,
                        schema_word(&pb__image_phase__descriptor, (int)object_image(o)->phase));
        fault_hint(why, "blixard image show %s", object_name(o));
        return refuse_image(ST_CONFLICT, why);
    }
    *ret = o;
    return ST_OK;
}

/* A locally administered address from the uid; the next try if another VM has it. */
static enum status choose_mac(const struct txn *t, const char *uid, char out[MAC_SIZE],
                              struct fault *why)
{
    static const uint8_t key[16] = "blixard vm macs";
    for (uint32_t i = 0; i < MAC_TRIES_MAX; i++) {
        struct ikey k;
        ikey_init(&k);
        ikey_text(&k, uid);
        ikey_u32(&k, i);
        uint64_t h = hash_sip(key, k.bytes, k.len);
        (void)snprintf(out, MAC_SIZE, "02:%02x:%02x:%02x:%02x:%02x", (unsigned)(h & 255),
                       (unsigned)(h >> 8 & 255), (unsigned)(h >> 16 & 255),
                       (unsigned)(h >> 24 & 255), (unsigned)(h >> 32 & 255));
        ikey_init(&k);
        ikey_text(&k, out);
        if (!ikey_find(&t->c->derived.vm_by_mac, &k))
            return ST_OK;
    }
    return fault_set(why, ST_CONFLICT, "no free hardware address was found for %s", uid);
}

static Pb__VmStatus *new_status(uint32_t node)
{
    Pb__VmStatus *st = (Pb__VmStatus *)(void *)proto_new(&pb__vm_status__descriptor);
    PROTO_SET(st, phase, PB__VM_PHASE__VM_ABSENT);
    PROTO_SET(st, node, node);
    PROTO_SET(st, epoch, 1);
    PROTO_SET(st, incarnation, 0);
    PROTO_SET(st, generation, 0);
    PROTO_SET(st, restarts, 0);
    return st;
}

/* A VM of generation 1, with its own copies of what was asked. */
static Pb__Vm *new_vm(const Pb__CmdVmCreate *m, const struct object *image, const char *mac)
{
    Pb__Vm *vm = (Pb__Vm *)(void *)proto_new(&pb__vm__descriptor);
    vm->meta = cmd_copy_meta(m->vm->meta);
    vm->spec = (Pb__VmSpec *)(void *)proto_copy(&m->vm->spec->base);
    vm_spec_fill(vm->spec);
    PROTO_SET(vm, power, m->start ? PB__POWER__POWER_RUNNING : PB__POWER__POWER_STOPPED);
    PROTO_SET(vm, force, false);
    PROTO_SET(vm, generation, 1);
    PROTO_SET(vm, start_nonce, m->start ? 1 : 0);
    PROTO_SET(vm, deleting, false);
    proto_set(&vm->image_digest, object_image(image)->digest);
    proto_set(&vm->mac, mac);
    vm->status = new_status(m->node);
    return vm;
}

static enum status check_asked(const struct txn *t, const Pb__CmdVmCreate *m,
                               struct object **ret_node, struct object **ret_image,
                               struct fault *why)
{
    enum status s = cmd_need(m->vm != NULL, "vm", why);
    if (s == ST_OK)
        s = cmd_new_meta(t, m->vm->meta, true, why);
    if (s == ST_OK)
        s = cmd_need(m->vm->spec != NULL, "spec", why);
    if (s == ST_OK)
        s = cmd_need(m->vm->spec->image != NULL, "spec.image", why);
    if (s == ST_OK)
        s = vm_spec_check(m->vm->spec, why);
    if (s == ST_OK)
        s = cmd_find_node(t, m->node, ret_node, why);
    if (s == ST_OK)
        s = find_image(t, m->vm->meta->project, m->vm->spec->image, ret_image, why);
    if (s == ST_OK)
        s = vm_spec_fits_image(m->vm->spec, object_image(*ret_image), why);
    if (s == ST_OK)
        s = vm_spec_fits_node(m->vm->spec, object_node(*ret_node), why);
    if (s == ST_OK)
        s = txn_room(t, OBJECT_VM, why);
    return s;
}

enum status cmd_vm_create(struct txn *t, const Pb__CmdVmCreate *m, struct fault *why)
{
    struct object *node = NULL, *image = NULL;
    char mac[MAC_SIZE];
    enum status s = check_asked(t, m, &node, &image, why);
    if (s == ST_OK)
        s = choose_mac(t, m->vm->meta->uid, mac, why);
    if (s != ST_OK)
        return s;
    struct object *o = txn_put(t, OBJECT_VM, &new_vm(m, image, mac)->base);
    txn_event(t, "vm.created", o, "on node %s from image %s%s", object_name(node),
              object_name(image), m->start ? "" : ", not started");
    txn_result(t, object_uid(o));
    return operation_begin(t, m->operation_id, OPERATION_VM_CREATE, o, 1, !m->start, why);
}
