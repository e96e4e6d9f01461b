#include "journal/record.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "wire/cursor.h"

static const char start_magic[4] = {'B', 'L', 'X', 'J'};

uint64_t record_align(uint64_t size)
{
    return (size + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

uint64_t record_size(uint64_t len)
{
    return RECORD_HEAD_SIZE + record_align(len);
}

static uint32_t crc_u64(uint32_t crc, uint64_t v)
{
    uint8_t bytes[8];
    cursor_store_u64(bytes, v);
    return hash_crc32c(crc, bytes, sizeof bytes);
}

uint32_t record_seed(const struct journal_id *id, uint64_t seq)
{
    return crc_u64(hash_crc32c(0, id->bytes, sizeof id->bytes), seq);
}

static void head_store(const struct record *r, uint8_t h[RECORD_HEAD_SIZE])
{
    cursor_store_u32(h, r->crc);
    cursor_store_u32(h + 4, r->data_crc);
    cursor_store_u32(h + 8, r->len);
    cursor_store_u32(h + 12, r->kind);
    cursor_store_u32(h + 16, r->offset);
    cursor_store_u32(h + 20, r->durable);
    cursor_store_u32(h + 24, r->prev);
    cursor_store_u32(h + 28, r->arg);
    cursor_store_u64(h + 32, r->index);
    cursor_store_u64(h + 40, r->term);
}

static uint32_t head_crc(uint32_t seed, const uint8_t h[RECORD_HEAD_SIZE])
{
    return hash_crc32c(seed, h + 4, RECORD_HEAD_SIZE - 4);
}

void record_encode(struct buf *b, uint32_t seed, struct record *r, const void *data, size_t len)
{
    static const char padding[RECORD_ALIGN];
    uint8_t h[RECORD_HEAD_SIZE];
    require(len <= UINT32_MAX);
    r->len = (uint32_t)len;
    r->data_crc = hash_crc32c(seed, data, len);
    head_store(r, h);
    r->crc = head_crc(seed, h);
    cursor_store_u32(h, r->crc);
    buf_add(b, h, sizeof h);
    buf_add(b, data, len);
    buf_add(b, padding, (size_t)(record_align(len) - len));
}

bool record_decode(const void *head, uint32_t seed, uint64_t offset, struct record *out)
{
    const uint8_t *h = head;
    uint32_t kind = cursor_load_u32(h + 12);
    if (kind == 0 || kind >= RECORD_KIND_COUNT || cursor_load_u32(h + 16) != offset)
        return false;
    uint32_t crc = cursor_load_u32(h);
    if (crc != head_crc(seed, h))
        return false;
    struct record r = {
        .crc = crc,
        .data_crc = cursor_load_u32(h + 4),
        .len = cursor_load_u32(h + 8),
        .kind = kind,
        .offset = (uint32_t)offset,
        .durable = cursor_load_u32(h + 20),
        .prev = cursor_load_u32(h + 24),
        .arg = cursor_load_u32(h + 28),
        .index = cursor_load_u64(h + 32),
        .term = cursor_load_u64(h + 40),
    };
    if (r.len > LOG_ENTRY_MAX || r.durable > r.offset)
        return false;
    *out = r;
    return true;
}

static bool zeros(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

bool record_data_good(const struct record *r, uint32_t seed, const void *data)
{
    return hash_crc32c(seed, data, r->len) == r->data_crc &&
           zeros((const uint8_t *)data + r->len, (size_t)(record_align(r->len) - r->len));
}

void record_start_encode(const struct record_start *s, uint8_t out[RECORD_START_SIZE])
{
    memcpy(out, start_magic, sizeof start_magic);
    cursor_store_u32(out + 4, JOURNAL_FORMAT);
    cursor_store_u64(out + 8, s->last_index);
    cursor_store_u64(out + 16, s->last_term);
    cursor_store_u64(out + 24, s->hard.term);
    cursor_store_u32(out + 32, s->hard.vote);
    cursor_store_u32(out + 36, 0);
}

enum status record_start_decode(struct str data, struct record_start *out, struct fault *why)
{
    struct cursor c;
    struct record_start s;
    cursor_init(&c, data);
    (void)cursor_magic(&c, start_magic, sizeof start_magic);
    if (cursor_u32(&c) != JOURNAL_FORMAT)
        cursor_fail(&c, "its format is not that of its directory");
    s.last_index = cursor_u64(&c);
    s.last_term = cursor_u64(&c);
    s.hard.term = cursor_u64(&c);
    s.hard.vote = cursor_u32(&c);
    if (cursor_u32(&c) != 0)
        cursor_fail(&c, "a reserved field is set");
    enum status status = cursor_end(&c, ST_CORRUPT, why);
    if (status == ST_OK)
        *out = s;
    return status;
}

/*     blixard-journal 1
 *     id 00112233445566778899aabbccddeeff
 *     crc 01234567
 */
#define FORMAT_WORD "blixard-journal "

void record_format_encode(struct buf *b, const struct journal_id *id)
{
    char hex[2 * JOURNAL_ID_SIZE + 1];
    size_t from = b->len;
    str_hex(id->bytes, sizeof id->bytes, hex);
    buf_fmt(b, FORMAT_WORD "%d\nid %s\n", JOURNAL_FORMAT, hex);
    require(!b->full);
    buf_fmt(b, "crc %08" PRIx32 "\n", hash_crc32c(0, b->ptr + from, b->len - from));
}

/* Whatever a later format adds: the first line names it, and the last one is the checksum of all
 * that stands before it. */
static bool format_parse(struct str text, struct str *ret_middle, uint64_t *ret_format)
{
    enum { CRC_LINE = 13 };
    char want[CRC_LINE + 1];
    if (text.len < CRC_LINE)
        return false;
    struct str body = {text.ptr, text.len - CRC_LINE}, first;
    (void)snprintf(want, sizeof want, "crc %08" PRIx32 "\n", hash_crc32c(0, body.ptr, body.len));
    if (!str_ends(text, want) || !str_cut(&body, '\n', &first) || !str_starts(first, FORMAT_WORD))
        return false;
    size_t word = sizeof FORMAT_WORD - 1;
    *ret_middle = body;
    return str_u64((struct str){first.ptr + word, first.len - word}, 1, UINT64_MAX, ret_format,
                   NULL) == ST_OK;
}

static bool format_id(struct str middle, struct journal_id *out)
{
    struct str line;
    return str_cut(&middle, '\n', &line) && middle.len == 0 && str_starts(line, "id ") &&
           str_unhex((struct str){line.ptr + 3, line.len - 3}, out->bytes, sizeof out->bytes,
                     NULL) == ST_OK;
}

enum status record_format_decode(struct str text, struct journal_id *out, struct fault *why)
{
    uint64_t format;
    struct str middle;
    if (!format_parse(text, &middle, &format))
        return fault_set(why, ST_CORRUPT, "file format is damaged");
    if (format > JOURNAL_FORMAT) {
        (void)fault_set(why, ST_UNSUPPORTED,
                        "this log has format %" PRIu64 ", and this program knows up to %d", format,
                        JOURNAL_FORMAT);
        fault_hint(why, "install the version of blixard that wrote it, or a newer one");
        return ST_UNSUPPORTED;
    }
    if (!format_id(middle, out))
        return fault_set(why, ST_CORRUPT, "file format is damaged");
    return ST_OK;
}

uint32_t chunk_seed(const struct journal_id *id, uint64_t index, uint64_t term)
{
    return crc_u64(crc_u64(hash_crc32c(0, id->bytes, sizeof id->bytes), index), term);
}

static uint32_t chunk_crc(uint32_t seed, const void *bytes, size_t len)
{
    return hash_crc32c(seed, (const char *)bytes + 4, CHUNK_HEAD_SIZE - 4 + len);
}

void chunk_encode(struct buf *b, uint32_t seed, struct chunk *c, struct str data)
{
    static const char padding[RECORD_ALIGN];
    uint8_t h[CHUNK_HEAD_SIZE] = {0};
    size_t from = b->len;
    require(data.len <= LOG_CHUNK_MAX);
    c->len = (uint32_t)data.len;
    cursor_store_u32(h + 4, c->len);
    cursor_store_u32(h + 8, c->kind);
    cursor_store_u32(h + 12, c->number);
    cursor_store_u64(h + 16, c->before);
    buf_add(b, h, sizeof h);
    buf_add(b, data.ptr, data.len);
    buf_add(b, padding, (size_t)(record_align(data.len) - data.len));
    require(!b->full);
    c->crc = chunk_crc(seed, b->ptr + from, data.len);
    cursor_store_u32(b->ptr + from, c->crc);
}

void chunk_decode(const void *head, struct chunk *out)
{
    const uint8_t *h = head;
    *out = (struct chunk){
        .crc = cursor_load_u32(h),
        .len = cursor_load_u32(h + 4),
        .kind = cursor_load_u32(h + 8),
        .number = cursor_load_u32(h + 12),
        .before = cursor_load_u64(h + 16),
    };
}

bool chunk_good(const struct chunk *c, uint32_t seed, const void *bytes)
{
    size_t end = CHUNK_HEAD_SIZE + c->len;
    return c->len <= LOG_CHUNK_MAX && chunk_crc(seed, bytes, c->len) == c->crc &&
           zeros((const uint8_t *)bytes + end, (size_t)(record_align(end) - end));
}
