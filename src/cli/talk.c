#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/run.h"
#include "wire/json.h"

/* Write everything, however little the other side takes at once. False: errno says why. */
static bool write_all(int fd, struct str data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data = (struct str){data.ptr + n, data.len - (size_t)n};
    }
    return true;
}

static void say(const struct buf *b)
{
    (void)!write_all(STDERR_FILENO, buf_view(b)); /* there is nobody else to tell */
}

static void add_line(const struct cli *c, struct buf *b, const char *label, const char *colour,
                     const char *text)
{
    if (c->term.colour)
        buf_fmt(b, "\033[%sm%s:\033[0m %s\n", colour, label, text);
    else
        buf_fmt(b, "%s: %s\n", label, text);
}

static void set_text(json_t *v, const char *key, const char *text)
{
    int failed = text[0] ? json_object_set_new(v, key, json_string(text)) : 0;
    ensure(!failed); /* a fault's texts are UTF-8 */
}

static void fail_json(const struct cli *c, const struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 64 << 10);
    json_t *v = json_object();
    set_text(v, "error", why->text);
    set_text(v, "hint", why->hint);
    set_text(v, "code", status_code(why->status));
    set_text(v, "field", why->field);
    set_text(v, "trace", c->told_node ? c->trace_id : "");
    json_dump(v, c->output.form == OUTPUT_JSON, &b);
    json_decref(v);
    buf_char(&b, '\n');
    say(&b);
}

static void fail_text(const struct cli *c, const struct fault *why, const char *usage)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 16 << 10);
    add_line(c, &b, "error", "1;31", why->text);
    if (usage)
        add_line(c, &b, "usage", "1", usage);
    if (why->hint[0])
        add_line(c, &b, "hint", "1", why->hint);
    buf_fmt(&b, "code: %s", status_code(why->status));
    if (c->told_node)
        buf_fmt(&b, "  trace: %s", c->trace_id);
    buf_char(&b, '\n');
    say(&b);
}

static int fail(const struct cli *c, const struct fault *why, const char *usage)
{
    require(why->status != ST_OK && why->status < ST_COUNT);
    if (c->output.form == OUTPUT_JSON || c->output.form == OUTPUT_JSONL)
        fail_json(c, why);
    else
        fail_text(c, why, usage);
    return status_exit(why->status);
}

int cli_fail(const struct cli *c, const struct fault *why)
{
    return fail(c, why, NULL);
}

int cli_misused(const struct cli *c, const struct fault *why)
{
    char words[COMMAND_WORDS_MAX];
    AUTO(buf_done) struct buf usage;
    buf_init(&usage, 400);
    if (!c->command)
        return fail(c, why, NULL);
    command_words(c->command, words);
    command_usage(c->command, words, &usage);
    return fail(c, why, buf_cstr(&usage));
}

void cli_note(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    AUTO(buf_done) struct buf b;
    buf_init(&b, sizeof text + 1);
    str_tidy(text);
    buf_fmt(&b, "%s\n", text);
    say(&b);
}

int cli_write(const struct cli *c, struct str data)
{
    struct fault why;
    if (write_all(STDOUT_FILENO, data))
        return 0;
    (void)fault_errno(&why, errno, "write the output");
    return cli_fail(c, &why);
}

int cli_end(const struct cli *c, enum status s, const struct buf *out, const struct fault *why)
{
    return s == ST_OK ? cli_write(c, buf_view(out)) : cli_fail(c, why);
}
