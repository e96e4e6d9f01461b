#include "image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"

enum { DEPTH_MAX = 32, PATH_SIZE = 1024 };

enum status tree_open(const char *path, int *ret_fd, struct fault *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open directory %s", path);
    *ret_fd = fd;
    return ST_OK;
}

enum status tree_open_below(int tree, const char *path, bool folder, int *ret_fd, struct fault *why)
{
    struct open_how how = {
        .flags = (uint64_t)(O_RDONLY | O_CLOEXEC | O_NONBLOCK | (folder ? O_DIRECTORY : 0)),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    struct stat st;
    int fd = (int)syscall(SYS_openat2, tree, path, &how, sizeof how);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    if (!folder && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        (void)close(fd);
        return fault_set(why, ST_INVALID, "%s is no regular file", path);
    }
    *ret_fd = fd;
    return ST_OK;
}

enum status tree_read(int tree, const char *path, struct buf *out, struct fault *why)
{
    AUTO(close_fd) int fd = -1;
    struct stat st;
    enum status s = tree_open_below(tree, path, false, &fd, why);
    if (s != ST_OK)
        return s;
    if (fstat(fd, &st) != 0)
        return fault_errno(why, errno, "stat %s", path);
    size_t len = (size_t)st.st_size, got = 0;
    char *to = len <= out->max - out->len ? buf_space(out, len) : NULL;
    if (!to)
        return fault_set(why, ST_TOO_BIG, "%s has %zu bytes, the limit is %zu", path, len,
                         out->max);
    if (!file_read_at(fd, 0, to, len, &got))
        return fault_errno(why, errno, "read %s", path);
    buf_wrote(out, got);
    return ST_OK;
}

struct walk {
    tree_visit *visit;
    void *ctx;
    char path[PATH_SIZE];
    struct fault *why;
    bool stop;
};

static enum status walk(struct walk *w, int folder, size_t len, unsigned depth);

static enum status walk_entry(struct walk *w, int folder, size_t len, unsigned depth,
                              const char *name)
{
    struct stat st;
    int n = snprintf(w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof w->path - len)
        return fault_set(w->why, ST_TOO_BIG, "%s: a path is too long", name);
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fault_errno(w->why, errno, "stat %s", w->path);
    if (S_ISREG(st.st_mode))
        w->stop = !w->visit(w->ctx, w->path);
    if (!S_ISDIR(st.st_mode))
        return ST_OK;
    int sub = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return fault_errno(w->why, errno, "open %s", w->path);
    return walk(w, sub, len + (size_t)n, depth + 1);
}

/* folder is taken. */
static enum status walk(struct walk *w, int folder, size_t len, unsigned depth)
{
    DIR *d = depth < DEPTH_MAX ? fdopendir(folder) : NULL;
    if (!d) {
        (void)close(folder);
        return fault_set(w->why, ST_TOO_BIG, "directories are nested too deeply");
    }
    enum status s = ST_OK;
    for (const struct dirent *e; s == ST_OK && !w->stop && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            s = walk_entry(w, folder, len, depth, e->d_name);
    (void)closedir(d);
    return s;
}

enum status tree_walk(int tree, tree_visit *visit, void *ctx, struct fault *why)
{
    struct walk w = {.visit = visit, .ctx = ctx, .why = why};
    int folder;
    enum status s = tree_open_below(tree, ".", true, &folder, why);
    return s == ST_OK ? walk(&w, folder, 0, 0) : s;
}
