#include "wire/proto.h"

#include <stdlib.h>
#include <string.h>

#include "wire/field.h"
#include "wire/scan.h"
#include "wire/schema.h"

ProtobufCMessage *proto_new(const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessage *m = mem_new(desc->sizeof_message);
    protobuf_c_message_init(desc, m);
    return m;
}

void proto_free(ProtobufCMessage *m)
{
    protobuf_c_message_free_unpacked(m, NULL);
}

void proto_set(char **field, const char *text)
{
    char *copy = text ? mem_strdup(text) : NULL;
    free(*field);
    *field = copy;
}

static ProtobufCBinaryData copy_bytes(struct str bytes)
{
    uint8_t *data = bytes.len ? mem_dup(bytes.ptr, bytes.len) : NULL;
    return (ProtobufCBinaryData){bytes.len, data};
}

static void copy_value(const ProtobufCFieldDescriptor *f, const void *from, void *to)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: field_put(to, mem_strdup(field_text(from))); return;
    case PROTOBUF_C_TYPE_MESSAGE: field_put(to, proto_copy(field_message(from))); return;
    case PROTOBUF_C_TYPE_BYTES: *(ProtobufCBinaryData *)to = copy_bytes(field_bytes(from)); return;
    default: memcpy(to, from, field_size(f)); return;
    }
}

static void copy_unknown(const ProtobufCMessage *from, ProtobufCMessage *to)
{
    if (from->n_unknown_fields == 0)
        return;
    to->unknown_fields = NEW_ARRAY(ProtobufCMessageUnknownField, from->n_unknown_fields);
    to->n_unknown_fields = from->n_unknown_fields;
    for (unsigned i = 0; i < from->n_unknown_fields; i++) {
        to->unknown_fields[i] = from->unknown_fields[i];
        to->unknown_fields[i].data =
            mem_dup(from->unknown_fields[i].data, from->unknown_fields[i].len);
    }
}

ProtobufCMessage *proto_copy(const ProtobufCMessage *m)
{
    ProtobufCMessage *copy = proto_new(m->descriptor);
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        size_t count = field_count(m, f);
        for (size_t k = 0; k < count; k++)
            copy_value(f, field_at(m, f, k), field_add(copy, f));
    }
    copy_unknown(m, copy);
    return copy;
}

static bool equal_values(const ProtobufCFieldDescriptor *f, const void *a, const void *b)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: return strcmp(field_text(a), field_text(b)) == 0;
    case PROTOBUF_C_TYPE_MESSAGE: return proto_equal(field_message(a), field_message(b));
    case PROTOBUF_C_TYPE_BYTES: return str_eq(field_bytes(a), field_bytes(b));
    case PROTOBUF_C_TYPE_ENUM: return field_enum(a) == field_enum(b);
    default: return field_number(f, a) == field_number(f, b);
    }
}

static bool equal_unknown(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    if (a->n_unknown_fields != b->n_unknown_fields)
        return false;
    for (unsigned i = 0; i < a->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *x = &a->unknown_fields[i], *y = &b->unknown_fields[i];
        if (x->tag != y->tag || x->wire_type != y->wire_type || x->len != y->len ||
            memcmp(x->data, y->data, x->len) != 0)
            return false;
    }
    return true;
}

bool proto_equal_field(const ProtobufCMessage *a, const ProtobufCMessage *b,
                       const ProtobufCFieldDescriptor *f)
{
    size_t count = field_count(a, f);
    if (count != field_count(b, f))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!equal_values(f, field_at(a, f, i), field_at(b, f, i)))
            return false;
    return true;
}

bool proto_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    require(a->descriptor == b->descriptor);
    for (unsigned i = 0; i < a->descriptor->n_fields; i++)
        if (!proto_equal_field(a, b, &a->descriptor->fields[i]))
            return false;
    return equal_unknown(a, b);
}

void proto_pack(const ProtobufCMessage *m, struct buf *b)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    char *p = buf_space(b, len);
    if (!p)
        return;
    size_t wrote = protobuf_c_message_pack(m, (uint8_t *)p);
    ensure(wrote == len);
    buf_wrote(b, len);
}

/* What is left of the memory that one call may take. What it frees is not given back: the sum of
 * all allocations is bounded, and so is the time to make them. */
struct allowance {
    size_t left;
    bool spent;
};

static void *bounded_alloc(void *allocator_data, size_t size)
{
    struct allowance *a = allocator_data;
    size_t need = MAX(size, 1);
    if (a->spent || need > a->left) {
        a->spent = true;
        return NULL;
    }
    a->left -= need;
    return mem_new(need);
}

static void plain_free(void *allocator_data, void *pointer)
{
    (void)allocator_data;
    free(pointer);
}

enum status proto_unpack(const ProtobufCMessageDescriptor *desc, struct str bytes, size_t max,
                         ProtobufCMessage **ret, struct fault *why)
{
    require(schema_message(desc));
    require(max < UINT32_MAX / PROTO_MEMORY_FACTOR);
    if (bytes.len > max)
        return fault_set(why, ST_TOO_BIG, "%zu bytes are more than %zu", bytes.len, max);
    enum status s = scan_message(desc, bytes, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "not the encoding of a %s", desc->short_name);
    struct allowance a = {.left = bytes.len * PROTO_MEMORY_FACTOR + PROTO_MEMORY_BASE};
    ProtobufCAllocator allocator = {bounded_alloc, plain_free, &a};
    ProtobufCMessage *m =
        protobuf_c_message_unpack(desc, &allocator, bytes.len, (const uint8_t *)bytes.ptr);
    if (!m && a.spent)
        return fault_set(why, ST_TOO_BIG, "a %s of %zu bytes takes too much memory",
                         desc->short_name, bytes.len);
    if (!m)
        return fault_set(why, ST_INVALID, "not the encoding of a %s", desc->short_name);
    *ret = m;
    return ST_OK;
}
