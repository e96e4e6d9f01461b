/*
 * fuzz_proto: bytes that are taken as a message are packed and taken again alike; if it keeps the
 * limits it survives JSON, too.
 *
 * The first line of the input names the message, the rest is the encoding.
 */
#include <string.h>

#include "wire/check.h"
#include "wire/column.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { BYTES_MAX = 1 << 16, OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct schema_message *named(struct str name)
{
    for (size_t i = 0; i < schema_message_count; i++)
        if (str_is(name, schema_message_table[i].desc->short_name))
            return &schema_message_table[i];
    return NULL;
}

static void repack(const ProtobufCMessage *m)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, OUT_MAX);
    proto_pack(m, &b);
    require(!b.full);
    ProtobufCMessage *back;
    enum status s = proto_unpack(m->descriptor, buf_view(&b), OUT_MAX, &back, NULL);
    require(s == ST_OK && proto_equal(m, back));
    AUTO(auto_proto_free) ProtobufCMessage *copy = proto_copy(back);
    require(proto_equal(copy, back));
    proto_free(back);
}

/* JSON does not carry the fields that we do not know. */
static void through_json(const ProtobufCMessage *m)
{
    json_t *v = json_from_message(m, JSON_WHOLE);
    ProtobufCMessage *back, *again;
    enum status s = json_to_message(m->descriptor, v, JSON_WHOLE, &back, NULL);
    require(s == ST_OK);
    json_decref(v);
    v = json_from_message(back, JSON_WHOLE);
    s = json_to_message(m->descriptor, v, JSON_WHOLE, &again, NULL);
    require(s == ST_OK && proto_equal(back, again));
    json_decref(v);
    proto_free(back);
    proto_free(again);
}

static void show(const ProtobufCMessage *m)
{
    struct columns all;
    AUTO(buf_done) struct buf b;
    buf_init(&b, OUT_MAX);
    column_list(m->descriptor, &all);
    for (size_t i = 0; i < all.count; i++)
        column_cell(&all.at[i], m, i % 2 ? COLUMN_TABLE : COLUMN_EXACT, 0, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_setup();
    struct str bytes = {(const char *)data, size}, name;
    (void)str_cut(&bytes, '\n', &name);
    const struct schema_message *about = named(name);
    ProtobufCMessage *m;
    if (!about || proto_unpack(about->desc, bytes, BYTES_MAX, &m, NULL) != ST_OK)
        return 0;
    struct fault why = {0};
    enum status s = check_message(m, CHECK_STORED, &why);
    require(s == ST_OK || why.text[0]);
    json_decref(json_from_message(m, JSON_WHOLE)); /* what was not checked aborts nothing either */
    repack(m);
    if (s == ST_OK)
        through_json(m);
    if (about->plural)
        show(m);
    proto_free(m);
    return 0;
}
