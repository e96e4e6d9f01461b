/* help, version */
#include <string.h>

#include "cli/commands_by_hand.h"
#include "cli/help.h"
#include "cli/run.h"
#include "cli/yaml.h"
#include "wire/json.h"

enum { HELP_MAX = 64 << 10 };

int help_run(struct cli *c)
{
    struct fault why;
    const struct command *command;
    size_t used;
    struct str noun;
    AUTO(buf_done) struct buf out;
    buf_init(&out, HELP_MAX);
    if (c->given.arg_count == 0) {
        help_all(&c->commands, &out);
        return cli_write(c, buf_view(&out));
    }
    enum status s =
        command_match(&c->commands, c->given.arg_count, c->given.arg, &command, &used, &noun, &why);
    if (s == ST_OK && used < c->given.arg_count)
        s = fault_set(&why, ST_INVALID, "there is no command %.60s", c->given.arg[used]);
    if (s == ST_OK)
        help_command(command, &out);
    else if (noun.len > 0 && c->given.arg_count == 1)
        help_noun(&c->commands, noun, &out);
    else
        return cli_fail(c, &why);
    return cli_write(c, buf_view(&out));
}

static void add_versions(const struct cli *c, const json_t *node, struct buf *out)
{
    const char *name = json_string_value(json_object_get(node, "node"));
    const char *version = json_string_value(json_object_get(node, "version"));
    if (c->output.form == OUTPUT_JSON || c->output.form == OUTPUT_JSONL ||
        c->output.form == OUTPUT_YAML) {
        json_t *both =
            json_pack("{s:{s:s},s:O*}", "client", "version", BLIXARD_VERSION, "node", node);
        if (c->output.form == OUTPUT_YAML)
            yaml_dump(both, out);
        else
            json_dump(both, c->output.form == OUTPUT_JSON, out);
        if (c->output.form != OUTPUT_YAML)
            buf_char(out, '\n');
        json_decref(both);
        return;
    }
    buf_text(out, "client  " BLIXARD_VERSION "\n");
    if (node)
        buf_fmt(out, "node    %s  %s\n", version ? version : "unknown", name ? name : "");
}

/* Ours is known even if no node answers. */
int version_run(struct cli *c)
{
    struct fault why;
    struct answer a = {0};
    AUTO(buf_done) struct buf out;
    buf_init(&out, HELP_MAX);
    enum status s = cli_get(c, &a, &why, "%s", c->command->op->path);
    add_versions(c, a.json, &out);
    answer_done(&a);
    int code = cli_write(c, buf_view(&out));
    return code == 0 && s != ST_OK ? cli_fail(c, &why) : code;
}
