/* What is noted of nodes elsewhere: its text, and its file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/contexts.h"
#include "crypto/token.h"
#include "os/file.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "wire/json.h"

#define FINGERPRINT "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void make_token(char out[LINK_TOKEN_MAX])
{
    static const uint8_t random[TOKEN_RANDOM_SIZE] = {1};
    AUTO(secret_done) struct secret text;
    struct token t;
    token_make(random, &t, &text);
    (void)snprintf(out, LINK_TOKEN_MAX, "%s", (char *)text.ptr);
}

static struct contexts *two(void)
{
    struct contexts *c = NEW(struct contexts);
    static const char *const names[] = {"lab", "prod"};
    for (size_t i = 0; i < 2; i++) {
        struct context *x = &c->at[c->count++];
        (void)snprintf(x->name, sizeof x->name, "%s", names[i]);
        CHECK_EQ(ST_OK, context_parse_server(STR("https://n1.example"), &x->place, NULL));
        (void)snprintf(x->place.fingerprint, sizeof x->place.fingerprint, FINGERPRINT);
        make_token(x->place.token);
    }
    (void)snprintf(c->current, sizeof c->current, "prod");
    return c;
}

TEST(contexts_server_is_a_host_and_a_port)
{
    static const char *const good[][2] = {
        {"https://n1", "https://n1:7003"},
        {"https://n1.example:443/", "https://n1.example:443"},
        {"https://10.0.0.1:1", "https://10.0.0.1:1"},
        {"https://[::1]", "https://[::1]:7003"},
        {"https://[fe80::1]:65535", "https://[fe80::1]:65535"},
    };
    static const char *const bad[] = {"",
                                      "n1",
                                      "http://n1",
                                      "https://",
                                      "https:///",
                                      "https://n1:0",
                                      "https://n1:65536",
                                      "https://n1:",
                                      "https://n1:1:2",
                                      "https://n1/path",
                                      "https://::1",
                                      "https://[n1]",
                                      "https://[::1",
                                      "https://[::1]7003",
                                      "https://user@n1",
                                      "https://n 1",
                                      "https://n1\r\n"};
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct place p = {0};
        AUTO(buf_done) struct buf out;
        buf_init(&out, 400);
        CHECK_EQ(ST_OK, context_parse_server(str_from(good[i][0]), &p, &why));
        context_server(&p, &out);
        CHECK_STR(good[i][1], buf_cstr(&out));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct place p = {0};
        printf("# %s\n", bad[i]);
        CHECK_EQ(ST_INVALID, context_parse_server(str_from(bad[i]), &p, &why));
    }
}

TEST(contexts_text_gives_the_same_again)
{
    json_setup();
    AUTO(auto_free) struct contexts *c = two();
    AUTO(auto_free) struct contexts *again = NEW(struct contexts);
    AUTO(buf_done) struct buf text;
    buf_init(&text, CONTEXTS_TEXT_MAX);
    contexts_write(c, &text);
    CHECK_EQ(ST_OK, contexts_parse(buf_view(&text), again, NULL));
    CHECK(memcmp(c, again, sizeof *c) == 0);
    CHECK(contexts_find(again, "lab") == &again->at[0] && !contexts_find(again, "la"));
    struct context *x;
    struct fault why;
    CHECK_EQ(ST_NOT_FOUND, contexts_get(again, "prd", &x, &why));
    CHECK_STR("did you mean prod?", why.hint);
}

/* Replace one text by another in what is right, and see it refused. */
TEST(contexts_refuses_what_is_not_right)
{
    static const struct {
        const char *was, *now, *text;
    } wrong[] = {
        {"{", "", "it is no JSON"},
        {"\"prod\",\n", "\"nope\",\n", "current: there is no such context"},
        {"\"lab\"", "\"prod\"", "contexts[1]: its name comes twice"},
        {"\"lab\"", "\"local\"", "contexts[0]: name"},
        {"\"lab\"", "\"La b\"", "contexts[0]: name"},
        {"\"lab\"", "7", "contexts[0]: name: a text is expected"},
        {"https://", "http://", "contexts[0]: a server is written as https://HOST:7003"},
        {"sha256:", "sha1:", "contexts[0]: fingerprint"},
        {"blx_svc_", "blx_svx_", "contexts[0]: token"},
        {"\"fingerprint\"", "\"fingerprints\"", "contexts[0]: fingerprint: a text is expected"},
        {"\"current\"", "\"now\"", "current: a text is expected"},
        {"\"contexts\"", "\"context\"", "contexts: a list of at most 64 is expected"},
    };
    json_setup();
    AUTO(auto_free) struct contexts *c = two();
    AUTO(auto_free) struct contexts *again = NEW(struct contexts);
    AUTO(buf_done) struct buf text;
    buf_init(&text, CONTEXTS_TEXT_MAX);
    contexts_write(c, &text);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        AUTO(buf_done) struct buf b;
        struct fault why;
        buf_init(&b, CONTEXTS_TEXT_MAX);
        const char *at = strstr(buf_cstr(&text), wrong[i].was);
        printf("# %s\n", wrong[i].now);
        CHECK(at != NULL);
        buf_add(&b, text.ptr, (size_t)(at - text.ptr));
        buf_text(&b, wrong[i].now);
        buf_text(&b, at + strlen(wrong[i].was));
        CHECK_EQ(ST_INVALID, contexts_parse(buf_view(&b), again, &why));
        if (!str_starts(str_from(why.text), wrong[i].text))
            tap_fail(__FILE__, __LINE__, "\"%s\" does not begin with \"%s\"", why.text,
                     wrong[i].text);
        CHECK(!strstr(why.text, c->at[0].place.token));
    }
}

TEST(contexts_file_is_for_its_owner_alone)
{
    struct fault why;
    char path[300];
    struct stat st;
    json_setup();
    AUTO(auto_free) struct contexts *c = two();
    AUTO(auto_free) struct contexts *again = NEW(struct contexts);
    CHECK_EQ(0, setenv("XDG_CONFIG_HOME", scratch_dir(), 1));
    CHECK_EQ(ST_OK, contexts_load(again, &why)); /* absent: none */
    CHECK_EQ(0, again->count);
    CHECK_EQ(ST_OK, contexts_save(c, &why));
    (void)snprintf(path, sizeof path, "%s/blixard/contexts.json", scratch_dir());
    CHECK_EQ(0, stat(path, &st));
    CHECK_EQ(0600, st.st_mode & 0777);
    CHECK_EQ(ST_OK, contexts_load(again, &why));
    CHECK_EQ(2, again->count);
    CHECK_EQ(0, chmod(path, 0640));
    CHECK_EQ(ST_DENIED, contexts_load(again, &why));
    CHECK(strstr(why.text, "holds tokens, and others may read it"));
    CHECK_EQ(0, chmod(path, 0600));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("[]"), 0600, &why));
    CHECK_EQ(ST_INVALID, contexts_load(again, &why));
    CHECK(strstr(why.text, "contexts.json: it has current and contexts"));
}
