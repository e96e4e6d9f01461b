#include "support/draw_message.h"

#include <stdio.h>
#include <string.h>

#include "wire/field.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { ITEMS_MAX = 3 };

const ProtobufCMessageDescriptor *draw_type(struct tape *t)
{
    return schema_message_table[draw_below(t, schema_message_count)].desc;
}

static void draw_letters(struct tape *t, const char *alphabet, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = alphabet[draw_below(t, strlen(alphabet))];
    out[len] = 0;
}

static char *draw_pieces(struct tape *t, const struct schema_field *about, size_t count)
{
    /* With every control character of TEXT, quotes, a line end and four lengths of UTF-8. The last
     * two are for TEXT only. */
    static const char *const piece[] = {
        "a",  "b c", "\"q\"", "\\", "\xc3\xbc", "\xe2\x82\xac", "0", "-", "=", "\xf0\x9f\x98\x80",
        "\n", "\t"};
    if (about->format != SCHEMA_TEXT)
        count -= 2;
    char *text = mem_new(about->max_len + 1);
    size_t pieces = (size_t)draw_below(t, 6);
    for (size_t i = 0; i < pieces; i++) {
        const char *p = piece[draw_below(t, count)];
        if (strlen(text) + strlen(p) <= about->max_len)
            memcpy(text + strlen(text), p, strlen(p));
    }
    if (draw_below(t, 8) == 1) /* as long as may be */
        memset(text + strlen(text), 'x', about->max_len - strlen(text));
    return text;
}

static char *draw_text(struct tape *t, const struct schema_field *about)
{
    char text[128] = "";
    unsigned a = (unsigned)draw_below(t, 256), b = (unsigned)draw_below(t, 256);
    switch (about->format) {
    case SCHEMA_NAME:
        draw_letters(t, "a0z9", 1 + draw_below(t, MIN(about->max_len, 63)), text);
        break;
    case SCHEMA_UID: draw_letters(t, "0123456789abcdef", 32, text); break;
    case SCHEMA_DIGEST:
        memcpy(text, "sha256:", 7);
        draw_letters(t, "0123456789abcdef", 64, text + 7);
        break;
    case SCHEMA_PATH: (void)snprintf(text, sizeof text, "/x%u/y..%u", a, b); break;
    case SCHEMA_IPV4: (void)snprintf(text, sizeof text, "%u.%u.0.255", a, b); break;
    case SCHEMA_MAC: (void)snprintf(text, sizeof text, "52:54:00:%02x:%02x:ff", a, b); break;
    default: return draw_pieces(t, about, 12);
    }
    return mem_strdup(text);
}

static void draw_bytes(struct tape *t, const struct schema_field *about, ProtobufCBinaryData *out)
{
    out->len = (size_t)draw_edge(t, about->max_len);
    out->data = out->len ? mem_new(out->len) : NULL;
    for (size_t i = 0; i < out->len && i < 8; i++)
        out->data[i] = (uint8_t)draw_below(t, 256);
}

static uint64_t draw_number(struct tape *t, const ProtobufCFieldDescriptor *f,
                            const struct schema_field *about)
{
    uint64_t max = f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX : UINT64_MAX;
    uint64_t low = about->has_min ? about->min : 0, high = about->has_max ? about->max : max;
    return low + draw_edge(t, high - low);
}

static void draw_value(struct tape *t, const ProtobufCFieldDescriptor *f,
                       const struct schema_field *about, void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32: *(uint32_t *)at = (uint32_t)draw_number(t, f, about); return;
    case PROTOBUF_C_TYPE_UINT64: *(uint64_t *)at = draw_number(t, f, about); return;
    case PROTOBUF_C_TYPE_BOOL: *(protobuf_c_boolean *)at = (int)draw_below(t, 2); return;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumDescriptor *e = f->descriptor;
        memcpy(at, &e->values[draw_below(t, e->n_values)].value, sizeof(int));
        return;
    }
    case PROTOBUF_C_TYPE_STRING: field_put(at, draw_text(t, about)); return;
    case PROTOBUF_C_TYPE_BYTES: draw_bytes(t, about, at); return;
    case PROTOBUF_C_TYPE_MESSAGE: field_put(at, draw_message(t, f->descriptor)); return;
    default: defs_unreachable("field type");
    }
}

ProtobufCMessage *draw_message(struct tape *t, const ProtobufCMessageDescriptor *desc)
{
    ProtobufCMessage *m = proto_new(desc);
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        const struct schema_field *about = schema_field(desc, f);
        size_t count = (size_t)draw_below(t, field_is_repeated(f) ? ITEMS_MAX + 1 : 2);
        if (field_rival(m, f))
            continue;
        for (size_t k = 0; k < MIN(count, about->max_items); k++)
            draw_value(t, f, about, field_add(m, f));
    }
    return m;
}
