#include "image/deb.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"

enum {
    UNPACK_TIMEOUT_MS = 5 * 60 * 1000,
    APT_TIMEOUT_MS = 60 * 1000,
    DOWNLOAD_TIMEOUT_MS = 10 * 60 * 1000,
    APT_TEXT_MAX = 64 * 1024,
    NAME_SIZE = 256,
    PATH_SIZE = 512,
};

enum status deb_unpack(const char *deb, const char *to, const struct work *w, struct fault *why)
{
    const char *argv[] = {"dpkg-deb", "-x", "--", deb, to, NULL};
    enum status s = work_run(w, "unpack the kernel package", argv, UNPACK_TIMEOUT_MS, NULL, why);
    return s == ST_OK ? s : fault_wrap(why, s, "package %s", deb);
}

enum status deb_find(const char *dir, const char *prefix, const char *suffix, char *ret,
                     size_t size, struct fault *why)
{
    char best[NAME_SIZE] = "";
    DIR *d = opendir(dir);
    if (!d)
        return fault_errno(why, errno, "open directory %s", dir);
    for (const struct dirent *e; (e = readdir(d));) {
        const char *end = strchr(e->d_name, '_'); /* of the package's name */
        struct str package = {e->d_name, end ? (size_t)(end - e->d_name) : 0};
        if (str_starts(package, prefix) && str_ends(package, suffix) &&
            str_ends(str_from(e->d_name), ".deb") && strlen(e->d_name) < sizeof best &&
            strverscmp(e->d_name, best) > 0)
            strcpy(best, e->d_name);
    }
    (void)closedir(d);
    if (!best[0])
        return fault_set(why, ST_NOT_FOUND, "%s has no package %s...%s", dir, prefix, suffix);
    int n = snprintf(ret, size, "%s/%s", dir, best);
    if (n < 0 || (size_t)n >= size)
        return fault_set(why, ST_TOO_BIG, "the path of %s is too long", best);
    return ST_OK;
}

/* "  Depends: linux-image-6.1.0-56-cloud-amd64" */
static enum status dependency(const char *name, const char *prefix, const struct work *w,
                              char ret[NAME_SIZE], struct fault *why)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, APT_TEXT_MAX);
    const char *argv[] = {"apt-cache", "depends", name, NULL};
    enum status s = work_run(w, "ask apt for the kernel", argv, APT_TIMEOUT_MS, &out, why);
    if (s != ST_OK)
        return s;
    struct str rest = buf_view(&out), line;
    for (bool more = true; more;) {
        more = str_cut(&rest, '\n', &line);
        line = str_trim(line);
        if (!str_starts(line, "Depends: "))
            continue;
        line = (struct str){line.ptr + 9, line.len - 9};
        if (str_starts(line, prefix))
            return str_copy(line, ret, NAME_SIZE, why);
    }
    return fault_set(why, ST_NOT_FOUND, "apt does not know what %s depends on", name);
}

static enum status move_debs(const char *from, const char *to, struct fault *why)
{
    enum status s = ST_OK;
    DIR *d = opendir(from);
    if (!d)
        return fault_errno(why, errno, "open directory %s", from);
    for (const struct dirent *e; s == ST_OK && (e = readdir(d));) {
        char old[PATH_SIZE], new[PATH_SIZE];
        if (!str_ends(str_from(e->d_name), ".deb"))
            continue;
        int a = snprintf(old, sizeof old, "%s/%s", from, e->d_name);
        int b = snprintf(new, sizeof new, "%s/%s", to, e->d_name);
        if (a >= (int)sizeof old || b >= (int)sizeof new)
            s = fault_set(why, ST_TOO_BIG, "the path of %s is too long", e->d_name);
        else if (rename(old, new) != 0)
            s = fault_errno(why, errno, "rename %s", old);
    }
    (void)closedir(d);
    return s;
}

enum status deb_download(const char *name, const char *prefix, const char *dir,
                         const struct work *w, struct fault *why)
{
    char package[NAME_SIZE], temp[PATH_SIZE];
    enum status s = dependency(name, prefix, w, package, why);
    if (s != ST_OK)
        return s;
    int n = snprintf(temp, sizeof temp, "%s/.download-XXXXXX", dir);
    if (n >= (int)sizeof temp || !mkdtemp(temp))
        return fault_errno(why, n >= (int)sizeof temp ? ENAMETOOLONG : errno, "make %s", temp);
    /* apt would drop its rights to a user who may not write here; what it downloads, it verifies. */
    const char *argv[] = {"apt-get",  "-q",    "-o", "APT::Sandbox::User=root",
                          "download", package, NULL};
    struct child_run run = {
        .argv = argv, .cwd = temp, .timeout_ms = DOWNLOAD_TIMEOUT_MS, .cancel_fd = w->cancel_fd};
    work_tell(w, "download the kernel package", 0, 0);
    s = child_run(&run, NULL, why);
    if (s == ST_OK)
        s = move_debs(temp, dir, why);
    enum status removed = file_remove_tree(AT_FDCWD, temp, s == ST_OK ? why : NULL);
    return s == ST_OK ? removed : s;
}
