/* The text of tokens. */
#include <string.h>

#include "crypto/digest.h"
#include "crypto/token.h"
#include "support/prop.h"
#include "support/tap.h"

static void make(uint8_t fill, struct token *t, struct secret *text)
{
    uint8_t random[TOKEN_RANDOM_SIZE];
    memset(random, fill, sizeof random);
    token_make(random, t, text);
}

TEST(token_text_is_known_by_its_id_and_the_digest_of_its_secret)
{
    AUTO(secret_done) struct secret text;
    struct token t, back;
    make(0, &t, &text);
    CHECK_EQ(TOKEN_LEN, text.len);
    CHECK(str_starts(secret_view(&text),
                     "blx_svc_0000000000_0000000000000000000000000000000000000000000"));
    CHECK_EQ(TOKEN_LEN, strlen((char *)text.ptr));
    CHECK_EQ(ST_OK, token_parse(secret_view(&text), &back, NULL));
    CHECK_STR("0000000000", back.id);
    CHECK(token_digest_equal(t.digest, back.digest));
    uint8_t want[DIGEST_SIZE];
    digest_of("0000000000000000000000000000000000000000000", 43, want);
    CHECK(token_digest_equal(want, t.digest));
    want[31] ^= 1;
    CHECK(!token_digest_equal(want, t.digest));
}

/* 256 bits fit into 43 digits: the largest secret loses none. */
TEST(token_text_of_other_bytes_is_another)
{
    AUTO(secret_done) struct secret a, b;
    struct token x, y;
    make(0xff, &x, &a);
    make(0xfe, &y, &b);
    CHECK(!str_eq(secret_view(&a), secret_view(&b)));
    CHECK(strcmp(x.id, y.id) != 0 && !token_digest_equal(x.digest, y.digest));
}

TEST(token_text_with_one_wrong_letter_is_refused)
{
    AUTO(secret_done) struct secret text;
    struct token t;
    struct fault why;
    make(0x5a, &t, &text);
    for (size_t i = 0; i < TOKEN_LEN; i++) {
        uint8_t was = text.ptr[i];
        text.ptr[i] = was == 'x' ? 'y' : 'x';
        CHECK_EQ(ST_INVALID, token_parse(secret_view(&text), &t, &why));
        text.ptr[i] = 0;
        CHECK_EQ(ST_INVALID, token_parse(secret_view(&text), &t, &why));
        text.ptr[i] = was;
    }
    CHECK_EQ(ST_OK, token_parse(secret_view(&text), &t, &why));
    CHECK_EQ(ST_INVALID, token_parse((struct str){(char *)text.ptr, TOKEN_LEN - 1}, &t, &why));
    CHECK_STR("it does not look like a token: blx_svc_...", why.text);
    CHECK_EQ(ST_INVALID, token_parse(STR(""), &t, &why));
}

static void comes_back(struct tape *t)
{
    uint8_t random[TOKEN_RANDOM_SIZE];
    AUTO(secret_done) struct secret text;
    struct token made, back;
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)draw_below(t, 256);
    token_make(random, &made, &text);
    CHECK_EQ(ST_OK, token_parse(secret_view(&text), &back, NULL));
    CHECK(memcmp(&made, &back, sizeof made) == 0);
}

TEST(token_text_of_any_bytes_comes_back)
{
    prop_run(comes_back, 1, 300);
}
