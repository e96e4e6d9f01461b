/*
 * http_parser: the answer of an HTTP/1.1 server, out of bytes that come in any pieces.
 *
 * Pure: bytes in, pieces out.
 *
 *     http_parser_init(&p, false);
 *     http_parser_feed(&p, bytes);
 *     while ((piece = http_parser_next(&p, &data, &why)) > HTTP_MORE)
 *         ...
 *
 * Strict where servers agree: line ends are CR LF, lengths are digits, a length and chunks exclude
 * each other, a header never continues on the next line.
 */
#pragma once

#include "base/buf.h"

enum {
    HTTP_HEAD_MAX = 32 << 10, /* bytes of a head; likewise of the trailers of a chunked body */
    HTTP_HEADERS_MAX = 64,
    HTTP_FEED_MAX = 64 << 10,
    HTTP_INTERIM_MAX = 8, /* heads of 1xx before the one that counts */
};

struct http_header {
    struct str name, value;
};

/* All texts are views into the parser, until http_parser_done(). */
struct http_head {
    unsigned status; /* 101, 200 to 599 */
    struct str reason;
    size_t count;
    struct http_header header[HTTP_HEADERS_MAX];
};

enum http_state {
    HTTP_IN_HEAD,
    HTTP_IN_BODY,     /* `left` bytes, or until the end of the connection */
    HTTP_IN_SIZE,     /* the line before a chunk */
    HTTP_IN_CHUNK,    /* `left` bytes */
    HTTP_AFTER_CHUNK, /* its CR LF */
    HTTP_IN_TRAILERS, /* after the last chunk */
    HTTP_ENDED,
};

struct http_parser {
    enum http_state state;
    bool no_body;     /* what was asked with HEAD has a length, but no body */
    bool closed;      /* the connection has ended */
    bool until_close; /* so does the body then */
    uint64_t left;
    size_t trailers; /* bytes of them */
    unsigned interim;
    struct buf in; /* not yet used, from in.ptr[at] on */
    size_t at;
    char *text; /* what the head points into */
    struct http_head head;
};

enum http_piece {
    HTTP_BAD = -1, /* it is no HTTP, or ended in the middle */
    HTTP_MORE,     /* feed more */
    HTTP_HEAD,     /* p->head is there */
    HTTP_DATA,     /* some of the body */
    HTTP_END,      /* all was told. After a 101, http_parser_rest() has what came beyond it */
};

void http_parser_init(struct http_parser *p, bool no_body);
void http_parser_done(struct http_parser *p);

/* At most HTTP_FEED_MAX bytes, when http_parser_next() has asked for more. */
void http_parser_feed(struct http_parser *p, struct str bytes);
/* The connection has ended. */
void http_parser_close(struct http_parser *p);

/* ret_data   a view for HTTP_DATA, until the next call.
 * why        of HTTP_BAD: ST_CORRUPT, or ST_UNAVAILABLE for an answer that ended in the middle. */
enum http_piece http_parser_next(struct http_parser *p, struct str *ret_data, struct fault *why);

/* What was fed and not used. */
struct str http_parser_rest(const struct http_parser *p);

/* The first header of that name, whatever its case; empty when there is none. */
struct str http_head_get(const struct http_head *h, const char *name);
