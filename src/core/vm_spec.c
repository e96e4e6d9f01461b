#include "core/vm_spec.h"

#include <string.h>

#include "wire/proto.h"

#define HOST_ADDRESS_DEFAULT "127.0.0.1"

/* An unset number already holds its default; has_x makes it lasting. */
#define FILL(message, field) ((message)->has_##field = 1)

void vm_spec_fill(Pb__VmSpec *spec)
{
    FILL(spec, vcpus);
    FILL(spec, mem_mib);
    FILL(spec, root_size_mib); /* 0: that of the image */
    FILL(spec, root);
    FILL(spec, failover);
    FILL(spec, restart);
    FILL(spec, priority);
    FILL(spec, autostart);
    FILL(spec, stop_timeout_s);
    for (size_t i = 0; i < spec->n_ports; i++) {
        FILL(spec->ports[i], protocol);
        if (!spec->ports[i]->host_address)
            proto_set(&spec->ports[i]->host_address, HOST_ADDRESS_DEFAULT);
    }
    for (size_t i = 0; i < spec->n_volumes; i++)
        FILL(spec->volumes[i], read_only);
}

static enum status volume_check(const Pb__VmSpec *spec, size_t at, struct fault *why)
{
    const Pb__Volume *v = spec->volumes[at];
    if (!v->name || !v->has_size_mib) {
        const char *lacks = v->name ? "size_mib" : "name";
        enum status s =
            fault_set(why, ST_INVALID, "spec.volumes[%zu].%s: it must be given", at, lacks);
        fault_field(why, "spec.volumes[%zu].%s", at, lacks);
        return s;
    }
    for (size_t i = 0; i < at; i++)
        if (strcmp(spec->volumes[i]->name, v->name) == 0) {
            enum status s = fault_set(
                why, ST_INVALID, "spec.volumes[%zu].name: there are two volumes %s", at, v->name);
            fault_field(why, "spec.volumes[%zu].name", at);
            return s;
        }
    return ST_OK;
}

static const char *address_of(const Pb__PortForward *p)
{
    return p->host_address ? p->host_address : HOST_ADDRESS_DEFAULT;
}

static bool same_port(const Pb__PortForward *a, const Pb__PortForward *b)
{
    if (a->protocol != b->protocol || a->host_port != b->host_port)
        return false;
    const char *x = address_of(a), *y = address_of(b);
    return strcmp(x, y) == 0 || strcmp(x, "0.0.0.0") == 0 || strcmp(y, "0.0.0.0") == 0;
}

static enum status port_check(const Pb__VmSpec *spec, size_t at, struct fault *why)
{
    const Pb__PortForward *p = spec->ports[at];
    if (!p->has_host_port || !p->has_guest_port) {
        const char *lacks = p->has_host_port ? "guest_port" : "host_port";
        enum status s =
            fault_set(why, ST_INVALID, "spec.ports[%zu].%s: it must be given", at, lacks);
        fault_field(why, "spec.ports[%zu].%s", at, lacks);
        return s;
    }
    for (size_t i = 0; i < at; i++)
        if (same_port(spec->ports[i], p)) {
            enum status s = fault_set(why, ST_INVALID,
                                      "spec.ports[%zu].host_port: %" PRIu32 " is forwarded twice",
                                      at, p->host_port);
            fault_field(why, "spec.ports[%zu].host_port", at);
            return s;
        }
    return ST_OK;
}

enum status vm_spec_check(const Pb__VmSpec *spec, struct fault *why)
{
    for (size_t i = 0; i < spec->n_volumes; i++) {
        enum status s = volume_check(spec, i, why);
        if (s != ST_OK)
            return s;
    }
    for (size_t i = 0; i < spec->n_ports; i++) {
        enum status s = port_check(spec, i, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

enum status vm_spec_fits_image(const Pb__VmSpec *spec, const Pb__Image *image, struct fault *why)
{
    if (image->kind == PB__IMAGE_KIND__IMAGE_DISK)
        return ST_OK;
    if (spec->root == PB__ROOT_KIND__ROOT_PERSISTENT) {
        enum status s =
            fault_set(why, ST_INVALID, "spec.root: image %s has no root disk that could persist",
                      image->meta->name);
        fault_field(why, "spec.root");
        fault_hint(why, "take an image with a root disk, or add a volume");
        return s;
    }
    if (spec->root_size_mib > 0) {
        enum status s = fault_set(why, ST_INVALID, "spec.root_size_mib: image %s has no root disk",
                                  image->meta->name);
        fault_field(why, "spec.root_size_mib");
        fault_hint(why, "leave it out, or take an image with a root disk");
        return s;
    }
    return ST_OK;
}

enum status vm_spec_fits_node(const Pb__VmSpec *spec, const Pb__Node *node, struct fault *why)
{
    uint64_t has_mib = node->facts->mem_mib;
    if (has_mib == 0 || spec->mem_mib <= has_mib) /* 0: it did not say */
        return ST_OK;
    enum status s = fault_set(why, ST_CAPACITY,
                              "spec.mem_mib: %" PRIu64 " MiB are wanted, node %s has %" PRIu64,
                              spec->mem_mib, node->meta->name, has_mib);
    fault_field(why, "spec.mem_mib");
    fault_hint(why, "ask for less memory");
    return s;
}

static const Pb__Volume *find_volume(const Pb__VmSpec *spec, const char *name)
{
    for (size_t i = 0; i < spec->n_volumes; i++)
        if (strcmp(spec->volumes[i]->name, name) == 0)
            return spec->volumes[i];
    return NULL;
}

/* A volume keeps its content until the VM is deleted: it neither goes nor changes its size. */
enum status vm_spec_change(const Pb__VmSpec *old, const Pb__VmSpec *now, struct fault *why)
{
    for (size_t i = 0; i < old->n_volumes; i++) {
        const Pb__Volume *was = old->volumes[i], *is = find_volume(now, was->name);
        if (is && is->size_mib == was->size_mib)
            continue;
        enum status s =
            is ? fault_set(why, ST_INVALID,
                           "spec.volumes: the size of volume %s cannot be changed from %" PRIu64
                           " MiB",
                           was->name, was->size_mib)
               : fault_set(why, ST_INVALID, "spec.volumes: volume %s cannot be removed", was->name);
        fault_field(why, "spec.volumes");
        fault_hint(why, "volumes are kept until the VM is deleted; others can be added");
        return s;
    }
    return ST_OK;
}
