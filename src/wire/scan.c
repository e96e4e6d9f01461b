#include "wire/scan.h"

#include <string.h>

#include "wire/cursor.h"
#include "wire/field.h"
#include "wire/place.h"
#include "wire/schema.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_SIZED = 2, WIRE_32 = 5, NUMBER_MAX = (1 << 29) - 1 };

/* Fields of one message that were met so far: a bit for each in the order of the descriptor. */
struct seen {
    uint64_t fields;
};

static enum status refuse(const struct place *at, struct fault *why, const char *what)
{
    return place_refuse(at, why, ST_INVALID, "%s", what);
}

static struct str sized(struct cursor *c)
{
    uint64_t len = cursor_varint(c);
    if (len > cursor_left(c)) {
        cursor_fail(c, "it ends too early");
        len = 0;
    }
    return cursor_bytes(c, (size_t)len);
}

static void skip_unknown(struct cursor *c, uint64_t wire)
{
    switch (wire) {
    case WIRE_VARINT: (void)cursor_varint(c); return;
    case WIRE_64: (void)cursor_u64(c); return;
    case WIRE_SIZED: (void)sized(c); return;
    case WIRE_32: (void)cursor_u32(c); return;
    default: cursor_fail(c, "an encoding of a kind that is not used"); return;
    }
}

static uint64_t number_max(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: return 1;
    case PROTOBUF_C_TYPE_ENUM: return INT32_MAX;
    case PROTOBUF_C_TYPE_UINT32: return UINT32_MAX;
    default: return UINT64_MAX;
    }
}

static enum status scan_fields(const ProtobufCMessageDescriptor *desc, struct str bytes,
                               const struct place *above, size_t depth, struct fault *why);

static enum status scan_value(const ProtobufCFieldDescriptor *f, struct cursor *c, uint64_t wire,
                              const struct place *at, size_t depth, struct fault *why)
{
    bool is_sized = f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES ||
                    f->type == PROTOBUF_C_TYPE_MESSAGE;
    if (wire != (is_sized ? WIRE_SIZED : WIRE_VARINT))
        return refuse(at, why, "it is encoded as another type");
    if (!is_sized) {
        uint64_t v = cursor_varint(c);
        return v > number_max(f) ? refuse(at, why, "the number is larger than its type") : ST_OK;
    }
    struct str value = sized(c);
    if (f->type == PROTOBUF_C_TYPE_STRING && value.len > 0 && memchr(value.ptr, 0, value.len))
        return refuse(at, why, "a zero byte is not allowed");
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && cursor_ok(c))
        return scan_fields(f->descriptor, value, at, depth + 1, why);
    return ST_OK;
}

/* Is the field, or another of its oneof, there already? */
static bool met_before(const ProtobufCMessageDescriptor *desc, const ProtobufCFieldDescriptor *f,
                       struct seen *seen)
{
    bool oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    uint64_t bit = UINT64_C(1) << (f - desc->fields), same = bit;
    for (unsigned i = 0; oneof && i < desc->n_fields; i++)
        if (desc->fields[i].quantifier_offset == f->quantifier_offset)
            same |= UINT64_C(1) << i;
    bool met = (seen->fields & same) && !field_is_repeated(f);
    seen->fields |= bit;
    return met;
}

static enum status scan_known(const ProtobufCMessageDescriptor *desc,
                              const ProtobufCFieldDescriptor *f, struct cursor *c, uint64_t wire,
                              const struct place *above, size_t depth, struct seen *seen,
                              struct fault *why)
{
    struct place at = {above, f->name, PLACE_NO_INDEX};
    if (met_before(desc, f, seen))
        return refuse(&at, why, "it, or what excludes it, is given twice");
    enum status s = scan_value(f, c, wire, &at, depth, why);
    if (s == ST_OK && !cursor_ok(c))
        return refuse(&at, why, c->bad);
    return s;
}

static enum status scan_fields(const ProtobufCMessageDescriptor *desc, struct str bytes,
                               const struct place *above, size_t depth, struct fault *why)
{
    require(depth < SCHEMA_DEPTH_MAX && desc->n_fields <= SCHEMA_FIELDS_MAX);
    struct seen seen = {0};
    struct cursor c;
    cursor_init(&c, bytes);
    while (cursor_left(&c) > 0) {
        uint64_t tag = cursor_varint(&c), number = tag >> 3, wire = tag & 7;
        if (cursor_ok(&c) && (number == 0 || number > NUMBER_MAX))
            cursor_fail(&c, "a field of a number that cannot be");
        const ProtobufCFieldDescriptor *f =
            cursor_ok(&c) ? protobuf_c_message_descriptor_get_field(desc, (unsigned)number) : NULL;
        if (!f) {
            skip_unknown(&c, wire);
            continue;
        }
        enum status s = scan_known(desc, f, &c, wire, above, depth, &seen, why);
        if (s != ST_OK)
            return s;
    }
    return cursor_ok(&c) ? ST_OK : refuse(above, why, c.bad);
}

enum status scan_message(const ProtobufCMessageDescriptor *desc, struct str bytes,
                         struct fault *why)
{
    require(schema_message(desc));
    return scan_fields(desc, bytes, NULL, 0, why);
}
