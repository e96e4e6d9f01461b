/*
 * cursor: read fixed formats out of bytes that may be anything, and write them.
 *
 * Numbers are little-endian everywhere. A reader checks every length and remembers its first
 * failure: from then on it stands still and each read gives zero or an empty view. So a decoder
 * reads straight through and asks once, with cursor_end() or cursor_status(), whether it was true.
 *
 *     struct cursor c;
 *     cursor_init(&c, bytes);
 *     h.kind = cursor_u8(&c);
 *     h.name = cursor_sized(&c, NAME_MAX);
 *     if (h.kind >= KIND_COUNT)
 *         cursor_fail(&c, "kind is not known");
 *     return cursor_end(&c, ST_CORRUPT, why);
 */
#pragma once

#include "base/buf.h"

struct cursor {
    const uint8_t *ptr; /* borrowed: views that are read point into it */
    size_t len;
    size_t at;       /* bytes read so far; stays where the first failure was met */
    const char *bad; /* the first failure, a static text; NULL while all is well */
};

void cursor_init(struct cursor *c, struct str bytes);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c); /* LEB128; only its shortest form is taken */

struct str cursor_bytes(struct cursor *c, size_t len);   /* exactly len */
struct str cursor_sized(struct cursor *c, uint32_t max); /* u32 length, at most max; bytes */
/* Sized, and without NUL: a C string of at most size - 1 bytes; "" into out on failure. */
void cursor_text(struct cursor *c, char *out, size_t size);
bool cursor_copy(struct cursor *c, void *out, size_t len); /* zeros into out on failure */
struct str cursor_rest(struct cursor *c);                  /* all that is left */
bool cursor_magic(struct cursor *c, const void *want,
                  size_t len); /* fails if other bytes are there */

/* How many bytes are left; 0 after a failure. */
size_t cursor_left(const struct cursor *c);

/* The decoder's own refusal. `bad` is static text, such as "kind is not known". */
void cursor_fail(struct cursor *c, const char *bad);
bool cursor_ok(const struct cursor *c);

/*
 * Was everything read well?
 *
 * bad      the status that a failure means here: ST_CORRUPT for a file, ST_INVALID for a peer.
 *
 * cursor_end() also refuses bytes that are left over.
 */
MUST_USE enum status cursor_status(const struct cursor *c, enum status bad, struct fault *why);
MUST_USE enum status cursor_end(struct cursor *c, enum status bad, struct fault *why);

/* Write what the readers read. A buffer that is full takes nothing, as base/buf.h says. */
void cursor_put_u8(struct buf *b, uint8_t v);
void cursor_put_u16(struct buf *b, uint16_t v);
void cursor_put_u32(struct buf *b, uint32_t v);
void cursor_put_u64(struct buf *b, uint64_t v);
void cursor_put_varint(struct buf *b, uint64_t v);
void cursor_put_sized(struct buf *b, struct str bytes); /* at most UINT32_MAX bytes */
void cursor_put_text(struct buf *b, const char *text);

/* Little-endian numbers at a place of one's own, such as a header that is patched later. */
void cursor_store_u32(void *at, uint32_t v);
void cursor_store_u64(void *at, uint64_t v);
uint32_t cursor_load_u32(const void *at);
uint64_t cursor_load_u64(const void *at);
