#include "node/saved.h"

#include <string.h>

#include "base/hash.h"
#include "wire/cursor.h"

enum {
    VERSION = 1,
    FIXED_SIZE = 26, /* up to the length of the members, inclusive */
    LENGTH_AT = 22,
    CRC_SIZE = 4,
};
#define MAGIC UINT32_C(0x4d584c42) /* "BLXM" */
_Static_assert(FIXED_SIZE + CRC_SIZE + RAFT_MEMBERS_BYTES_MAX == SAVED_HEAD_MAX, "a head fits");
_Static_assert(MAGIC > LIMIT_OBJECT_BYTES + 1, "no record of a state is that long");

void saved_head_encode(const struct saved_head *h, struct buf *out)
{
    AUTO(buf_done) struct buf head, members;
    buf_init(&head, SAVED_HEAD_MAX);
    buf_init(&members, RAFT_MEMBERS_BYTES_MAX);
    if (h->members.count)
        raft_members_encode(&h->members, &members);
    cursor_put_u32(&head, MAGIC);
    cursor_put_u8(&head, VERSION);
    cursor_put_u8(&head, h->state);
    cursor_put_u64(&head, h->index);
    cursor_put_u64(&head, h->term);
    cursor_put_sized(&head, buf_view(&members));
    cursor_put_u32(&head, hash_crc32c(0, head.ptr, head.len));
    ensure(!head.full);
    buf_str(out, buf_view(&head));
}

void saved_in_init(struct saved_in *in, const struct limits *l)
{
    *in = (struct saved_in){.limits = *l};
}

/* Take bytes until `want` of the head are here. */
static bool gather(struct saved_in *in, struct str *bytes, size_t want)
{
    size_t take = in->pending_len < want ? MIN(want - in->pending_len, bytes->len) : 0;
    if (take)
        memcpy(in->pending + in->pending_len, bytes->ptr, take);
    in->pending_len += take;
    bytes->ptr += take;
    bytes->len -= take;
    return in->pending_len >= want;
}

static enum status decode_head(struct saved_in *in, struct fault *why)
{
    struct cursor c;
    struct saved_head h = {0};
    cursor_init(&c, (struct str){in->pending, in->pending_len});
    (void)cursor_u32(&c);
    uint8_t version = cursor_u8(&c), state = cursor_u8(&c);
    h.index = cursor_u64(&c);
    h.term = cursor_u64(&c);
    struct str members = cursor_sized(&c, RAFT_MEMBERS_BYTES_MAX);
    uint32_t crc = hash_crc32c(0, in->pending, in->pending_len - CRC_SIZE);
    if (cursor_u32(&c) != crc)
        cursor_fail(&c, "the checksum of the head is wrong");
    if (state > 1)
        cursor_fail(&c, "the head has a flag that is neither 0 nor 1");
    enum status s = cursor_end(&c, ST_CORRUPT, why);
    if (s != ST_OK)
        return s;
    if (version != VERSION)
        return fault_set(why, ST_UNSUPPORTED,
                         "the head has format version %u, this program reads %d", version, VERSION);
    if (members.len && raft_members_decode(members, &h.members, why) != ST_OK)
        return fault_wrap(why, ST_CORRUPT, "the members");
    h.state = state == 1;
    in->head = h;
    in->has_head = true;
    return ST_OK;
}

/* Take what belongs to the head. */
static enum status take_head(struct saved_in *in, struct str *bytes, struct fault *why)
{
    if (!gather(in, bytes, sizeof(uint32_t)))
        return ST_OK;
    if (cursor_load_u32(in->pending) != MAGIC) {
        in->alone = true;
        return ST_OK;
    }
    if (!gather(in, bytes, FIXED_SIZE))
        return ST_OK;
    uint32_t len = cursor_load_u32(in->pending + LENGTH_AT);
    if (len > RAFT_MEMBERS_BYTES_MAX)
        return fault_set(why, ST_CORRUPT, "the head is longer than any can be");
    return gather(in, bytes, FIXED_SIZE + len + CRC_SIZE) ? decode_head(in, why) : ST_OK;
}

static enum status take_state(struct saved_in *in, struct str bytes, struct fault *why)
{
    if (in->has_head && !in->head.state)
        return bytes.len ? fault_set(why, ST_CORRUPT, "something follows a head without state")
                         : ST_OK;
    enum status s = ST_OK;
    if (!in->restore) {
        in->restore = cluster_restore_new_limits(&in->limits);
        if (in->alone)
            s = cluster_restore_add(in->restore, (struct str){in->pending, in->pending_len}, why);
    }
    return s == ST_OK ? cluster_restore_add(in->restore, bytes, why) : s;
}

enum status saved_in_add(struct saved_in *in, struct str bytes, struct fault *why)
{
    enum status s = ST_OK;
    if (!in->has_head && !in->alone)
        s = take_head(in, &bytes, why);
    if (s == ST_OK && (in->has_head || in->alone))
        s = take_state(in, bytes, why);
    return s;
}

enum status saved_in_end(struct saved_in *in, uint64_t index, uint64_t term,
                         struct cluster **ret_cluster, struct fault *why)
{
    struct cluster *c = NULL;
    uint64_t inner_index = in->head.index, inner_term = in->head.term;
    if (!in->has_head && !in->alone)
        return fault_set(why, ST_CORRUPT, "the snapshot is not complete");
    if (in->restore) {
        struct cluster_restore *r = in->restore;
        in->restore = NULL;
        enum status s = cluster_restore_end(r, &c, &inner_term, why);
        if (s != ST_OK)
            return s;
        inner_index = cluster_index(c);
    }
    bool same = inner_index == index && inner_term == term;
    if (in->has_head)
        same = same && in->head.index == index && in->head.term == term;
    if (!same || (in->has_head && in->head.state && !c)) {
        cluster_free(c);
        return fault_set(why, ST_CORRUPT, "it says that it is of entry %" PRIu64 ", term %" PRIu64,
                         inner_index, inner_term);
    }
    *ret_cluster = c;
    return ST_OK;
}

struct cluster *saved_in_drop(struct saved_in *in)
{
    struct cluster *c = in->restore ? cluster_restore_drop(in->restore) : NULL;
    in->restore = NULL;
    return c;
}
