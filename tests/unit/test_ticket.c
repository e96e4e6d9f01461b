/* Tickets: their text, and the proof that one has one. */
#include <string.h>

#include "crypto/ticket.h"
#include "support/prop.h"
#include "support/tap.h"

static void fill(struct ticket *t, size_t count)
{
    static const char *const at[] = {"10.0.0.1:7001", "[fe80::1]:7001", "[2001:db8::2]:65535"};
    uint8_t seed[KEY_SEED_SIZE];
    memset(seed, 7, sizeof seed);
    *t = (struct ticket){.token_id = "0123456789", .address_count = count};
    memset(t->cluster, 0xc1, sizeof t->cluster);
    secret_copy(&t->seed, seed, sizeof seed);
    for (size_t i = 0; i < count; i++) {
        memset(t->address[i].key, (int)i + 1, KEY_PUBLIC_SIZE);
        bool ok = ip_endpoint_parse(str_from(at[i]), &t->address[i].at);
        CHECK(ok);
    }
}

static void same(const struct ticket *a, const struct ticket *b)
{
    CHECK(memcmp(a->cluster, b->cluster, sizeof a->cluster) == 0);
    CHECK_STR(a->token_id, b->token_id);
    CHECK(str_eq(secret_view(&a->seed), secret_view(&b->seed)));
    CHECK_EQ(a->address_count, b->address_count);
    for (size_t i = 0; i < a->address_count; i++) {
        CHECK(memcmp(a->address[i].key, b->address[i].key, KEY_PUBLIC_SIZE) == 0);
        char x[IP_ENDPOINT_TEXT_MAX], y[IP_ENDPOINT_TEXT_MAX];
        ip_endpoint_format(&a->address[i].at, x);
        ip_endpoint_format(&b->address[i].at, y);
        CHECK_STR(x, y);
    }
}

TEST(ticket_comes_back_as_it_was)
{
    static const size_t len[] = {0, 146, 214, 282};
    for (size_t count = 1; count <= TICKET_ADDRESSES_MAX; count++) {
        AUTO(ticket_done) struct ticket t, back = {0};
        AUTO(secret_done) struct secret text;
        fill(&t, count);
        ticket_encode(&t, &text);
        CHECK_EQ(len[count], text.len);
        CHECK_EQ(text.len, strlen((char *)text.ptr));
        CHECK_EQ(ST_OK, ticket_decode(secret_view(&text), &back, NULL));
        same(&t, &back);
    }
}

/* The form is kept by others, on paper too: it does not change under the same version. */
TEST(ticket_is_written_so)
{
    AUTO(ticket_done) struct ticket t;
    AUTO(secret_done) struct secret text;
    fill(&t, 1);
    ticket_encode(&t, &text);
    CHECK_STR(
        "blxjoin_AcHBwcHBwcHBwcHBwcHBwcEwMTIzNDU2Nzg5BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcB"
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEECgAAARtZaJJ51A",
        (char *)text.ptr);
}

TEST(ticket_with_one_wrong_letter_or_a_part_of_one_is_refused)
{
    AUTO(ticket_done) struct ticket t, back = {0};
    AUTO(secret_done) struct secret text;
    struct fault why;
    fill(&t, 2);
    ticket_encode(&t, &text);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t was = text.ptr[i];
        static const char others[] = {'A', 'B', '_', '=', ' ', '+', 0, (char)0xff};
        for (size_t k = 0; k < sizeof others; k++) {
            text.ptr[i] = (uint8_t)others[k];
            if (text.ptr[i] != was)
                CHECK_EQ(ST_INVALID, ticket_decode(secret_view(&text), &back, &why));
        }
        text.ptr[i] = was;
        CHECK_EQ(ST_INVALID, ticket_decode((struct str){(char *)text.ptr, i}, &back, &why));
    }
    CHECK_STR("the ticket is mistyped or was cut: its check does not fit", why.text);
    CHECK_EQ(ST_INVALID, ticket_decode(STR("blx_svc_0123456789"), &back, &why));
    CHECK_STR("it does not look like a ticket: blxjoin_...", why.text);
    CHECK_EQ(ST_INVALID, ticket_decode(STR(""), &back, &why));
    CHECK(back.seed.ptr == NULL);
}

TEST_ABORTS(ticket_without_addresses_is_not_written)
{
    struct ticket t;
    struct secret text;
    fill(&t, 0);
    ticket_encode(&t, &text);
}

static void any_comes_back(struct tape *tape)
{
    AUTO(ticket_done) struct ticket t, back = {0};
    AUTO(secret_done) struct secret text;
    fill(&t, 1 + draw_below(tape, TICKET_ADDRESSES_MAX));
    for (size_t i = 0; i < sizeof t.cluster; i++)
        t.cluster[i] = (uint8_t)draw_below(tape, 256);
    for (size_t i = 0; i < KEY_SEED_SIZE; i++)
        t.seed.ptr[i] = (uint8_t)draw_below(tape, 256);
    for (size_t i = 0; i < t.address_count; i++) {
        struct ip_endpoint *at = &t.address[i].at;
        *at = (struct ip_endpoint){.ip.family = draw_below(tape, 2) ? 4 : 6,
                                   .port = (uint16_t)(1 + draw_below(tape, 65535))};
        for (size_t k = 0; k < (at->ip.family == 4 ? 4 : 16); k++)
            at->ip.byte[k] = (uint8_t)draw_below(tape, 256);
    }
    ticket_encode(&t, &text);
    CHECK_EQ(ST_OK, ticket_decode(secret_view(&text), &back, NULL));
    same(&t, &back);
}

TEST(ticket_of_any_content_comes_back)
{
    prop_run(any_comes_back, 1, 300);
}

/* --- the proof --- */

static void claim(struct ticket_claim *c, struct key *k, uint8_t seed_byte)
{
    uint8_t seed[KEY_SEED_SIZE];
    memset(seed, seed_byte, sizeof seed);
    key_init(k, seed);
    *c = (struct ticket_claim){.name = STR("n2")};
    memset(c->exporter, 0xe0, sizeof c->exporter);
    memset(c->node_key, 0xaa, sizeof c->node_key);
    memset(c->cluster, 0xc1, sizeof c->cluster);
}

TEST(ticket_proof_is_a_signature_of_exactly_these_bytes)
{
    AUTO(key_done) struct key k;
    struct ticket_claim c;
    uint8_t proof[KEY_SIGNATURE_SIZE], want[KEY_SIGNATURE_SIZE], bytes[15 + 32 + 32 + 2 + 16];
    claim(&c, &k, 7);
    memcpy(bytes, "blixard-join-v1", 15);
    memset(bytes + 15, 0xe0, 32);
    memset(bytes + 47, 0xaa, 32);
    memcpy(bytes + 79, "n2", 2);
    memset(bytes + 81, 0xc1, 16);
    key_sign(&k, bytes, sizeof bytes, want);
    ticket_prove(&k, &c, proof);
    CHECK(memcmp(want, proof, sizeof proof) == 0);
    CHECK(ticket_proven(k.public, &c, proof));
}

/* Another session, another node, another name, another cluster, another ticket: each is refused. */
TEST(ticket_proof_is_good_for_nothing_else)
{
    AUTO(key_done) struct key k, other;
    struct ticket_claim c, changed;
    uint8_t proof[KEY_SIGNATURE_SIZE];
    claim(&c, &other, 8);
    claim(&c, &k, 7);
    ticket_prove(&k, &c, proof);
    CHECK(!ticket_proven(other.public, &c, proof));
    changed = c, changed.exporter[31] ^= 1;
    CHECK(!ticket_proven(k.public, &changed, proof));
    changed = c, changed.node_key[0] ^= 1;
    CHECK(!ticket_proven(k.public, &changed, proof));
    changed = c, changed.name = STR("n3");
    CHECK(!ticket_proven(k.public, &changed, proof));
    changed = c, changed.name = STR("");
    CHECK(!ticket_proven(k.public, &changed, proof));
    changed = c, changed.cluster[15] ^= 1;
    CHECK(!ticket_proven(k.public, &changed, proof));
    proof[5] ^= 1;
    CHECK(!ticket_proven(k.public, &c, proof));
}

TEST(ticket_proof_of_a_name_that_is_too_long_is_none)
{
    AUTO(key_done) struct key k;
    struct ticket_claim c;
    uint8_t proof[KEY_SIGNATURE_SIZE] = {0};
    char name[TICKET_NAME_MAX + 1];
    memset(name, 'a', sizeof name);
    claim(&c, &k, 7);
    c.name = (struct str){name, TICKET_NAME_MAX};
    ticket_prove(&k, &c, proof);
    CHECK(ticket_proven(k.public, &c, proof));
    c.name.len++;
    CHECK(!ticket_proven(k.public, &c, proof));
}
