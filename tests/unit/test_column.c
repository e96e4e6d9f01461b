#include "base/units.h"
#include "pb/event.pb-c.h"
#include "pb/image.pb-c.h"
#include "pb/node.pb-c.h"
#include "pb/operation.pb-c.h"
#include "pb/vm.pb-c.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/column.h"
#include "wire/proto.h"

static const uint64_t now_ns = UINT64_C(1795499228123000000);

static const struct column *find(const struct columns *all, const char *heading)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->at[i].heading, heading) == 0)
            return &all->at[i];
    tap_fail(__FILE__, __LINE__, "no column %s", heading);
}

static void check_cell(const char *want, const char *heading, const ProtobufCMessage *m,
                       enum column_form form)
{
    struct columns all;
    AUTO(buf_done) struct buf b;
    buf_init(&b, 4096);
    column_list(m->descriptor, &all);
    column_cell(find(&all, heading), m, form, now_ns, &b);
    CHECK_STR(want, buf_cstr(&b));
}

static void check_both(const char *want, const char *heading, const ProtobufCMessage *m)
{
    check_cell(want, heading, m, COLUMN_TABLE);
    check_cell(want, heading, m, COLUMN_EXACT);
}

TEST(column_list_follows_the_fields_into_nested_messages)
{
    struct columns all;
    AUTO(buf_done) struct buf b;
    buf_init(&b, 4096);
    column_list(&pb__vm__descriptor, &all);
    for (size_t i = 0; i < all.count; i++)
        buf_fmt(&b, "%s%s ", all.at[i].heading, all.at[i].wide ? "*" : "");
    CHECK_STR(
        "UID* NAME PROJECT* AGE IMAGE VCPUS MEMORY WANTED* PHASE NODE ADDRESS CAUSE* RESTARTS "
        "UPTIME* ",
        buf_cstr(&b));
}

TEST(column_cells_of_a_vm)
{
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&vm->meta->name, "web-1");
    PROTO_SET(vm->meta, created_ns, now_ns - 26 * 3600 * UNITS_NS_PER_S);
    vm->spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    PROTO_SET(vm->spec, mem_mib, 1536);
    vm->status = (Pb__VmStatus *)proto_new(&pb__vm_status__descriptor);
    PROTO_SET(vm->status, phase, PB__VM_PHASE__VM_RUNNING);
    PROTO_SET(vm->status, cause, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    PROTO_SET(vm->status, restarts, 3);
    check_both("web-1", "NAME", &vm->base);
    check_both("1536MiB", "MEMORY", &vm->base);
    check_both("running", "PHASE", &vm->base);
    check_both("guest-shutdown", "CAUSE", &vm->base);
    check_both("3", "RESTARTS", &vm->base);
    check_both("1", "VCPUS", &vm->base); /* its default */
    check_both("", "ADDRESS", &vm->base);
    check_cell("1d2h", "AGE", &vm->base, COLUMN_TABLE);
    check_cell("2026-11-23T03:47:08.123Z", "AGE", &vm->base, COLUMN_EXACT);
}

TEST(column_uptime_ends_with_the_vm)
{
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    check_both("", "UPTIME", &vm->base);
    vm->status = (Pb__VmStatus *)proto_new(&pb__vm_status__descriptor);
    check_both("", "UPTIME", &vm->base);
    PROTO_SET(vm->status, started_ns, now_ns - 5 * UNITS_NS_PER_S);
    check_cell("5s", "UPTIME", &vm->base, COLUMN_TABLE);
    PROTO_SET(vm->status, ended_ns, now_ns - 9 * UNITS_NS_PER_S); /* of the run before */
    check_cell("5s", "UPTIME", &vm->base, COLUMN_TABLE);
    PROTO_SET(vm->status, ended_ns, now_ns - 2 * UNITS_NS_PER_S);
    check_both("", "UPTIME", &vm->base);
}

TEST(column_age_from_a_clock_ahead_of_ours_is_zero)
{
    AUTO(auto_proto_free)
    Pb__Operation *op = (Pb__Operation *)proto_new(&pb__operation__descriptor);
    PROTO_SET(op, created_ns, now_ns + UNITS_NS_PER_S);
    check_cell("0ms", "AGE", &op->base, COLUMN_TABLE);
}

TEST(column_cells_of_an_event_stay_on_one_line)
{
    AUTO(auto_proto_free) Pb__Event *e = (Pb__Event *)proto_new(&pb__event__descriptor);
    PROTO_SET(e, time_ns, now_ns);
    proto_set(&e->text, "it said:\n\thello");
    check_both("2026-11-24T05:47:08.123Z", "TIME", &e->base);
    check_cell("it said:  hello", "TEXT", &e->base, COLUMN_TABLE);
    check_cell("it said:\n\thello", "TEXT", &e->base, COLUMN_EXACT);
}

TEST(column_cells_of_an_image)
{
    AUTO(auto_proto_free) Pb__Image *image = (Pb__Image *)proto_new(&pb__image__descriptor);
    proto_set(&image->digest,
              "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    PROTO_SET(image, size, 43123456);
    check_cell("sha256:0123456789ab", "DIGEST", &image->base, COLUMN_TABLE);
    check_cell(image->digest, "DIGEST", &image->base, COLUMN_EXACT);
    check_cell("41.1MiB", "SIZE", &image->base, COLUMN_TABLE);
    check_cell("43123456B", "SIZE", &image->base, COLUMN_EXACT);
}

TEST(column_cells_of_a_node)
{
    AUTO(auto_proto_free) Pb__Node *node = (Pb__Node *)proto_new(&pb__node__descriptor);
    node->facts = (Pb__NodeFacts *)proto_new(&pb__node_facts__descriptor);
    PROTO_SET(node->facts, mem_mib, 7961);
    PROTO_SET(node->facts, disk_mib, UINT64_MAX); /* no such disk, but no wrong number either */
    PROTO_SET(node->facts, privileged, 1);
    PROTO_SET(node->facts, accel, PB__ACCEL__ACCEL_KVM);
    check_cell("7.7GiB", "MEMORY", &node->base, COLUMN_TABLE);
    check_cell("7961MiB", "MEMORY", &node->base, COLUMN_EXACT);
    check_both("18446744073709551615MiB", "DISK", &node->base);
    check_both("yes", "ROOT", &node->base);
    check_both("kvm", "ACCEL", &node->base);
}

/* No column of the nouns is a list or bytes today: a column made by hand shows how they look. */
TEST(column_cells_of_lists_and_bytes)
{
    AUTO(auto_proto_free)
    Pb__ImageSource *s = (Pb__ImageSource *)proto_new(&pb__image_source__descriptor);
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(s->base.descriptor, "packages");
    struct column c = {
        .heading = "PACKAGES", .about = schema_field(s->base.descriptor, f), .depth = 1};
    c.path[0] = f;
    s->n_packages = 2;
    s->packages = NEW_ARRAY(char *, 2);
    s->packages[0] = mem_strdup("curl");
    s->packages[1] = mem_strdup("vim");
    AUTO(buf_done) struct buf b;
    buf_init(&b, 100);
    column_cell(&c, &s->base, COLUMN_TABLE, now_ns, &b);
    CHECK_STR("curl,vim", buf_cstr(&b));
}

static void every_cell_is_a_line(struct tape *t)
{
    const ProtobufCMessageDescriptor *desc = draw_type(t);
    if (!schema_message(desc)->plural)
        return;
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, desc);
    struct columns all;
    column_list(desc, &all);
    for (size_t i = 0; i < all.count; i++) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        column_cell(&all.at[i], m, COLUMN_TABLE, now_ns, &b);
        CHECK(strpbrk(buf_cstr(&b), "\n\r\t\x1b") == NULL);
        CHECK(str_utf8(buf_view(&b)));
    }
}

TEST(column_cells_of_any_message_are_one_line)
{
    prop_run(every_cell_is_a_line, 1, 400);
}

TEST_ABORTS(column_list_of_what_is_no_noun_is_a_bug)
{
    struct columns all;
    column_list(&pb__port_forward__descriptor, &all);
}
