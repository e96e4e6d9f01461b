#include "cli/http_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/now.h"

enum { HEAD_OUT_MAX = 128 << 10, STEP = 32 << 10 };

_Static_assert((int)STEP <= (int)HTTP_FEED_MAX, "what is read at once can be fed at once");

enum status http_client_open(struct http_client *c, const struct place *p, uint64_t deadline_ms,
                             int stop_fd, struct fault *why)
{
    *c = (struct http_client){.place = p, .stop_fd = stop_fd};
    http_parser_init(&c->parser, false);
    return link_open(p, deadline_ms, stop_fd, &c->link, why);
}

void http_client_close(struct http_client *c)
{
    link_close(c->link);
    c->link = NULL;
    http_parser_done(&c->parser);
}

/* Wait until one of `events` can be done, and say which. */
static enum status wait_for(const struct http_client *c, short events, uint64_t deadline_ms,
                            short *ret, struct fault *why)
{
    struct pollfd p[] = {{.fd = link_fd(c->link), .events = events},
                         {.fd = c->stop_fd, .events = POLLIN}};
    int n;
    if (events & POLLIN && link_has_early(c->link)) {
        *ret = POLLIN;
        return ST_OK;
    }
    while ((n = poll(p, ARRAY_COUNT(p), now_until(deadline_ms))) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return fault_errno(why, errno, "wait for the node");
    if (p[1].revents)
        return fault_set(why, ST_CANCELLED, "interrupted");
    if (n == 0)
        return fault_set(why, ST_TIMEOUT, "the node did not answer in time");
    *ret = p[0].revents;
    return ST_OK;
}

/* --- send --- */

/* early: the server has answered or hung up, and need not get the rest. */
static enum status send_bytes(struct http_client *c, struct str bytes, uint64_t deadline_ms,
                              bool *early, struct fault *why)
{
    while (bytes.len > 0 && !*early) {
        short can;
        enum status s = wait_for(c, POLLIN | POLLOUT, deadline_ms, &can, why);
        if (s != ST_OK)
            return s;
        *early = (can & (POLLERR | POLLHUP)) || (can & POLLIN && link_heard(c->link));
        if (*early)
            return ST_OK;
        ssize_t n = link_write(c->link, bytes.ptr, bytes.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
            *early = true;
            return ST_OK;
        }
        if (n < 0)
            return fault_errno(why, errno, "write to the node");
        bytes = (struct str){bytes.ptr + n, bytes.len - (size_t)n};
    }
    return ST_OK;
}

static enum status send_file(struct http_client *c, const struct http_request *r,
                             uint64_t deadline_ms, bool *early, struct fault *why)
{
    AUTO(auto_free) char *step = mem_new(STEP);
    for (uint64_t left = r->body_size; left > 0 && !*early;) {
        ssize_t n = read(r->body_fd, step, (size_t)MIN(left, (uint64_t)STEP));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "read the file");
        if (n == 0)
            return fault_set(why, ST_IO, "the file became shorter while it was sent");
        left -= (uint64_t)n;
        enum status s = send_bytes(c, (struct str){step, (size_t)n}, deadline_ms, early, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static void add_place(const struct place *p, struct buf *b)
{
    if (p->socket) {
        buf_text(b, "Host: localhost\r\n");
        return;
    }
    bool six = strchr(p->host, ':') != NULL;
    buf_fmt(b, "Host: %s%s%s:%u\r\n", six ? "[" : "", p->host, six ? "]" : "", p->port);
    buf_fmt(b, "Authorization: Bearer %s\r\n", p->token);
}

enum status http_client_send(struct http_client *c, const struct http_request *r,
                             uint64_t deadline_ms, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, HEAD_OUT_MAX + r->body.len);
    buf_fmt(&b, "%s %s HTTP/1.1\r\nUser-Agent: blixard/" BLIXARD_VERSION "\r\n", r->method,
            r->target);
    add_place(c->place, &b);
    for (size_t i = 0; i < r->field_count; i++)
        buf_fmt(&b, "%s: %s\r\n", r->field[i].name, r->field[i].value);
    uint64_t size = r->from_fd ? r->body_size : r->body.len;
    if (r->type)
        buf_fmt(&b, "Content-Type: %s\r\nContent-Length: %" PRIu64 "\r\n", r->type, size);
    buf_text(&b, "\r\n");
    if (!r->from_fd)
        buf_str(&b, r->body);
    enum status s = buf_status(&b, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "the request");

    bool early = false;
    http_parser_done(&c->parser);
    http_parser_init(&c->parser, str_is(str_from(r->method), "HEAD"));
    s = send_bytes(c, buf_view(&b), deadline_ms, &early, why);
    return s == ST_OK && r->from_fd ? send_file(c, r, deadline_ms, &early, why) : s;
}

/* --- receive --- */

static enum status receive(struct http_client *c, uint64_t deadline_ms, struct fault *why)
{
    char step[STEP];
    for (;;) {
        short can;
        enum status s = wait_for(c, POLLIN, deadline_ms, &can, why);
        if (s != ST_OK)
            return s;
        ssize_t n = link_read(c->link, step, sizeof step);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n > 0)
            http_parser_feed(&c->parser, (struct str){step, (size_t)n});
        else
            http_parser_close(&c->parser); /* a reset says no more than an end */
        return ST_OK;
    }
}

static enum status next(struct http_client *c, uint64_t deadline_ms, enum http_piece *ret_piece,
                        struct str *ret_data, struct fault *why)
{
    struct fault wrong = {0};
    while ((*ret_piece = http_parser_next(&c->parser, ret_data, &wrong)) == HTTP_MORE) {
        enum status s = receive(c, deadline_ms, why);
        if (s != ST_OK)
            return s;
    }
    if (*ret_piece != HTTP_BAD)
        return ST_OK;
    return fault_set(why, wrong.status, "%s", wrong.text);
}

enum status http_client_head(struct http_client *c, uint64_t deadline_ms, struct fault *why)
{
    enum http_piece piece;
    struct str data;
    enum status s = next(c, deadline_ms, &piece, &data, why);
    ensure(s != ST_OK || piece == HTTP_HEAD);
    return s;
}

enum status http_client_read(struct http_client *c, uint64_t deadline_ms, struct str *ret,
                             struct fault *why)
{
    enum http_piece piece;
    struct str data = {"", 0};
    enum status s = next(c, deadline_ms, &piece, &data, why);
    if (s == ST_OK)
        *ret = piece == HTTP_DATA ? data : (struct str){"", 0};
    return s;
}

enum status http_client_read_all(struct http_client *c, uint64_t deadline_ms, struct buf *out,
                                 struct fault *why)
{
    for (;;) {
        struct str data;
        enum status s = http_client_read(c, deadline_ms, &data, why);
        if (s != ST_OK)
            return s;
        if (data.len == 0)
            return ST_OK;
        buf_str(out, data);
        s = buf_status(out, why);
        if (s != ST_OK)
            return fault_wrap(why, s, "the answer");
    }
}
