#include <stdlib.h>

#include "pb/command.pb-c.h"
#include "pb/event.pb-c.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/check.h"
#include "wire/field.h"
#include "wire/proto.h"
#include "wire/schema.h"

/* A request that passes; each test spoils one thing. */
static Pb__Vm *good_vm(void)
{
    Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&vm->meta->name, "web-1");
    vm->spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    proto_set(&vm->spec->image, "debian");
    return vm;
}

#define CHECK_REFUSED(status, mode, message, field_path, said)            \
    do {                                                                  \
        struct fault why_ = {0};                                          \
        CHECK_EQ((status), check_message(&(message)->base, mode, &why_)); \
        CHECK_STR((said), why_.text);                                     \
        CHECK_STR((field_path), why_.field);                              \
    } while (0)

TEST(check_request_that_is_whole_passes)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    PROTO_SET(vm->spec, vcpus, 64);
    PROTO_SET(vm->spec, mem_mib, 96);
    CHECK_EQ(ST_OK, check_message(&vm->base, CHECK_REQUEST, NULL));
    CHECK_EQ(ST_OK, check_message(&vm->base, CHECK_STORED, NULL));
}

TEST(check_number_out_of_range_names_field_and_limit)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    PROTO_SET(vm->spec, vcpus, 99);
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "spec.vcpus", "spec.vcpus: 99 is more than 64");
    PROTO_SET(vm->spec, vcpus, 0);
    CHECK_REFUSED(ST_INVALID, CHECK_STORED, vm, "spec.vcpus", "spec.vcpus: 0 is less than 1");
}

TEST(check_required_field_is_missed_in_requests_only)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    proto_set(&vm->spec->image, NULL);
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "spec.image", "spec.image: it must be given");
    CHECK_EQ(ST_OK, check_message(&vm->base, CHECK_STORED, NULL));
}

TEST(check_missing_message_is_reported_by_its_required_field)
{
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "meta.name", "meta.name: it must be given");
}

TEST(check_output_field_is_refused_in_requests_only)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    proto_set(&vm->meta->uid, "0123456789abcdef0123456789abcdef");
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "meta.uid", "meta.uid: it is set by the system");
    CHECK_EQ(ST_OK, check_message(&vm->base, CHECK_STORED, NULL));
}

TEST(check_list_longer_than_its_limit)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(&pb__vm_spec__descriptor, "volumes");
    for (int i = 0; i < 9; i++) {
        Pb__Volume *v = (Pb__Volume *)proto_new(&pb__volume__descriptor);
        proto_set(&v->name, "data");
        PROTO_SET(v, size_mib, 1);
        field_put(field_add(&vm->spec->base, f), v);
    }
    CHECK_REFUSED(ST_TOO_BIG, CHECK_REQUEST, vm, "spec.volumes",
                  "spec.volumes: 9 items are more than 8");
}

TEST(check_item_is_named_by_its_index)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(&pb__vm_spec__descriptor, "ports");
    for (int i = 0; i < 3; i++) {
        Pb__PortForward *p = (Pb__PortForward *)proto_new(&pb__port_forward__descriptor);
        PROTO_SET(p, host_port, i == 2 ? 70000 : 8080);
        PROTO_SET(p, guest_port, 80);
        field_put(field_add(&vm->spec->base, f), p);
    }
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "spec.ports[2].host_port",
                  "spec.ports[2].host_port: 70000 is more than 65535");
    vm->spec->ports[2]->has_host_port = 0;
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, vm, "spec.ports[2].host_port",
                  "spec.ports[2].host_port: it must be given");
}

TEST(check_enum_value_that_is_not_known)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    PROTO_SET(vm->spec, restart, (Pb__Restart)7);
    CHECK_REFUSED(ST_INVALID, CHECK_STORED, vm, "spec.restart",
                  "spec.restart: 7 is not a known value");
}

TEST(check_text_longer_than_its_limit)
{
    AUTO(auto_proto_free) Pb__Vm *vm = good_vm();
    char text[16386];
    memset(text, 'x', sizeof text - 1);
    text[16385] = 0;
    proto_set(&vm->spec->user_data, text);
    CHECK_REFUSED(ST_TOO_BIG, CHECK_REQUEST, vm, "spec.user_data",
                  "spec.user_data: 16385 bytes are more than 16384");
    text[16384] = 0;
    proto_set(&vm->spec->user_data, text);
    CHECK_EQ(ST_OK, check_message(&vm->base, CHECK_REQUEST, NULL));
}

TEST(check_bytes_longer_than_their_limit)
{
    AUTO(auto_proto_free) Pb__Command *c = (Pb__Command *)proto_new(&pb__command__descriptor);
    c->has_id = 1;
    c->id = (ProtobufCBinaryData){17, mem_new(17)};
    CHECK_REFUSED(ST_TOO_BIG, CHECK_STORED, c, "id", "id: 17 bytes are more than 16");
}

TEST(check_command_body_is_checked_as_deep_as_it_goes)
{
    AUTO(auto_proto_free) Pb__Command *c = (Pb__Command *)proto_new(&pb__command__descriptor);
    c->body_case = PB__COMMAND__BODY_VM_CREATE;
    c->vm_create = (Pb__CmdVmCreate *)proto_new(&pb__cmd_vm_create__descriptor);
    c->vm_create->vm = good_vm();
    PROTO_SET(c->vm_create->vm->spec, priority, 1001);
    CHECK_REFUSED(ST_INVALID, CHECK_STORED, c, "vm_create.vm.spec.priority",
                  "vm_create.vm.spec.priority: 1001 is more than 1000");
}

TEST(check_text_that_is_not_utf8_or_steers_a_terminal)
{
    AUTO(auto_proto_free) Pb__Event *e = (Pb__Event *)proto_new(&pb__event__descriptor);
    proto_set(&e->text, "two\nlines\tand \xe2\x82\xac");
    CHECK_EQ(ST_OK, check_message(&e->base, CHECK_STORED, NULL));
    proto_set(&e->text, "\xff");
    CHECK_REFUSED(ST_INVALID, CHECK_STORED, e, "text", "text: it is not UTF-8");
    const char *bad[] = {"\x1b[2J", "\x7f", "a\rb", "\xc2\x9b", "\x01"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        proto_set(&e->text, bad[i]);
        CHECK_REFUSED(ST_INVALID, CHECK_STORED, e, "text",
                      "text: control characters other than newline and tab are not allowed");
    }
    proto_set(&e->text, NULL);
    proto_set(&e->type, "vm\nstarted"); /* without a format: one line */
    CHECK_REFUSED(ST_INVALID, CHECK_STORED, e, "type", "type: control characters are not allowed");
}

/* The formats, one by one, through a message that has such a field. */
struct format_case {
    const char *text;
    bool ok;
};

static void check_cases(const ProtobufCMessageDescriptor *desc, const char *name,
                        const struct format_case *c, size_t count)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(desc, name);
    for (size_t i = 0; i < count; i++) {
        AUTO(auto_proto_free) ProtobufCMessage *m = proto_new(desc);
        struct fault why = {0};
        field_put(field_add(m, f), mem_strdup(c[i].text));
        enum status s = check_message(m, CHECK_STORED, &why);
        if (c[i].ok != (s == ST_OK))
            tap_fail(__FILE__, __LINE__, "%s: \"%s\" gives %s", name, c[i].text, status_code(s));
        CHECK_STR(c[i].ok ? "" : name, why.field);
    }
}

#define NAME_63 "a23456789012345678901234567890123456789012345678901234567890123"

TEST(check_names)
{
    const struct format_case c[] = {
        {"a", true},    {"web-1", true}, {"0", true},         {NAME_63, true}, {"a--b", true},
        {"", false},    {"-a", false},   {"a-", false},       {"A", false},    {NAME_63 "4", false},
        {"a.b", false}, {"a_b", false},  {"\xc3\xbc", false}, {"a b", false},
    };
    check_cases(&pb__meta__descriptor, "name", c, ARRAY_COUNT(c));
    for (size_t i = 0; i < ARRAY_COUNT(c); i++)
        CHECK_EQ(c[i].ok, check_is_name(c[i].text));
}

TEST(check_uids)
{
    const struct format_case c[] = {
        {"0123456789abcdef0123456789abcdef", true},
        {"0123456789ABCDEF0123456789abcdef", false},
        {"0123456789abcdef0123456789abcde", false},
        {"0123456789abcdef0123456789abcdef0", false},
        {"", false},
    };
    check_cases(&pb__meta__descriptor, "uid", c, ARRAY_COUNT(c));
}

#define HEX_32 "0123456789abcdef0123456789abcdef"

TEST(check_digests)
{
    const struct format_case c[] = {
        {"sha256:" HEX_32 HEX_32, true},
        {"sha512:" HEX_32 HEX_32, false},
        {"sha256:" HEX_32, false},
        {HEX_32 HEX_32, false},
        {"sha256:", false},
    };
    check_cases(&pb__blob__descriptor, "digest", c, ARRAY_COUNT(c));
}

TEST(check_paths)
{
    const struct format_case c[] = {
        {"/", true},        {"/a/b", true},   {"/a..b/..c/d..", true},
        {"", false},        {"a/b", false},   {"/..", false},
        {"/a/../b", false}, {"/a/..", false}, {"/a\nb", false},
    };
    check_cases(&pb__image_source__descriptor, "kernel", c, ARRAY_COUNT(c));
}

TEST(check_addresses)
{
    const struct format_case v4[] = {
        {"0.0.0.0", true},    {"255.255.255.255", true}, {"10.0.0.1", true},
        {"256.0.0.1", false}, {"1.2.3", false},          {"1.2.3.4.5", false},
        {"1.2.3.04", false},  {"1.2.3.", false},         {".1.2.3", false},
        {"", false},          {"1.2.3.4 ", false},       {"a.b.c.d", false},
    };
    check_cases(&pb__port_forward__descriptor, "host_address", v4, ARRAY_COUNT(v4));
    const struct format_case mac[] = {
        {"52:54:00:12:34:ff", true},   {"52:54:00:12:34:FF", false},
        {"52:54:00:12:34", false},     {"52:54:00:12:34:5", false},
        {"52-54-00-12-34-56", false},  {"", false},
        {"52:54:00:12:34:56:", false}, {"5", false},
    };
    check_cases(&pb__vm__descriptor, "mac", mac, ARRAY_COUNT(mac));
}

TEST(check_request_with_an_unknown_field_is_refused)
{
    ProtobufCMessage *m;
    CHECK_EQ(ST_OK, proto_unpack(&pb__label__descriptor, STR("\x0a\x01k\x28\x01"), 100, &m, NULL));
    AUTO(auto_proto_free) Pb__Label *label = (Pb__Label *)m;
    CHECK_EQ(ST_OK, check_message(m, CHECK_STORED, NULL));
    CHECK_REFUSED(ST_INVALID, CHECK_REQUEST, label, "",
                  "it has a field of number 5, which is not known here");
}

TEST(check_change_of_an_immutable_field_is_refused)
{
    AUTO(auto_proto_free) Pb__Vm *old = good_vm();
    AUTO(auto_proto_free) Pb__Vm *new = good_vm();
    struct fault why;
    PROTO_SET(new->spec, vcpus, 8);
    PROTO_SET(new->spec, root, PB__ROOT_KIND__ROOT_PERSISTENT); /* it was unset */
    CHECK_EQ(ST_OK, check_change(&old->base, &new->base, &why));
    proto_set(&new->spec->image, "other");
    CHECK_EQ(ST_INVALID, check_change(&old->base, &new->base, &why));
    CHECK_STR("spec.image: it cannot be changed", why.text);
    CHECK_STR("spec.image", why.field);
}

TEST(check_change_that_drops_an_immutable_field_is_refused)
{
    AUTO(auto_proto_free) Pb__Vm *old = good_vm();
    AUTO(auto_proto_free) Pb__Vm *new = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    struct fault why;
    CHECK_EQ(ST_INVALID, check_change(&old->base, &new->base, &why));
    CHECK_STR("meta.name: it cannot be changed", why.text);
}

static void drawn_message_passes(struct tape *t)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, draw_type(t));
    struct fault why = {0};
    enum status s = check_message(m, CHECK_STORED, &why);
    CHECK_STR("", why.text);
    CHECK_EQ(ST_OK, s);
    CHECK_EQ(ST_OK, check_change(m, m, NULL));
}

TEST(check_passes_what_keeps_the_limits)
{
    prop_run(drawn_message_passes, 1, 300);
}

/* Every field with a limit, spoiled alone. Returns false where the field has none. */
static bool spoil(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                  const struct schema_field *about)
{
    void *at;
    uint64_t max = f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX : UINT64_MAX, v;
    char *text;
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (about->has_max && about->max < max)
            v = about->max + 1;
        else if (about->has_min && about->min > 0)
            v = about->min - 1;
        else
            return false;
        at = field_add(m, f);
        if (f->type == PROTOBUF_C_TYPE_UINT32)
            *(uint32_t *)at = (uint32_t)v;
        else
            *(uint64_t *)at = v;
        return true;
    case PROTOBUF_C_TYPE_ENUM:
        v = 12345;
        memcpy(field_add(m, f), &v, sizeof(int));
        return true;
    case PROTOBUF_C_TYPE_STRING:
        text = mem_new(about->max_len + 2);
        memset(text, 'a', about->max_len + 1);
        field_put(field_add(m, f), text);
        return true;
    case PROTOBUF_C_TYPE_BYTES:
        *(ProtobufCBinaryData *)field_add(m, f) =
            (ProtobufCBinaryData){about->max_len + 1, mem_new(about->max_len + 1)};
        return true;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (!field_is_repeated(f))
            return false;
        for (uint32_t i = 0; i <= about->max_items; i++)
            field_put(field_add(m, f), proto_new(f->descriptor));
        return true;
    default: return false;
    }
}

TEST(check_refuses_every_limit_of_every_noun)
{
    size_t spoiled = 0;
    for (size_t i = 0; i < schema_message_count; i++) {
        const struct schema_message *about = &schema_message_table[i];
        for (unsigned k = 0; k < about->desc->n_fields; k++) {
            AUTO(auto_proto_free) ProtobufCMessage *m = proto_new(about->desc);
            struct fault why = {0};
            if (!spoil(m, &about->desc->fields[k], &about->field[k]))
                continue;
            spoiled++;
            CHECK(check_message(m, CHECK_STORED, &why) != ST_OK);
            const char *name = about->desc->fields[k].name;
            CHECK(strncmp(why.field, name, strlen(name)) == 0);
        }
    }
    CHECK(spoiled > 100);
}
