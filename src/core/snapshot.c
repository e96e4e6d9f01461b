/*
 * snapshot: the whole state as a row of records, and back.
 *
 * A record is {u32 length, u32 crc, u8 type} and that many bytes; the checksum (CRC32C) is of the length,
 * the type and the bytes. First comes a head with the counters, then every object (its kind as a
 * byte, then its message), then every command id from the oldest to the newest, then a tail with the
 * state hash. A new format has a new version in its head.
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "core/state.h"
#include "wire/check.h"
#include "wire/cursor.h"
#include "wire/proto.h"

enum { VERSION = 1, HEADER_SIZE = 9, CRC_AT = 4, TYPE_AT = 8, BODY_MAX = LIMIT_OBJECT_BYTES + 1 };
_Static_assert(SNAPSHOT_PIECE_MIN >= HEADER_SIZE + BODY_MAX, "a piece holds any record");

enum record { RECORD_HEAD = 1, RECORD_OBJECT, RECORD_DONE, RECORD_TAIL };

static uint32_t record_crc(const char *header, struct str body)
{
    uint32_t crc = hash_crc32c(0, header, CRC_AT);
    crc = hash_crc32c(crc, header + TYPE_AT, 1);
    return hash_crc32c(crc, body.ptr, body.len);
}

/* --- writing --- */

struct cluster_snapshot {
    uint64_t index, term, time_ns, state_hash;
    uint32_t node_number_last, event_dropped_seq;
    uint64_t event_dropped_index;
    struct object **objects; /* references */
    struct done **done;      /* references */
    size_t object_count, done_count;
    size_t at; /* records given so far */
};

struct cluster_snapshot *cluster_snapshot_new(const struct cluster *c, uint64_t term)
{
    struct cluster_snapshot *s = NEW(struct cluster_snapshot);
    *s = (struct cluster_snapshot){
        .index = c->index,
        .term = term,
        .time_ns = c->time_ns,
        .state_hash = cluster_hash(c),
        .node_number_last = c->node_number_last,
        .event_dropped_index = c->event_dropped_index,
        .event_dropped_seq = c->event_dropped_seq,
        .done_count = c->done.count,
    };
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        s->object_count += c->table[i].count;
    s->objects = NEW_ARRAY(struct object *, s->object_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        for (size_t k = 0; k < c->table[i].count; k++)
            s->objects[n++] = object_ref(c->table[i].items[k]);
    s->done = NEW_ARRAY(struct done *, s->done_count + 1);
    for (size_t i = 0; i < s->done_count; i++)
        s->done[i] = done_ref(c->done.items[c->done.first + i]);
    return s;
}

void cluster_snapshot_free(struct cluster_snapshot *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->object_count; i++)
        object_unref(s->objects[i]);
    for (size_t i = 0; i < s->done_count; i++)
        done_unref(s->done[i]);
    free(s->objects);
    free(s->done);
    free(s);
}

uint64_t cluster_snapshot_index(const struct cluster_snapshot *s)
{
    return s->index;
}

static void pack_head(const struct cluster_snapshot *s, struct buf *out)
{
    Pb__StateHead h = PB__STATE_HEAD__INIT;
    PROTO_SET(&h, version, VERSION);
    PROTO_SET(&h, index, s->index);
    PROTO_SET(&h, term, s->term);
    PROTO_SET(&h, time_ns, s->time_ns);
    PROTO_SET(&h, node_number_last, s->node_number_last);
    PROTO_SET(&h, object_count, s->object_count);
    PROTO_SET(&h, event_dropped_index, s->event_dropped_index);
    PROTO_SET(&h, event_dropped_seq, s->event_dropped_seq);
    PROTO_SET(&h, done_count, s->done_count);
    proto_pack(&h.base, out);
}

static void pack_object(const struct object *o, struct buf *out)
{
    buf_char(out, (char)o->kind);
    proto_pack(o->msg, out);
}

/* A message borrows its texts; the generated type wants them not const. */
static char *lend(const char *text)
{
    return text[0] ? (char *)(uintptr_t)text : NULL;
}

static void pack_done(const struct done *d, struct buf *out)
{
    Pb__Done m = PB__DONE__INIT;
    m.has_id = true;
    m.id = (ProtobufCBinaryData){COMMAND_ID_SIZE, (uint8_t *)(uintptr_t)d->key.id};
    m.has_request = true;
    m.request = (ProtobufCBinaryData){COMMAND_REQUEST_SIZE, (uint8_t *)(uintptr_t)d->key.request};
    PROTO_SET(&m, index, d->index);
    m.status = lend(status_code(d->status));
    m.text = lend(d->text);
    m.hint = lend(d->hint);
    m.field = lend(d->field);
    m.uid = lend(d->uid);
    m.operation_id = lend(d->operation_id);
    proto_pack(&m.base, out);
}

static void pack_tail(const struct cluster_snapshot *s, struct buf *out)
{
    Pb__StateTail m = PB__STATE_TAIL__INIT;
    PROTO_SET(&m, state_hash, s->state_hash);
    proto_pack(&m.base, out);
}

static size_t record_count(const struct cluster_snapshot *s)
{
    return 1 + s->object_count + s->done_count + 1;
}

/* The bytes of record number `at`; out is empty. */
static enum record pack_record(const struct cluster_snapshot *s, size_t at, struct buf *out)
{
    if (at == 0) {
        pack_head(s, out);
        return RECORD_HEAD;
    }
    at--;
    if (at < s->object_count) {
        pack_object(s->objects[at], out);
        return RECORD_OBJECT;
    }
    at -= s->object_count;
    if (at < s->done_count) {
        pack_done(s->done[at], out);
        return RECORD_DONE;
    }
    pack_tail(s, out);
    return RECORD_TAIL;
}

static void put_record(struct buf *out, enum record type, struct str body)
{
    char header[HEADER_SIZE];
    cursor_store_u32(header, (uint32_t)body.len);
    header[TYPE_AT] = (char)type;
    cursor_store_u32(header + CRC_AT, record_crc(header, body));
    buf_add(out, header, sizeof header);
    buf_str(out, body);
}

bool cluster_snapshot_next(struct cluster_snapshot *s, size_t max_bytes, struct buf *out)
{
    require(max_bytes >= SNAPSHOT_PIECE_MIN && max_bytes <= out->max - out->len);
    size_t end = out->len + max_bytes;
    AUTO(buf_done) struct buf body;
    buf_init(&body, BODY_MAX);
    while (s->at < record_count(s)) {
        buf_reset(&body);
        enum record type = pack_record(s, s->at, &body);
        ensure(!body.full); /* object_check() bounds what is stored */
        if (HEADER_SIZE + body.len > end - out->len)
            break;
        put_record(out, type, buf_view(&body));
        s->at++;
    }
    return s->at < record_count(s);
}

/* --- reading --- */

struct cluster_restore {
    struct cluster *c;
    struct buf pending; /* the beginning of a record whose end has not come */
    bool has_head, has_tail;
    uint64_t term;
    uint64_t objects_left, done_left;
    enum status failed; /* ST_OK while all is well */
    struct fault why;
};

struct cluster_restore *cluster_restore_new_limits(const struct limits *l)
{
    struct cluster_restore *r = NEW(struct cluster_restore);
    r->c = cluster_new_limits(l);
    buf_init(&r->pending, HEADER_SIZE + BODY_MAX);
    return r;
}

struct cluster_restore *cluster_restore_new(void)
{
    struct limits l;
    limits_default(&l);
    return cluster_restore_new_limits(&l);
}

void cluster_restore_free(struct cluster_restore *r)
{
    if (!r)
        return;
    cluster_free(r->c);
    buf_done(&r->pending);
    free(r);
}

struct cluster *cluster_restore_drop(struct cluster_restore *r)
{
    struct cluster *c = r->c;
    r->c = NULL;
    cluster_restore_free(r);
    return c;
}

static enum status corrupt(struct fault *why, const char *what)
{
    return fault_set(why, ST_CORRUPT, "%s", what);
}

/* Decode a record's message within the limits of proto/. Whatever is wrong with it means that the
 * snapshot is not as it was written. */
static enum status unpack(const ProtobufCMessageDescriptor *desc, struct str body,
                          ProtobufCMessage **ret, struct fault *why)
{
    enum status s = proto_unpack(desc, body, BODY_MAX, ret, why);
    return s == ST_OK ? ST_OK : fault_wrap(why, ST_CORRUPT, "a record is not what it says");
}

static enum status take_head(struct cluster_restore *r, struct str body, struct fault *why)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    enum status s = unpack(&pb__state_head__descriptor, body, &m, why);
    if (s != ST_OK)
        return s;
    const Pb__StateHead *h = (const Pb__StateHead *)(void *)m;
    if (h->version != VERSION)
        return fault_set(why, ST_UNSUPPORTED,
                         "the snapshot has format version %" PRIu32 ", this program reads %d",
                         h->version, VERSION);
    r->has_head = true;
    r->term = h->term;
    r->objects_left = h->object_count;
    r->done_left = h->done_count;
    r->c->index = h->index;
    r->c->time_ns = h->time_ns;
    r->c->node_number_last = h->node_number_last;
    r->c->event_dropped_index = h->event_dropped_index;
    r->c->event_dropped_seq = h->event_dropped_seq;
    return ST_OK;
}

/* How many of a kind there may be in all; operations are under way or ended. */
static size_t table_max(const struct limits *l, enum object_kind kind)
{
    return l->objects[kind] + (kind == OBJECT_OPERATION ? l->ended : 0);
}

static enum status take_object(struct cluster_restore *r, struct str body, struct fault *why)
{
    struct cluster *c = r->c;
    uint8_t kind = body.len ? (uint8_t)body.ptr[0] : OBJECT_KIND_COUNT;
    if (kind >= OBJECT_KIND_COUNT)
        return corrupt(why, "an object is of no known kind");
    if (r->objects_left == 0)
        return corrupt(why, "there are more objects than the head says");
    if (c->table[kind].count >= table_max(&c->limits, (enum object_kind)kind))
        return corrupt(why, "there are more objects than a table may hold");
    ProtobufCMessage *m = NULL;
    struct str packed = {body.ptr + 1, body.len - 1};
    enum status s = unpack(object_descriptor((enum object_kind)kind), packed, &m, why);
    if (s != ST_OK)
        return s;
    struct object *o = object_new((enum object_kind)kind, m);
    char room[OBJECT_KEY_MAX];
    s = object_check(o, why);
    if (s == ST_OK && table_find(&c->table[kind], object_key(o, room)))
        s = fault_set(why, ST_EXISTS, "it comes twice");
    if (s == ST_OK)
        s = index_admits(&c->derived, o, why);
    if (s != ST_OK) {
        object_unref(o);
        return fault_wrap(why, ST_CORRUPT, "an object is not right");
    }
    ensure(cluster_put(c, o) == NULL);
    r->objects_left--;
    return ST_OK;
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static bool key_of(const Pb__Done *d, struct command_key *out)
{
    if (!d->has_id || d->id.len != COMMAND_ID_SIZE || !d->has_request ||
        d->request.len != COMMAND_REQUEST_SIZE)
        return false;
    memcpy(out->id, d->id.data, COMMAND_ID_SIZE);
    memcpy(out->request, d->request.data, COMMAND_REQUEST_SIZE);
    return true;
}

static enum status take_done(struct cluster_restore *r, struct str body, struct fault *why)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    enum status s = unpack(&pb__done__descriptor, body, &m, why);
    if (s == ST_OK && check_message(m, CHECK_STORED, why) != ST_OK)
        s = fault_wrap(why, ST_CORRUPT, "a command id is not right");
    if (s != ST_OK)
        return s;
    const Pb__Done *d = (const Pb__Done *)(void *)m;
    if (r->done_left == 0 || r->c->done.count >= r->c->limits.done)
        return corrupt(why, "there are more command ids than there may be");
    struct command_key key;
    if (!key_of(d, &key) || !d->status || done_find(&r->c->done, key.id))
        return corrupt(why, "a command id is not right");
    if (d->index <= done_last_index(&r->c->done) || d->index > r->c->index)
        return corrupt(why, "command ids are not in their order");
    struct fault was;
    enum status status = status_from_code(d->status);
    if (status != ST_OK) {
        (void)fault_set(&was, status, "%s", text_of(d->text));
        fault_hint(&was, "%s", text_of(d->hint));
        fault_field(&was, "%s", text_of(d->field));
    }
    done_add(&r->c->done,
             done_new(&key, d->index, status, &was, text_of(d->uid), text_of(d->operation_id)),
             r->c->limits.done);
    r->done_left--;
    return ST_OK;
}

static enum status take_tail(struct cluster_restore *r, struct str body, struct fault *why)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    enum status s = unpack(&pb__state_tail__descriptor, body, &m, why);
    if (s != ST_OK)
        return s;
    if (r->objects_left > 0 || r->done_left > 0)
        return corrupt(why, "there are fewer records than the head says");
    if (((const Pb__StateTail *)(void *)m)->state_hash != cluster_hash(r->c))
        return corrupt(why, "the state hash is not that of the records");
    r->has_tail = true;
    return ST_OK;
}

static enum status take_record(struct cluster_restore *r, uint8_t type, struct str body,
                               struct fault *why)
{
    if (r->has_tail)
        return corrupt(why, "something follows the last record");
    if (r->has_head != (type != RECORD_HEAD))
        return corrupt(why, "the head is not the first record, and the only one");
    switch (type) {
    case RECORD_HEAD: return take_head(r, body, why);
    case RECORD_OBJECT: return take_object(r, body, why);
    case RECORD_DONE: return take_done(r, body, why);
    case RECORD_TAIL: return take_tail(r, body, why);
    default: return corrupt(why, "a record is of no known type");
    }
}

/* Take the first record of *bytes, if it is there as a whole. */
static enum status take_first(struct cluster_restore *r, struct str *bytes, bool *ret_more,
                              struct fault *why)
{
    *ret_more = false;
    if (bytes->len < HEADER_SIZE)
        return ST_OK;
    uint32_t len = cursor_load_u32(bytes->ptr);
    if (len > BODY_MAX)
        return corrupt(why, "a record is longer than any can be");
    if (bytes->len - HEADER_SIZE < len)
        return ST_OK;
    struct str body = {bytes->ptr + HEADER_SIZE, len};
    if (cursor_load_u32(bytes->ptr + CRC_AT) != record_crc(bytes->ptr, body))
        return corrupt(why, "a record's checksum is wrong");
    uint8_t type = (uint8_t)bytes->ptr[TYPE_AT];
    bytes->ptr += HEADER_SIZE + len;
    bytes->len -= HEADER_SIZE + len;
    *ret_more = true;
    return take_record(r, type, body, why);
}

/* Take all whole records of *bytes. */
static enum status take_all(struct cluster_restore *r, struct str *bytes, struct fault *why)
{
    bool more = true;
    enum status s = ST_OK;
    while (s == ST_OK && more)
        s = take_first(r, bytes, &more, why);
    return s;
}

/* Add bytes to a record that has begun, only so many as it may still need. */
static void complete(struct cluster_restore *r, struct str *bytes)
{
    size_t want = HEADER_SIZE;
    if (r->pending.len >= HEADER_SIZE)
        want += MIN(cursor_load_u32(r->pending.ptr), (uint32_t)BODY_MAX);
    size_t take = MIN(want - r->pending.len, bytes->len);
    buf_add(&r->pending, bytes->ptr, take);
    bytes->ptr += take;
    bytes->len -= take;
}

static enum status add(struct cluster_restore *r, struct str bytes, struct fault *why)
{
    while (r->pending.len > 0 && bytes.len > 0) {
        complete(r, &bytes);
        struct str pending = buf_view(&r->pending);
        enum status s = take_all(r, &pending, why);
        if (s != ST_OK)
            return s;
        buf_eat(&r->pending, r->pending.len - pending.len);
    }
    enum status s = take_all(r, &bytes, why);
    if (s == ST_OK)
        buf_str(&r->pending, bytes);
    return s;
}

enum status cluster_restore_add(struct cluster_restore *r, struct str bytes, struct fault *why)
{
    if (r->failed == ST_OK)
        r->failed = add(r, bytes, &r->why);
    if (r->failed != ST_OK && why)
        *why = r->why;
    return r->failed;
}

enum status cluster_restore_end(struct cluster_restore *r, struct cluster **ret, uint64_t *ret_term,
                                struct fault *why)
{
    enum status s = cluster_restore_add(r, STR(""), why);
    if (s == ST_OK && (!r->has_tail || r->pending.len > 0))
        s = corrupt(why, "the snapshot is not complete");
    if (s == ST_OK) {
        *ret = r->c;
        *ret_term = r->term;
        r->c = NULL;
    }
    cluster_restore_free(r);
    return s;
}
