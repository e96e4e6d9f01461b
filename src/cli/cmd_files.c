/* vm: push, pull and cp: files into a VM and out of it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands_by_hand.h"
#include "cli/now.h"
#include "cli/request.h"
#include "cli/run.h"
#include "os/file.h"
#include "wire/check.h"
#include "wire/json.h"
#include "wire/proto.h"

enum { PATH_LEN_MAX = 4096, STEP = 64 << 10, TARGET_MAX = 32 << 10, MODE_USUAL = 0644 };

/* --- the request --- */

/* A file of a VM as the query of an operation. mode: UINT32_MAX, not told. */
static enum status make_target(const struct cli *c, enum op_id id, const char *vm, const char *path,
                               uint32_t mode, struct buf *out, struct fault *why)
{
    const struct op *op = op_get(id);
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    json_t *query = json_object();
    json_t *text = json_string(path);
    if (!text) {
        json_decref(query);
        return fault_set(why, ST_INVALID, "the path is not UTF-8");
    }
    int failed = json_object_set_new(query, "path", text);
    if (mode != UINT32_MAX)
        failed |= json_object_set_new(query, "mode", json_integer(mode));
    ensure(!failed);
    enum status s = json_to_message(op->request, query, JSON_WHOLE, &m, why);
    if (s == ST_OK)
        s = check_message(m, CHECK_REQUEST, why);
    if (s == ST_OK) {
        cli_add_project(c, query);
        request_target(op, vm, query, out);
    }
    json_decref(query);
    return s;
}

static void http_done(struct http_client *http)
{
    http_client_close(http);
}

/* --- into the VM --- */

/* The size must be known before the first byte: what has none is copied aside. */
static enum status set_aside(int from, int *ret_fd, struct fault *why)
{
    AUTO(auto_free) char *step = mem_new(STEP);
    AUTO(close_fd) int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_errno(why, errno, "make a file in /tmp");
    uint64_t size = 0;
    for (;;) {
        ssize_t n = read(from, step, STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "read");
        if (n == 0)
            break;
        if (!file_write_at(fd, size, step, (size_t)n))
            return fault_errno(why, errno, "write to /tmp");
        size += (uint64_t)n;
    }
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

/* ret_st: of what is to be sent. */
static enum status open_source(const char *file, int *ret_fd, struct stat *ret_st,
                               struct fault *why)
{
    AUTO(close_fd)
    int fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, ret_st) != 0)
        return fault_errno(why, errno, "open %s", file);
    if (S_ISDIR(ret_st->st_mode))
        return fault_set(why, ST_INVALID, "%s is a directory: only files are copied", file);
    if (!S_ISREG(ret_st->st_mode)) {
        int aside = -1;
        enum status s = set_aside(fd, &aside, why);
        if (s != ST_OK)
            return fault_wrap(why, s, "%s", file);
        (void)close(fd);
        fd = aside;
        if (fstat(fd, ret_st) != 0)
            return fault_errno(why, errno, "look at %s", file);
        ret_st->st_mode = S_IFREG | MODE_USUAL;
    }
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

static enum status push(struct cli *c, const char *vm, const char *file, const char *path,
                        uint32_t mode, struct fault *why)
{
    struct stat st;
    AUTO(close_fd) int fd = -1;
    AUTO(buf_done) struct buf target;
    buf_init(&target, TARGET_MAX);
    enum status s = open_source(file, &fd, &st, why);
    if (s == ST_OK)
        s = make_target(c, OP_VM_PUSH, vm, path,
                        mode == UINT32_MAX ? (uint32_t)st.st_mode & 07777 : mode, &target, why);
    if (s != ST_OK)
        return s;
    AUTO(http_done) struct http_client http;
    struct http_request r = {
        .method = "PUT",
        .target = buf_cstr(&target),
        .type = "application/octet-stream",
        .from_fd = true,
        .body_fd = fd,
        .body_size = (uint64_t)st.st_size,
    };
    return cli_open(c, &http, &r, why);
}

/* --- out of the VM --- */

static enum status write_some(int fd, struct str data, struct fault *why)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "write");
        data = (struct str){data.ptr + n, data.len - (size_t)n};
    }
    return ST_OK;
}

static enum status pull_to(struct cli *c, const char *vm, const char *path, int fd,
                           struct fault *why)
{
    AUTO(buf_done) struct buf target;
    buf_init(&target, TARGET_MAX);
    enum status s = make_target(c, OP_VM_PULL, vm, path, UINT32_MAX, &target, why);
    if (s != ST_OK)
        return s;
    AUTO(http_done) struct http_client http;
    struct http_request r = {.method = "GET", .target = buf_cstr(&target)};
    s = cli_open(c, &http, &r, why);
    struct str data = {"", 1};
    while (s == ST_OK && data.len > 0) {
        s = http_client_read(&http, NEVER, &data, why);
        if (s == ST_OK)
            s = write_some(fd, data, why);
    }
    return s;
}

/* Under its name only when it is whole. */
static enum status pull(struct cli *c, const char *vm, const char *path, const char *file,
                        struct fault *why)
{
    char part[PATH_LEN_MAX];
    if (strcmp(file, "-") == 0)
        return pull_to(c, vm, path, STDOUT_FILENO, why);
    int len = snprintf(part, sizeof part, "%s.part", file);
    if (len < 0 || (size_t)len >= sizeof part)
        return fault_set(why, ST_TOO_BIG, "the path is longer than %d bytes", PATH_LEN_MAX);
    AUTO(close_fd) int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", part);
    enum status s = pull_to(c, vm, path, fd, why);
    if (s == ST_OK && rename(part, file) != 0)
        s = fault_errno(why, errno, "rename %s to %s", part, file);
    if (s != ST_OK)
        (void)unlink(part);
    return s;
}

/* --- commands --- */

static int end(const struct cli *c, enum status s, const struct fault *why)
{
    return s == ST_OK ? 0 : cli_fail(c, why);
}

static enum status parse_mode(const char *text, uint32_t *ret, struct fault *why)
{
    uint32_t mode = 0;
    if (strlen(text) == 0 || strlen(text) > 5 || strspn(text, "01234567") != strlen(text))
        mode = UINT32_MAX;
    for (const char *p = text; mode != UINT32_MAX && *p; p++)
        mode = mode << 3 | (uint32_t)(*p - '0');
    if (mode > 07777)
        return fault_set(why, ST_INVALID, "--mode: \"%.40s\" is not permissions such as 0644",
                         text);
    *ret = mode;
    return ST_OK;
}

int vm_push_run(struct cli *c)
{
    struct fault why;
    uint32_t mode = UINT32_MAX;
    const char *given = given_get(&c->given, FLAG_MODE);
    enum status s = given ? parse_mode(given, &mode, &why) : ST_OK;
    if (s == ST_OK)
        s = push(c, cli_first_name(c), c->given.arg[1], c->given.arg[2], mode, &why);
    return end(c, s, &why);
}

int vm_pull_run(struct cli *c)
{
    struct fault why;
    enum status s = pull(c, cli_first_name(c), c->given.arg[1], c->given.arg[2], &why);
    return end(c, s, &why);
}

/* "web-1:/etc/motd"; false for a path of ours, such as "./a:/b". */
static bool is_remote(const char *text, char vm[PATH_LEN_MAX], const char **ret_path)
{
    const char *colon = strstr(text, ":/");
    const char *slash = strchr(text, '/');
    if (!colon || colon == text || slash < colon)
        return false;
    int len = snprintf(vm, PATH_LEN_MAX, "%.*s", (int)(colon - text), text);
    *ret_path = colon + 1;
    return len < PATH_LEN_MAX;
}

/* `to` itself, or the name of `from` in it, if it is a directory. */
static enum status place(const char *from, const char *to, bool is_dir, char out[PATH_LEN_MAX],
                         struct fault *why)
{
    AUTO(auto_free) char *copy = mem_strdup(from);
    size_t n = strlen(to);
    const char *slash = n > 0 && to[n - 1] == '/' ? "" : "/";
    int len = is_dir ? snprintf(out, PATH_LEN_MAX, "%s%s%s", to, slash, basename(copy))
                     : snprintf(out, PATH_LEN_MAX, "%s", to);
    if (len < 0 || len >= PATH_LEN_MAX)
        return fault_set(why, ST_TOO_BIG, "the path is longer than %d bytes", PATH_LEN_MAX);
    return ST_OK;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int vm_cp_run(struct cli *c)
{
    struct fault why;
    char from_vm[PATH_LEN_MAX], to_vm[PATH_LEN_MAX], to[PATH_LEN_MAX];
    const char *from_path = c->given.arg[0], *to_path = c->given.arg[1];
    bool out = is_remote(from_path, from_vm, &from_path);
    bool in = is_remote(to_path, to_vm, &to_path);
    if (in == out) {
        (void)fault_set(&why, ST_INVALID, "one of the two must be NAME:/PATH, %s",
                        in ? "and the other a file here" : "as in web-1:/etc/motd");
        return cli_misused(c, &why);
    }
    bool is_dir = in ? str_ends(str_from(to_path), "/") : is_directory(to_path);
    enum status s = place(from_path, to_path, is_dir, to, &why);
    if (s == ST_OK && in)
        s = push(c, to_vm, from_path, to, UINT32_MAX, &why);
    else if (s == ST_OK)
        s = pull(c, from_vm, from_path, to, &why);
    return end(c, s, &why);
}
