#include "pb/event.pb-c.h"
#include "pb/operation.pb-c.h"
#include "pb/vm.pb-c.h"
#include "support/tap.h"
#include "wire/schema.h"

static const struct schema_field *field(const ProtobufCMessageDescriptor *desc, const char *name)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(desc, name);
    CHECK(f != NULL);
    return schema_field(desc, f);
}

TEST(schema_field_has_its_options)
{
    const struct schema_field *f = field(&pb__vm_spec__descriptor, "mem_mib");
    CHECK_STR("Memory", f->doc);
    CHECK_STR("memory", f->flag);
    CHECK_STR("MEMORY", f->column);
    CHECK_EQ(SCHEMA_MEBIBYTES, f->format);
    CHECK(f->has_min && f->min == 96);
    CHECK(f->has_max && f->max == 1048576);
    CHECK(!f->output && !f->immutable && !f->required && !f->wide);

    f = field(&pb__meta__descriptor, "name");
    CHECK(f->required && f->immutable && !f->output);
    f = field(&pb__meta__descriptor, "uid");
    CHECK(f->output && f->wide);
}

TEST(schema_field_has_defaults_where_nothing_is_said)
{
    const struct schema_field *f = field(&pb__vm_spec__descriptor, "stop_timeout_s");
    CHECK_STR("stop-timeout-s", f->flag);
    CHECK(f->column == NULL);
    CHECK_EQ(SCHEMA_PLAIN, f->format);
    CHECK_EQ(256, f->max_len);
    CHECK_EQ(64, f->max_items);
    f = field(&pb__vm_status__descriptor, "restarts");
    CHECK(!f->has_min && !f->has_max);
    f = field(&pb__vm__descriptor, "spec");
    CHECK_STR("What a VM should be", f->doc); /* that of its type */
}

TEST(schema_message_is_found_for_every_noun)
{
    CHECK_STR("vms", schema_message(&pb__vm__descriptor)->plural);
    CHECK_STR("A virtual machine", schema_message(&pb__vm__descriptor)->doc);
    CHECK(schema_message(&pb__label__descriptor)->plural == NULL);
    for (size_t i = 0; i < schema_message_count; i++)
        CHECK(schema_message(schema_message_table[i].desc) == &schema_message_table[i]);
    for (size_t i = 0; i < schema_enum_count; i++)
        CHECK(schema_enum(schema_enum_table[i].desc) == &schema_enum_table[i]);
}

TEST(schema_message_is_null_for_a_stranger)
{
    ProtobufCMessageDescriptor stranger = pb__vm__descriptor;
    CHECK(schema_message(&stranger) == NULL);
    stranger.name = "zzz.Last";
    CHECK(schema_message(&stranger) == NULL);
}

TEST(schema_word_drops_the_common_prefix)
{
    CHECK_STR("restart-elsewhere",
              schema_word(&pb__failover__descriptor, PB__FAILOVER__FAILOVER_RESTART_ELSEWHERE));
    CHECK_STR("running", schema_word(&pb__vm_phase__descriptor, PB__VM_PHASE__VM_RUNNING));
    CHECK_STR("succeeded", schema_word(&pb__operation_phase__descriptor,
                                       PB__OPERATION_PHASE__OPERATION_SUCCEEDED));
    CHECK(schema_word(&pb__vm_phase__descriptor, 99) == NULL);
    CHECK(schema_word(&pb__vm_phase__descriptor, -1) == NULL);
}

TEST(schema_value_finds_every_word_again)
{
    for (size_t i = 0; i < schema_enum_count; i++) {
        const ProtobufCEnumDescriptor *desc = schema_enum_table[i].desc;
        for (unsigned k = 0; k < desc->n_values; k++) {
            int value = -1;
            const char *word = schema_word(desc, desc->values[k].value);
            CHECK(schema_value(desc, str_from(word), &value));
            CHECK_EQ(desc->values[k].value, value);
        }
    }
    int value = 7;
    CHECK(!schema_value(&pb__power__descriptor, STR("sideways"), &value));
    CHECK(!schema_value(&pb__power__descriptor, STR(""), &value));
    CHECK_EQ(7, value);
}

/* The heading of a column is its key in scripts: two alike would make one unreachable. */
static void collect(const ProtobufCMessageDescriptor *desc, const char **heading, size_t *count)
{
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && f->label != PROTOBUF_C_LABEL_REPEATED)
            collect(f->descriptor, heading, count);
        else if (schema_field(desc, f)->column)
            heading[(*count)++] = schema_field(desc, f)->column;
    }
}

TEST(schema_columns_of_a_noun_are_distinct)
{
    for (size_t i = 0; i < schema_message_count; i++) {
        if (!schema_message_table[i].plural)
            continue;
        const char *heading[100];
        size_t count = 0;
        collect(schema_message_table[i].desc, heading, &count);
        for (size_t a = 0; a < count; a++)
            for (size_t b = a + 1; b < count; b++)
                CHECK(strcmp(heading[a], heading[b]) != 0);
    }
}

TEST_ABORTS(schema_field_of_another_message_is_a_bug)
{
    (void)schema_field(&pb__vm__descriptor, &pb__event__descriptor.fields[0]);
}
