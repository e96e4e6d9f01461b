#include "wire/field.h"

#include <string.h>

static const void *member(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

bool field_is_repeated(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED;
}

bool field_is_number(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_UINT32 || f->type == PROTOBUF_C_TYPE_UINT64;
}

static bool in_oneof(const ProtobufCFieldDescriptor *f)
{
    return f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
}

/* Is absence told by NULL, instead of by a flag? */
static bool is_pointer(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

size_t field_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32: return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_UINT64: return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_ENUM: return sizeof(int);
    case PROTOBUF_C_TYPE_STRING: return sizeof(char *);
    case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE: return sizeof(ProtobufCMessage *);
    default: defs_unreachable("a type that tools/gen_schema refuses");
    }
}

static size_t load_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    size_t n;
    memcpy(&n, member(m, f->quantifier_offset), sizeof n);
    return n;
}

static uint32_t load_case(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    uint32_t id;
    memcpy(&id, member(m, f->quantifier_offset), sizeof id);
    return id;
}

static void *load_pointer(const void *at)
{
    void *p;
    memcpy(&p, at, sizeof p);
    return p;
}

size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (field_is_repeated(f))
        return load_count(m, f);
    if (in_oneof(f) && load_case(m, f) != f->id)
        return 0;
    if (is_pointer(f))
        return load_pointer(member(m, f->offset)) != NULL;
    return in_oneof(f) || load_case(m, f) != 0; /* a has_ flag is an int as well */
}

const void *field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t index)
{
    require(index < field_count(m, f));
    if (!field_is_repeated(f))
        return member(m, f->offset);
    const char *items = load_pointer(member(m, f->offset));
    return items + index * field_size(f);
}

uint64_t field_number(const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32: return *(const uint32_t *)at;
    case PROTOBUF_C_TYPE_UINT64: return *(const uint64_t *)at;
    case PROTOBUF_C_TYPE_BOOL: return *(const protobuf_c_boolean *)at != 0;
    default: defs_unreachable("not a number");
    }
}

int field_enum(const void *at)
{
    int v;
    memcpy(&v, at, sizeof v);
    return v;
}

const char *field_text(const void *at)
{
    return load_pointer(at);
}

struct str field_bytes(const void *at)
{
    const ProtobufCBinaryData *b = at;
    return (struct str){b->len ? (const char *)b->data : "", b->len};
}

const ProtobufCMessage *field_message(const void *at)
{
    return load_pointer(at);
}

bool field_default(const ProtobufCFieldDescriptor *f, const void **ret_at)
{
    if (!f->default_value)
        return false;
    *ret_at = f->default_value;
    return true;
}

const ProtobufCFieldDescriptor *field_rival(const ProtobufCMessage *m,
                                            const ProtobufCFieldDescriptor *f)
{
    if (!in_oneof(f) || load_case(m, f) == 0)
        return NULL;
    return protobuf_c_message_descriptor_get_field(m->descriptor, load_case(m, f));
}

void field_put(void *at, void *value)
{
    memcpy(at, &value, sizeof value);
}

static void *add_item(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    size_t count = load_count(m, f), each = field_size(f);
    void *place = (char *)m + f->offset;
    char *items = mem_grow(load_pointer(place), count + 1, each);
    field_put(place, items);
    memset(items + count * each, 0, each);
    count++;
    memcpy((char *)m + f->quantifier_offset, &count, sizeof count);
    return items + (count - 1) * each;
}

void *field_add(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    require(f >= m->descriptor->fields && f < m->descriptor->fields + m->descriptor->n_fields);
    if (field_is_repeated(f))
        return add_item(m, f);
    require(field_count(m, f) == 0 && field_rival(m, f) == NULL);
    uint32_t set = in_oneof(f) ? f->id : 1;
    if (in_oneof(f) || !is_pointer(f))
        memcpy((char *)m + f->quantifier_offset, &set, sizeof set);
    void *at = (char *)m + f->offset;
    memset(at, 0, field_size(f));
    return at;
}
