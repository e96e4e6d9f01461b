/*
 * buf: bytes that grow, up to a maximum that is given at birth.
 *
 * The first append that would pass the maximum marks the buffer as `full`; it and all later ones
 * change nothing. So a caller may append many times and ask once at the end.
 */
#pragma once

#include "base/str.h"

struct buf {
    char *ptr; /* always NUL-terminated once anything was appended; NULL when empty at birth */
    size_t len;
    size_t room; /* allocated bytes, the terminator included */
    size_t max;  /* len never passes it */
    bool full;   /* something did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* also for AUTO(buf_done) */
void buf_reset(struct buf *b); /* empty it, keep the memory */

void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, struct str s);
void buf_text(struct buf *b, const char *text);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Make room for len more bytes to be written at the returned place, then buf_wrote() says how many
 * were. NULL if that would pass the maximum. */
char *buf_space(struct buf *b, size_t len);
void buf_wrote(struct buf *b, size_t len);

/* Drop the first len bytes. */
void buf_eat(struct buf *b, size_t len);

struct str buf_view(const struct buf *b);
const char *buf_cstr(const struct buf *b);                               /* never NULL */
MUST_USE enum status buf_status(const struct buf *b, struct fault *why); /* ST_TOO_BIG when full */
/* The bytes become the caller's, who frees them; the buffer is as after init. Never NULL. */
MUST_USE char *buf_take(struct buf *b, size_t *ret_len);
