/* What members say to each other, as bytes. */
#include <stdlib.h>
#include <string.h>

#include "node/mail.h"
#include "port/peers.h"
#include "support/tap.h"

static struct buf b;

static void encode(const struct mail *m)
{
    buf_init(&b, PEERS_MESSAGE_MAX);
    mail_encode(m, &b);
}

static struct mail decode(void)
{
    struct mail m = {0};
    CHECK_EQ(ST_OK, mail_decode(buf_view(&b), &m, NULL));
    return m;
}

TEST(mail_of_consensus_comes_as_it_went)
{
    struct raft_entry e = {8, 3, RAFT_ENTRY_COMMAND, raft_data_new("abc", 3)};
    encode(&(struct mail){.kind = MAIL_RAFT,
                          .raft.message = {.type = RAFT_APPEND,
                                           .from = 1,
                                           .to = 2,
                                           .term = 3,
                                           .index = 7,
                                           .log_term = 2,
                                           .entries = &e,
                                           .count = 1}});
    struct mail m = decode();
    CHECK_EQ(MAIL_RAFT, m.kind);
    CHECK_EQ(7, m.raft.message.index);
    CHECK_EQ(1, m.raft.message.count);
    CHECK_EQ(0, memcmp("abc", m.raft.message.entries[0].data->bytes, 3));
    mail_done(&m);
    raft_data_unref(e.data);
    buf_done(&b);
}

TEST(mail_has_these_bytes)
{
    encode(&(struct mail){.kind = MAIL_HASH, .hash = {.index = 0x102, .hash = 3, .verdict = true}});
    CHECK_EQ(19, b.len);
    CHECK_EQ(0, memcmp("\1\4\2\1\0\0\0\0\0\0\3\0\0\0\0\0\0\0\1", b.ptr, b.len));
    buf_done(&b);
    encode(&(struct mail){.kind = MAIL_ASK, .ask = {.id = 5, .offset = 6}});
    CHECK_EQ(0, memcmp("\1\2\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0", b.ptr, b.len));
    buf_done(&b);
}

TEST(mail_of_a_snapshot_and_of_commands_comes_as_it_went)
{
    encode(&(struct mail){
        .kind = MAIL_CHUNK,
        .chunk = {.id = 1, .index = 2, .term = 3, .offset = 4, .last = true, .bytes = STR("xyz")}});
    struct mail m = decode();
    CHECK(m.chunk.id == 1 && m.chunk.index == 2 && m.chunk.term == 3 && m.chunk.offset == 4);
    CHECK(m.chunk.last && str_is(m.chunk.bytes, "xyz"));
    buf_done(&b);

    encode(&(struct mail){
        .kind = MAIL_FORWARD,
        .forward = {.term = 1, .life = 2, .session = 3, .number = 4, .command = STR("do")}});
    m = decode();
    CHECK(m.forward.term == 1 && m.forward.life == 2 && m.forward.session == 3);
    CHECK(m.forward.number == 4 && str_is(m.forward.command, "do"));
    buf_done(&b);

    encode(&(struct mail){.kind = MAIL_FORWARDED,
                          .forwarded = {.term = 1,
                                        .life = 2,
                                        .session = 3,
                                        .number = 4,
                                        .index = 5,
                                        .status = ST_CONFLICT,
                                        .text = STR("no")}});
    m = decode();
    CHECK(m.forwarded.term == 1 && m.forwarded.life == 2 && m.forwarded.session == 3);
    CHECK(m.forwarded.number == 4 && m.forwarded.index == 5);
    CHECK(m.forwarded.status == ST_CONFLICT && str_is(m.forwarded.text, "no"));
    buf_done(&b);
}

static void check_refused(enum status want, size_t at, const char *bytes, size_t len)
{
    struct mail m = {.kind = MAIL_KIND_END};
    if (len)
        memcpy(b.ptr + at, bytes, len);
    CHECK_EQ(want, mail_decode(buf_view(&b), &m, NULL));
    CHECK_EQ(MAIL_KIND_END, m.kind); /* untouched */
    buf_done(&b);
}

static const struct mail ask = {.kind = MAIL_ASK, .ask = {.id = 5, .offset = 6}};
static const struct mail chunk = {
    .kind = MAIL_CHUNK,
    .chunk = {.id = 1, .index = 1, .term = 1, .offset = 4, .bytes = {"xyz", 3}}};
static const struct mail hash = {.kind = MAIL_HASH, .hash = {.index = 1, .hash = 3}};
static const struct mail forward = {
    .kind = MAIL_FORWARD,
    .forward = {.term = 1, .life = 1, .session = 1, .number = 1, .command = {"do", 2}}};
static const struct mail forwarded = {
    .kind = MAIL_FORWARDED,
    .forwarded = {.term = 1, .life = 1, .session = 1, .number = 1, .status = ST_OK}};

TEST(mail_that_is_cut_or_too_long_is_refused)
{
    static const struct mail *const all[] = {&ask, &hash, &forwarded};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        encode(all[i]);
        for (size_t len = 0; len < b.len; len++) {
            struct mail m;
            CHECK(mail_decode((struct str){b.ptr, len}, &m, NULL) != ST_OK);
        }
        if (all[i] != &forwarded) /* whose end is a text */
            buf_char(&b, 0);
        else
            b.ptr[b.len - 1] = 'K'; /* no status is called oK */
        check_refused(ST_INVALID, 0, NULL, 0);
    }
}

TEST(mail_that_mail_encode_does_not_write_is_refused)
{
    static const char zero[8];
    encode(&ask);
    check_refused(ST_UNSUPPORTED, 0, "\2", 1);
    encode(&ask);
    check_refused(ST_INVALID, 1, "\0", 1);
    encode(&ask);
    check_refused(ST_INVALID, 1, "\7", 1);
    encode(&ask);
    check_refused(ST_INVALID, 2, zero, 8); /* no id */

    for (size_t at = 2; at < 26; at += 8) { /* id, index, term */
        encode(&chunk);
        check_refused(ST_INVALID, at, zero, 8);
    }
    encode(&chunk);
    check_refused(ST_INVALID, 33, "\xff", 1); /* an offset far away */
    encode(&chunk);
    check_refused(ST_INVALID, 34, "\2", 1);
    encode(&chunk);
    b.len -= 3; /* no bytes, and not the last */
    check_refused(ST_INVALID, 0, NULL, 0);

    encode(&hash);
    check_refused(ST_INVALID, 2, zero, 8);
    encode(&hash);
    check_refused(ST_INVALID, 18, "\2", 1);

    for (size_t at = 2; at < 34; at += 8) { /* term, life, session, number */
        encode(&forward);
        check_refused(ST_INVALID, at, zero, 8);
    }
    encode(&forward);
    b.len -= 2; /* no command in a session */
    check_refused(ST_INVALID, 0, NULL, 0);

    for (size_t at = 2; at < 26; at += 8) { /* term, life, session */
        encode(&forwarded);
        check_refused(ST_INVALID, at, zero, 8);
    }
    encode(&forwarded);
    check_refused(ST_INVALID, 42, "\xff", 1); /* a code longer than any */
}

TEST(mail_that_is_longer_than_it_may_be_is_refused)
{
    static char text[MAIL_CHUNK_MAX + 1];
    encode(&chunk);
    buf_add(&b, text, MAIL_CHUNK_MAX - 3);
    struct mail m = decode();
    CHECK_EQ(MAIL_CHUNK_MAX, m.chunk.bytes.len);
    buf_char(&b, 0);
    check_refused(ST_INVALID, 0, NULL, 0);
    encode(&forward);
    buf_add(&b, text, MAIL_COMMAND_MAX - 1);
    check_refused(ST_INVALID, 0, NULL, 0);
    encode(&forwarded);
    buf_add(&b, text, MAIL_TEXT_MAX + 1);
    check_refused(ST_INVALID, 0, NULL, 0);
}
