#include "cli/http_parser.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SIZE_LINE_MAX = 256, SIZE_DIGITS_MAX = 16 };

void http_parser_init(struct http_parser *p, bool no_body)
{
    *p = (struct http_parser){.no_body = no_body};
    buf_init(&p->in, HTTP_HEAD_MAX + 2 * HTTP_FEED_MAX);
}

void http_parser_done(struct http_parser *p)
{
    buf_done(&p->in);
    free(p->text);
    p->text = NULL;
}

void http_parser_feed(struct http_parser *p, struct str bytes)
{
    require(bytes.len <= HTTP_FEED_MAX && !p->closed);
    buf_eat(&p->in, p->at);
    p->at = 0;
    buf_str(&p->in, bytes);
    ensure(!p->in.full); /* what is left over is less than a head */
}

void http_parser_close(struct http_parser *p)
{
    p->closed = true;
}

struct str http_parser_rest(const struct http_parser *p)
{
    if (p->at == p->in.len)
        return (struct str){"", 0};
    return (struct str){p->in.ptr + p->at, p->in.len - p->at};
}

static struct str take(struct http_parser *p, size_t len)
{
    struct str s = {http_parser_rest(p).ptr, len};
    p->at += len;
    return s;
}

static enum http_piece bad(struct fault *why, const char *what)
{
    (void)fault_set(why, ST_CORRUPT, "the answer is not HTTP/1.1: %s", what);
    return HTTP_BAD;
}

static enum http_piece more(const struct http_parser *p, struct fault *why)
{
    if (!p->closed)
        return HTTP_MORE;
    (void)fault_set(why, ST_UNAVAILABLE, "the connection ended in the middle of an answer");
    return HTTP_BAD;
}

/* --- head --- */

struct str http_head_get(const struct http_head *h, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < h->count; i++)
        if (h->header[i].name.len == len && strncasecmp(h->header[i].name.ptr, name, len) == 0)
            return h->header[i].value;
    return (struct str){"", 0};
}

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.ptr[i] < 0x20 && s.ptr[i] != '\t') || s.ptr[i] == 0x7f)
            return false;
    return true;
}

/* The part before CR LF; false, and *rest is left alone, when there is none. */
static bool cut_line(struct str *rest, struct str *ret)
{
    const char *end = rest->len ? memmem(rest->ptr, rest->len, "\r\n", 2) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->ptr);
    *ret = (struct str){rest->ptr, len};
    *rest = (struct str){end + 2, rest->len - len - 2};
    return true;
}

/* "HTTP/1.1 200 OK" */
static const char *parse_status(struct http_head *h, struct str line)
{
    struct str version, code;
    uint64_t status;
    if (!str_cut(&line, ' ', &version) ||
        !(str_is(version, "HTTP/1.1") || str_is(version, "HTTP/1.0")))
        return "no version that we know";
    (void)str_cut(&line, ' ', &code);
    if (code.len != 3 || str_u64(code, 100, 599, &status, NULL) != ST_OK)
        return "no status";
    if (!is_text(line))
        return "a control character";
    h->status = (unsigned)status;
    h->reason = line;
    return NULL;
}

static const char *parse_header(struct http_head *h, struct str line)
{
    struct str name;
    if (!str_cut(&line, ':', &name) || !is_token(name))
        return "a header without a name";
    if (!is_text(line))
        return "a control character";
    if (h->count == HTTP_HEADERS_MAX)
        return "too many headers";
    h->header[h->count++] = (struct http_header){name, str_trim(line)};
    return NULL;
}

/* Fill p->head from a text that ends with an empty line. */
static const char *parse_head(struct http_parser *p, struct str text)
{
    struct str line;
    free(p->text);
    p->text = mem_dup(text.ptr, text.len);
    text.ptr = p->text;
    p->head = (struct http_head){0};
    bool whole = cut_line(&text, &line);
    const char *wrong = parse_status(&p->head, line);
    while (!wrong && (whole = cut_line(&text, &line)) && line.len > 0)
        wrong = parse_header(&p->head, line);
    ensure(wrong || whole);
    return wrong;
}

static bool has_no_body(const struct http_parser *p)
{
    unsigned status = p->head.status;
    return p->no_body || status == 101 || status == 204 || status == 304;
}

/* How the body's end is told. */
static const char *parse_length(struct http_parser *p)
{
    const struct http_head *h = &p->head;
    struct str coding = http_head_get(h, "Transfer-Encoding");
    bool chunked = coding.len == 7 && strncasecmp(coding.ptr, "chunked", 7) == 0;
    struct str length = {"", 0};
    size_t lengths = 0, codings = 0;
    for (size_t i = 0; i < h->count; i++) {
        struct str name = h->header[i].name;
        if (name.len == 17 && strncasecmp(name.ptr, "Transfer-Encoding", 17) == 0)
            codings++;
        if (name.len != 14 || strncasecmp(name.ptr, "Content-Length", 14) != 0)
            continue;
        lengths++;
        length = h->header[i].value;
    }
    if (lengths + codings > 1)
        return "more than one length";
    if (codings > 0 && !chunked)
        return "an encoding that we did not ask for";
    if (lengths > 0 && str_u64(length, 0, INT64_MAX, &p->left, NULL) != ST_OK)
        return "a length that is no number";
    p->until_close = lengths + codings == 0;
    p->state = chunked ? HTTP_IN_SIZE : HTTP_IN_BODY;
    return NULL;
}

static enum http_piece next_head(struct http_parser *p, struct fault *why)
{
    for (;;) {
        struct str rest = http_parser_rest(p);
        const char *end = rest.len ? memmem(rest.ptr, rest.len, "\r\n\r\n", 4) : NULL;
        size_t len = end ? (size_t)(end - rest.ptr) + 4 : rest.len;
        if (len > HTTP_HEAD_MAX)
            return bad(why, "its head is too long");
        if (!end)
            return more(p, why);
        const char *wrong = parse_head(p, take(p, len));
        if (wrong)
            return bad(why, wrong);
        bool interim = p->head.status < 200 && p->head.status != 101;
        if (interim && p->interim++ == HTTP_INTERIM_MAX)
            return bad(why, "no end of interim answers");
        if (interim)
            continue;
        wrong = parse_length(p);
        if (wrong)
            return bad(why, wrong);
        if (has_no_body(p))
            p->state = HTTP_ENDED;
        return HTTP_HEAD;
    }
}

/* --- body --- */

static enum http_piece next_data(struct http_parser *p, enum http_state then, struct str *ret_data,
                                 struct fault *why)
{
    struct str rest = http_parser_rest(p);
    if (!p->until_close)
        rest.len = (size_t)MIN((uint64_t)rest.len, p->left);
    if (rest.len == 0)
        return more(p, why);
    p->left -= p->until_close ? 0 : rest.len;
    *ret_data = take(p, rest.len);
    if (p->left == 0 && !p->until_close)
        p->state = then;
    return HTTP_DATA;
}

static enum http_piece next_body(struct http_parser *p, struct str *ret_data, struct fault *why)
{
    bool over = p->until_close ? p->closed && http_parser_rest(p).len == 0 : p->left == 0;
    if (over) {
        p->state = HTTP_ENDED;
        return HTTP_END;
    }
    return next_data(p, HTTP_ENDED, ret_data, why);
}

static bool parse_hex(struct str text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > SIZE_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *ret = v;
    return true;
}

/* "1a2b" or "1a2b;name=value": extensions mean nothing to us. */
static const char *parse_size(struct http_parser *p, struct str line)
{
    struct str digits;
    (void)str_cut(&line, ';', &digits);
    if (!parse_hex(str_trim(digits), &p->left))
        return "a chunk without a size";
    p->state = p->left > 0 ? HTTP_IN_CHUNK : HTTP_IN_TRAILERS;
    return NULL;
}

/* A line at p->at, and go past it. HTTP_HEAD: it is there. */
static enum http_piece next_line(struct http_parser *p, size_t max, struct str *ret,
                                 struct fault *why)
{
    struct str rest = http_parser_rest(p), left = rest;
    bool whole = cut_line(&left, ret);
    /* Half of its CR LF may have come. */
    if (whole ? ret->len > max : rest.len > max + 1)
        return bad(why, "a line is too long");
    if (!whole)
        return more(p, why);
    (void)take(p, ret->len + 2);
    return HTTP_HEAD;
}

/* Trailers tell nothing that we want: they are read over, until an empty line. */
static enum http_piece next_trailer(struct http_parser *p, struct fault *why)
{
    for (;;) {
        struct str line;
        enum http_piece got = next_line(p, HTTP_HEAD_MAX, &line, why);
        if (got != HTTP_HEAD)
            return got;
        p->trailers += line.len + 2;
        if (p->trailers > HTTP_HEAD_MAX)
            return bad(why, "its trailers are too long");
        if (line.len == 0) {
            p->state = HTTP_ENDED;
            return HTTP_END;
        }
    }
}

static enum http_piece next_chunked(struct http_parser *p, struct str *ret_data, struct fault *why)
{
    for (;;) {
        struct str line;
        enum http_piece got;
        switch (p->state) {
        case HTTP_IN_SIZE: {
            got = next_line(p, SIZE_LINE_MAX, &line, why);
            if (got != HTTP_HEAD)
                return got;
            const char *wrong = parse_size(p, line);
            if (wrong)
                return bad(why, wrong);
            break;
        }
        case HTTP_IN_CHUNK: return next_data(p, HTTP_AFTER_CHUNK, ret_data, why);
        case HTTP_AFTER_CHUNK:
            got = next_line(p, 0, &line, why);
            if (got != HTTP_HEAD)
                return got;
            p->state = HTTP_IN_SIZE;
            break;
        default: return next_trailer(p, why);
        }
    }
}

enum http_piece http_parser_next(struct http_parser *p, struct str *ret_data, struct fault *why)
{
    switch (p->state) {
    case HTTP_IN_HEAD: return next_head(p, why);
    case HTTP_IN_BODY: return next_body(p, ret_data, why);
    case HTTP_ENDED: return HTTP_END;
    default: return next_chunked(p, ret_data, why);
    }
}
