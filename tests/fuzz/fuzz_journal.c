/*
 * fuzz_journal: a journal must open, or refuse with a reason, whatever its files hold; and what it
 * opens it can go on with.
 *
 * The first byte chooses: the rest is the content of a segment, or of a snapshot; or it describes
 * records, which are given true checksums, so that what they say is reached.
 */
#include <string.h>

#include "journal/files.h"
#include "journal/journal.h"
#include "journal/record.h"
#include "support/memdisk.h"
#include "wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORDS_MAX = 40, FILE_MAX = 1 << 20 };

static const struct journal_id id = {"a fixed identity"};

struct seen {
    uint64_t next; /* index of the entry that must come */
    bool begun;
};

static void on_hard(void *ctx, const struct log_hard *h)
{
    (void)ctx, (void)h;
}

static enum status on_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                               bool last, struct fault *why)
{
    struct seen *s = ctx;
    (void)term, (void)chunk, (void)last, (void)why;
    s->begun = true;
    s->next = index + 1;
    return ST_OK;
}

static enum status on_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    struct seen *s = ctx;
    (void)why;
    require(e->index == (s->begun ? s->next : 1));
    s->begun = true;
    s->next = e->index + 1;
    return ST_OK;
}

static enum status open_it(struct memdisk *m, struct seen *s, struct journal **ret,
                           struct fault *why)
{
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_MIN};
    struct log_load load = {on_hard, on_snapshot, on_entry, s};
    *s = (struct seen){0};
    return journal_open(memdisk_port(m), &c, &load, ret, NULL, why);
}

static void try_it(struct memdisk *m)
{
    struct journal *j;
    struct seen s;
    struct fault why = {0};
    if (open_it(m, &s, &j, &why) != ST_OK) {
        require(why.status == ST_CORRUPT && why.text[0] && why.hint[0]);
        return;
    }
    /* It goes on: with an entry, in a term that nobody has seen. */
    struct journal_view v = journal_view(j);
    if (v.last_index < UINT64_MAX - 2) {
        struct log_entry e = {.index = v.last_index + 1, .term = UINT64_MAX, .data = STR("more")};
        require(journal_append(j, NULL, &e, 1, &why) == ST_OK);
        require(journal_sync(j, &why) == ST_OK);
        journal_close(j);
        require(open_it(m, &s, &j, &why) == ST_OK);
        require(s.next == e.index + 1);
    }
    journal_close(j);
}

static void put_format(struct memdisk *m)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, FILE_MAX);
    record_format_encode(&b, &id);
    memdisk_put(m, FILES_FORMAT, b.ptr, b.len);
}

static void put_segment(struct memdisk *m, uint64_t seq, const struct buf *b)
{
    char name[DISK_NAME_MAX + 1];
    files_segment_name(seq, name);
    memdisk_put(m, name, b->ptr, b->len);
}

static void crafted(struct memdisk *m, struct cursor *c)
{
    AUTO(buf_done) struct buf b;
    uint64_t seq = 1 + cursor_u8(c) % 4, first = seq;
    uint32_t chain = 0;
    buf_init(&b, FILE_MAX);
    for (int i = 0; i < RECORDS_MAX && cursor_left(c) > 0; i++) {
        uint8_t what = cursor_u8(c);
        struct record r = {.kind = what % 5,
                           .arg = cursor_u8(c),
                           .index = cursor_u8(c),
                           .term = cursor_u8(c) % 8,
                           .offset = (uint32_t)b.len,
                           .durable = what & 8 ? (uint32_t)b.len : 0,
                           .prev = chain};
        uint8_t start[RECORD_START_SIZE];
        struct str payload = cursor_bytes(c, cursor_u8(c) % 64);
        if (r.kind == RECORD_START) { /* the next segment, unless nothing was written yet */
            struct record_start s = {.last_index = r.index,
                                     .last_term = r.term,
                                     .hard = {.term = r.term, .vote = r.arg}};
            if (b.len > 0 && seq < first + 6)
                put_segment(m, seq++, &b);
            buf_reset(&b);
            r.offset = r.durable = 0;
            r.index = what & 16 ? r.index : seq;
            record_start_encode(&s, start);
            payload = (struct str){(const char *)start, sizeof start};
        }
        if (what & 32 && r.index > 200) /* also very large ones */
            r.index = UINT64_MAX - (255 - r.index);
        size_t from = b.len;
        record_encode(&b, record_seed(&id, seq), &r, payload.ptr, payload.len);
        if ((what & 0xc0) == 0xc0) /* damaged */
            b.ptr[from + r.arg % (b.len - from)] ^= 1;
        chain = r.crc;
    }
    put_segment(m, seq, &b);
}

static void snapshot(struct memdisk *m, struct cursor *c, bool craft)
{
    char name[DISK_NAME_MAX + 1];
    AUTO(buf_done) struct buf b;
    buf_init(&b, FILE_MAX);
    struct record r = {.kind = RECORD_START, .index = 1};
    uint8_t start[RECORD_START_SIZE];
    record_start_encode(&(struct record_start){0}, start);
    record_encode(&b, record_seed(&id, 1), &r, start, sizeof start);
    put_segment(m, 1, &b);
    buf_reset(&b);
    files_snapshot_name(7, 3, name);
    if (!craft) {
        struct str rest = cursor_rest(c);
        memdisk_put(m, name, rest.ptr, rest.len);
        return;
    }
    struct chunk chunk = {0};
    while (cursor_left(c) > 0 && chunk.number < RECORDS_MAX) {
        uint8_t what = cursor_u8(c);
        struct str bytes = cursor_bytes(c, cursor_u8(c) % 32);
        chunk.kind = what % 4;
        chunk_encode(&b, chunk_seed(&id, 7, 3), &chunk, bytes);
        chunk.number += what < 240;
        chunk.before += bytes.len;
    }
    memdisk_put(m, name, b.ptr, b.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c;
    if (size < 1)
        return 0;
    cursor_init(&c, (struct str){(const char *)data, size});
    struct memdisk *m = memdisk_new();
    uint8_t mode = cursor_u8(&c);
    put_format(m);
    switch (mode % 4) {
    case 0: {
        struct str rest = cursor_rest(&c);
        char name[DISK_NAME_MAX + 1];
        files_segment_name(1, name);
        memdisk_put(m, name, rest.ptr, rest.len);
        break;
    }
    case 1: crafted(m, &c); break;
    case 2: snapshot(m, &c, false); break;
    case 3: snapshot(m, &c, true); break;
    }
    try_it(m);
    memdisk_free(m);
    return 0;
}
