#include "sim/options.h"
#include "support/tap.h"

enum { WORDS_MAX = 20 };

/* Parse a line of words with single blanks between them. */
static enum status parse(const char *line, struct options *ret, struct fault *why)
{
    static char copy[1000];
    char *argv[WORDS_MAX];
    int argc = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *p = strtok(copy, " "); p && argc < WORDS_MAX; p = strtok(NULL, " "))
        argv[argc++] = p;
    return options_parse(argc, argv, ret, why);
}

static void check_bad(const char *line, const char *text)
{
    struct options o;
    struct fault why;
    CHECK_EQ(ST_INVALID, parse(line, &o, &why));
    CHECK_STR(text, why.text);
}

/* What a replay line says is what is run again. */
static void check_replays(const char *line)
{
    struct options o;
    struct fault why = {0};
    AUTO(buf_done) struct buf b;
    if (parse(line, &o, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    buf_init(&b, 1000);
    options_replay(&o, o.first, &o.many, &b);
    CHECK_STR(line, buf_cstr(&b));
}

TEST(options_replay_is_what_was_parsed)
{
    check_replays("blixard-sim --profile one-node --seed 1 --trace");
    check_replays("blixard-sim --profile one-node --seed 18446744073709551614 --steps 7 --trace");
    check_replays("blixard-sim --profile swarm --seed 17 --without crash,split --clients 1 "
                  "--fault-ms 4000 --trace");
    check_replays("blixard-sim --profile scale --seed 2 --members 30 --clients 8 --steps 0 "
                  "--fault-ms 0 --trace");
}

TEST(options_replay_names_every_fault)
{
    struct options o, again;
    struct fault why;
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1000);
    CHECK_EQ(ST_OK, parse("blixard-sim --profile swarm", &o, &why));
    o.many.without = (UINT64_C(1) << GROUP_FAULT_COUNT) - 1;
    options_replay(&o, 1, &o.many, &b);
    CHECK_EQ(ST_OK, parse(buf_cstr(&b), &again, &why));
    CHECK_EQ(o.many.without, again.many.without);
}

TEST(options_refuse_what_cannot_be)
{
    check_bad("blixard-sim --sed 1", "no flag is called --sed");
    check_bad("blixard-sim --seed", "--seed needs a value");
    check_bad("blixard-sim --profile swam", "--profile swam: no profile is called \"swam\"");
    check_bad("blixard-sim --profile swarm --without crash,splitt",
              "--without crash,splitt: no fault is called \"splitt\", did you mean split?");
    check_bad("blixard-sim --without crash", "--without is for a group: give its --profile too");
    check_bad("blixard-sim --shrink --seeds 10", "--shrink is for a group: give its --profile too");
}

TEST(options_bound_their_numbers)
{
    struct options o;
    struct fault why;
    CHECK_EQ(ST_INVALID, parse("blixard-sim --profile swarm --members 64", &o, &why));
    CHECK_EQ(ST_INVALID, parse("blixard-sim --profile swarm --members 0", &o, &why));
    CHECK_EQ(ST_INVALID, parse("blixard-sim --profile swarm --clients 9", &o, &why));
    CHECK_EQ(ST_INVALID, parse("blixard-sim --profile swarm --fault-ms 86400001", &o, &why));
    CHECK_EQ(ST_INVALID, parse("blixard-sim --seeds x", &o, &why));
    CHECK_EQ(ST_INVALID, parse("blixard-sim --seed 18446744073709551615", &o, &why));
}

TEST(options_usage_tells_every_fault_and_profile)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 20000);
    options_usage(&b);
    CHECK(!b.full);
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++)
        CHECK(strstr(buf_cstr(&b), group_fault_text(i)) != NULL);
    for (unsigned i = 0; i < GROUP_PROFILE_COUNT; i++)
        CHECK(strstr(buf_cstr(&b), group_profile_name(i)) != NULL);
}
