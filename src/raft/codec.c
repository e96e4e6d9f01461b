#include "raft/codec.h"

#include <stdlib.h>

#include "wire/cursor.h"

enum {
    VERSION = 1,
    VARINT_MAX = 10,
    HEAD_MAX = 4 + 11 * VARINT_MAX,
    ENTRY_HEAD_MAX = VARINT_MAX + 1 + 4,
    ENTRY_MIN = 2, /* a no-op of the term before */
};
_Static_assert(HEAD_MAX + RAFT_MESSAGE_ENTRIES_MAX * ENTRY_HEAD_MAX + RAFT_MESSAGE_DATA_MAX <=
                   RAFT_MESSAGE_BYTES_MAX,
               "a message within the limits fits");

enum flags { FLAG_PRE = 1, FLAG_FORCE = 2, FLAG_REFUSED = 4, FLAGS_ALL = 7 };

/* The numbers that are left out when they are 0, in their order. Bit i of `which` is of the i-th. */
enum { NUMBER_COUNT = 7, WHICH_ENTRIES = 1 << NUMBER_COUNT };

static uint64_t *number(struct raft_message *m, unsigned i)
{
    uint64_t *const all[NUMBER_COUNT] = {
        &m->index, &m->log_term, &m->commit, &m->read, &m->matched, &m->hint, &m->kept,
    };
    return all[i];
}

/* --- encode --- */

static bool in_row(const struct raft_message *m)
{
    uint64_t term = m->log_term;
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index != m->index + 1 + i || e->index == 0 || e->term < term ||
            (unsigned)e->type >= RAFT_ENTRY_TYPE_COUNT ||
            (e->type != RAFT_ENTRY_NOOP) != (e->data != NULL))
            return false;
        term = e->term;
    }
    return true;
}

static enum status check_size(const struct raft_message *m, const struct buf *out,
                              struct fault *why)
{
    if (m->count > RAFT_MESSAGE_ENTRIES_MAX)
        return fault_set(why, ST_TOO_BIG, "%zu entries in one message, at most %d", m->count,
                         RAFT_MESSAGE_ENTRIES_MAX);
    size_t data = 0;
    for (size_t i = 0; i < m->count; i++)
        data += m->entries[i].data ? m->entries[i].data->len : 0;
    if (data > RAFT_MESSAGE_DATA_MAX)
        return fault_set(why, ST_TOO_BIG, "%zu bytes of entries in one message, at most %d", data,
                         RAFT_MESSAGE_DATA_MAX);
    /* By the most that it can be: nothing is to be taken back when the end does not fit. */
    size_t most = HEAD_MAX + m->count * ENTRY_HEAD_MAX + data;
    if (out->full || most > out->max - out->len)
        return fault_set(why, ST_TOO_BIG, "a message of %zu bytes where %zu are left", most,
                         out->max - out->len);
    return ST_OK;
}

static void put_entries(const struct raft_message *m, struct buf *out)
{
    uint64_t term = m->log_term;
    cursor_put_varint(out, m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_entry *e = &m->entries[i];
        cursor_put_varint(out, e->term - term);
        cursor_put_u8(out, (uint8_t)e->type);
        if (e->data)
            cursor_put_sized(out, (struct str){e->data->bytes, e->data->len});
        term = e->term;
    }
}

enum status raft_message_encode(const struct raft_message *m, struct buf *out, struct fault *why)
{
    require((unsigned)m->type < RAFT_MESSAGE_TYPE_COUNT && in_row(m));
    enum status s = check_size(m, out, why);
    if (s != ST_OK)
        return s;
    struct raft_message own = *m;
    unsigned which = m->count ? WHICH_ENTRIES : 0;
    for (unsigned i = 0; i < NUMBER_COUNT; i++)
        which |= (unsigned)(*number(&own, i) != 0) << i;
    cursor_put_u8(out, VERSION);
    cursor_put_u8(out, (uint8_t)m->type);
    cursor_put_u8(out, (uint8_t)((m->pre ? FLAG_PRE : 0) | (m->force ? FLAG_FORCE : 0) |
                                 (m->refused ? FLAG_REFUSED : 0)));
    cursor_put_u8(out, (uint8_t)which);
    cursor_put_varint(out, m->from);
    cursor_put_varint(out, m->to);
    cursor_put_varint(out, m->term);
    for (unsigned i = 0; i < NUMBER_COUNT; i++)
        if (which >> i & 1)
            cursor_put_varint(out, *number(&own, i));
    if (m->count)
        put_entries(m, out);
    ensure(!out->full);
    return ST_OK;
}

/* --- decode --- */

static uint32_t get_member(struct cursor *c)
{
    uint64_t v = cursor_varint(c);
    if (v > UINT32_MAX)
        cursor_fail(c, "a member's number is too large");
    return (uint32_t)v;
}

static void get_head(struct cursor *c, struct raft_message *m, uint8_t *ret_which)
{
    uint8_t type = cursor_u8(c), flags = cursor_u8(c), which = cursor_u8(c);
    if (type >= RAFT_MESSAGE_TYPE_COUNT)
        cursor_fail(c, "the type is not known");
    if (flags & ~FLAGS_ALL)
        cursor_fail(c, "a flag is not known");
    m->type = (enum raft_message_type)type;
    m->pre = flags & FLAG_PRE;
    m->force = flags & FLAG_FORCE;
    m->refused = flags & FLAG_REFUSED;
    m->from = get_member(c);
    m->to = get_member(c);
    m->term = cursor_varint(c);
    for (unsigned i = 0; i < NUMBER_COUNT; i++) {
        if (!(which >> i & 1))
            continue;
        *number(m, i) = cursor_varint(c);
        if (*number(m, i) == 0)
            cursor_fail(c, "a number is said to be there, and is 0");
    }
    *ret_which = which;
}

/* The entry after one of `term`; its data is the caller's. */
static void get_entry(struct cursor *c, uint64_t index, uint64_t term, struct raft_entry *e)
{
    uint64_t more = cursor_varint(c);
    uint8_t type = cursor_u8(c);
    if (more > UINT64_MAX - term)
        cursor_fail(c, "a term is too large");
    if (type >= RAFT_ENTRY_TYPE_COUNT)
        cursor_fail(c, "an entry's type is not known");
    *e = (struct raft_entry){index, term + more, (enum raft_entry_type)type, NULL};
    if (type == RAFT_ENTRY_NOOP)
        return;
    struct str data = cursor_sized(c, RAFT_MESSAGE_DATA_MAX);
    if (cursor_ok(c))
        e->data = raft_data_new(data.ptr, data.len);
}

static void get_entries(struct cursor *c, struct raft_decoded *d)
{
    struct raft_message *m = &d->message;
    uint64_t count = cursor_varint(c), term = m->log_term;
    if (count == 0 || count > RAFT_MESSAGE_ENTRIES_MAX || count > cursor_left(c) / ENTRY_MIN)
        cursor_fail(c, "it cannot have so many entries");
    if (count > UINT64_MAX - m->index)
        cursor_fail(c, "an index is too large");
    if (!cursor_ok(c))
        return;
    size_t data = 0;
    m->entries = d->entries = NEW_ARRAY(struct raft_entry, count);
    while (m->count < count && cursor_ok(c)) {
        struct raft_entry *e = &d->entries[m->count++];
        get_entry(c, m->index + m->count, term, e);
        data += e->data ? e->data->len : 0;
        term = e->term;
    }
    if (data > RAFT_MESSAGE_DATA_MAX)
        cursor_fail(c, "its entries have too many bytes");
}

enum status raft_message_decode(struct str bytes, struct raft_decoded *ret, struct fault *why)
{
    if (bytes.len > RAFT_MESSAGE_BYTES_MAX)
        return fault_set(why, ST_TOO_BIG, "a message of %zu bytes, at most %d", bytes.len,
                         RAFT_MESSAGE_BYTES_MAX);
    struct raft_decoded d = {0};
    struct cursor c;
    uint8_t which;
    cursor_init(&c, bytes);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version != VERSION)
        return fault_set(why, ST_UNSUPPORTED, "a message of version %u, not %d", version, VERSION);
    get_head(&c, &d.message, &which);
    if (which & WHICH_ENTRIES)
        get_entries(&c, &d);
    enum status s = cursor_end(&c, ST_INVALID, why);
    if (s != ST_OK) {
        raft_decoded_done(&d);
        return fault_wrap(why, s, "raft message");
    }
    *ret = d;
    return ST_OK;
}

void raft_decoded_done(struct raft_decoded *d)
{
    for (size_t i = 0; d->entries && i < d->message.count; i++)
        raft_data_unref(d->entries[i].data);
    free(d->entries);
    *d = (struct raft_decoded){0};
}
