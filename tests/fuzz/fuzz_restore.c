/*
 * Bytes as a snapshot, in two ways: as they are, and as rows of {u8 type, u16 length, bytes} that get
 * the right headers and checksums, so that what lies behind them is met too.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "core/state.h"
#include "support/state_check.h"
#include "wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 9 };

static void put(struct buf *out, uint8_t type, const uint8_t *body, size_t len)
{
    char h[HEADER];
    cursor_store_u32(h, (uint32_t)len);
    h[8] = (char)type;
    uint32_t crc = hash_crc32c(hash_crc32c(0, h, 4), h + 8, 1);
    cursor_store_u32(h + 4, hash_crc32c(crc, body, len));
    buf_add(out, h, HEADER);
    buf_add(out, body, len);
}

static void frame(const uint8_t *data, size_t size, struct buf *out)
{
    while (size >= 3) {
        size_t len = MIN((size_t)(data[1] | data[2] << 8), size - 3);
        put(out, data[0], data + 3, len);
        data += 3 + len;
        size -= 3 + len;
    }
}

static void restore(struct str bytes, size_t piece)
{
    struct cluster_restore *r = cluster_restore_new();
    struct cluster *c = NULL;
    uint64_t term;
    for (size_t at = 0; at < bytes.len; at += piece)
        if (cluster_restore_add(r, (struct str){bytes.ptr + at, MIN(piece, bytes.len - at)},
                                NULL) != ST_OK)
            break;
    if (cluster_restore_end(r, &c, &term, NULL) != ST_OK)
        return;
    /* A state that passed must be one that can be written again. */
    struct cluster_snapshot *s = cluster_snapshot_new(c, term);
    struct buf out;
    buf_init(&out, 16 << 20);
    while (cluster_snapshot_next(s, SNAPSHOT_PIECE_MIN, &out))
        buf_reset(&out);
    buf_done(&out);
    cluster_snapshot_free(s);
    cluster_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t piece = 1 + data[1] * 16u;
    if (data[0] % 2 == 0) {
        restore((struct str){(const char *)data + 2, size - 2}, piece);
        return 0;
    }
    struct buf framed;
    buf_init(&framed, 16 << 20);
    frame(data + 2, size - 2, &framed);
    restore(buf_view(&framed), piece);
    buf_done(&framed);
    return 0;
}
