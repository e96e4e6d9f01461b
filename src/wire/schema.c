#include "wire/schema.h"

#include <string.h>

const struct schema_message *schema_message(const ProtobufCMessageDescriptor *desc)
{
    size_t low = 0, high = schema_message_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct schema_message *m = &schema_message_table[mid];
        if (m->desc == desc)
            return m;
        if (strcmp(m->desc->name, desc->name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct schema_enum *schema_enum(const ProtobufCEnumDescriptor *desc)
{
    size_t low = 0, high = schema_enum_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct schema_enum *e = &schema_enum_table[mid];
        if (e->desc == desc)
            return e;
        if (strcmp(e->desc->name, desc->name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct schema_field *schema_field(const ProtobufCMessageDescriptor *desc,
                                        const ProtobufCFieldDescriptor *field)
{
    const struct schema_message *m = schema_message(desc);
    require(m);
    require(field >= desc->fields && field < desc->fields + desc->n_fields);
    return &m->field[field - desc->fields];
}

const char *schema_word(const ProtobufCEnumDescriptor *desc, int value)
{
    const struct schema_enum *e = schema_enum(desc);
    require(e);
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(desc, value);
    return v ? e->word[v - desc->values].word : NULL;
}

bool schema_value(const ProtobufCEnumDescriptor *desc, struct str word, int *ret_value)
{
    const struct schema_enum *e = schema_enum(desc);
    require(e);
    size_t low = 0, high = desc->n_values;
    while (low < high) {
        size_t mid = low + (high - low) / 2, index = e->by_word[mid];
        int c = str_cmp(str_from(e->word[index].word), word);
        if (c == 0) {
            *ret_value = desc->values[index].value;
            return true;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}
