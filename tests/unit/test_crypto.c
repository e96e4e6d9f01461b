#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/key.h"
#include "support/tap.h"

/* --- digest --- */

static void check_digest(const char *want, const void *data, size_t len)
{
    uint8_t d[DIGEST_SIZE];
    char text[DIGEST_TEXT_MAX];
    digest_of(data, len, d);
    digest_text(d, text);
    CHECK_STR(want, text);
}

/* FIPS 180-4, appendix of examples. */
TEST(digest_known_answers)
{
    check_digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", 0);
    check_digest("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc",
                 3);
    check_digest("sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
                 "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
    char *a = mem_new(1000000);
    memset(a, 'a', 1000000);
    check_digest("sha256:cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", a,
                 1000000);
    free(a);
}

TEST(digest_in_pieces_is_that_of_the_whole)
{
    uint8_t whole[DIGEST_SIZE], pieces[DIGEST_SIZE];
    char data[500];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    digest_of(data, sizeof data, whole);
    struct digest d;
    digest_init(&d);
    for (size_t step = 1; step < 130; step += 13) {
        for (size_t at = 0; at < sizeof data; at += step)
            digest_add(&d, data + at, MIN(step, sizeof data - at));
        digest_add(&d, NULL, 0);
        digest_end(&d, pieces); /* and it can begin again */
        CHECK(memcmp(whole, pieces, DIGEST_SIZE) == 0);
    }
}

TEST(digest_text_has_one_spelling)
{
    uint8_t d[DIGEST_SIZE] = {0}, back[DIGEST_SIZE];
    char text[DIGEST_TEXT_MAX];
    d[0] = 0xab;
    digest_text(d, text);
    CHECK_EQ(71, strlen(text));
    CHECK_EQ(ST_OK, digest_from_text(str_from(text), back, NULL));
    CHECK(memcmp(d, back, DIGEST_SIZE) == 0);
    text[7] = 'A';
    CHECK_EQ(ST_INVALID, digest_from_text(str_from(text), back, NULL));
    text[7] = 'g';
    CHECK_EQ(ST_INVALID, digest_from_text(str_from(text), back, NULL));
    text[7] = 'a';
    CHECK_EQ(ST_INVALID, digest_from_text((struct str){text, 70}, back, NULL));
    CHECK_EQ(ST_INVALID, digest_from_text((struct str){text, 72}, back, NULL));
    text[0] = 'S';
    CHECK_EQ(ST_INVALID, digest_from_text(str_from(text), back, NULL));
    CHECK_EQ(ST_INVALID, digest_from_text(STR("sha256:"), back, NULL));
    CHECK_EQ(ST_INVALID, digest_from_text(STR(""), back, NULL));
}

/* --- secret --- */

TEST(secret_holds_its_bytes_until_it_is_done)
{
    struct secret s;
    secret_copy(&s, "hunter2", 7);
    CHECK(str_is(secret_view(&s), "hunter2"));
    secret_done(&s);
    CHECK(s.ptr == NULL && s.len == 0);
    secret_done(&s);
    secret_init(&s, 0);
    CHECK_EQ(0, secret_view(&s).len);
    secret_done(&s);
    secret_init(&s, 3);
    CHECK(str_eq(STR("\0\0\0"), secret_view(&s)));
    secret_done(&s);
}

TEST(secret_wipe_leaves_nothing)
{
    char data[] = "hunter2";
    secret_wipe(data, sizeof data);
    for (size_t i = 0; i < sizeof data; i++)
        CHECK_EQ(0, data[i]);
    secret_wipe(NULL, 0);
}

/* --- key --- */

/* RFC 8032 section 7.1: TEST 1, 2, 3 and SHA(abc). */
static const struct {
    const char *seed, *public, *message, *signature;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
     "454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
     "3dca179c138ac17ad9bef1177331a704"},
};

enum { MESSAGE_MAX = 64 };

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    CHECK_EQ(ST_OK, str_unhex(str_from(text), out, len, NULL));
    return len;
}

TEST(key_known_answers)
{
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        uint8_t seed[KEY_SEED_SIZE], message[MESSAGE_MAX], want[KEY_SIGNATURE_SIZE];
        uint8_t got[KEY_SIGNATURE_SIZE];
        char hex[KEY_HEX_MAX];
        struct key k;
        (void)unhex(vectors[i].seed, seed);
        size_t len = unhex(vectors[i].message, message);
        (void)unhex(vectors[i].signature, want);
        key_init(&k, seed);
        key_public_hex(&k, hex);
        CHECK_STR(vectors[i].public, hex);
        key_sign(&k, message, len, got);
        CHECK(memcmp(want, got, sizeof got) == 0);
        CHECK(key_verify(k.public, message, len, got));
        key_done(&k);
    }
}

TEST(key_verify_refuses_any_other_message_signature_or_key)
{
    uint8_t seed[KEY_SEED_SIZE] = {7}, sig[KEY_SIGNATURE_SIZE];
    char message[] = "hello";
    struct key k;
    key_init(&k, seed);
    key_sign(&k, message, 5, sig);
    CHECK(key_verify(k.public, message, 5, sig));
    CHECK(!key_verify(k.public, message, 4, sig));
    for (int i = 0; i < 5; i++) {
        message[i] ^= 1;
        CHECK(!key_verify(k.public, message, 5, sig));
        message[i] ^= 1;
    }
    for (int i = 0; i < KEY_SIGNATURE_SIZE; i++) {
        sig[i] ^= 1;
        CHECK(!key_verify(k.public, message, 5, sig));
        sig[i] ^= 1;
    }
    k.public[3] ^= 1;
    CHECK(!key_verify(k.public, message, 5, sig));
    key_done(&k);
    CHECK(k.seed.ptr == NULL);
}

/* S + L in place of S would be a second signature of the same message. */
TEST(key_verify_refuses_a_signature_that_is_not_reduced)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    uint8_t seed[KEY_SEED_SIZE] = {7}, sig[KEY_SIGNATURE_SIZE];
    struct key k;
    key_init(&k, seed);
    key_sign(&k, "x", 1, sig);
    unsigned carry = 0;
    for (int i = 0; i < 32; i++) {
        carry += sig[32 + i] + order[i];
        sig[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    CHECK(!key_verify(k.public, "x", 1, sig));
    key_done(&k);
}

TEST(key_file_comes_back)
{
    uint8_t seed[KEY_SEED_SIZE];
    struct key k, back;
    struct secret text;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)(i * 37);
    key_init(&k, seed);
    key_encode(&k, &text);
    struct str s = secret_view(&text);
    CHECK(s.len < KEY_FILE_MAX);
    CHECK(s.ptr[s.len - 1] == '\n');
    CHECK_EQ(ST_OK, key_decode(s, &back, NULL));
    CHECK(memcmp(k.public, back.public, KEY_PUBLIC_SIZE) == 0);
    CHECK(str_eq(secret_view(&back.seed), (struct str){(char *)seed, sizeof seed}));
    secret_done(&text);
    key_done(&back);
    key_done(&k);
}

#define PEM_BEGIN "-----BEGIN PRIVATE KEY-----\n"
#define PEM_END   "-----END PRIVATE KEY-----\n"
/* The example of RFC 8410, section 10.3. */
#define PEM_BODY "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"

TEST(key_file_of_openssl_is_read)
{
    static const char *const good[] = {
        PEM_BEGIN PEM_BODY PEM_END,
        "\n" PEM_BEGIN "\n" PEM_BODY "\n" PEM_END "\n\n",
        "-----BEGIN PRIVATE KEY-----\r\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\r\n"
        "-----END PRIVATE KEY-----",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct key k;
        char hex[KEY_HEX_MAX];
        CHECK_EQ(ST_OK, key_decode(str_from(good[i]), &k, NULL));
        key_public_hex(&k, hex);
        CHECK_STR("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1", hex);
        key_done(&k);
    }
}

TEST(key_file_that_is_anything_else_is_refused)
{
    static const char *const bad[] = {
        "",
        "hello",
        PEM_BEGIN,
        PEM_END,
        PEM_BEGIN PEM_END,
        "-----BEGIN PRIVATE KEY-----END PRIVATE KEY-----",
        PEM_BODY,
        "x" PEM_BEGIN PEM_BODY PEM_END,
        PEM_BEGIN PEM_BODY PEM_END "x",
        PEM_BEGIN "x" PEM_BODY PEM_END,
        PEM_BEGIN PEM_BODY PEM_BODY PEM_END,
        PEM_BEGIN "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVh\n" PEM_END,
        PEM_BEGIN "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVh=\n" PEM_END,
        PEM_BEGIN "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVh!\n" PEM_END,
        PEM_BEGIN "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp\n+K06/nwoy/HU++CXqI9EdVhC\n" PEM_END,
        PEM_BEGIN "MC4CAQAwBQYDK2VxBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n" PEM_END,
        "-----BEGIN private KEY-----\n" PEM_BODY PEM_END,
        PEM_BEGIN PEM_BODY "-----END private KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" PEM_BODY "-----END ENCRYPTED PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct key k;
        struct fault why;
        if (key_decode(str_from(bad[i]), &k, &why) != ST_INVALID)
            tap_fail(__FILE__, __LINE__, "case %zu is taken", i);
        CHECK(strstr(why.text, "MC4C") == NULL);
    }
    char *big = mem_new(KEY_FILE_MAX + 1);
    struct key k;
    memset(big, '\n', KEY_FILE_MAX + 1);
    memcpy(big, PEM_BEGIN PEM_BODY PEM_END, sizeof PEM_BEGIN PEM_BODY PEM_END - 1);
    CHECK_EQ(ST_OK, key_decode((struct str){big, KEY_FILE_MAX}, &k, NULL));
    key_done(&k);
    CHECK_EQ(ST_INVALID, key_decode((struct str){big, KEY_FILE_MAX + 1}, &k, NULL));
    free(big);
}
