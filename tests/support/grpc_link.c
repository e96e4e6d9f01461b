#include "support/grpc_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "os/file.h"

enum {
    FRAME_HEAD = 9,
    FRAME_MAX = 16384, /* as neither end asks for more */
    GRPC_HEAD = 5,     /* u8 not compressed, u32 length */
    SEND_MAX = 4 << 20,
    READ_SIZE = 64 << 10,
    WINDOW_START = 65535,
    WINDOW_MORE = 1 << 30, /* what we give the server at a time, in bytes of answers */
    STREAM_MAX = INT32_MAX - 2,
    ANSWER_MAX = 1024,
    HEAD_MAX = 256, /* of a request's fields */
};
enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
};
enum { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4, SETTING_STREAMS_MAX = 3 };

struct grpc_link {
    int fd;
    char path[64], authority[32];
    uint32_t stream;          /* the next one; odd */
    int64_t window;           /* bytes of requests that the server takes */
    uint64_t window_ours;     /* bytes of answers that it may send */
    uint64_t streams_max;     /* calls at once */
    uint64_t asked, answered; /* calls */
    uint64_t messages;        /* in answers */
    struct buf in, out, head;
    size_t sent; /* of out */
    size_t answer_len;
    char answer[ANSWER_MAX];
};

/* --- what is sent --- */

static void put_be32(struct buf *b, uint32_t v)
{
    uint32_t be = htonl(v);
    buf_add(b, &be, sizeof be);
}

static void put_frame(struct buf *b, size_t len, enum frame_type type, unsigned flags,
                      uint32_t stream)
{
    require(len <= FRAME_MAX);
    const uint8_t head[] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, (uint8_t)type,
                            (uint8_t)flags};
    buf_add(b, head, sizeof head);
    put_be32(b, stream);
}

static void put_window(struct grpc_link *l)
{
    put_frame(&l->out, 4, FRAME_WINDOW_UPDATE, 0, 0);
    put_be32(&l->out, WINDOW_MORE);
    l->window_ours += WINDOW_MORE;
}

/* Shorter than 127 bytes, and not packed. */
static void put_text(struct buf *b, const char *text)
{
    require(strlen(text) < 127);
    buf_char(b, (char)strlen(text));
    buf_text(b, text);
}

/* `:method: POST` and `:scheme: http` stand in the table from the start; what is given here by 0x40 and the
 * number of a name, or 0x40 and a name, stands in it from then on: the last of them as number 62. */
static void put_head(struct grpc_link *l, struct buf *b)
{
    buf_text(b, "\x83\x86");
    if (l->stream != 1) {
        buf_text(b, "\xc1\xc0\xbf\xbe"); /* 65 to 62 */
        return;
    }
    buf_char(b, 0x44);
    put_text(b, l->path);
    buf_char(b, 0x41);
    put_text(b, l->authority);
    buf_char(b, 0x5f);
    put_text(b, "application/grpc");
    buf_char(b, 0x40);
    put_text(b, "te");
    put_text(b, "trailers");
}

bool grpc_ask(struct grpc_link *l, struct str message)
{
    struct buf *head = &l->head;
    size_t len = GRPC_HEAD + message.len;
    require(len <= FRAME_MAX);
    if (l->window < (int64_t)len || l->asked - l->answered >= l->streams_max ||
        l->out.len > SEND_MAX / 2)
        return false;
    ensure(l->stream < STREAM_MAX);
    buf_reset(head);
    put_head(l, head);
    put_frame(&l->out, head->len, FRAME_HEADERS, FLAG_END_HEADERS, l->stream);
    buf_str(&l->out, buf_view(head));
    put_frame(&l->out, len, FRAME_DATA, FLAG_END_STREAM, l->stream);
    buf_char(&l->out, 0);
    put_be32(&l->out, (uint32_t)message.len);
    buf_str(&l->out, message);
    ensure(!head->full && !l->out.full);
    l->window -= (int64_t)len;
    l->stream += 2;
    l->asked++;
    return true;
}

/* --- what comes --- */

struct frame {
    unsigned type, flags;
    uint32_t stream;
    const uint8_t *body;
    size_t len;
};

static uint32_t be32(const uint8_t *p)
{
    uint32_t be;
    memcpy(&be, p, sizeof be);
    return ntohl(be);
}

static void on_data(struct grpc_link *l, const struct frame *f)
{
    l->window_ours -= MIN((uint64_t)f->len, l->window_ours);
    if (l->window_ours < WINDOW_MORE / 2)
        put_window(l);
    if (f->len < GRPC_HEAD)
        return;
    l->messages++;
    l->answer_len = MIN(f->len - GRPC_HEAD, sizeof l->answer);
    memcpy(l->answer, f->body + GRPC_HEAD, l->answer_len);
}

static void on_settings(struct grpc_link *l, const struct frame *f)
{
    if (f->flags & FLAG_ACK)
        return;
    for (size_t at = 0; at + 6 <= f->len; at += 6)
        if ((f->body[at] << 8 | f->body[at + 1]) == SETTING_STREAMS_MAX)
            l->streams_max = be32(f->body + at + 2);
    put_frame(&l->out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
}

static enum status on_frame(struct grpc_link *l, const struct frame *f, struct fault *why)
{
    switch (f->type) {
    case FRAME_DATA: on_data(l, f); break;
    case FRAME_HEADERS:
        if (f->flags & FLAG_END_STREAM && ++l->answered > l->messages)
            return fault_set(why, ST_IO, "%s failed", l->path);
        break;
    case FRAME_SETTINGS: on_settings(l, f); break;
    case FRAME_PING:
        if (f->flags & FLAG_ACK)
            break;
        put_frame(&l->out, f->len, FRAME_PING, FLAG_ACK, 0);
        buf_add(&l->out, f->body, f->len);
        break;
    case FRAME_WINDOW_UPDATE:
        if (f->stream == 0 && f->len == 4)
            l->window += be32(f->body);
        break;
    case FRAME_RST_STREAM:
    case FRAME_GOAWAY:
        return fault_set(why, ST_IO, "%s: the server broke off, by a frame of type %u", l->path,
                         f->type);
    default: break;
    }
    return ST_OK;
}

static enum status take_frames(struct grpc_link *l, struct fault *why)
{
    size_t at = 0;
    enum status s = ST_OK;
    while (s == ST_OK && l->in.len - at >= FRAME_HEAD) {
        const uint8_t *p = (const uint8_t *)l->in.ptr + at;
        size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (len > FRAME_MAX)
            return fault_set(why, ST_IO, "%s: a frame of %zu bytes", l->path, len);
        if (l->in.len - at < FRAME_HEAD + len)
            break;
        struct frame f = {p[3], p[4], be32(p + 5) & INT32_MAX, p + FRAME_HEAD, len};
        s = on_frame(l, &f, why);
        at += FRAME_HEAD + len;
    }
    buf_eat(&l->in, at);
    return s;
}

static bool again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static enum status receive(struct grpc_link *l, struct fault *why)
{
    char *to = buf_space(&l->in, READ_SIZE);
    ensure(to != NULL);
    ssize_t n = recv(l->fd, to, READ_SIZE, MSG_DONTWAIT);
    if (n == 0)
        return fault_set(why, ST_IO, "%s: the server closed the connection", l->path);
    if (n < 0)
        return again() ? ST_OK : fault_errno(why, errno, "%s", l->path);
    buf_wrote(&l->in, (size_t)n);
    return take_frames(l, why);
}

static enum status send_out(struct grpc_link *l, struct fault *why)
{
    if (!grpc_unsent(l))
        return ST_OK;
    ssize_t n =
        send(l->fd, l->out.ptr + l->sent, l->out.len - l->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return again() ? ST_OK : fault_errno(why, errno, "%s", l->path);
    l->sent += (size_t)n;
    if (l->sent < l->out.len)
        return ST_OK;
    buf_reset(&l->out);
    l->sent = 0;
    return ST_OK;
}

enum status grpc_turn(struct grpc_link *l, size_t *ret_answered, struct fault *why)
{
    uint64_t before = l->answered;
    enum status s = send_out(l, why);
    if (s == ST_OK)
        s = receive(l, why);
    *ret_answered = (size_t)(l->answered - before);
    return s;
}

/* --- life --- */

enum status grpc_open(uint16_t port, const char *path, struct grpc_link **ret, struct fault *why)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    AUTO(close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        return errno == ECONNREFUSED
                   ? fault_set(why, ST_UNAVAILABLE, "nobody listens on port %u", port)
                   : fault_errno(why, errno, "connect to port %u", port);
    struct grpc_link *l = NEW(struct grpc_link);
    l->fd = fd;
    fd = -1;
    l->stream = 1;
    l->window = WINDOW_START;
    l->window_ours = WINDOW_START;
    l->streams_max = UINT32_MAX;
    (void)snprintf(l->path, sizeof l->path, "%s", path);
    (void)snprintf(l->authority, sizeof l->authority, "127.0.0.1:%u", port);
    buf_init(&l->in, READ_SIZE + FRAME_HEAD + FRAME_MAX);
    buf_init(&l->out, SEND_MAX);
    buf_init(&l->head, HEAD_MAX);
    buf_text(&l->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    put_frame(&l->out, 0, FRAME_SETTINGS, 0, 0);
    put_window(l);
    *ret = l;
    return ST_OK;
}

void grpc_close(struct grpc_link *l)
{
    if (!l)
        return;
    close_fd(&l->fd);
    buf_done(&l->in);
    buf_done(&l->out);
    buf_done(&l->head);
    free(l);
}

int grpc_fd(const struct grpc_link *l)
{
    return l->fd;
}

bool grpc_unsent(const struct grpc_link *l)
{
    return l->sent < l->out.len;
}

struct str grpc_answer(const struct grpc_link *l)
{
    return (struct str){l->answer, l->answer_len};
}
