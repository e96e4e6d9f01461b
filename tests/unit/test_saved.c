/* A snapshot with its head. */
#include <stdlib.h>
#include <string.h>

#include "node/saved.h"
#include "support/tap.h"

static struct limits limits;
static const struct raft_members three = {
    .count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {5, RAFT_VOTES | RAFT_WITNESS}}};

static void pack_state(struct buf *out)
{
    struct cluster *c = cluster_new();
    struct apply_result r;
    cluster_apply(c, 7, STR("nothing that can be applied"), &r);
    apply_result_done(&r);
    struct cluster_snapshot *s = cluster_snapshot_new(c, 3);
    CHECK(!cluster_snapshot_next(s, SNAPSHOT_PIECE_MIN, out));
    cluster_snapshot_free(s);
    cluster_free(c);
}

static void pack(struct buf *out, bool head, bool state)
{
    limits_default(&limits);
    buf_init(out, 1 << 20);
    if (head)
        saved_head_encode(&(struct saved_head){7, 3, state, three}, out);
    if (state)
        pack_state(out);
}

static enum status take(struct str bytes, size_t piece, uint64_t index, uint64_t term,
                        struct saved_in *in, struct cluster **ret)
{
    enum status s = ST_OK;
    saved_in_init(in, &limits);
    for (size_t n; s == ST_OK && bytes.len; bytes.ptr += n, bytes.len -= n) {
        n = MIN(piece, bytes.len);
        s = saved_in_add(in, (struct str){bytes.ptr, n}, NULL);
    }
    if (s == ST_OK)
        s = saved_in_end(in, index, term, ret, NULL);
    cluster_free(saved_in_drop(in));
    return s;
}

TEST(saved_comes_back_in_pieces_of_any_size)
{
    for (size_t piece = 1; piece < 200; piece += 13) {
        struct saved_in in;
        struct cluster *c = NULL;
        AUTO(buf_done) struct buf b;
        pack(&b, true, true);
        CHECK_EQ(ST_OK, take(buf_view(&b), piece, 7, 3, &in, &c));
        CHECK(in.has_head && in.head.state && raft_members_eq(&three, &in.head.members));
        CHECK_EQ(7, cluster_index(c));
        cluster_free(c);
    }
}

TEST(saved_of_a_node_that_was_alone_has_no_head)
{
    for (size_t piece = 1; piece < 200; piece += 13) {
        struct saved_in in;
        struct cluster *c = NULL;
        AUTO(buf_done) struct buf b;
        pack(&b, false, true);
        CHECK_EQ(ST_OK, take(buf_view(&b), piece, 7, 3, &in, &c));
        CHECK(!in.has_head && in.alone);
        cluster_free(c);
    }
}

TEST(saved_of_a_witness_has_no_state)
{
    struct saved_in in;
    struct cluster *c = NULL;
    AUTO(buf_done) struct buf b;
    pack(&b, true, false);
    CHECK_EQ(ST_OK, take(buf_view(&b), 10, 7, 3, &in, &c));
    CHECK(c == NULL && in.has_head && !in.head.state);
    buf_char(&b, 'x');
    CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 10, 7, 3, &in, &c));
}

TEST(saved_head_of_who_knows_no_members_yet)
{
    struct saved_in in;
    struct cluster *c = NULL;
    AUTO(buf_done) struct buf b;
    limits_default(&limits);
    buf_init(&b, 1 << 20);
    saved_head_encode(&(struct saved_head){.index = 7, .term = 3}, &b);
    CHECK_EQ(ST_OK, take(buf_view(&b), 10, 7, 3, &in, &c));
    CHECK_EQ(0, in.head.members.count);
}

TEST(saved_of_another_entry_is_refused)
{
    struct saved_in in;
    struct cluster *c = NULL;
    for (int state = 0; state < 2; state++) {
        AUTO(buf_done) struct buf b;
        pack(&b, true, state);
        CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 8, 3, &in, &c));
        CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 7, 4, &in, &c));
    }
    /* Its head says one thing, its state another. */
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    saved_head_encode(&(struct saved_head){8, 3, true, three}, &b);
    pack_state(&b);
    CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 7, 3, &in, &c));
    CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 8, 3, &in, &c));
    buf_reset(&b);
    saved_head_encode(&(struct saved_head){7, 4, true, three}, &b);
    pack_state(&b);
    CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 7, 3, &in, &c));
    CHECK_EQ(ST_CORRUPT, take(buf_view(&b), 100, 7, 4, &in, &c));
    CHECK(c == NULL);
}

TEST(saved_that_is_cut_or_spoilt_anywhere_is_refused)
{
    struct saved_in in;
    struct cluster *c = NULL;
    AUTO(buf_done) struct buf b;
    pack(&b, true, true);
    for (size_t len = 0; len < b.len; len++)
        CHECK(take((struct str){b.ptr, len}, 50, 7, 3, &in, &c) != ST_OK);
    for (size_t i = 0; i < b.len * 8; i++) {
        b.ptr[i / 8] = (char)(b.ptr[i / 8] ^ 1 << i % 8);
        CHECK(take(buf_view(&b), 50, 7, 3, &in, &c) != ST_OK);
        b.ptr[i / 8] = (char)(b.ptr[i / 8] ^ 1 << i % 8);
    }
    CHECK(c == NULL);
}
