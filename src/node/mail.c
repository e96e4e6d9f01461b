#include "node/mail.h"

#include <string.h>

#include "port/peers.h"
#include "wire/cursor.h"

enum { VERSION = 1, HEAD_SIZE = 2, CODE_MAX = 40 };
_Static_assert(HEAD_SIZE + RAFT_MESSAGE_BYTES_MAX <= PEERS_MESSAGE_MAX, "any of consensus fits");

/* --- encode --- */

static void put_chunk(const struct mail_chunk *m, struct buf *out)
{
    require(m->bytes.len <= MAIL_CHUNK_MAX && (m->bytes.len > 0 || m->last));
    cursor_put_u64(out, m->id);
    cursor_put_u64(out, m->index);
    cursor_put_u64(out, m->term);
    cursor_put_u64(out, m->offset);
    cursor_put_u8(out, m->last);
    buf_str(out, m->bytes);
}

static void put_forward(const struct mail_forward *m, struct buf *out)
{
    require(m->command.len <= MAIL_COMMAND_MAX);
    cursor_put_u64(out, m->term);
    cursor_put_u64(out, m->life);
    cursor_put_u64(out, m->session);
    cursor_put_u64(out, m->number);
    buf_str(out, m->command);
}

static void put_forwarded(const struct mail_forwarded *m, struct buf *out)
{
    struct str code = str_from(status_code(m->status));
    require(m->text.len <= MAIL_TEXT_MAX && code.len <= CODE_MAX);
    cursor_put_u64(out, m->term);
    cursor_put_u64(out, m->life);
    cursor_put_u64(out, m->session);
    cursor_put_u64(out, m->number);
    cursor_put_u64(out, m->index);
    cursor_put_u8(out, (uint8_t)code.len);
    buf_str(out, code);
    buf_str(out, m->text);
}

static void put_body(const struct mail *m, struct buf *out)
{
    switch (m->kind) {
    case MAIL_RAFT: {
        enum status s = raft_message_encode(&m->raft.message, out, NULL);
        ensure(s == ST_OK); /* the core keeps to the limits of a message */
        return;
    }
    case MAIL_ASK:
        cursor_put_u64(out, m->ask.id);
        cursor_put_u64(out, m->ask.offset);
        return;
    case MAIL_CHUNK: put_chunk(&m->chunk, out); return;
    case MAIL_HASH:
        cursor_put_u64(out, m->hash.index);
        cursor_put_u64(out, m->hash.hash);
        cursor_put_u8(out, m->hash.verdict);
        return;
    case MAIL_FORWARD: put_forward(&m->forward, out); return;
    case MAIL_FORWARDED: put_forwarded(&m->forwarded, out); return;
    case MAIL_KIND_END: break;
    }
    defs_unreachable("kind of mail");
}

void mail_encode(const struct mail *m, struct buf *out)
{
    cursor_put_u8(out, VERSION);
    cursor_put_u8(out, (uint8_t)m->kind);
    put_body(m, out);
    ensure(!out->full);
}

/* --- decode --- */

static bool get_bool(struct cursor *c)
{
    uint8_t v = cursor_u8(c);
    if (v > 1)
        cursor_fail(c, "a flag is neither 0 nor 1");
    return v == 1;
}

static struct str get_rest(struct cursor *c, size_t most)
{
    struct str rest = cursor_rest(c);
    if (rest.len > most)
        cursor_fail(c, "it is longer than it may be");
    return rest;
}

static void get_ask(struct cursor *c, struct mail_ask *m)
{
    m->id = cursor_u64(c);
    m->offset = cursor_u64(c);
    if (m->id == 0)
        cursor_fail(c, "a transfer has no id");
}

static void get_chunk(struct cursor *c, struct mail_chunk *m)
{
    m->id = cursor_u64(c);
    m->index = cursor_u64(c);
    m->term = cursor_u64(c);
    m->offset = cursor_u64(c);
    m->last = get_bool(c);
    m->bytes = get_rest(c, MAIL_CHUNK_MAX);
    if (m->id == 0 || m->index == 0 || m->term == 0)
        cursor_fail(c, "a snapshot of nothing");
    if (m->bytes.len == 0 && !m->last)
        cursor_fail(c, "a part of a snapshot without bytes");
    if (m->offset > UINT64_MAX / 2)
        cursor_fail(c, "a snapshot has no such place");
}

static void get_hash(struct cursor *c, struct mail_hash *m)
{
    m->index = cursor_u64(c);
    m->hash = cursor_u64(c);
    m->verdict = get_bool(c);
    if (m->index == 0)
        cursor_fail(c, "a hash of no entry");
}

static void get_forward(struct cursor *c, struct mail_forward *m)
{
    m->term = cursor_u64(c);
    m->life = cursor_u64(c);
    m->session = cursor_u64(c);
    m->number = cursor_u64(c);
    m->command = get_rest(c, MAIL_COMMAND_MAX);
    if (m->term == 0 || m->life == 0)
        cursor_fail(c, "a command for nobody, or of nobody");
    bool asks = m->session == 0;
    if ((m->number == 0) != asks || (m->command.len == 0) != asks)
        cursor_fail(c, "a command without a session");
}

static enum status get_status(struct cursor *c)
{
    char code[CODE_MAX + 1] = "";
    size_t len = cursor_u8(c);
    if (len > CODE_MAX) {
        cursor_fail(c, "no status has such a name");
        return ST_INTERNAL;
    }
    (void)cursor_copy(c, code, len);
    enum status s = status_from_code(code);
    if (strlen(code) != len || strcmp(status_code(s), code) != 0)
        cursor_fail(c, "no status has such a name");
    return s;
}

static void get_forwarded(struct cursor *c, struct mail_forwarded *m)
{
    m->term = cursor_u64(c);
    m->life = cursor_u64(c);
    m->session = cursor_u64(c);
    m->number = cursor_u64(c);
    m->index = cursor_u64(c);
    m->status = get_status(c);
    m->text = get_rest(c, MAIL_TEXT_MAX);
    if (m->term == 0 || m->life == 0 || m->session == 0)
        cursor_fail(c, "an answer to nobody");
}

static void get_body(struct cursor *c, struct mail *m)
{
    switch (m->kind) {
    case MAIL_ASK: get_ask(c, &m->ask); return;
    case MAIL_CHUNK: get_chunk(c, &m->chunk); return;
    case MAIL_HASH: get_hash(c, &m->hash); return;
    case MAIL_FORWARD: get_forward(c, &m->forward); return;
    case MAIL_FORWARDED: get_forwarded(c, &m->forwarded); return;
    default: cursor_fail(c, "its kind is not known");
    }
}

enum status mail_decode(struct str bytes, struct mail *ret, struct fault *why)
{
    struct cursor c;
    struct mail m = {0};
    cursor_init(&c, bytes);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version != VERSION)
        return fault_set(why, ST_UNSUPPORTED, "mail of version %u, this program reads %d", version,
                         VERSION);
    m.kind = (enum mail_kind)cursor_u8(&c);
    enum status s;
    if (m.kind == MAIL_RAFT) {
        s = raft_message_decode(cursor_rest(&c), &m.raft, why);
    } else {
        get_body(&c, &m);
        s = cursor_end(&c, ST_INVALID, why);
    }
    if (s != ST_OK)
        return fault_wrap(why, s, "mail");
    *ret = m;
    return ST_OK;
}

void mail_done(struct mail *m)
{
    raft_decoded_done(&m->raft);
}
