/* config: check, show and docs; up: become the node. They ask no node. */
#include <string.h>
#include <unistd.h>

#include "cli/commands_by_hand.h"
#include "cli/node_config.h"
#include "cli/run.h"

static const char *file_of(const struct cli *c)
{
    return given_get(&c->given, FLAG_CONFIG);
}

static int run_node(struct cli *c, const struct ticket *t)
{
    struct fault why;
    struct config config;
    if (!c->up) {
        (void)fault_set(&why, ST_UNSUPPORTED, "this program is the command line alone");
        return cli_fail(c, &why);
    }
    if (node_config_read(file_of(c), &config, &why) != ST_OK)
        return cli_fail(c, &why);
    return c->up(file_of(c), &config, t);
}

int up_run(struct cli *c)
{
    return run_node(c, NULL);
}

/* "-" is read from stdin, where nobody on this machine sees it. */
int join_run(struct cli *c)
{
    AUTO(ticket_done) struct ticket t = {0};
    struct fault why;
    char text[TICKET_TEXT_MAX + 2] = "";
    const char *word = c->given.arg[0];
    if (strcmp(word, "-") == 0) {
        if (!fgets(text, sizeof text, stdin))
            text[0] = 0;
        word = text;
    }
    enum status s = ticket_decode(str_trim(str_from(word)), &t, &why);
    secret_wipe(text, sizeof text);
    return s == ST_OK ? run_node(c, &t) : cli_fail(c, &why);
}

int config_check_run(struct cli *c)
{
    struct fault why;
    struct config config;
    AUTO(buf_done) struct buf out;
    buf_init(&out, 8192);
    const char *file = file_of(c);
    enum status s = node_config_read(file, &config, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    if (file || access(CONFIG_FILE, F_OK) == 0)
        buf_fmt(&out, "%s is well\n", file ? file : CONFIG_FILE);
    else
        buf_fmt(&out, "%s is not there: all is at its default\n", CONFIG_FILE);
    return cli_write(c, buf_view(&out));
}

int config_show_run(struct cli *c)
{
    struct fault why;
    struct config config;
    AUTO(buf_done) struct buf out;
    buf_init(&out, CONFIG_TEXT_MAX);
    enum status s = node_config_read(file_of(c), &config, &why);
    if (s == ST_OK)
        config_show(&config, &out);
    return cli_end(c, s, &out, &why);
}

int config_docs_run(struct cli *c)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, CONFIG_TEXT_MAX);
    config_docs(&out);
    return cli_write(c, buf_view(&out));
}
