#include "http/accept.h"
#include "support/tap.h"

#define PLAIN "text/plain"

TEST(accept_takes_all_when_nothing_is_said)
{
    CHECK_EQ(1000, accept_quality(STR(""), PLAIN));
    CHECK_EQ(1000, accept_quality(STR("*/*"), PLAIN));
    CHECK_EQ(1000, accept_quality(STR("a/b, TEXT/*"), PLAIN));
    CHECK_EQ(1000, accept_quality(STR("Text/Plain;charset=utf-8"), PLAIN));
}

TEST(accept_refuses_what_is_not_named)
{
    static const char *const headers[] = {
        "application/json", "text/html", "text/plainer", "text", "text/", "*", "*/plain", ","};
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++)
        CHECK_EQ(0, accept_quality(str_from(headers[i]), PLAIN));
}

TEST(accept_best_fit_counts)
{
    CHECK_EQ(0, accept_quality(STR("*/*, text/plain;q=0"), PLAIN));
    CHECK_EQ(0, accept_quality(STR("text/plain; q=0.000 , */*"), PLAIN));
    CHECK_EQ(200, accept_quality(STR("*/*;q=0.9,text/*;q=0.2,text/html"), PLAIN));
    CHECK_EQ(500, accept_quality(STR("text/plain;v=2;q=0.25, text/plain;v=1;q=0.5"), PLAIN));
    CHECK_EQ(125, accept_quality(STR("text/plain;Q=0.125"), PLAIN));
}

TEST(accept_weight_that_is_none_is_not_there)
{
    static const char *const headers[] = {"text/plain;q=", "text/plain;q=x", "text/plain;q=0.1x",
                                          "text/plain;q=0.00001", "text/plain;q=1.9"};
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++)
        CHECK_EQ(1000, accept_quality(str_from(headers[i]), PLAIN));
}
