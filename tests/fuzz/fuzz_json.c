/*
 * fuzz_json: a text that is taken as a message is written, read and written again alike.
 *
 * The first line of the input names the message, the rest is the JSON text.
 */
#include <string.h>

#include "wire/check.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { TEXT_MAX = 1 << 16, OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *named(struct str name)
{
    for (size_t i = 0; i < schema_message_count; i++)
        if (str_is(name, schema_message_table[i].desc->short_name))
            return schema_message_table[i].desc;
    return NULL;
}

static void write_text(const ProtobufCMessage *m, struct buf *out)
{
    json_t *v = json_from_message(m, JSON_WHOLE);
    json_dump(v, false, out);
    json_decref(v);
    require(!out->full);
}

static ProtobufCMessage *read_text(const ProtobufCMessageDescriptor *desc, struct str text)
{
    json_t *v;
    ProtobufCMessage *m = NULL;
    struct fault why = {0};
    if (json_parse(text, TEXT_MAX, &v, &why) != ST_OK)
        return NULL;
    json_t *merged = json_merge(json_deep_copy(v), v);
    json_decref(merged);
    enum status s = json_to_message(desc, v, JSON_WHOLE, &m, &why);
    require((s == ST_OK) == (m != NULL) && (s == ST_OK || why.text[0]));
    json_decref(v);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_setup();
    struct str text = {(const char *)data, size}, name;
    (void)str_cut(&text, '\n', &name);
    const ProtobufCMessageDescriptor *desc = named(name);
    if (!desc)
        return 0;
    AUTO(auto_proto_free) ProtobufCMessage *m = read_text(desc, text);
    if (!m)
        return 0;
    (void)!check_message(m, CHECK_REQUEST, NULL);
    AUTO(buf_done) struct buf one, two;
    buf_init(&one, OUT_MAX);
    buf_init(&two, OUT_MAX);
    write_text(m, &one);
    AUTO(auto_proto_free) ProtobufCMessage *back = read_text(desc, buf_view(&one));
    require(back && proto_equal(m, back));
    write_text(back, &two);
    require(str_eq(buf_view(&one), buf_view(&two)));
    return 0;
}
