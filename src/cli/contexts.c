#include "cli/contexts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ip.h"
#include "crypto/token.h"
#include "os/file.h"
#include "wire/check.h"
#include "wire/json.h"

enum { PATH_MAX_LEN = 512, DIRECTORY_MODE = 0700, FILE_MODE = 0600 };

_Static_assert((int)TOKEN_LEN < (int)LINK_TOKEN_MAX, "a token fits");

/* --- server --- */

static bool is_host(struct str host)
{
    if (host.len == 0 || host.len >= LINK_HOST_MAX)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == '_';
        if (!plain)
            return false;
    }
    return true;
}

/* "[::1]", "[::1]:7003", "n1.example", "n1.example:7003" */
static bool split_server(struct str text, struct str *ret_host, struct str *ret_port)
{
    struct ip ip;
    if (text.len > 0 && text.ptr[0] == '[') {
        text = (struct str){text.ptr + 1, text.len - 1};
        bool closed = str_cut(&text, ']', ret_host);
        if (!closed || !ip_parse(*ret_host, &ip) || ip.family != 6)
            return false;
        if (text.len > 0 && text.ptr[0] != ':')
            return false;
        *ret_port = text.len > 0 ? (struct str){text.ptr + 1, text.len - 1} : STR("7003");
        return true;
    }
    bool port = str_cut(&text, ':', ret_host);
    *ret_port = port ? text : STR("7003");
    return is_host(*ret_host);
}

enum status context_parse_server(struct str text, struct place *ret, struct fault *why)
{
    static const char scheme[] = "https://";
    struct str rest = text, host, port;
    uint64_t number = 0;
    bool good = str_starts(text, scheme);
    if (good) {
        rest = (struct str){text.ptr + sizeof scheme - 1, text.len - (sizeof scheme - 1)};
        if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
            rest.len--;
        good = split_server(rest, &host, &port) &&
               str_u64(port, 1, UINT16_MAX, &number, NULL) == ST_OK;
    }
    if (!good) {
        (void)fault_set(why, ST_INVALID, "a server is written as https://HOST:7003");
        return ST_INVALID;
    }
    ret->port = (uint16_t)number;
    return str_copy(host, ret->host, sizeof ret->host, why);
}

void context_server(const struct place *p, struct buf *out)
{
    bool six = strchr(p->host, ':') != NULL;
    buf_fmt(out, "https://%s%s%s:%u", six ? "[" : "", p->host, six ? "]" : "", p->port);
}

/* --- the text --- */

static enum status text_of(const json_t *v, const char *key, struct str *ret, struct fault *why)
{
    const json_t *t = json_object_get(v, key);
    if (!json_is_string(t))
        return fault_set(why, ST_INVALID, "%s: a text is expected", key);
    *ret = (struct str){json_string_value(t), json_string_length(t)};
    return ST_OK;
}

static enum status parse_name(struct str text, char out[CONTEXT_NAME_MAX], struct fault *why)
{
    enum status s = str_copy(text, out, CONTEXT_NAME_MAX, why);
    if (s != ST_OK || !check_is_name(out) || strcmp(out, CONTEXT_LOCAL) == 0)
        return fault_set(why, ST_INVALID,
                         "name: 1 to 63 of a-z, 0-9 and - are a name, but for " CONTEXT_LOCAL);
    return ST_OK;
}

static enum status parse_fingerprint(struct str text, char out[DIGEST_TEXT_MAX], struct fault *why)
{
    uint8_t digest[DIGEST_SIZE];
    if (digest_from_text(text, digest, why) != ST_OK)
        return fault_wrap(why, ST_INVALID, "fingerprint");
    digest_text(digest, out);
    return ST_OK;
}

static enum status parse_token(struct str text, char out[LINK_TOKEN_MAX], struct fault *why)
{
    struct token token;
    if (token_parse(text, &token, why) != ST_OK)
        return fault_wrap(why, ST_INVALID, "token");
    return str_copy(text, out, LINK_TOKEN_MAX, why);
}

enum status context_make(struct str name, struct str server, struct str fingerprint,
                         struct str token, struct context *ret, struct fault *why)
{
    struct context x = {0};
    enum status s = parse_name(name, x.name, why);
    if (s == ST_OK)
        s = context_parse_server(server, &x.place, why);
    if (s == ST_OK)
        s = parse_fingerprint(fingerprint, x.place.fingerprint, why);
    if (s == ST_OK)
        s = parse_token(token, x.place.token, why);
    if (s == ST_OK)
        *ret = x;
    return s;
}

static enum status parse_one(const json_t *v, struct context *out, struct fault *why)
{
    struct str name, server, fingerprint, token;
    if (!json_is_object(v) || json_object_size(v) != 4)
        return fault_set(why, ST_INVALID, "it has name, server, fingerprint and token");
    enum status s = text_of(v, "name", &name, why);
    if (s == ST_OK)
        s = text_of(v, "server", &server, why);
    if (s == ST_OK)
        s = text_of(v, "fingerprint", &fingerprint, why);
    if (s == ST_OK)
        s = text_of(v, "token", &token, why);
    return s == ST_OK ? context_make(name, server, fingerprint, token, out, why) : s;
}

static enum status parse_list(const json_t *list, struct contexts *c, struct fault *why)
{
    if (!json_is_array(list) || json_array_size(list) > CONTEXTS_MAX)
        return fault_set(why, ST_INVALID, "contexts: a list of at most %d is expected",
                         CONTEXTS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        enum status s = parse_one(json_array_get(list, i), &c->at[i], why);
        if (s != ST_OK)
            return fault_wrap(why, s, "contexts[%zu]", i);
        if (contexts_find(c, c->at[i].name))
            return fault_set(why, ST_INVALID, "contexts[%zu]: its name comes twice", i);
        c->count++;
    }
    return ST_OK;
}

static enum status parse_all(const json_t *v, struct contexts *c, struct fault *why)
{
    struct str current;
    if (json_object_size(v) != 2)
        return fault_set(why, ST_INVALID, "it has current and contexts");
    enum status s = text_of(v, "current", &current, why);
    if (s == ST_OK)
        s = parse_list(json_object_get(v, "contexts"), c, why);
    if (s != ST_OK || current.len == 0)
        return s;
    if (str_copy(current, c->current, sizeof c->current, NULL) != ST_OK ||
        !contexts_find(c, c->current))
        return fault_set(why, ST_INVALID, "current: there is no such context");
    return ST_OK;
}

enum status contexts_parse(struct str text, struct contexts *ret, struct fault *why)
{
    json_t *v = NULL;
    memset(ret, 0, sizeof *ret);
    enum status s = json_parse(text, CONTEXTS_TEXT_MAX, &v, why);
    if (s != ST_OK)
        return fault_wrap(why, ST_INVALID, "it is no JSON");
    s = parse_all(v, ret, why);
    json_decref(v);
    return s;
}

void contexts_write(const struct contexts *c, struct buf *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->count; i++) {
        AUTO(buf_done) struct buf server;
        const struct context *x = &c->at[i];
        buf_init(&server, LINK_HOST_MAX + 32);
        context_server(&x->place, &server);
        int failed = json_array_append_new(
            list, json_pack("{s:s,s:s,s:s,s:s}", "name", x->name, "server", buf_cstr(&server),
                            "fingerprint", x->place.fingerprint, "token", x->place.token));
        ensure(!failed);
    }
    json_t *v = json_pack("{s:s,s:o}", "current", c->current, "contexts", list);
    json_dump(v, true, out);
    buf_char(out, '\n');
    json_decref(v);
}

struct context *contexts_find(struct contexts *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->at[i].name, name) == 0)
            return &c->at[i];
    return NULL;
}

enum status contexts_get(struct contexts *c, const char *name, struct context **ret,
                         struct fault *why)
{
    const char *known[CONTEXTS_MAX];
    *ret = contexts_find(c, name);
    if (*ret)
        return ST_OK;
    for (size_t i = 0; i < c->count; i++)
        known[i] = c->at[i].name;
    const char *near = str_nearest(str_from(name), known, c->count);
    (void)fault_set(why, ST_NOT_FOUND, "there is no context %.60s", name);
    if (near)
        fault_hint(why, "did you mean %s?", near);
    else
        fault_hint(why, "blixard context ls lists them, blixard context add makes one");
    return ST_NOT_FOUND;
}

/* --- the file --- */

static enum status find_file(char dir[PATH_MAX_LEN], char path[PATH_MAX_LEN + 16],
                             struct fault *why)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    bool use_xdg = xdg && xdg[0] == '/';
    if (!use_xdg && (!home || home[0] != '/'))
        return fault_set(why, ST_NOT_FOUND, "HOME is not set: there is no place for contexts");
    int len = snprintf(dir, PATH_MAX_LEN, "%s%s/blixard", use_xdg ? xdg : home,
                       use_xdg ? "" : "/.config");
    if (len >= PATH_MAX_LEN)
        return fault_set(why, ST_INVALID, "the path of the contexts is too long");
    (void)snprintf(path, PATH_MAX_LEN + 16, "%s/contexts.json", dir);
    return ST_OK;
}

static enum status check_mode(const char *path, struct fault *why)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return fault_errno(why, errno, "read %s", path);
    if ((st.st_mode & 077) == 0)
        return ST_OK;
    (void)fault_set(why, ST_DENIED, "%s holds tokens, and others may read it", path);
    fault_hint(why, "chmod 600 %s; who else may have read it?", path);
    return ST_DENIED;
}

enum status contexts_load(struct contexts *ret, struct fault *why)
{
    char dir[PATH_MAX_LEN], path[PATH_MAX_LEN + 16];
    AUTO(buf_done) struct buf text;
    buf_init(&text, CONTEXTS_TEXT_MAX);
    memset(ret, 0, sizeof *ret);
    enum status s = find_file(dir, path, why);
    if (s == ST_OK)
        s = check_mode(path, why);
    if (s == ST_NOT_FOUND)
        return ST_OK;
    if (s == ST_OK)
        s = file_read(AT_FDCWD, path, &text, why);
    if (s == ST_OK && (s = contexts_parse(buf_view(&text), ret, why)) != ST_OK)
        return fault_wrap(why, s, "%s", path);
    return s;
}

enum status contexts_save(const struct contexts *c, struct fault *why)
{
    char dir[PATH_MAX_LEN], path[PATH_MAX_LEN + 16];
    AUTO(buf_done) struct buf text;
    buf_init(&text, CONTEXTS_TEXT_MAX);
    contexts_write(c, &text);
    enum status s = buf_status(&text, why);
    if (s == ST_OK)
        s = find_file(dir, path, why);
    if (s == ST_OK)
        s = file_mkdirs(AT_FDCWD, dir, DIRECTORY_MODE, why);
    return s == ST_OK ? file_write(AT_FDCWD, path, buf_view(&text), FILE_MODE, why) : s;
}
