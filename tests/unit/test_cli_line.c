#include <stdlib.h>

#include "cli/request.h"
#include "pb/vm.pb-c.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "wire/field.h"
#include "wire/json.h"

enum { WORDS_MAX = 32 };

/* A command with what a line says to it. */
struct line {
    struct commands all;
    const struct command *c;
    struct flags flags;
    struct given given;
    struct fault why;
};

static struct line *line_new(const char *name)
{
    json_setup();
    struct line *l = NEW(struct line);
    commands_init(&l->all);
    l->c = command_find(&l->all, name);
    CHECK(l->c != NULL);
    command_flags(l->c, &l->flags);
    return l;
}

static enum status parse(struct line *l, const char *const *word)
{
    size_t n = 0;
    while (word[n])
        n++;
    return given_parse(&l->given, &l->flags, l->c->args, n, word, &l->why);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The request as compact JSON; or the fault. */
static const char *request(const char *name, const char *const *word)
{
    static char text[8192];
    struct line *l = line_new(name);
    json_t *v;
    struct buf b;
    buf_init(&b, sizeof text - 1);
    enum status s = parse(l, word);
    if (s == ST_OK)
        s = request_make(l->c, &l->flags, &l->given, NULL, &v, &l->why);
    if (s == ST_OK) {
        json_dump(v, false, &b);
        json_decref(v);
    } else {
        buf_fmt(&b, "%s: %s%s%s", status_code(s), l->why.text, l->why.hint[0] ? "; " : "",
                l->why.hint);
    }
    (void)snprintf(text, sizeof text, "%s", buf_cstr(&b));
    buf_done(&b);
    free(l);
    return text;
}

/* --- taking a line apart --- */

TEST(line_flags_stand_anywhere_and_in_every_form)
{
    struct line *l = line_new("vm.create");
    CHECK_EQ(ST_OK, parse(l, WORDS("--image=a", "web-1", "--vcpus", "2", "-ojson", "-q",
                                   "--no-start", "--autostart=false", "--dry-run=true")));
    CHECK_EQ(1, l->given.arg_count);
    CHECK_STR("web-1", l->given.arg[0]);
    CHECK_STR("json", given_get(&l->given, FLAG_OUTPUT));
    CHECK(given_has(&l->given, FLAG_QUIET));
    CHECK_STR("false", given_field(&l->given, "start"));
    CHECK_STR("true", given_field(&l->given, "dry_run"));
    free(l);
}

TEST(line_the_last_value_counts)
{
    struct line *l = line_new("vm.ls");
    CHECK_EQ(ST_OK, parse(l, WORDS("-o", "json", "-o", "csv", "--no-header", "--no-header=false")));
    CHECK_STR("csv", given_get(&l->given, FLAG_OUTPUT));
    CHECK(!given_has(&l->given, FLAG_NO_HEADER));
    free(l);
}

TEST(line_two_dashes_end_the_flags)
{
    struct line *l = line_new("vm.show");
    CHECK_EQ(ST_OK, parse(l, WORDS("--", "-o")));
    CHECK_EQ(1, l->given.arg_count);
    CHECK_STR("-o", l->given.arg[0]);
    CHECK_EQ(ST_OK, parse(l, WORDS("-")));
    CHECK_STR("-", l->given.arg[0]);
    free(l);
}

TEST(line_a_command_that_is_passed_on_keeps_its_flags)
{
    struct line *l = line_new("vm.exec");
    CHECK_EQ(ST_OK, parse(l, WORDS("-t", "web-1", "ls", "-l", "--all", "--")));
    CHECK_EQ(5, l->given.arg_count);
    CHECK_STR("--all", l->given.arg[3]);
    CHECK_STR("true", given_field(&l->given, "tty"));
    CHECK_EQ(ST_OK, parse(l, WORDS("web-1", "--no-tty", "--", "sh", "-c", "x")));
    CHECK_EQ(4, l->given.arg_count);
    CHECK_STR("sh", l->given.arg[1]);
    free(l);
}

TEST(line_refuses_flags_with_what_was_likely_meant)
{
    static const struct {
        const char *word[3], *text, *hint;
    } bad[] = {
        {{"--memry", "1GiB"}, "there is no flag --memry here", "did you mean --memory?"},
        {{"--zzz"}, "there is no flag --zzz here", ""},
        {{"--memory"}, "--memory needs a value, SIZE", ""},
        {{"-o"}, "-o needs a value, FORM", ""},
        {{"-x"}, "there is no flag -x here", ""},
        {{"--start=maybe"}, "--start is a switch: it takes no value but true or false", ""},
        {{"--no-memory"}, "there is no flag --no-memory here", ""},
        {{"--columns", "x"}, "there is no flag --columns here", ""},
    };
    struct line *l = line_new("vm.create");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CHECK_EQ(ST_INVALID, parse(l, bad[i].word));
        CHECK_STR(bad[i].text, l->why.text);
        CHECK_STR(bad[i].hint, l->why.hint);
    }
    free(l);
}

TEST(line_counts_arguments)
{
    CHECK_EQ(0, arity_of("").max);
    CHECK_EQ(1, arity_of("[NAME]").max);
    CHECK_EQ(0, arity_of("[NAME]").min);
    CHECK_EQ(2, arity_of("METHOD PATH [BODY]").min);
    CHECK_EQ(3, arity_of("METHOD PATH [BODY]").max);
    CHECK_EQ(2, arity_of("NAME COMMAND...").min);
    CHECK_EQ(1, arity_of("NAME COMMAND...").greedy);
}

/* --- commands --- */

static const char *match(const char *const *word)
{
    static char text[FAULT_TEXT_MAX + FAULT_HINT_MAX + 8];
    static struct commands all;
    const struct command *c;
    struct str noun;
    struct fault why;
    size_t used, n = 0;
    commands_init(&all);
    while (word[n])
        n++;
    if (command_match(&all, n, word, &c, &used, &noun, &why) == ST_OK)
        (void)snprintf(text, sizeof text, "%s %zu", c->name, used);
    else
        (void)snprintf(text, sizeof text, "%s; %s", why.text, why.hint);
    return text;
}

TEST(command_is_found_by_noun_and_verb_and_by_short_forms)
{
    CHECK_STR("vm.ls 2", match(WORDS("vm", "ls")));
    CHECK_STR("vm.ls 1", match(WORDS("ps", "web-1")));
    CHECK_STR("vm.ls 1", match(WORDS("ls")));
    CHECK_STR("vm.exec 1", match(WORDS("exec")));
    CHECK_STR("vm.logs 1", match(WORDS("logs")));
    CHECK_STR("vm.console 1", match(WORDS("console")));
    CHECK_STR("run 1", match(WORDS("run", "debian")));
    CHECK_STR("image.delete 2", match(WORDS("image", "rm")));
    CHECK_STR("events 1", match(WORDS("events")));
    CHECK_STR("config.check 2", match(WORDS("config", "check")));
}

TEST(command_that_is_none_is_refused_with_what_was_meant)
{
    CHECK_STR("there is no command imge; did you mean image?", match(WORDS("imge", "ls")));
    CHECK_STR("there is no command vm.ls; blixard help lists all", match(WORDS("vm.ls")));
    CHECK_STR("there is no command livez; blixard help lists all", match(WORDS("livez")));
    CHECK_STR("vm has no verb strat; did you mean vm start?", match(WORDS("vm", "strat")));
    CHECK_STR("vm has no verb fly; blixard help vm lists them", match(WORDS("vm", "fly")));
    CHECK_STR("vm needs a verb; ", match(WORDS("vm")));
}

TEST(command_for_every_operation_but_the_raw_ones)
{
    static struct commands all;
    size_t count;
    const struct op *op = op_table(&count);
    commands_init(&all);
    for (size_t i = 0; i < count; i++) {
        printf("# %s\n", op[i].name);
        CHECK(!command_find(&all, op[i].name) == !!(op[i].flags & OP_RAW));
    }
    for (size_t i = 0; i < all.count; i++) {
        printf("# %s\n", all.at[i].name);
        CHECK(command_find(&all, all.at[i].name) == &all.at[i]);
        CHECK(all.at[i].run || strcmp(all.at[i].name, "up") == 0);
    }
}

/* --- requests --- */

TEST(request_lays_nested_messages_flat)
{
    CHECK_STR(
        "{\"name\":\"web-1\",\"labels\":[{\"key\":\"a\",\"value\":\"b=c\"},{\"key\":\"d\",\"value\":"
        "\"\"}],\"spec\":{\"image\":\"debian\",\"vcpus\":2,\"mem_mib\":2048,\"root\":\"persistent\"},"
        "\"start\":false}",
        request("vm.create",
                WORDS("web-1", "--image", "debian", "--memory", "2GiB", "--vcpus", "2", "--label",
                      "a=b=c", "--label", "d", "--no-start", "--root", "persistent")));
    CHECK_STR("{\"name\":\"d\",\"source\":{\"root\":\"minbase\",\"packages\":[\"curl\",\"vim\"]}}",
              request("image.build",
                      WORDS("d", "--root", "minbase", "--package", "curl", "--package", "vim")));
}

TEST(request_reads_volumes_and_ports)
{
    CHECK_STR(
        "{\"spec\":{\"image\":\"d\",\"volumes\":[{\"name\":\"data\",\"size_mib\":1024},{\"name\":\"x\","
        "\"size_mib\":5,\"read_only\":true}],\"ports\":[{\"host_port\":8080,\"guest_port\":80},{"
        "\"host_port\":5353,\"guest_port\":53,\"protocol\":\"udp\",\"host_address\":\"0.0.0.0\"},{"
        "\"host_port\":1,\"guest_port\":2}]}}",
        request("vm.create",
                WORDS("--image", "d", "--volume", "name=data,size=1GiB", "--volume",
                      "name=x,size_mib=5,read-only", "--publish", "8080:80", "--publish",
                      "0.0.0.0:5353:53/udp", "--publish", "host_port=1,guest_port=2")));
}

TEST(request_names_the_flag_that_is_wrong)
{
    static const struct {
        const char *word[5], *want;
    } bad[] = {
        {{"--image", "d", "--vcpus", "99"}, "invalid: --vcpus: 99 is more than 64"},
        {{"--image", "d", "--vcpus", "two"}, "invalid: --vcpus: \"two\" is not a whole number"},
        {{"--image", "d", "--memory", "1.5GiB"},
         "invalid: --memory: \"1.5GiB\" is not a size such as 4096, 512MiB or 2GiB"},
        {{"x"}, "invalid: --image: it must be given"},
        {{"Web_1", "--image", "d"},
         "invalid: NAME: \"Web_1\" is not a name of 1 to 63 of a-z, 0-9 and -, with a letter or digit "
         "at both ends"},
        {{"--image", "d", "--root", "peristent"},
         "invalid: --root: \"peristent\" is not one of ephemeral, persistent; did you mean persistent?"},
        {{"--image", "d", "--publish", "80"},
         "invalid: --publish: \"80\" is not HOST:GUEST, such as 8080:80 or 127.0.0.1:5353:53/udp"},
        {{"--image", "d", "--publish", "1:65536"}, "invalid: --publish: 65536 is more than 65535"},
        {{"--image", "d", "--publish", "1:2/x"},
         "invalid: --publish: \"x\" is not one of tcp, udp"},
        {{"--image", "d", "--volume", "nam=x"},
         "invalid: --volume: \"nam\" is none of its fields; did you mean name?"},
        {{"--image", "d", "--volume", "name=x,name=y"}, "invalid: --volume: name is given twice"},
        {{"--image", "d", "--volume", "name=x"}, "invalid: --volume: it must be given"},
        {{"--image", "d", "--label", "=x"}, NULL},
        {{"--image", "\xff"}, NULL},
        {{"--image", "d", "--user-data", "@/nonexistent"},
         "not_found: --user-data: open /nonexistent: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        const char *got = request("vm.create", bad[i].word);
        printf("# %s\n", got);
        if (bad[i].want)
            CHECK_STR(bad[i].want, got);
    }
}

TEST(request_of_run_has_an_image_of_its_own_choice)
{
    CHECK_STR("{\"spec\":{\"image\":\"default\"}}", request("run", WORDS("--dry-run=false") + 1));
    CHECK_STR("{\"name\":\"w\",\"spec\":{\"image\":\"debian\",\"vcpus\":3}}",
              request("run", WORDS("debian", "--name", "w", "--vcpus", "3")));
}

TEST(request_comes_from_a_file_too_and_flags_add_to_it)
{
    char path[256], at[300];
    (void)snprintf(path, sizeof path, "%s", scratch_file("vm.json"));
    struct fault why;
    const char *text = "{\"spec\": {\"image\": \"d\", \"vcpus\": 2, \"mem_mib\": \"1GiB\"},"
                       " \"labels\": [{\"key\": \"a\"}]}";
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, str_from(text), 0644, &why));
    CHECK_STR(
        "{\"name\":\"w\",\"labels\":[{\"key\":\"a\"},{\"key\":\"b\",\"value\":\"c\"}],\"spec\":{\"image\":"
        "\"d\",\"vcpus\":4,\"mem_mib\":1024}}",
        request("vm.create", WORDS("w", "-f", path, "--vcpus", "4", "--label", "b=c")));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("[1]"), 0644, &why));
    (void)snprintf(at, sizeof at, "invalid: -f %s: an object is expected", path);
    CHECK_STR(at, request("vm.create", WORDS("-f", path)));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("{\"spec\": 1}"), 0644, &why));
    CHECK_STR("invalid: --vcpus: the file has no object there",
              request("vm.create", WORDS("-f", path, "--vcpus", "4")));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("{\"nmae\": \"x\"}"), 0644, &why));
    CHECK_STR("invalid: nmae: there is no such field; did you mean name?",
              request("vm.create", WORDS("-f", path)));
}

TEST(request_takes_a_long_text_from_a_file)
{
    char at[300];
    struct fault why;
    (void)snprintf(at, sizeof at, "@%s", scratch_file("setup.sh"));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, at + 1, STR("#!/bin/sh\necho hi\n"), 0644, &why));
    CHECK_STR("{\"spec\":{\"image\":\"d\",\"user_data\":\"#!/bin/sh\\necho hi\\n\"}}",
              request("vm.create", WORDS("--image", "d", "--user-data", at)));
}

/* A change is merged by the node: it is not whole, and null takes away. */
TEST(request_of_a_change_is_sent_as_it_is)
{
    CHECK_STR("{\"spec\":{\"mem_mib\":\"2GiB\"}}",
              request("vm.update", WORDS("w", "--memory", "2GiB")));
    CHECK_STR("invalid: --vcpus: \"x\" is not a whole number",
              request("vm.update", WORDS("w", "--vcpus", "x")));
}

/* --- every flag of every operation --- */

/* A value that the flag's field takes. */
static const char *sample(const struct flag *f)
{
    static char text[32];
    const ProtobufCFieldDescriptor *field = flag_field(f);
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return schema_enum(field->descriptor)->word[0].word;
    if (field->descriptor == &pb__label__descriptor)
        return "key=value";
    if (field->descriptor == &pb__port_forward__descriptor)
        return "1:2";
    if (field->descriptor == &pb__volume__descriptor)
        return "name=data,size=1GiB";
    if (field_is_number(field)) {
        (void)snprintf(text, sizeof text, "%" PRIu64, f->about->has_min ? f->about->min : 1);
        return text;
    }
    switch (f->about->format) {
    case SCHEMA_PATH: return "/srv/x";
    case SCHEMA_IPV4: return "192.0.2.1";
    default: return "some";
    }
}

static const json_t *value_at(const json_t *v, const struct flag *f)
{
    for (size_t i = 0; i < f->depth; i++)
        v = json_object_get(v, f->path[i]->name);
    return v;
}

static void check_flag(struct line *l, const struct flag *f)
{
    char long_form[64];
    const char *word[WORDS_MAX], *args = l->c->args;
    size_t n = 0;
    printf("# %s --%s\n", l->c->name, f->name);
    for (size_t i = 0; i < l->flags.count; i++) {
        const struct flag *needed = &l->flags.at[i];
        if (needed == f || needed->id != FLAG_FIELD || !needed->about->required)
            continue;
        bool image = strcmp(needed->name, "image") == 0;
        CHECK(image || strcmp(needed->name, "role") == 0);
        word[n++] = image ? "--image" : "--role";
        word[n++] = image ? "some" : "viewer";
    }
    (void)snprintf(long_form, sizeof long_form, "--%s", f->name);
    word[n++] = long_form;
    if (f->word)
        word[n++] = sample(f);
    for (size_t i = 0; i < arity_of(args).min; i++)
        word[n++] = "web-1";
    word[n] = NULL;
    json_t *known =
        strcmp(l->c->name, "vm.exec") == 0 ? json_pack("{s:[s]}", "argv", "true") : json_object();
    json_t *v;
    enum status s = parse(l, word);
    if (s == ST_OK)
        s = request_make(l->c, &l->flags, &l->given, known, &v, &l->why);
    if (s != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", l->why.text);
    CHECK(value_at(v, f) != NULL);
    json_decref(v);
}

TEST(request_holds_every_flag_of_every_operation)
{
    struct line *first = line_new("run");
    for (size_t k = 0; k < first->all.count; k++) {
        const char *name = first->all.at[k].name;
        if (!first->all.at[k].op || !strcmp(name, "vm.push") || !strcmp(name, "vm.pull"))
            continue;
        struct line *l = line_new(name);
        for (size_t i = 0; i < l->flags.count; i++)
            if (l->flags.at[i].id == FLAG_FIELD)
                check_flag(l, &l->flags.at[i]);
        free(l);
    }
    free(first);
}

/* All that a request can hold has a flag or an argument, or is known to be something else. */
TEST(request_fields_that_are_no_flags_are_few)
{
    AUTO(buf_done) struct buf got;
    buf_init(&got, 4096);
    struct line *first = line_new("run");
    for (size_t k = 0; k < first->all.count; k++) {
        const struct command *c = &first->all.at[k];
        for (unsigned i = 0; c->op && i < c->op->request->n_fields; i++) {
            const ProtobufCFieldDescriptor *f = &c->op->request->fields[i];
            struct line *l = line_new(c->name);
            const struct schema_field *about = schema_field(c->op->request, f);
            if (f->type != PROTOBUF_C_TYPE_MESSAGE && !flag_find(&l->flags, str_from(about->flag)))
                buf_fmt(&got, "%s.%s ", c->name, f->name);
            free(l);
        }
    }
    free(first);
    CHECK_STR("vm.create.name vm.ls.cursor vm.exec.argv vm.exec.rows vm.exec.cols vm.push.path "
              "vm.pull.path vm.pull.mode image.build.name image.import.name image.ls.cursor "
              "node.ls.project node.ls.cursor cluster.members.project "
              "cluster.members.cursor tenant.create.name tenant.ls.project tenant.ls.cursor "
              "project.create.name project.ls.project project.ls.cursor token.create.name "
              "token.ls.project token.ls.cursor op.ls.cursor ",
              buf_cstr(&got));
}

/* --- where it goes --- */

TEST(request_target_is_encoded)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1000);
    json_setup();
    json_t *q = json_pack("{s:s,s:b,s:i,s:[s,s]}", "filter", "a==b && c!='d e'", "follow", 1, "n",
                          7, "argv", "ls", "-l/\xc3\xa4");
    request_target(op_get(OP_VM_SHOW), "we/b?1", q, &b);
    CHECK_STR(
        "/v1/vms/we%2Fb%3F1?filter=a%3D%3Db%20%26%26%20c%21%3D%27d%20e%27&follow=true&n=7&argv=ls"
        "&argv=-l%2F%C3%A4",
        buf_cstr(&b));
    json_decref(q);
    buf_reset(&b);
    request_target(op_get(OP_VM_STOP), "web-1", NULL, &b);
    CHECK_STR("/v1/vms/web-1/stop", buf_cstr(&b));
}
