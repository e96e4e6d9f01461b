/* The state as bytes, and back. */
#include <stdlib.h>

#include "base/hash.h"
#include "core/state.h"
#include "support/state_check.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/cursor.h"
#include "wire/proto.h"

enum { HEADER = 9 };

/* Everything that a state can hold: VMs, refusals, dropped events. */
static void full_world(struct world *w)
{
    world_start(w);
    w->c->limits.objects[OBJECT_EVENT] = 8;
    for (unsigned i = 0; i < 10; i++) {
        world_vm_running(w, WORLD_FREE + i, world_uid(i));
        if (i % 3 == 0)
            CHECK_EQ(ST_OK, world_power(w, WORLD_FREE + i, "vm.stop", WORLD_OP(500 + i)));
        if (i % 4 == 0)
            CHECK_EQ(ST_EXISTS, world_tenant(w, WORLD_FREE + 50, "default"));
    }
    w->c->event_dropped_seq = 3;
}

static void take(struct world *w, struct buf *out)
{
    buf_init(out, 16 << 20);
    struct cluster_snapshot *s = cluster_snapshot_new(w->c, 7);
    CHECK_EQ(w->index, cluster_snapshot_index(s));
    CHECK(!cluster_snapshot_next(s, 8 << 20, out));
    cluster_snapshot_free(s);
}

static enum status restore(struct str bytes, size_t piece, struct cluster **ret, struct fault *why)
{
    struct cluster_restore *r = cluster_restore_new();
    uint64_t term = 0;
    for (size_t at = 0; at < bytes.len; at += piece) {
        size_t len = MIN(piece, bytes.len - at);
        char *exact = mem_dup(bytes.ptr + at, len);
        enum status s = cluster_restore_add(r, (struct str){exact, len}, why);
        free(exact);
        if (s != ST_OK)
            break;
    }
    enum status s = cluster_restore_end(r, ret, &term, why);
    if (s == ST_OK)
        CHECK_EQ(7, term);
    return s;
}

TEST(snapshot_gives_back_the_same_state_whatever_the_pieces)
{
    struct world w;
    struct buf b;
    full_world(&w);
    take(&w, &b);
    size_t pieces[] = {1, 7, 9, 10, 1000, 1 << 20};
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        struct cluster *c = NULL;
        CHECK_EQ(ST_OK, restore(buf_view(&b), pieces[i], &c, NULL));
        c->limits = w.c->limits;
        state_check(c);
        state_check_equal(w.c, c);
        cluster_free(c);
    }
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_of_an_empty_cluster)
{
    struct world w;
    struct buf b;
    struct cluster *c = NULL;
    world_init(&w, NULL);
    take(&w, &b);
    CHECK_EQ(ST_OK, restore(buf_view(&b), 100, &c, NULL));
    CHECK_EQ(0, cluster_level(c));
    CHECK_EQ(0, cluster_index(c));
    cluster_free(c);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_restored_goes_on_like_the_original)
{
    struct world w;
    struct buf b;
    struct cluster *c = NULL;
    full_world(&w);
    take(&w, &b);
    CHECK_EQ(ST_OK, restore(buf_view(&b), 5000, &c, NULL));
    c->limits = w.c->limits;
    for (unsigned i = 0; i < 10; i++) {
        struct apply_result r;
        (void)world_power(&w, WORLD_FREE + i, "vm.restart", WORLD_OP(600 + i));
        cluster_apply(c, w.index, buf_view(&w.packed), &r);
        CHECK_EQ(w.r.status, r.status);
        apply_result_done(&r);
        CHECK(cluster_hash(w.c) == cluster_hash(c));
    }
    state_check_equal(w.c, c);
    cluster_free(c);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_restored_knows_the_ids_that_were_applied)
{
    struct world w;
    struct buf b;
    struct cluster *c = NULL;
    struct apply_result r;
    full_world(&w);
    CHECK_EQ(ST_EXISTS, world_tenant(&w, WORLD_FREE + 50, "default"));
    take(&w, &b);
    CHECK_EQ(ST_OK, restore(buf_view(&b), 5000, &c, NULL));
    cluster_apply(c, w.index + 1, buf_view(&w.packed), &r);
    CHECK(r.replay);
    CHECK_EQ(ST_EXISTS, r.status);
    CHECK_STR(w.r.why.text, r.why.text);
    CHECK_STR(w.r.why.hint, r.why.hint);
    CHECK_STR(w.r.why.field, r.why.field);
    apply_result_done(&r);
    cluster_free(c);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_is_of_the_moment_it_was_taken)
{
    struct world w;
    struct buf b;
    struct cluster *c = NULL;
    full_world(&w);
    uint64_t hash = cluster_hash(w.c), index = w.index;
    struct cluster_snapshot *s = cluster_snapshot_new(w.c, 7);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE + i, WORLD_OP(700 + i)));
        CHECK_EQ(ST_OK, world_gone(&w, WORLD_FREE + i));
    }
    buf_init(&b, 16 << 20);
    CHECK_EQ(index, cluster_snapshot_index(s));
    CHECK(!cluster_snapshot_next(s, 8 << 20, &b));
    cluster_snapshot_free(s);
    CHECK_EQ(ST_OK, restore(buf_view(&b), 5000, &c, NULL));
    CHECK_EQ(index, cluster_index(c));
    CHECK(cluster_hash(c) == hash);
    CHECK_EQ(10, cluster_count(c, OBJECT_VM));
    cluster_free(c);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_pieces_are_bounded_and_say_whether_more_comes)
{
    struct world w;
    struct buf all, one;
    struct kit_vm k;
    world_start(&w);
    char *script = mem_new(16001);
    memset(script, 'x', 16000);
    for (unsigned i = 0; i < 30; i++) {
        kit_vm(&k, WORLD_FREE + i, world_uid(i));
        k.spec.user_data = script;
        CHECK_EQ(ST_OK, world_vm(&w, &k));
    }
    free(script);
    take(&w, &all);
    buf_init(&one, SNAPSHOT_PIECE_MIN);
    struct cluster_snapshot *s = cluster_snapshot_new(w.c, 7);
    size_t at = 0, pieces = 0;
    for (bool more = true; more; pieces++) {
        buf_reset(&one);
        more = cluster_snapshot_next(s, SNAPSHOT_PIECE_MIN, &one);
        CHECK(one.len > 0 && one.len <= SNAPSHOT_PIECE_MIN && !one.full);
        CHECK(memcmp(one.ptr, all.ptr + at, one.len) == 0);
        at += one.len;
    }
    CHECK_EQ(all.len, at);
    CHECK(pieces > 3);
    cluster_snapshot_free(s);
    buf_done(&one);
    buf_done(&all);
    world_done(&w);
}

TEST(snapshot_given_up_frees_what_it_held)
{
    struct world w;
    full_world(&w);
    struct cluster_snapshot *s = cluster_snapshot_new(w.c, 7);
    cluster_snapshot_free(s);
    cluster_snapshot_free(NULL);
    cluster_restore_free(cluster_restore_new());
    cluster_restore_free(NULL);
    world_done(&w);
}

/* --- damage --- */

/* Half of a state, or all of it, goes a few objects at a time, whatever it has planned. */
TEST(snapshot_that_is_dropped_is_freed_in_pieces)
{
    struct world w;
    struct buf b;
    full_world(&w);
    take(&w, &b);
    for (size_t len = 0; len <= b.len; len += 1 + b.len / 7) {
        struct cluster_restore *r = cluster_restore_new();
        CHECK_EQ(ST_OK, cluster_restore_add(r, (struct str){b.ptr, len}, NULL));
        struct cluster *c = cluster_restore_drop(r);
        while (!cluster_free_some(c, 3))
            ;
    }
    struct cluster *c = NULL;
    CHECK_EQ(ST_OK, restore(buf_view(&b), 1000, &c, NULL));
    cluster_foresee(c, w.index + 1, buf_view(&w.packed));
    size_t count = 0, turns = 0;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        count += cluster_count(c, (enum object_kind)i);
    while (!cluster_free_some(c, 3))
        turns++;
    CHECK_EQ((count + 2) / 3 - 1, turns);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_cut_short_is_refused)
{
    struct world w;
    struct buf b;
    struct fault why;
    struct cluster *c = NULL;
    world_start(&w);
    take(&w, &b);
    for (size_t len = 0; len < b.len; len += 1 + len / 50)
        CHECK_EQ(ST_CORRUPT, restore((struct str){b.ptr, len}, 4096, &c, &why));
    CHECK_EQ(ST_CORRUPT, restore((struct str){b.ptr, b.len - 1}, 4096, &c, &why));
    CHECK_STR("the snapshot is not complete", why.text);
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_with_any_bit_flipped_is_refused)
{
    struct world w;
    struct buf b;
    struct cluster *c = NULL;
    world_start(&w);
    take(&w, &b);
    for (size_t i = 0; i < b.len; i++) {
        b.ptr[i] ^= (char)(1 << i % 8);
        CHECK_EQ(ST_CORRUPT, restore(buf_view(&b), 4096, &c, NULL));
        b.ptr[i] ^= (char)(1 << i % 8);
    }
    CHECK_EQ(ST_OK, restore(buf_view(&b), 4096, &c, NULL));
    cluster_free(c);
    buf_done(&b);
    world_done(&w);
}

/* A snapshot as a list of records, to be put together otherwise. */
struct records {
    struct buf all;
    size_t at[200], count;
};

static void split(struct records *r)
{
    r->count = 0;
    for (size_t at = 0; at < r->all.len; r->count++) {
        r->at[r->count] = at;
        at += HEADER + cursor_load_u32(r->all.ptr + at);
    }
    r->at[r->count] = r->all.len;
}

static struct str record(const struct records *r, size_t i)
{
    return (struct str){r->all.ptr + r->at[i], r->at[i + 1] - r->at[i]};
}

static void put(struct buf *out, uint8_t type, struct str body)
{
    char h[HEADER];
    cursor_store_u32(h, (uint32_t)body.len);
    h[8] = (char)type;
    uint32_t crc = hash_crc32c(hash_crc32c(0, h, 4), h + 8, 1);
    cursor_store_u32(h + 4, hash_crc32c(crc, body.ptr, body.len));
    buf_add(out, h, HEADER);
    buf_str(out, body);
}

/* Restore all records but `without`, with `twice` twice and `instead` in the place of record `at`. */
static enum status rearranged(const struct records *r, size_t without, size_t twice, size_t at,
                              struct str instead, struct fault *why)
{
    struct buf b;
    struct cluster *c = NULL;
    buf_init(&b, 16 << 20);
    for (size_t i = 0; i < r->count; i++) {
        if (i != without)
            buf_str(&b, i == at ? instead : record(r, i));
        if (i == twice)
            buf_str(&b, record(r, i));
    }
    enum status s = restore(buf_view(&b), 4096, &c, why);
    if (s == ST_OK)
        cluster_free(c);
    buf_done(&b);
    return s;
}

enum { NONE = 100000 };

TEST(snapshot_with_a_record_lacking_or_twice_is_refused)
{
    struct world w;
    struct records r;
    world_start(&w);
    take(&w, &r.all);
    split(&r);
    CHECK(r.count > 20);
    CHECK_EQ(ST_OK, rearranged(&r, NONE, NONE, NONE, STR(""), NULL));
    for (size_t i = 0; i < r.count; i++) {
        CHECK_EQ(ST_CORRUPT, rearranged(&r, i, NONE, NONE, STR(""), NULL));
        CHECK_EQ(ST_CORRUPT, rearranged(&r, NONE, i, NONE, STR(""), NULL));
        if (i > 0) /* one in the place of another */
            CHECK_EQ(ST_CORRUPT, rearranged(&r, NONE, NONE, i, record(&r, i - 1), NULL));
    }
    buf_done(&r.all);
    world_done(&w);
}

static enum status with_record(const struct records *r, size_t at, uint8_t type,
                               const ProtobufCMessage *m, int kind, struct fault *why)
{
    struct buf body, framed;
    buf_init(&body, 1 << 20);
    buf_init(&framed, 1 << 20);
    if (kind >= 0)
        buf_char(&body, (char)kind);
    proto_pack(m, &body);
    put(&framed, type, buf_view(&body));
    enum status s = rearranged(r, NONE, NONE, at, buf_view(&framed), why);
    buf_done(&body);
    buf_done(&framed);
    return s;
}

TEST(snapshot_of_another_format_is_unsupported)
{
    struct world w;
    struct records r;
    struct fault why;
    Pb__StateHead h = PB__STATE_HEAD__INIT;
    world_start(&w);
    take(&w, &r.all);
    split(&r);
    PROTO_SET(&h, version, 2);
    CHECK_EQ(ST_UNSUPPORTED, with_record(&r, 0, 1, &h.base, -1, &why));
    CHECK_STR("the snapshot has format version 2, this program reads 1", why.text);
    h.has_version = false;
    h.version = 0;
    CHECK_EQ(ST_UNSUPPORTED, with_record(&r, 0, 1, &h.base, -1, &why));
    buf_done(&r.all);
    world_done(&w);
}

/* Records whose checksum is right and whose content is not: made by a program with a bug. */
TEST(snapshot_with_wrong_content_is_refused)
{
    struct world w;
    struct records r;
    struct fault why;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    take(&w, &r.all);
    split(&r);
    struct object *o = cluster_find(w.c, OBJECT_VM, world_uid(WORLD_FREE));
    size_t at = 1;
    while (r.all.ptr[r.at[at] + HEADER] != OBJECT_VM)
        at++;
    CHECK_EQ(ST_OK, with_record(&r, at, 2, o->msg, OBJECT_VM, &why));
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 2, o->msg, OBJECT_KIND_COUNT, &why));
    CHECK_STR("an object is of no known kind", why.text);
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 2, o->msg, OBJECT_IMAGE, &why));
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 9, o->msg, OBJECT_VM, &why));
    CHECK_STR("a record is of no known type", why.text);
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 0, o->msg, OBJECT_VM, &why));
    Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(o->msg);
    vm->spec->vcpus = 65;
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 2, &vm->base, OBJECT_VM, &why));
    CHECK_STR("an object is not right: vm: spec.vcpus: 65 is more than 64", why.text);
    vm->spec->vcpus = 2; /* fit, but not what the hash says */
    CHECK_EQ(ST_CORRUPT, with_record(&r, at, 2, &vm->base, OBJECT_VM, &why));
    CHECK_STR("the state hash is not that of the records", why.text);
    proto_free(&vm->base);
    Pb__StateTail t = PB__STATE_TAIL__INIT;
    PROTO_SET(&t, state_hash, cluster_hash(w.c));
    CHECK_EQ(ST_OK, with_record(&r, r.count - 1, 4, &t.base, -1, &why));
    t.state_hash++;
    CHECK_EQ(ST_CORRUPT, with_record(&r, r.count - 1, 4, &t.base, -1, &why));
    buf_done(&r.all);
    world_done(&w);
}

/* The last record of an object of that kind. */
static size_t last_of(const struct records *r, enum object_kind kind)
{
    size_t at = r->count - 1;
    while (!(r->all.ptr[r->at[at] + 8] == 2 && r->all.ptr[r->at[at] + HEADER] == (char)kind))
        at--;
    return at;
}

/* The message of that record, for the test to change. */
static ProtobufCMessage *message_of(const struct records *r, size_t at, enum object_kind kind)
{
    struct str s = record(r, at);
    ProtobufCMessage *m = NULL;
    CHECK_EQ(ST_OK,
             proto_unpack(object_descriptor(kind),
                          (struct str){s.ptr + HEADER + 1, s.len - HEADER - 1}, 1 << 20, &m, NULL));
    return m;
}

/* What only one may have. */
TEST(snapshot_with_two_of_one_name_number_key_or_address_is_refused)
{
    struct world w;
    struct records r;
    struct fault why;
    struct kit_node node;
    static const char *const want[] = {
        "vm a exists already in project default",
        "hardware address ",
        "port 80 of the node",
        "node number 1 is taken",
        "another node has the same key",
        "another operation on ",
    };
    world_start(&w);
    kit_node(&node, WORLD_FREE + 9, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    for (unsigned i = 0; i < 2; i++) {
        struct kit_vm k;
        kit_vm(&k, WORLD_FREE + i, i ? "b" : "a");
        kit_vm_port(&k, 80 + i, 80);
        CHECK_EQ(ST_OK, world_vm(&w, &k));
    }
    take(&w, &r.all);
    split(&r);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        enum object_kind kind = i < 3 ? OBJECT_VM : i < 5 ? OBJECT_NODE : OBJECT_OPERATION;
        size_t at = last_of(&r, kind);
        ProtobufCMessage *m = message_of(&r, at, kind);
        Pb__Vm *vm = (Pb__Vm *)(void *)m;
        Pb__Node *n = (Pb__Node *)(void *)m;
        Pb__Operation *op = (Pb__Operation *)(void *)m;
        switch (i) {
        case 0: proto_set(&vm->meta->name, "a"); break;
        case 1: proto_set(&vm->mac, world_get_vm(&w, WORLD_FREE)->mac); break;
        case 2: vm->spec->ports[0]->host_port = 80; break;
        case 3: n->number = 1; break;
        case 4: proto_set(&n->facts->key, object_node(cluster_node(w.c, 1))->facts->key); break;
        case 5: proto_set(&op->target_uid, world_uid(WORLD_FREE)); break;
        }
        CHECK_EQ(ST_CORRUPT, with_record(&r, at, 2, m, (int)kind, &why));
        if (!strstr(why.text, want[i]))
            tap_fail(__FILE__, __LINE__, "case %zu: %s", i, why.text);
        proto_free(m);
    }
    buf_done(&r.all);
    world_done(&w);
}

/* The head counts: neither more nor less may follow. */
TEST(snapshot_that_is_not_as_its_head_counts_is_refused)
{
    struct world w;
    struct records r;
    struct fault why;
    struct buf extra;
    uint8_t id[16] = {0xee};
    world_start(&w);
    take(&w, &r.all);
    split(&r);
    Pb__Done d = PB__DONE__INIT;
    d.has_id = true;
    d.id = (ProtobufCBinaryData){16, id};
    d.has_request = true;
    d.request = (ProtobufCBinaryData){16, id};
    d.status = world_text("ok");
    PROTO_SET(&d, index, w.index);
    struct buf body;
    buf_init(&body, 1000);
    buf_init(&extra, 100000);
    proto_pack(&d.base, &body);
    put(&extra, 3, buf_view(&body));
    buf_str(&extra, record(&r, r.count - 1));
    CHECK_EQ(ST_CORRUPT, rearranged(&r, NONE, NONE, r.count - 1, buf_view(&extra), &why));
    CHECK_STR("there are more command ids than there may be", why.text);

    Pb__Tenant *t = (Pb__Tenant *)message_of(&r, last_of(&r, OBJECT_TENANT), OBJECT_TENANT);
    proto_set(&t->meta->uid, world_uid(WORLD_FREE));
    proto_set(&t->meta->name, "other");
    buf_reset(&body);
    buf_reset(&extra);
    buf_char(&body, OBJECT_TENANT);
    proto_pack(&t->base, &body);
    put(&extra, 2, buf_view(&body));
    buf_str(&extra, record(&r, r.count - 1));
    CHECK_EQ(ST_CORRUPT, rearranged(&r, NONE, NONE, r.count - 1, buf_view(&extra), &why));
    CHECK_STR("there are more objects than the head says", why.text);
    proto_free(&t->base);
    buf_done(&body);
    buf_done(&extra);

    CHECK_EQ(ST_CORRUPT, rearranged(&r, 1, NONE, NONE, STR(""), &why)); /* an object */
    CHECK_STR("there are fewer records than the head says", why.text);
    CHECK_EQ(ST_CORRUPT, rearranged(&r, r.count - 2, NONE, NONE, STR(""), &why)); /* an id */
    CHECK_STR("there are fewer records than the head says", why.text);
    buf_done(&r.all);
    world_done(&w);
}

TEST(snapshot_record_that_is_too_long_is_refused_before_it_is_there)
{
    struct fault why;
    struct cluster *c = NULL;
    char h[HEADER] = {0};
    cursor_store_u32(h, LIMIT_OBJECT_BYTES + 2);
    CHECK_EQ(ST_CORRUPT, restore((struct str){h, HEADER}, HEADER, &c, &why));
    CHECK_STR("a record is longer than any can be", why.text);
    CHECK_EQ(ST_CORRUPT, restore((struct str){h, HEADER}, 1, &c, &why));
    CHECK_STR("a record is longer than any can be", why.text);
}

TEST_ABORTS(snapshot_in_pieces_that_are_too_small_is_our_error)
{
    struct world w;
    struct buf b;
    world_start(&w);
    buf_init(&b, 1 << 20);
    (void)cluster_snapshot_next(cluster_snapshot_new(w.c, 1), SNAPSHOT_PIECE_MIN - 1, &b);
}

TEST_ABORTS(snapshot_into_a_buffer_without_room_is_our_error)
{
    struct world w;
    struct buf b;
    world_start(&w);
    buf_init(&b, SNAPSHOT_PIECE_MIN);
    buf_char(&b, 'x');
    (void)cluster_snapshot_next(cluster_snapshot_new(w.c, 1), SNAPSHOT_PIECE_MIN, &b);
}

TEST(snapshot_with_more_than_a_table_holds_is_refused)
{
    struct world w;
    struct buf b;
    struct fault why;
    struct limits l;
    full_world(&w);
    take(&w, &b);
    for (int i = 0; i < 4; i++) {
        limits_default(&l);
        switch (i) {
        case 0: l.objects[OBJECT_VM] = 9; break;
        case 1: l.objects[OBJECT_EVENT] = 7; break;
        case 2: l.objects[OBJECT_OPERATION] = l.ended = 1; break;
        case 3: l.done = 5; break;
        }
        struct cluster_restore *r = cluster_restore_new_limits(&l);
        CHECK_EQ(ST_CORRUPT, cluster_restore_add(r, buf_view(&b), &why));
        CHECK_STR(i == 3 ? "there are more command ids than there may be"
                         : "there are more objects than a table may hold",
                  why.text);
        CHECK_EQ(ST_CORRUPT, cluster_restore_add(r, STR(""), &why)); /* and ever after */
        cluster_restore_free(r);
    }
    buf_done(&b);
    world_done(&w);
}

TEST(snapshot_with_wrong_command_ids_is_refused)
{
    struct world w;
    struct records r;
    struct fault why;
    uint8_t id[17] = {0xee};
    world_start(&w);
    take(&w, &r.all);
    split(&r);
    size_t last = r.count - 2; /* a command id, the newest */
    for (int i = 0; i < 10; i++) {
        Pb__Done d = PB__DONE__INIT;
        d.has_id = true;
        d.id = (ProtobufCBinaryData){16, id};
        d.has_request = true;
        d.request = (ProtobufCBinaryData){16, id};
        d.status = world_text("ok");
        PROTO_SET(&d, index, w.index);
        switch (i) {
        case 0: d.has_id = false; break;
        case 1: d.id.len = 15; break;
        case 2: d.id.len = 17; break;
        case 3: d.status = NULL; break;
        case 4: d.index++; break;
        case 5: d.index = w.index - 1; break; /* as the one before */
        case 6: d.uid = world_text("longer than any uid can be, surely"); break;
        case 7: d.id.data = w.c->done.items[0]->key.id; break; /* twice */
        case 8: d.has_request = false; break;
        case 9: d.request.len = 15; break;
        }
        CHECK_EQ(ST_CORRUPT, with_record(&r, last, 3, &d.base, -1, &why));
        CHECK(strcmp("the state hash is not that of the records", why.text) != 0);
    }
    buf_done(&r.all);
    world_done(&w);
}
