#include <stdlib.h>

#include "base/config.h"
#include "base/config_keys.h"
#include "base/units.h"
#include "support/prop.h"
#include "support/tap.h"

/* For each key: another value than the default, in the file and in the environment, and values that
 * are refused there. "" means that there is no such wrong value. */
static const struct sample {
    const char *key, *toml, *env, *wrong_type, *wrong_value;
} samples[] = {
    {"name", "'n1'", "n1", "1", "'N 1'"},
    {"data_dir", "'/srv/blixard'", "/srv/blixard", "true", "'srv'"},
    {"run_dir", "'/tmp/run'", "/tmp/run", "['/tmp']", "''"},
    {"libexec_dir", "'/opt/libexec'", "/opt/libexec", "1", "'libexec'"},
    {"user", "'vm_1'", "vm_1", "1000", "'a b'"},
    {"group", "'ops'", "ops", "1000", "''"},
    {"watchdog", "false", "false", "'false'", ""},
    {"api.socket", "'/tmp/api'", "/tmp/api", "1.5", "'api.sock'"},
    {"api.socket_mode", "'0600'", "0600", "0o600", "'0888'"},
    {"api.max_clients", "8", "8", "'8'", "0"},
    {"api.listen", "'[::1]:7003'", "[::1]:7003", "7003", "'localhost:7003'"},
    {"api.max_clients_per_address", "8", "8", "'8'", "0"},
    {"cluster.listen", "'10.0.0.1:7001'", "10.0.0.1:7001", "7001", "'localhost:7001'"},
    {"cluster.advertise", "'[2001:db8::1]:7001'", "[2001:db8::1]:7001", "7001", "'n1:7001'"},
    {"image.cache_dir", "'/srv/img'", "/srv/img", "{}", "'img'"},
    {"journal.segment_size", "'32MiB'", "32MiB", "[]", "'1KiB'"},
    {"journal.snapshot_entries", "2000", "2000", "2e3", "-1"},
    {"journal.trailing_entries", "0", "0", "'0'", "1000001"},
    {"log.level", "'debug'", "debug", "1", "'verbose'"},
    {"log.format", "'json'", "json", "[]", "'JSON'"},
    {"log.rate_per_s", "0", "0", "1.0", "9223372036854775807"},
    {"metrics.vm_series", "false", "false", "0", ""},
    {"vm.accel", "'tcg'", "tcg", "false", "'xen'"},
    {"vm.profile", "'test'", "test", "1979-05-27", "'fast'"},
    {"vm.qemu", "'/opt/qemu'", "/opt/qemu", "1", "'qemu'"},
    {"vm.uid_base", "70000", "70000", "'70000'", "0"},
    {"vm.uid_count", "100", "100", "07:32:00", "0"},
    {"vm.network", "'user'", "user", "1", "'bridge'"},
    {"vm.subnet", "'192.168.8.0/24'", "192.168.8.0/24", "10.8", "'10.83.0.1/16'"},
    {"vm.dns", "['10.0.0.53', '10.0.0.54']", "10.0.0.53,10.0.0.54", "'10.0.0.53'", "['fe80::53']"},
    {"vm.start_timeout", "'90s'", "90s", "90", "'2h'"},
    {"vm.console_log_max", "'128KiB'", "128KiB", "1.5", "'1'"},
};

static const struct config_key *key_of(const char *name)
{
    for (const struct config_key *k = config_keys; k->name; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    tap_fail(__FILE__, __LINE__, "no key %s", name);
}

static void *field(struct config *c, const struct config_key *k)
{
    return (char *)c + k->at;
}

static void check_value(struct config *c, const struct config_key *k, const char *want)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, CONFIG_TEXT_MAX);
    config_value_write(k, field(c, k), &b);
    CHECK_STR(want, buf_cstr(&b));
}

static void check_same(struct config *a, struct config *b)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        AUTO(buf_done) struct buf text;
        buf_init(&text, CONFIG_TEXT_MAX);
        config_value_write(k, field(b, k), &text);
        check_value(a, k, buf_cstr(&text));
    }
}

/* The line of a file that sets a key, three lines down. */
static const char *line_of(const struct sample *s, const char *value)
{
    static char text[500];
    (void)snprintf(text, sizeof text, "# a file\n\n%s = %s\n", s->key, value);
    return text;
}

static enum status load(struct config *c, const char *text, struct fault *why)
{
    return config_load(c, "blixard.toml", str_from(text), why);
}

/* "BLIXARD_LOG_LEVEL=value", in turns in one of four places. */
static char *variable(const char *key, const char *value)
{
    static char text[4][500];
    static unsigned turn;
    char *v = text[turn++ % 4];
    (void)snprintf(v, 500, "BLIXARD_%s=%s", key, value);
    for (char *c = v; *c != '='; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    return v;
}

static enum status load_variable(struct config *c, char *v, struct fault *why)
{
    char home[] = "HOME=/root";
    return config_env(c, (char *[]){home, v, NULL}, why);
}

/* ---- the table ---- */

TEST(config_table_is_whole)
{
    size_t count = 0;
    for (const struct config_key *k = config_keys; k->name; k++, count++) {
        CHECK(k->doc && str_ends(str_from(k->doc), "."));
        CHECK(k->initial && (k->initial[0] || k->unset));
        CHECK_STR(k->name, samples[count].key);
        for (const struct config_key *other = config_keys; other < k; other++)
            CHECK(strcmp(variable(k->name, ""), variable(other->name, "")) != 0);
    }
    CHECK_EQ(count, ARRAY_COUNT(samples));
}

TEST(config_defaults_are_those_of_the_table)
{
    struct config c;
    config_init(&c);
    for (const struct config_key *k = config_keys; k->name; k++) {
        check_value(&c, k, k->initial);
        CHECK_EQ(CONFIG_DEFAULT, c.origin[k - config_keys]);
    }
    CHECK_STR("/var/lib/blixard", c.data_dir);
    CHECK_EQ(0660, c.api.socket_mode);
    CHECK_EQ(60000, c.vm.start_timeout_ms);
    CHECK_EQ(1000, c.journal.snapshot_entries);
    CHECK_EQ(16, c.vm.subnet.bits);
}

TEST(config_words_are_their_enums)
{
    struct config c;
    config_init(&c);
    CHECK_EQ(ST_OK, load(&c,
                         "[log]\nlevel = 'error'\nformat = 'journald'\n"
                         "[vm]\naccel = 'tcg'\nprofile = 'test'\nnetwork = 'tap'\n",
                         NULL));
    CHECK_EQ(CONFIG_LOG_ERROR, c.log.level);
    CHECK_EQ(CONFIG_FORMAT_JOURNALD, c.log.format);
    CHECK_EQ(CONFIG_ACCEL_TCG, c.vm.accel);
    CHECK_EQ(CONFIG_PROFILE_TEST, c.vm.profile);
    CHECK_EQ(CONFIG_NETWORK_TAP, c.vm.network);
}

TEST(config_each_key_comes_from_the_file)
{
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        struct config c, untouched;
        config_init(&c);
        config_init(&untouched);
        CHECK_EQ(ST_OK, load(&c, line_of(s, s->toml), NULL));
        check_value(&c, key_of(s->key), s->env);
        CHECK_EQ(CONFIG_FROM_FILE, c.origin[i]);
        CHECK(strcmp(key_of(s->key)->initial, s->env) != 0);
        CHECK(config_value_read(key_of(s->key), str_from(key_of(s->key)->initial),
                                field(&c, key_of(s->key))));
        check_same(&c, &untouched);
    }
}

TEST(config_environment_overrides_the_file)
{
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        const struct config_key *k = key_of(s->key);
        struct config c;
        config_init(&c);
        CHECK_EQ(ST_OK, load(&c, line_of(s, s->toml), NULL));
        CHECK_EQ(ST_OK, load_variable(&c, variable(s->key, k->initial), NULL));
        check_value(&c, k, k->initial);
        CHECK_EQ(CONFIG_FROM_ENV, c.origin[i]);
    }
}

static void refuses(const struct sample *s, const char *value)
{
    AUTO(buf_done) struct buf want;
    buf_init(&want, CONFIG_TEXT_MAX);
    buf_fmt(&want, "blixard.toml: line 3, column %zu: %s: expected ", strlen(s->key) + 4, s->key);
    config_value_expects(key_of(s->key), &want);
    buf_text(&want, ", found ");
    struct config c, before;
    struct fault why = {0};
    config_init(&c);
    config_init(&before);
    CHECK_EQ(ST_INVALID, load(&c, line_of(s, value), &why));
    if (!str_starts(str_from(why.text), buf_cstr(&want)))
        tap_fail(__FILE__, __LINE__, "%s: %s", buf_cstr(&want), why.text);
    CHECK_STR(s->key, why.field);
    check_same(&c, &before);
}

TEST(config_each_key_refuses_a_wrong_type_and_a_wrong_value)
{
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        refuses(&samples[i], samples[i].wrong_type);
        if (samples[i].wrong_value[0])
            refuses(&samples[i], samples[i].wrong_value);
    }
}

static bool takes(const struct config_key *k, uint64_t v)
{
    struct config c;
    char text[UNITS_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%" PRIu64 "%s", v, k->type == CONFIG_DURATION ? "ms" : "");
    if (k->type == CONFIG_SUBNET)
        (void)snprintf(text, sizeof text, "%s/%" PRIu64, v < 8 ? "64.0.0.0" : "10.0.0.0", v);
    return config_value_read(k, str_from(text), field(&c, k));
}

TEST(config_ranges_hold_at_both_ends)
{
    size_t ranged = 0;
    for (const struct config_key *k = config_keys; k->name; k++) {
        if (k->max == 0)
            continue;
        ranged++;
        CHECK(takes(k, k->min) && takes(k, k->max) && !takes(k, k->max + 1));
        CHECK(k->min == 0 || !takes(k, k->min - 1));
    }
    CHECK_EQ(11, ranged);
}

/* ---- what is refused, and what is said ---- */

TEST(config_file_faults_say_where_and_what)
{
    static const struct {
        const char *text, *fault, *hint;
    } cases[] = {
        {"[log]\nlevel = = 1", "line 2, column 9: expected a value, found \"=\"", ""},
        {"[log]\nlevel = 'verbose'",
         "line 2, column 9: log.level: expected debug, info, warn or error, found \"verbose\"", ""},
        {"[vm]\n\nstart_timeout = 30",
         "line 3, column 17: vm.start_timeout: expected a duration from 1s to 1h, found an integer",
         "write it with its unit and in quotes: \"30s\""},
        {"[vm]\nuid_base = '1'",
         "line 2, column 12: vm.uid_base: expected a number from 1000 to 4294000000, found a string",
         "write it without quotes"},
        {"[vm]\ndns = '10.0.0.1'",
         "line 2, column 7: vm.dns: expected at most 3 IPv4 addresses, found a string",
         "write it in brackets: [\"10.0.0.1\"]"},
        {"vm.dns = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']",
         "line 1, column 10: vm.dns: expected at most 3 IPv4 addresses, found "
         "\"10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4\"",
         ""},
        {"vm.dns = ['10.0.0.1,10.0.0.2']",
         "line 1, column 10: vm.dns: expected at most 3 IPv4 addresses, found an array", ""},
        {"[vm]\n  start_timout = '30s'", "line 2, column 3: vm.start_timout: unknown key",
         "did you mean vm.start_timeout?"},
        {"level = 'info'", "line 1, column 1: level: unknown key", "did you mean log.level?"},
        {"[vm]\nvm_series = true", "line 2, column 1: vm.vm_series: unknown key",
         "did you mean metrics.vm_series?"},
        {"colour = 1", "line 1, column 1: colour: unknown key", ""},
        {"[lgo]\nlevel = 'info'", "line 1, column 2: lgo: unknown section", "did you mean log?"},
        {"[vm.extra]\n", "line 1, column 5: vm.extra: unknown section", ""},
        {"'log.level' = 'info'", "line 1, column 1: log.level: unknown key",
         "did you mean log.level?"},
        {"log = 'info'", "line 1, column 7: log: expected a section, found a string", ""},
        {"[[log]]\n", "line 1, column 3: log: expected a section, found an array", ""},
        {"[log.level]\n",
         "line 1, column 6: log.level: expected debug, info, warn or error, found a table", ""},
        {"name = \"a\\u0000b\"",
         "line 1, column 8: name: expected a name of at most 63 of a-z, 0-9 and -, with no - at its "
         "ends, found \"a\\u0000b\"",
         ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct config c;
        struct fault why = {0};
        char want[600];
        config_init(&c);
        (void)snprintf(want, sizeof want, "blixard.toml: %s", cases[i].fault);
        CHECK_EQ(ST_INVALID, load(&c, cases[i].text, &why));
        CHECK_STR(want, why.text);
        CHECK_STR(cases[i].hint, why.hint);
    }
}

TEST(config_texts_that_do_not_fit_are_refused)
{
    char text[1000], value[900];
    struct config c;
    config_init(&c);
    for (size_t len = 200; len < sizeof value; len += 7) {
        memset(value, 'x', len);
        value[0] = '/';
        value[len] = 0;
        (void)snprintf(text, sizeof text, "vm.qemu = '%s'", value);
        CHECK_EQ(len < CONFIG_PATH_MAX ? ST_OK : ST_INVALID, load(&c, text, NULL));
        (void)snprintf(text, sizeof text, "api.socket = '%s'", value);
        CHECK_EQ(ST_INVALID, load(&c, text, NULL));
    }
}

TEST(config_environment_faults_name_the_variable)
{
    struct config c, before;
    struct fault why = {0};
    config_init(&c);
    config_init(&before);
    CHECK_EQ(ST_INVALID, load_variable(&c, variable("log.level", "loud"), &why));
    CHECK_STR("environment: BLIXARD_LOG_LEVEL: expected debug, info, warn or error, found \"loud\"",
              why.text);
    CHECK_STR("log.level", why.field);
    CHECK_EQ(ST_INVALID, load_variable(&c, variable("log.levle", "info"), &why));
    CHECK_STR("environment: BLIXARD_LOG_LEVLE: unknown variable", why.text);
    CHECK_STR("did you mean BLIXARD_LOG_LEVEL?", why.hint);
    CHECK_EQ(ST_INVALID, load_variable(&c, variable("vm.qemu", "/\xff"), &why));
    CHECK(strstr(why.text, "found text that is not UTF-8"));
    check_same(&c, &before);
}

TEST(config_environment_of_others_is_left_alone)
{
    struct config c, before;
    char context[] = "BLIXARD_CONTEXT=lab", odd[] = "BLIXARD_LOG_LEVEL", other[] = "LOG_LEVEL=loud";
    config_init(&c);
    config_init(&before);
    CHECK_EQ(ST_OK, config_env(&c, (char *[]){context, odd, other, NULL}, NULL));
    check_same(&c, &before);
}

/* ---- all together ---- */

static enum status read_all(struct config *c, const char *text, char *env, const char *hostname,
                            struct fault *why)
{
    return config_read(c, "blixard.toml", str_from(text), (char *[]){env, NULL}, str_from(hostname),
                       why);
}

TEST(config_read_takes_environment_over_file_over_default)
{
    struct config c;
    CHECK_EQ(ST_OK, read_all(&c, "run_dir = '/tmp/r/'\n[log]\nlevel = 'warn'\nformat = 'json'\n",
                             variable("log.level", "debug"), "Node-7.example.org", NULL));
    CHECK_EQ(CONFIG_LOG_DEBUG, c.log.level);
    CHECK_EQ(CONFIG_FORMAT_JSON, c.log.format);
    CHECK_EQ(CONFIG_ACCEL_AUTO, c.vm.accel);
    CHECK_STR("node-7", c.name);
    CHECK_STR("/tmp/r/api.sock", c.api.socket);
    CHECK_STR("/var/lib/blixard/cache", c.image.cache_dir);
    CHECK_EQ(CONFIG_DERIVED, c.origin[key_of("api.socket") - config_keys]);
}

TEST(config_what_is_set_is_not_derived)
{
    struct config c;
    CHECK_EQ(ST_OK, read_all(&c, "name = 'a'\napi.socket = '/s'\nimage.cache_dir = '/i'\n", NULL,
                             "host", NULL));
    CHECK_STR("a", c.name);
    CHECK_STR("/s", c.api.socket);
    CHECK_STR("/i", c.image.cache_dir);
}

TEST(config_contradictions_are_refused_and_change_nothing)
{
    char long_dir[300];
    (void)snprintf(long_dir, sizeof long_dir, "run_dir = '/%0150d'", 0);
    char long_data[400];
    (void)snprintf(long_data, sizeof long_data, "data_dir = '/%0254d'", 0);
    const struct {
        const char *text, *hostname, *fault;
    } cases[] = {
        {"", "_", "configuration: name: not set, and the host's name cannot serve as one"},
        {"a = ", "h",
         "blixard.toml: line 1, column 5: expected a value, found the end of the text"},
        {"", "", "configuration: name: not set, and the host's name cannot serve as one"},
        {long_dir, "h",
         "configuration: api.socket: not set, and run_dir is too long for a socket in it"},
        {long_data, "h",
         "configuration: image.cache_dir: not set, and data_dir is too long to hold it"},
        {"data_dir = '/a'\nrun_dir = '/a'", "h", "configuration: run_dir: the same as data_dir"},
        {"vm.uid_base = 65000", "h",
         "configuration: vm.uid_base: its range holds 65534 or 65535, which are nobody's"},
        {"vm.uid_base = 4294000000\nvm.uid_count = 967296", "h",
         "configuration: vm.uid_count: passes the largest user id"},
        {"vm.uid_base = 65535", "h",
         "configuration: vm.uid_base: its range holds 65534 or 65535, which are nobody's"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct config c, before;
        struct fault why = {0};
        config_init(&c);
        config_init(&before);
        CHECK_EQ(ST_INVALID, read_all(&c, cases[i].text, NULL, cases[i].hostname, &why));
        CHECK_STR(cases[i].fault, why.text);
        check_same(&c, &before);
    }
}

TEST(config_user_ids_may_reach_up_to_those_that_nobody_may_have)
{
    struct config c;
    CHECK_EQ(ST_OK, read_all(&c, "vm.uid_base = 65000\nvm.uid_count = 534", NULL, "h", NULL));
    CHECK_EQ(ST_OK, read_all(&c, "vm.uid_base = 65536", NULL, "h", NULL));
    CHECK_EQ(ST_OK,
             read_all(&c, "vm.uid_base = 4294000000\nvm.uid_count = 967295", NULL, "h", NULL));
}

TEST(config_reload_takes_what_may_change_and_names_the_rest)
{
    struct config c, fresh;
    AUTO(buf_done) struct buf restart;
    buf_init(&restart, 1000);
    CHECK_EQ(ST_OK, read_all(&c, "", NULL, "h", NULL));
    CHECK_EQ(ST_OK, read_all(&fresh, "log = {level = 'debug', format = 'json'}\nvm.accel = 'tcg'",
                             NULL, "h", NULL));
    config_adopt(&c, &fresh, &restart);
    CHECK_STR("log.format, vm.accel", buf_cstr(&restart));
    CHECK_EQ(CONFIG_LOG_DEBUG, c.log.level);
    CHECK_EQ(CONFIG_FROM_FILE, c.origin[key_of("log.level") - config_keys]);
    CHECK_EQ(CONFIG_FORMAT_AUTO, c.log.format);
    CHECK_EQ(CONFIG_ACCEL_AUTO, c.vm.accel);
}

/* ---- shown ---- */

TEST(config_show_tells_value_and_origin)
{
    struct config c;
    AUTO(buf_done) struct buf b;
    buf_init(&b, CONFIG_TEXT_MAX);
    CHECK_EQ(ST_OK, read_all(&c, "vm.dns = ['10.0.0.1', '10.0.0.2']", variable("log.level", "warn"),
                             "h", NULL));
    config_show(&c, &b);
    CHECK_EQ(ST_OK, buf_status(&b, NULL));
    CHECK(strstr(buf_cstr(&b), "name = \"h\"                               # derived\n"));
    CHECK(strstr(buf_cstr(&b),
                 "\n[log]\nlevel = \"warn\"                           # environment\n"));
    CHECK(strstr(buf_cstr(&b), "\ndns = [\"10.0.0.1\", \"10.0.0.2\"]           # file\n"));
    CHECK(strstr(buf_cstr(&b), "\nmax_clients = 256                        # default\n"));
    CHECK(strstr(buf_cstr(&b), "# default: `qemu-system-x86_64` in the search path\n"));
}

static void draw_text(struct tape *t, const char *letters, size_t max, struct buf *out)
{
    for (uint64_t n = draw_below(t, max) + 1; n > 0; n--)
        buf_char(out, letters[draw_below(t, strlen(letters))]);
}

static void draw_addresses(struct tape *t, struct buf *out)
{
    for (uint64_t n = draw_below(t, CONFIG_ADDRESSES_MAX) + 1; n > 0; n--)
        buf_fmt(out, "%" PRIu64 ".0.0.%" PRIu64 "%s", draw_below(t, 256), draw_below(t, 256),
                n > 1 ? "," : "");
}

/* Some value that the key takes, as the environment gives it. */
static void draw_value(struct tape *t, const struct config_key *k, struct buf *out)
{
    uint64_t v = k->min + draw_edge(t, k->max - k->min);
    size_t words = 0;
    while (k->words && k->words[words])
        words++;
    if (k->unset && draw_below(t, 4) == 0)
        return;
    switch (k->type) {
    case CONFIG_BOOL: buf_text(out, draw_below(t, 2) ? "true" : "false"); return;
    case CONFIG_INTEGER:
    case CONFIG_SIZE: buf_fmt(out, "%" PRIu64, v); return;
    case CONFIG_DURATION: buf_fmt(out, "%" PRIu64 "ms", v); return;
    case CONFIG_WORD: buf_text(out, k->words[draw_below(t, words)]); return;
    case CONFIG_MODE: buf_fmt(out, "%03o", (unsigned)draw_below(t, 01000)); return;
    case CONFIG_NAME:
    case CONFIG_ACCOUNT: draw_text(t, "abz059", 30, out); return;
    case CONFIG_PATH:
        buf_char(out, '/');
        draw_text(t, "ab/\"\\'# .=", 80, out);
        return;
    case CONFIG_ADDRESSES: draw_addresses(t, out); return;
    case CONFIG_ENDPOINT:
        buf_fmt(out, draw_below(t, 2) ? "[::1]:%u" : "10.0.0.1:%u",
                1 + (unsigned)draw_below(t, UINT16_MAX));
        return;
    case CONFIG_SUBNET: buf_fmt(out, "128.0.0.0/%" PRIu64, v); return;
    }
}

static void shown_configuration_loads_the_same(struct tape *t)
{
    struct config c, again;
    AUTO(buf_done) struct buf shown, value;
    buf_init(&shown, CONFIG_TEXT_MAX);
    buf_init(&value, CONFIG_TEXT_MAX);
    config_init(&c);
    config_init(&again);
    for (const struct config_key *k = config_keys; k->name; k++) {
        buf_reset(&value);
        draw_value(t, k, &value);
        CHECK_EQ(ST_OK, load_variable(&c, variable(k->name, buf_cstr(&value)), NULL));
    }
    config_show(&c, &shown);
    struct fault why = {0};
    if (config_load(&again, "shown", buf_view(&shown), &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s in\n%s", why.text, buf_cstr(&shown));
    check_same(&c, &again);
}

TEST(config_show_loads_the_same_again)
{
    prop_run(shown_configuration_loads_the_same, 1, 300);
}

/* The page in the tree is the one that is made; with UPDATE_DOCS set it is written anew. */
TEST(config_reference_page_is_up_to_date)
{
    char path[4096];
    AUTO(buf_done) struct buf want;
    buf_init(&want, CONFIG_TEXT_MAX);
    config_docs(&want);
    CHECK_EQ(ST_OK, buf_status(&want, NULL));
    const char *source = getenv("SOURCE_DIR");
    CHECK(source != NULL);
    (void)snprintf(path, sizeof path, "%s/docs/reference/config.md", source);
    FILE *f = fopen(path, getenv("UPDATE_DOCS") ? "w+" : "r");
    CHECK(f != NULL);
    if (getenv("UPDATE_DOCS")) {
        CHECK_EQ(want.len, fwrite(want.ptr, 1, want.len, f));
        rewind(f);
    }
    AUTO(auto_free) char *page = mem_new(CONFIG_TEXT_MAX + 1);
    CHECK(fread(page, 1, CONFIG_TEXT_MAX, f) > 0);
    (void)fclose(f);
    CHECK_STR(buf_cstr(&want), page);
    for (const struct config_key *k = config_keys; k->name; k++)
        CHECK(strstr(page, k->name) && strstr(page, k->doc));
}
