/* context: the nodes elsewhere that the command line knows. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands_by_hand.h"
#include "cli/contexts.h"
#include "cli/run.h"
#include "crypto/token.h"
#include "os/file.h"
#include "pb/context.pb-c.h"

enum { TOKEN_FILE_MAX = 4096, OUT_MAX = 256 << 10 };

/* --- showing --- */

static json_t *to_json(const struct contexts *all, const struct context *x)
{
    struct token token;
    AUTO(buf_done) struct buf server;
    buf_init(&server, LINK_HOST_MAX + 32);
    context_server(&x->place, &server);
    enum status s = token_parse(str_from(x->place.token), &token, NULL);
    ensure(s == ST_OK); /* it was when it came */
    return json_pack("{s:{s:s},s:b,s:s,s:s,s:s}", "meta", "name", x->name, "current",
                     strcmp(all->current, x->name) == 0, "server", buf_cstr(&server), "fingerprint",
                     x->place.fingerprint, "token_id", token.id);
}

static enum status load(struct contexts **ret, struct fault *why)
{
    *ret = NEW(struct contexts);
    return contexts_load(*ret, why);
}

int context_ls_run(struct cli *c)
{
    struct fault why;
    AUTO(auto_free) struct contexts *all = NULL;
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    json_t *items = json_array();
    c->output.noun = "context";
    if (!c->output.columns && c->output.form == OUTPUT_TABLE)
        c->output.columns = "name,current,server,token_id";
    enum status s = load(&all, &why);
    for (size_t i = 0; s == ST_OK && i < all->count; i++) {
        int failed = json_array_append_new(items, to_json(all, &all->at[i]));
        ensure(!failed);
    }
    if (s == ST_OK)
        s = output_list(&c->output, &pb__context__descriptor, items, &out, &why);
    json_decref(items);
    return cli_end(c, s, &out, &why);
}

int context_show_run(struct cli *c)
{
    struct fault why;
    struct context *x;
    AUTO(auto_free) struct contexts *all = NULL;
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    c->output.noun = "context";
    enum status s = load(&all, &why);
    const char *name = c->given.arg_count > 0 ? cli_name(c, c->given.arg[0]) : NULL;
    if (s == ST_OK && !name && !all->current[0]) {
        s = fault_set(&why, ST_NOT_FOUND, "no context is in use: the unix socket is");
        fault_hint(&why, "blixard context use NAME");
    }
    if (s == ST_OK)
        s = contexts_get(all, name ? name : all->current, &x, &why);
    if (s == ST_OK) {
        json_t *v = to_json(all, x);
        s = output_object(&c->output, &pb__context__descriptor, v, &out, &why);
        json_decref(v);
    }
    return cli_end(c, s, &out, &why);
}

/* --- changing --- */

static int saved(struct cli *c, enum status s, const struct contexts *all, const char *name,
                 const char *what, struct fault *why)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1024);
    if (s == ST_OK)
        s = contexts_save(all, why);
    buf_fmt(&out, "context/%s %s\n", name, what);
    return cli_end(c, s, &out, why);
}

/* All of stdin, or a line of it. stop_fd: readable when the user gives up. */
static enum status read_stdin(struct buf *room, bool line, int stop_fd, struct fault *why)
{
    char bytes[256];
    for (ssize_t n = 1; n > 0 && !room->full;) {
        struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = stop_fd, .events = POLLIN}};
        if (poll(p, ARRAY_COUNT(p), -1) < 0 && errno != EINTR)
            return fault_errno(why, errno, "wait for the token");
        if (p[1].revents)
            return fault_set(why, ST_CANCELLED, "nothing was done");
        n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n > 0)
            buf_add(room, bytes, (size_t)n);
        if (line && room->len > 0 && memchr(room->ptr, '\n', room->len))
            n = 0;
    }
    return ST_OK;
}

static enum status read_hidden(struct buf *room, struct fault *why)
{
    struct term_mode mode;
    struct term_signals stop;
    cli_note("Paste the token, then press Enter; it is not shown.");
    term_catch(&stop, (const int[]){SIGINT, SIGTERM, 0});
    term_hide(&mode, STDIN_FILENO);
    enum status s = read_stdin(room, true, stop.fd, why);
    term_restore(&mode);
    term_catch_end(&stop);
    return s;
}

/* From a file or stdin; on a terminal it is asked for, and not shown. */
static enum status read_token(struct cli *c, struct str *ret, struct buf *room, struct fault *why)
{
    const char *file = given_get(&c->given, FLAG_TOKEN_FILE);
    if (file) {
        enum status s = file_read(AT_FDCWD, file, room, why);
        *ret = str_trim(buf_view(room));
        return s == ST_OK ? s : fault_wrap(why, s, "--token-file %s", file);
    }
    enum status s = c->term.in ? read_hidden(room, why) : read_stdin(room, false, -1, why);
    *ret = str_trim(buf_view(room));
    return s;
}

static enum status need(const struct cli *c, enum flag_id id, const char *name, const char **ret,
                        struct fault *why)
{
    *ret = given_get(&c->given, id);
    return *ret ? ST_OK : fault_set(why, ST_INVALID, "--%s is missing", name);
}

static enum status add(struct contexts *all, const struct context *x, struct fault *why)
{
    if (contexts_find(all, x->name)) {
        (void)fault_set(why, ST_EXISTS, "context %s exists already", x->name);
        fault_hint(why, "blixard context rm %s", x->name);
        return ST_EXISTS;
    }
    if (all->count == CONTEXTS_MAX)
        return fault_set(why, ST_LIMIT, "there are %d contexts, and no more may be", CONTEXTS_MAX);
    all->at[all->count++] = *x;
    return ST_OK;
}

int context_add_run(struct cli *c)
{
    struct fault why;
    const char *server, *fingerprint, *name = cli_first_name(c);
    struct str token = {"", 0};
    struct context x;
    AUTO(auto_free) struct contexts *all = NULL;
    AUTO(buf_done) struct buf room;
    buf_init(&room, TOKEN_FILE_MAX);
    enum status s = need(c, FLAG_SERVER, "server", &server, &why);
    if (s == ST_OK)
        s = need(c, FLAG_FINGERPRINT, "fingerprint", &fingerprint, &why);
    if (s != ST_OK)
        return cli_misused(c, &why);
    s = load(&all, &why);
    if (s == ST_OK)
        s = read_token(c, &token, &room, &why);
    if (s == ST_OK)
        s = context_make(str_from(name), str_from(server), str_from(fingerprint), token, &x, &why);
    if (s == ST_OK)
        s = add(all, &x, &why);
    int code = saved(c, s, all, name, "added", &why);
    if (room.ptr)
        secret_wipe(room.ptr, room.len);
    return code;
}

int context_use_run(struct cli *c)
{
    struct fault why;
    struct context *x;
    const char *name = cli_first_name(c);
    AUTO(auto_free) struct contexts *all = NULL;
    bool local = strcmp(name, CONTEXT_LOCAL) == 0;
    enum status s = load(&all, &why);
    if (s == ST_OK && !local)
        s = contexts_get(all, name, &x, &why);
    if (s == ST_OK)
        (void)snprintf(all->current, sizeof all->current, "%s", local ? "" : name);
    return saved(c, s, all, name, "in use", &why);
}

int context_rm_run(struct cli *c)
{
    struct fault why;
    struct context *x;
    const char *name = cli_first_name(c);
    AUTO(auto_free) struct contexts *all = NULL;
    enum status s = load(&all, &why);
    if (s == ST_OK)
        s = contexts_get(all, name, &x, &why);
    if (s == ST_OK) {
        size_t at = (size_t)(x - all->at);
        if (strcmp(all->current, name) == 0)
            all->current[0] = 0;
        memmove(x, x + 1, (all->count - at - 1) * sizeof *x);
        all->count--;
    }
    return saved(c, s, all, name, "removed", &why);
}
