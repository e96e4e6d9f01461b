#include "ops/query.h"
#include "pb/api.pb-c.h"
#include "support/tap.h"
#include "wire/proto.h"

static const char *const none[] = {NULL};

TEST(query_is_decoded)
{
    struct query q;
    CHECK_EQ(ST_OK, query_parse(&q, STR("a=1%2b2&b=x+y&&c&d=%C3%A4=z&a=second"), NULL));
    CHECK_EQ(5, q.count);
    CHECK_STR("1+2", query_get(&q, "a"));
    CHECK_STR("x y", query_get(&q, "b"));
    CHECK_STR("", query_get(&q, "c"));
    CHECK_STR("ä=z", query_get(&q, "d"));
    CHECK(!query_get(&q, "e"));
    query_done(&q);
}

TEST(query_without_anything_is_empty)
{
    struct query q;
    CHECK_EQ(ST_OK, query_parse(&q, STR(""), NULL));
    CHECK_EQ(0, q.count);
    query_done(&q);
    CHECK_EQ(ST_OK, query_parse(&q, STR("&&"), NULL));
    CHECK_EQ(0, q.count);
    query_done(&q);
}

TEST(query_refuses_bad_escapes)
{
    static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "%=1", "a=%00", "=1", "a=%4%41"};
    struct query q;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK_EQ(ST_INVALID, query_parse(&q, str_from(bad[i]), NULL));
    }
    struct fault why;
    CHECK_EQ(ST_INVALID, query_parse(&q, STR("name=%xx"), &why));
    CHECK_STR("name", why.field);
}

TEST(query_is_bounded)
{
    static char many[QUERY_LEN_MAX + 2];
    struct query q;
    for (size_t i = 0; i < 2 * (QUERY_PAIRS_MAX + 1); i += 2)
        memcpy(many + i, "a&", 2);
    CHECK_EQ(ST_TOO_BIG, query_parse(&q, (struct str){many, 2 * (QUERY_PAIRS_MAX + 1)}, NULL));
    CHECK_EQ(ST_OK, query_parse(&q, (struct str){many, 2 * QUERY_PAIRS_MAX}, NULL));
    CHECK_EQ(QUERY_PAIRS_MAX, q.count);
    query_done(&q);
    memset(many, 'a', sizeof many);
    CHECK_EQ(ST_TOO_BIG, query_parse(&q, (struct str){many, QUERY_LEN_MAX + 1}, NULL));
}

static ProtobufCMessage *message_of(const char *text, const ProtobufCMessageDescriptor *desc,
                                    struct fault *why)
{
    ProtobufCMessage *m = NULL;
    struct query q;
    CHECK_EQ(ST_OK, query_parse(&q, str_from(text), why));
    (void)!query_message(&q, desc, (const char *const[]){"consistency", NULL}, &m, why);
    query_done(&q);
    return m;
}

TEST(query_fills_a_message)
{
    AUTO(auto_proto_free)
    ProtobufCMessage *m = message_of("argv=ls&argv=-l&tty&rows=50&consistency=local",
                                     &pb__vm_exec_query__descriptor, NULL);
    const Pb__VmExecQuery *q = (const Pb__VmExecQuery *)m;
    CHECK(m);
    CHECK_EQ(2, q->n_argv);
    CHECK_STR("-l", q->argv[1]);
    CHECK(q->has_tty && q->tty);
    CHECK_EQ(50, q->rows);
    CHECK(!q->has_cols);
    CHECK_EQ(80, q->cols);
}

TEST(query_refuses_what_its_message_does_not_take)
{
    static const char *const bad[] = {"rows=x",  "rows=-1",  "rows=4294967296", "tty=maybe",
                                      "rows=",   "row=4",    "rows=1&rows=2",   "cwd=/&cwd=/",
                                      "rows=0x", "tty=TRUE", "rows=%31&project"};
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        printf("# %s\n", bad[i]);
        CHECK(!message_of(bad[i], &pb__vm_exec_query__descriptor, &why));
        CHECK_EQ(ST_INVALID, why.status);
        CHECK(why.field[0]);
    }
    CHECK(!message_of("row=4", &pb__vm_exec_query__descriptor, &why));
    CHECK_STR("row", why.field);
    CHECK_STR("query parameter row: it is not known here", why.text);
    CHECK_STR("did you mean rows?", why.hint);
}

TEST(query_has_no_parameters_where_none_are_taken)
{
    struct query q;
    ProtobufCMessage *m = NULL;
    CHECK_EQ(ST_OK, query_parse(&q, STR("consistency=local"), NULL));
    CHECK_EQ(ST_INVALID, query_message(&q, &pb__empty__descriptor, none, &m, NULL));
    CHECK(!m);
    query_done(&q);
}
