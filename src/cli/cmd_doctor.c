/* doctor: what the probes are told beforehand, and how their findings are shown. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands_by_hand.h"
#include "cli/doctor.h"
#include "cli/node_config.h"
#include "cli/now.h"
#include "cli/run.h"
#include "cli/yaml.h"
#include "os/program.h"
#include "wire/json.h"

enum { OUT_MAX = 64 << 10, READY_MAX = 4096, PATIENCE_MS = 5000 };

/* Is the node ready? If not, the answer's text says what lacks. */
static bool ask_ready(struct cli *c, struct buf *text)
{
    struct fault why;
    struct http_client http;
    struct http_request r = {.method = "GET", .target = "/readyz"};
    enum status s = cli_exchange(c, &http, &r, now_plus(PATIENCE_MS), &why);
    bool ready = s == ST_OK && http.parser.head.status == 200;
    if (s == ST_OK)
        s = http_client_read_all(&http, now_plus(PATIENCE_MS), text, &why);
    http_client_close(&http);
    if (s != ST_OK)
        buf_text(text, why.text);
    return ready;
}

static json_t *ask(struct cli *c, const char *path, struct fault *why)
{
    struct answer a = {0};
    json_t *v = NULL;
    if (cli_ask(c, &(struct ask){.method = "GET", .target = path, .timeout_ms = PATIENCE_MS}, &a,
                why) == ST_OK)
        v = json_incref(a.json);
    answer_done(&a);
    return v;
}

static void find_program_dir(char out[256])
{
    ssize_t n = readlink("/proc/self/exe", out, 255);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = 0;
}

/* --- showing --- */

static json_t *to_json(const struct doctor_finding *f)
{
    return json_pack("{s:s,s:s,s:s,s:s*}", "name", f->name, "verdict", doctor_word(f->verdict),
                     "text", f->text, "hint", f->hint[0] ? f->hint : NULL);
}

static void show_table(const struct cli *c, const struct doctor_finding *f, struct buf *out)
{
    static const char *const colour[] = {"32", "33", "33", "1;31"};
    const char *word = doctor_word(f->verdict);
    if (c->term.colour && c->term.out)
        buf_fmt(out, "\033[%sm%-8s\033[0m", colour[f->verdict], word);
    else
        buf_fmt(out, "%-8s", word);
    buf_fmt(out, "  %-10s  %s\n", f->name, f->text);
    if (f->hint[0])
        buf_fmt(out, "%22shint: %s\n", "", f->hint);
}

static int show(const struct cli *c, const struct doctor_finding *f, size_t count)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        int failed = json_array_append_new(all, to_json(&f[i]));
        ensure(!failed);
        if (c->output.form == OUTPUT_JSONL) {
            json_dump(json_array_get(all, i), false, &out);
            buf_char(&out, '\n');
        } else if (c->output.form != OUTPUT_JSON && c->output.form != OUTPUT_YAML) {
            show_table(c, &f[i], &out);
        }
    }
    if (c->output.form == OUTPUT_JSON) {
        json_dump(all, true, &out);
        buf_char(&out, '\n');
    } else if (c->output.form == OUTPUT_YAML) {
        yaml_dump(all, &out);
    }
    json_decref(all);
    return cli_write(c, buf_view(&out));
}

int doctor_run(struct cli *c)
{
    struct config config;
    struct fault config_why, version_why = {0}, node_why;
    struct doctor_finding found[DOCTOR_PROBES_MAX];
    char program_dir[256];
    AUTO(buf_done) struct buf ready;
    buf_init(&ready, READY_MAX);
    const char *file = given_get(&c->given, FLAG_CONFIG);
    bool readable = node_config_read(file, &config, &config_why) == ST_OK;
    json_t *version = ask(c, "/v1/version", &version_why);
    json_t *node = version ? ask(c, "/v1/nodes/-", &node_why) : NULL;
    bool is_ready = version && ask_ready(c, &ready);
    find_program_dir(program_dir);
    const char *there = access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : "all at its default";
    const struct doctor d = {
        .root = "",
        .path = program_path(),
        .program_dir = program_dir,
        .uid = geteuid(),
        .config = readable ? &config : NULL,
        .config_text = !readable ? config_why.text
                       : file    ? file
                                 : there,
        .socket = cli_socket(c),
        .version = version,
        .version_text = version_why.text,
        .ready = is_ready,
        .ready_text = buf_cstr(&ready),
        .node = node,
    };
    size_t count = doctor_look(&d, found), missing = 0;
    json_decref(version);
    json_decref(node);
    int code = show(c, found, count);
    for (size_t i = 0; i < count; i++)
        missing += found[i].verdict == DOCTOR_MISSING;
    if (missing > 0)
        cli_note("a node cannot run here: %zu %s missing", missing,
                 missing == 1 ? "thing is" : "things are");
    return code ? code : missing > 0;
}
