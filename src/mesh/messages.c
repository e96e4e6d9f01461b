/* Messages of consensus: on each connection one stream of each side, for its own messages. */
#include <stdlib.h>

#include "mesh/frames.h"
#include "mesh/state.h"

enum { WINDOW = 4 << 20 };

/* What runs over a connection. The peer is looked up by its number: it may be cut off by what a message
 * brings about. */
struct channel {
    struct list item;
    struct mesh *m;
    struct quic_conn *c;
    uint32_t number;
    struct quic_stream *out, *in; /* NULL: not opened yet */
    struct frames frames;
};

/* --- out --- */

static struct quic_stream *stream_to(const struct peer *p)
{
    struct quic_conn *c = quic_link_conn(p->link[STATE_RAFT].link);
    if (!c || !quic_conn_open(c))
        return NULL;
    struct channel *ch = quic_conn_ctx(c);
    if (!ch->out && quic_stream_open(c, NULL, &ch->out, NULL) != ST_OK)
        return NULL;
    return ch->out;
}

/* All of it or nothing: half a message would be the end of the connection. */
static bool has_room(const struct quic_stream *s, size_t len)
{
    size_t need = FRAMES_HEAD_SIZE + len + (len > MESH_SMALL_MAX ? MESH_SMALL_ROOM : 0);
    return need <= quic_stream_room(s);
}

static void send_message(struct peers *port, uint32_t to, struct str bytes)
{
    struct mesh *m = CONTAINER_OF(port, struct mesh, port);
    uint8_t head[FRAMES_HEAD_SIZE];
    frames_head(bytes.len, head);
    struct peer *p = state_peer(m, to);
    if (!p) {
        m->count.lost_nobody++;
        return;
    }
    struct quic_stream *s = stream_to(p);
    if (!s) {
        p->count.lost_conn++;
        return;
    }
    if (!has_room(s, bytes.len)) {
        p->count.lost_room++;
        return;
    }
    p->count.sent++;
    ensure(quic_stream_write(s, (struct str){(char *)head, sizeof head}, false, NULL) == ST_OK);
    ensure(quic_stream_write(s, bytes, false, NULL) == ST_OK);
}

/* --- in --- */

static void broken(struct channel *ch, const char *text)
{
    struct peer *p = state_peer(ch->m, ch->number);
    quic_conn_close(ch->c, MESH_BROKEN);
    if (!p)
        return;
    p->count.broken++;
    state_notice(ch->m, &p->notice, ch->c, ch->number, text);
}

static void take(struct channel *ch, struct str bytes)
{
    struct mesh *m = ch->m;
    struct str message;
    while (quic_conn_open(ch->c)) { /* which a message may bring to an end */
        switch (frames_next(&ch->frames, &bytes, &message)) {
        case FRAMES_NONE: return;
        case FRAMES_BAD: broken(ch, "a message of a length that is none"); return;
        case FRAMES_ONE: break;
        }
        struct peer *p = state_peer(m, ch->number);
        ensure(p); /* or the connection was closed with it */
        p->count.received++;
        m->config.received(m->config.ctx, ch->number, message);
    }
}

static struct channel *channel_of(const struct quic_stream *s)
{
    return quic_conn_ctx(quic_stream_conn(s));
}

static void on_stream_opened(void *ctx, struct quic_stream *s)
{
    struct channel *ch = channel_of(s);
    (void)ctx;
    if (ch->in)
        broken(ch, "a second stream of messages");
    else
        ch->in = s;
}

static void on_stream_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct channel *ch = channel_of(s);
    (void)ctx;
    if (s != ch->in) {
        broken(ch, "bytes in a stream for our messages");
        return;
    }
    take(ch, bytes);
    quic_stream_consume(s, bytes.len);
    if (fin && quic_conn_open(ch->c))
        broken(ch, "an end of the stream of messages");
}

static void on_stream_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    (void)ctx, (void)code;
    broken(channel_of(s), "a stream of messages that was cut off");
}

static void on_stream_stopped(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    broken(channel_of(s), "a stream of messages that is not read");
}

static void on_stream_closed(void *ctx, struct quic_stream *s)
{
    struct channel *ch = channel_of(s);
    (void)ctx;
    if (s == ch->in)
        ch->in = NULL;
    if (s == ch->out)
        ch->out = NULL;
}

/* --- connections --- */

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct mesh *m = ctx;
    struct channel *ch = NEW(struct channel);
    *ch = (struct channel){.m = m, .c = c, .number = mesh_number(m, quic_conn_peer(c))};
    frames_init(&ch->frames);
    list_push(&m->channels, &ch->item);
    quic_conn_set_ctx(c, ch);
}

static void channel_free(struct channel *ch)
{
    list_cut(&ch->item);
    frames_done(&ch->frames);
    free(ch);
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    (void)ctx, (void)end;
    channel_free(quic_conn_ctx(c));
}

void state_messages_init(struct mesh *m)
{
    struct endpoint_events *ev = &m->raft_events;
    endpoint_events_init(ev);
    ev->opened = on_opened;
    ev->closed = on_closed;
    ev->stream_opened = on_stream_opened;
    ev->stream_data = on_stream_data;
    ev->stream_reset = on_stream_reset;
    ev->stream_stopped = on_stream_stopped;
    ev->stream_closed = on_stream_closed;
    ev->ctx = m;
    m->raft = (struct mesh_protocol){
        .alpn = MESH_RAFT,
        .grant = {.window = WINDOW, .keep_alive_ms = MESH_KEEP_ALIVE_MS},
        .events = ev,
    };
    m->port.send = send_message;
    list_init(&m->channels);
}

void state_messages_done(struct mesh *m)
{
    LIST_EACH(it, &m->channels)
        channel_free(CONTAINER_OF(it, struct channel, item));
}
