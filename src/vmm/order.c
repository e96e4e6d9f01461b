#include "vmm/order.h"

#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
enum { VCPUS_MAX = 64, MEM_MIB_MAX = 1 << 20, SIZE_MIB_MAX = 1 << 24 };

/* ---- checks of one value ---- */

static enum status bad(struct fault *why, const char *field, const char *what)
{
    (void)fault_set(why, ST_INVALID, "%s %s", field, what);
    fault_field(why, "%s", field);
    return ST_INVALID;
}

static bool all_of(struct str s, const char *chars)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(chars, s.ptr[i]) || !s.ptr[i])
            return false;
    return s.len > 0;
}

/* A name becomes part of file names and of QEMU's options. */
static enum status copy_name(const char *text, const char *field, char *out, size_t size,
                             struct fault *why)
{
    struct str s = str_from(text);
    if (!all_of(s, "abcdefghijklmnopqrstuvwxyz0123456789-") || s.ptr[0] == '-' || s.len >= size)
        return bad(why, field, "is not a name");
    return str_copy(s, out, size, why);
}

static enum status copy_hex(const char *text, size_t digits, const char *field, char *out,
                            size_t size, struct fault *why)
{
    struct str s = str_from(text);
    if (!str_is_hex(s, digits))
        return bad(why, field, "is not an id");
    return str_copy(s, out, size, why);
}

static enum status copy_mac(const char *text, char out[18], struct fault *why)
{
    struct str s = str_from(text);
    for (size_t i = 0; i < s.len; i++)
        if (i % 3 == 2 ? s.ptr[i] != ':' : !strchr("0123456789abcdef", s.ptr[i]))
            return bad(why, "mac", "is not a hardware address");
    if (s.len != 17)
        return bad(why, "mac", "is not a hardware address");
    return str_copy(s, out, 18, why);
}

/* ---- parts ---- */

static enum status take_blob(const Pb__Blob *b, const char *field, struct order_blob *out,
                             struct fault *why)
{
    struct str hex = str_from(b ? b->digest : NULL);
    uint8_t raw[DIGEST_SIZE];
    *out = (struct order_blob){.size = b ? b->size : 0};
    if (!hex.len)
        return ST_OK;
    if (digest_from_text(hex, raw, NULL) != ST_OK)
        return bad(why, field, "is not a digest");
    return str_copy(hex, out->digest, sizeof out->digest, why);
}

static enum status take_image(struct order *o, const Pb__Image *image, struct fault *why)
{
    enum status s = take_blob(image->kernel, "image.kernel", &o->kernel, why);
    if (s == ST_OK)
        s = take_blob(image->initrd, "image.initrd", &o->initrd, why);
    if (s == ST_OK && image->kind == PB__IMAGE_KIND__IMAGE_DISK)
        s = take_blob(image->disk, "image.disk", &o->disk, why);
    if (s != ST_OK)
        return s;
    if (!o->kernel.digest[0])
        return bad(why, "image.kernel", "is missing");
    if (image->kind == PB__IMAGE_KIND__IMAGE_DISK && !o->disk.digest[0])
        return bad(why, "image.disk", "is missing");
    o->disk_qcow2 = image->disk_format == PB__DISK_FORMAT__DISK_QCOW2;
    return ST_OK;
}

static enum status take_volumes(struct order *o, const Pb__VmSpec *spec, struct fault *why)
{
    if (spec->n_volumes > CMDLINE_VOLUMES_MAX)
        return bad(why, "spec.volumes", "are too many");
    for (size_t i = 0; i < spec->n_volumes; i++) {
        const Pb__Volume *from = spec->volumes[i];
        struct order_volume *v = &o->volume[o->volume_count];
        enum status s = copy_name(from->name, "spec.volumes.name", v->name, sizeof v->name, why);
        if (s != ST_OK)
            return s;
        if (strcmp(v->name, "root") == 0)
            return bad(why, "spec.volumes.name", "\"root\" is that of the root disk");
        for (size_t k = 0; k < o->volume_count; k++)
            if (strcmp(o->volume[k].name, v->name) == 0)
                return bad(why, "spec.volumes.name", "is there twice");
        if (from->size_mib < 1 || from->size_mib > SIZE_MIB_MAX)
            return bad(why, "spec.volumes.size_mib", "is out of range");
        v->size = from->size_mib * MIB;
        v->read_only = from->read_only;
        o->volume_count++;
    }
    return ST_OK;
}

static enum status take_ports(struct order *o, const Pb__VmSpec *spec, struct fault *why)
{
    if (spec->n_ports > ORDER_PORTS_MAX)
        return bad(why, "spec.ports", "are too many");
    for (size_t i = 0; i < spec->n_ports; i++) {
        const Pb__PortForward *from = spec->ports[i];
        struct order_port *p = &o->port[o->port_count++];
        uint32_t ip;
        if (from->host_port < 1 || from->host_port > UINT16_MAX || from->guest_port < 1 ||
            from->guest_port > UINT16_MAX)
            return bad(why, "spec.ports", "are numbers from 1 to 65535");
        *p = (struct order_port){.udp = from->protocol == PB__PROTOCOL__PROTOCOL_UDP,
                                 .host_port = (uint16_t)from->host_port,
                                 .guest_port = (uint16_t)from->guest_port};
        struct str host = str_from(from->host_address);
        if (host.len && (guestcfg_ipv4_parse(host, &ip, NULL) != ST_OK ||
                         str_copy(host, p->host, sizeof p->host, NULL) != ST_OK))
            return bad(why, "spec.ports.host_address", "is not an IPv4 address");
    }
    return ST_OK;
}

static enum status take_spec(struct order *o, const Pb__VmSpec *spec, struct fault *why)
{
    if (spec->vcpus < 1 || spec->vcpus > VCPUS_MAX)
        return bad(why, "spec.vcpus", "is out of range");
    if (spec->mem_mib < 32 || spec->mem_mib > MEM_MIB_MAX)
        return bad(why, "spec.mem_mib", "is out of range");
    if (spec->root_size_mib > SIZE_MIB_MAX)
        return bad(why, "spec.root_size_mib", "is out of range");
    o->vcpus = spec->vcpus;
    o->mem_mib = spec->mem_mib;
    o->root_size = spec->root_size_mib * MIB;
    o->record.persistent = spec->root == PB__ROOT_KIND__ROOT_PERSISTENT;
    struct str data = str_from(spec->user_data);
    if (data.len > GUESTCFG_USER_DATA_MAX)
        return bad(why, "spec.user_data", "is too long");
    if (data.len)
        o->user_data = mem_strdup(spec->user_data);
    enum status s = take_volumes(o, spec, why);
    return s == ST_OK ? take_ports(o, spec, why) : s;
}

enum status order_init(struct order *o, const struct vmm_start *s, struct fault *why)
{
    *o = (struct order){
        .record = {.epoch = s->epoch, .incarnation = s->incarnation, .generation = s->generation}};
    if (!s->vm->meta || !s->vm->spec)
        return bad(why, "vm", "has no meta or spec");
    enum status st = copy_hex(s->vm->meta->uid, RECORD_UID_MAX - 1, "meta.uid", o->record.uid,
                              sizeof o->record.uid, why);
    if (st == ST_OK)
        st = copy_name(s->vm->meta->name, "meta.name", o->record.name, sizeof o->record.name, why);
    if (st == ST_OK)
        st = copy_mac(s->vm->mac, o->mac, why);
    if (st == ST_OK)
        st = take_spec(o, s->vm->spec, why);
    return st == ST_OK ? take_image(o, s->image, why) : st;
}

void order_done(struct order *o)
{
    free(o->user_data);
    o->user_data = NULL;
}
