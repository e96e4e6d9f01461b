#include <stdlib.h>

#include "pb/command.pb-c.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/place.h"
#include "wire/proto.h"

enum { MESSAGE_MAX = 16 << 20 };

static Pb__Vm *sample_vm(void)
{
    Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&vm->meta->name, "web-1");
    vm->spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    PROTO_SET(vm->spec, vcpus, 2);
    return vm;
}

TEST(proto_new_holds_the_defaults_but_sets_nothing)
{
    AUTO(auto_proto_free) Pb__VmSpec *spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    CHECK_EQ(1, spec->vcpus);
    CHECK(!spec->has_vcpus);
    CHECK(spec->image == NULL);
}

TEST(proto_set_replaces_and_unsets)
{
    AUTO(auto_proto_free) Pb__Meta *meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&meta->name, "a");
    proto_set(&meta->name, "b");
    CHECK_STR("b", meta->name);
    proto_set(&meta->name, meta->name);
    CHECK_STR("b", meta->name);
    proto_set(&meta->name, NULL);
    CHECK(meta->name == NULL);
}

TEST(proto_copy_shares_nothing)
{
    AUTO(auto_proto_free) Pb__Vm *vm = sample_vm();
    AUTO(auto_proto_free) Pb__Vm *copy = (Pb__Vm *)proto_copy(&vm->base);
    CHECK(proto_equal(&vm->base, &copy->base));
    proto_set(&vm->meta->name, "web-2");
    CHECK_STR("web-1", copy->meta->name);
    CHECK(!proto_equal(&vm->base, &copy->base));
}

TEST(proto_equal_tells_unset_from_default)
{
    AUTO(auto_proto_free) Pb__Vm *a = sample_vm();
    AUTO(auto_proto_free) Pb__Vm *b = sample_vm();
    PROTO_SET(b->spec, stop_timeout_s, a->spec->stop_timeout_s);
    CHECK(!proto_equal(&a->base, &b->base));
}

TEST(proto_unpack_refuses_what_is_too_big_before_it_looks)
{
    ProtobufCMessage *m = NULL;
    struct fault why;
    CHECK_EQ(ST_TOO_BIG, proto_unpack(&pb__vm__descriptor, STR("\xff\xff\xff"), 2, &m, &why));
    CHECK_STR("3 bytes are more than 2", why.text);
    CHECK(m == NULL);
}

TEST(proto_unpack_refuses_other_bytes)
{
    const struct {
        struct str bytes;
        const char *said;
    } cases[] = {
        {STR("\xff"), "it ends too early"},
        {STR("\x12"), "spec: it ends too early"},
        {STR("\x0a\x05"
             "ab"),
         "meta: it ends too early"},
        {STR("\x0b"), "meta: it is encoded as another type"},
        {STR("\x10\x01"), "spec: it is encoded as another type"},
        {STR("\x12\x02\x08\x01"), "spec.image: it is encoded as another type"},
        {STR("\x12\x04\x10\x01\x10\x01"), "spec.vcpus: it, or what excludes it, is given twice"},
        {STR("\x12\x06\x10\x80\x80\x80\x80\x10"), "spec.vcpus: the number is larger than its type"},
        {STR("\x20\x02"), "force: the number is larger than its type"},
        {STR("\x18\x80\x80\x80\x80\x08"), "power: the number is larger than its type"},
        {STR("\x18\x80\x00"), "power: a number is not in its shortest form"},
        {STR("\x52\x03"
             "a\0b"),
         "mac: a zero byte is not allowed"},
        {STR("\x00\x01"), "a field of a number that cannot be"},
        {STR("\x81\x00"
             "12345678"),
         "a number is not in its shortest form"},
        {STR("\x80\x80\x80\x80\x10\x01"), "a field of a number that cannot be"},
        {STR("\xc3\x3e"), "an encoding of a kind that is not used"},
        {STR("\xc2\x3e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "it ends too early"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        ProtobufCMessage *m = NULL;
        struct fault why;
        CHECK_EQ(ST_INVALID,
                 proto_unpack(&pb__vm__descriptor, cases[i].bytes, MESSAGE_MAX, &m, &why));
        CHECK(m == NULL);
        CHECK(str_starts(str_from(why.text), "not the encoding of a Vm: "));
        CHECK_STR(cases[i].said, why.text + strlen("not the encoding of a Vm: "));
    }
}

/* vm_create, then vm_power: protobuf-c would take the last. */
TEST(proto_unpack_refuses_two_of_a_oneof)
{
    ProtobufCMessage *m = NULL;
    struct fault why;
    CHECK_EQ(ST_INVALID, proto_unpack(&pb__command__descriptor, STR("\xba\x01\x00\xca\x01\x00"),
                                      MESSAGE_MAX, &m, &why));
    CHECK_STR("not the encoding of a Command: vm_power: it, or what excludes it, is given twice",
              why.text);
}

/* Two bytes on the wire are one empty volume of 64 bytes in memory. */
TEST(proto_unpack_bounds_the_memory_it_takes)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, MESSAGE_MAX);
    for (int i = 0; i < 100000; i++)
        buf_add(&b, "\x5a\x00", 2);
    ProtobufCMessage *m = NULL;
    struct fault why;
    CHECK_EQ(ST_TOO_BIG,
             proto_unpack(&pb__vm_spec__descriptor, buf_view(&b), MESSAGE_MAX, &m, &why));
    CHECK_STR("a VmSpec of 200000 bytes takes too much memory", why.text);
}

/* A newer peer's field passes through a node that does not know it. */
TEST(proto_unpack_keeps_fields_it_does_not_know)
{
    struct str bytes = STR("\x12\x02\x10\x02\xc2\x3e\x03new"); /* spec.vcpus = 2, field 1000 */
    ProtobufCMessage *m;
    AUTO(buf_done) struct buf b;
    buf_init(&b, MESSAGE_MAX);
    CHECK_EQ(ST_OK, proto_unpack(&pb__vm__descriptor, bytes, MESSAGE_MAX, &m, NULL));
    AUTO(auto_proto_free) ProtobufCMessage *copy = proto_copy(m);
    CHECK(proto_equal(m, copy));
    proto_free(m);
    proto_pack(copy, &b);
    CHECK(str_eq(bytes, buf_view(&b)));
}

TEST(proto_pack_into_a_full_buffer_writes_nothing)
{
    AUTO(auto_proto_free) Pb__Vm *vm = sample_vm();
    AUTO(buf_done) struct buf b;
    buf_init(&b, 4);
    proto_pack(&vm->base, &b);
    CHECK_EQ(0, b.len);
    CHECK_EQ(ST_TOO_BIG, buf_status(&b, NULL));
}

TEST_ABORTS(proto_unpack_of_a_stranger_is_a_bug)
{
    ProtobufCMessageDescriptor stranger = pb__vm__descriptor;
    ProtobufCMessage *m;
    stranger.name = "other.Vm";
    (void)!proto_unpack(&stranger, STR(""), MESSAGE_MAX, &m, NULL);
}

static void packed_is_unpacked(struct tape *t)
{
    const ProtobufCMessageDescriptor *desc = draw_type(t);
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, desc);
    AUTO(auto_proto_free) ProtobufCMessage *copy = proto_copy(m);
    CHECK(proto_equal(m, copy));

    AUTO(buf_done) struct buf b;
    buf_init(&b, MESSAGE_MAX);
    proto_pack(m, &b);
    ProtobufCMessage *back;
    CHECK_EQ(ST_OK, proto_unpack(desc, buf_view(&b), MESSAGE_MAX, &back, NULL));
    CHECK(proto_equal(m, back));
    proto_free(back);
}

TEST(proto_unpack_gives_what_was_packed)
{
    prop_run(packed_is_unpacked, 1, 300);
}

TEST(place_text_is_the_path)
{
    char text[FAULT_FIELD_MAX];
    struct place spec = {NULL, "spec", PLACE_NO_INDEX}, ports = {&spec, "ports", 2},
                 port = {&ports, "host_port", PLACE_NO_INDEX};
    place_text(&port, text);
    CHECK_STR("spec.ports[2].host_port", text);
    place_text(NULL, text);
    CHECK_STR("", text);
}

TEST(place_refuse_names_the_field_once_in_each)
{
    struct fault why;
    struct place spec = {NULL, "spec", PLACE_NO_INDEX}, vcpus = {&spec, "vcpus", PLACE_NO_INDEX};
    CHECK_EQ(ST_INVALID, place_refuse(&vcpus, &why, ST_INVALID, "%d is more than %d", 99, 64));
    CHECK_STR("spec.vcpus: 99 is more than 64", why.text);
    CHECK_STR("spec.vcpus", why.field);
    CHECK_EQ(ST_INVALID, place_refuse(NULL, &why, ST_INVALID, "an object is expected"));
    CHECK_STR("an object is expected", why.text);
    CHECK_STR("", why.field);
}

TEST(place_text_too_long_is_cut)
{
    char text[FAULT_FIELD_MAX];
    struct place at[40];
    for (size_t i = 0; i < ARRAY_COUNT(at); i++)
        at[i] = (struct place){i ? &at[i - 1] : NULL, "level", i};
    place_text(&at[39], text);
    CHECK_EQ(FAULT_FIELD_MAX - 1, strlen(text));
}
