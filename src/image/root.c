#include "image/root.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

enum {
    MINBASE_TIMEOUT_MS = 60 * 60 * 1000,
    UNPACK_TIMEOUT_MS = 60 * 60 * 1000,
    MKFS_TIMEOUT_MS = 60 * 60 * 1000,
    PATH_SIZE = 1024,
    ARGS_MAX = 40,
    PACKAGE_NAME_MAX = 128,
    RESERVE_MIB = 256, /* free space that unpacking must leave on our disk */
};

/* ---- packages ---- */

/* As Debian's policy has it: lower case letters, digits, '+', '-', '.'; and it begins with neither sign. */
static bool is_package_name(const char *name)
{
    size_t len = strlen(name);
    if (len < 2 || len > PACKAGE_NAME_MAX || name[0] == '-' || name[0] == '+' || name[0] == '.')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == len;
}

static enum status include_option(const char *const *packages, size_t count, struct buf *out,
                                  struct fault *why)
{
    buf_text(out, "--include=");
    for (size_t i = 0; i < count; i++) {
        if (!is_package_name(packages[i]))
            return fault_set(why, ST_INVALID, "\"%s\" is not the name of a Debian package",
                             packages[i]);
        buf_fmt(out, "%s%s", i ? "," : "", packages[i]);
    }
    return ST_OK;
}

enum status root_minbase(const char *suite, const char *const *packages, size_t count,
                         const char *tar, const struct work *w, struct fault *why)
{
    AUTO(buf_done) struct buf include;
    buf_init(&include, ROOT_PACKAGES_MAX * (PACKAGE_NAME_MAX + 1) + 16);
    if (!is_package_name(suite))
        return fault_set(why, ST_INVALID, "\"%s\" is not the name of a Debian suite", suite);
    if (count > ROOT_PACKAGES_MAX)
        return fault_set(why, ST_TOO_BIG, "%zu packages, the limit is %d", count,
                         ROOT_PACKAGES_MAX);
    enum status s = include_option(packages, count, &include, why);
    if (s != ST_OK)
        return s;
    const char *argv[ARGS_MAX];
    size_t n = 0;
    argv[n++] = "mmdebstrap";
    argv[n++] = "--quiet";
    argv[n++] = "--variant=minbase";
    argv[n++] = "--format=tar";
    argv[n++] = "--dpkgopt=path-exclude=/usr/share/doc/*";
    argv[n++] = "--dpkgopt=path-include=/usr/share/doc/*/copyright";
    argv[n++] = "--dpkgopt=path-exclude=/usr/share/man/*";
    argv[n++] = "--dpkgopt=path-exclude=/usr/share/info/*";
    argv[n++] = "--dpkgopt=path-exclude=/usr/share/locale/*";
    argv[n++] = "--dpkgopt=path-include=/usr/share/locale/locale.alias";
    if (count > 0)
        argv[n++] = buf_cstr(&include);
    argv[n++] = suite;
    argv[n++] = tar;
    argv[n] = NULL;
    s = work_run(w, "build the root from Debian packages", argv, MINBASE_TIMEOUT_MS, NULL, why);
    if (s != ST_OK)
        (void)unlink(tar);
    return s;
}

/* ---- unpacking, with an eye on our disk ---- */

struct watch {
    const struct work *work;
    const char *step, *temp;
    int stop; /* eventfd */
    enum status reason;
};

static void look(void *ctx, uint64_t elapsed_ms)
{
    struct watch *w = ctx;
    struct file_space space;
    (void)elapsed_ms;
    work_tell(w->work, w->step, 0, 0);
    if (w->reason == ST_OK)
        w->reason = work_check(w->work, NULL);
    if (w->reason == ST_OK && file_space(AT_FDCWD, w->temp, &space, NULL) == ST_OK &&
        space.free_bytes < (uint64_t)RESERVE_MIB << 20)
        w->reason = ST_NO_SPACE;
    if (w->reason != ST_OK)
        (void)eventfd_write(w->stop, 1);
}

/* Run a program that writes below `temp`; it is ended before our disk is full. */
static enum status run_watched(const struct work *w, const char *step, const char *temp,
                               const char *const *argv, uint64_t timeout_ms, struct child_result *r,
                               struct fault *why)
{
    struct watch watch = {.work = w, .step = step, .temp = temp};
    AUTO(close_fd) int stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop < 0)
        return fault_errno(why, errno, "eventfd");
    watch.stop = stop;
    struct child_run run = {.argv = argv,
                            .timeout_ms = timeout_ms,
                            .cancel_fd = stop,
                            .progress = look,
                            .progress_ctx = &watch};
    look(&watch, 0);
    enum status s = child_run(&run, r, why);
    if (s == ST_CANCELLED && watch.reason == ST_NO_SPACE)
        return fault_set(why, ST_NO_SPACE, "less than %d MiB would be left on the disk of %s",
                         RESERVE_MIB, temp);
    return s;
}

/* What is done to one root: its folder, and fakeroot's memory of it. */
struct job {
    char temp[PATH_SIZE], folder[PATH_SIZE], memory[PATH_SIZE];
    bool fake; /* we are not root */
};

/* Begin a command line that shall see, and make, files with owners as in the archive. */
static size_t begin(const struct job *j, bool again, const char **argv)
{
    size_t n = 0;
    if (!j->fake)
        return 0;
    argv[n++] = "fakeroot";
    if (again) {
        argv[n++] = "-i";
        argv[n++] = j->memory;
    }
    argv[n++] = "-s";
    argv[n++] = j->memory;
    argv[n++] = "--";
    return n;
}

static enum status unpack(const struct job *j, const char *tar, uint64_t size_mib,
                          const struct work *w, struct fault *why)
{
    const char *argv[ARGS_MAX];
    char largest[64];
    size_t n = begin(j, false, argv);
    (void)snprintf(largest, sizeof largest, "--fsize=%" PRIu64, size_mib << 20);
    argv[n++] = "prlimit"; /* one file larger than the disk is a bomb, or a mistake */
    argv[n++] = largest;
    argv[n++] = "--";
    argv[n++] = "tar";
    argv[n++] = "--extract";
    argv[n++] = "--numeric-owner";
    argv[n++] = "--same-owner";
    argv[n++] = "--preserve-permissions";
    argv[n++] = "--anchored"; /* devices come from the guest's kernel */
    argv[n++] = "--exclude=dev/*";
    argv[n++] = "--exclude=./dev/*";
    if (!j->fake) {
        argv[n++] = "--xattrs"; /* file capabilities */
        argv[n++] = "--xattrs-include=security.capability";
    }
    argv[n++] = "--directory";
    argv[n++] = j->folder;
    argv[n++] = "--force-local"; /* a ':' in its name is no other machine */
    argv[n++] = "--file";
    argv[n++] = tar;
    argv[n++] = NULL;
    ensure(n <= ARGS_MAX);
    enum status s = run_watched(w, "unpack the root", j->temp, argv, UNPACK_TIMEOUT_MS, NULL, why);
    return s == ST_IO ? fault_wrap(why, ST_INVALID, "unpack") : s; /* tar says why */
}

/* A folder or file below the unpacked root, without following links out of it. */
static bool has(const struct job *j, const char *name)
{
    char path[PATH_SIZE + 16];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", j->folder, name);
    return lstat(path, &st) == 0;
}

static enum status run_mkfs(const struct job *j, uint64_t size_mib, const char *to,
                            const struct work *w, struct fault *why)
{
    struct child_result r = {.tail = ""};
    const char *argv[ARGS_MAX];
    size_t n = begin(j, true, argv);
    argv[n++] = "mkfs.ext4";
    argv[n++] = "-q";
    argv[n++] = "-F";
    argv[n++] = "-m";
    argv[n++] = "1";
    argv[n++] = "-E";
    argv[n++] = "root_owner=0:0";
    argv[n++] = "-d";
    argv[n++] = j->folder;
    argv[n++] = to;
    argv[n++] = NULL;
    ensure(n <= ARGS_MAX);
    enum status s = run_watched(w, "make the file system", j->temp, argv, MKFS_TIMEOUT_MS, &r, why);
    if (s == ST_IO && strstr(r.tail, "ould not allocate"))
        return fault_set(why, ST_NO_SPACE, "the root does not fit into %" PRIu64 " MiB", size_mib);
    return s;
}

static enum status make_file_system(const struct job *j, uint64_t size_mib, const char *to,
                                    const struct work *w, struct fault *why)
{
    AUTO(close_fd) int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return fault_errno(why, errno, "create %s", to);
    enum status s = ST_OK;
    if (ftruncate(fd, (off_t)(size_mib << 20)) != 0)
        s = fault_errno(why, errno, "size %s", to);
    if (s == ST_OK)
        s = run_mkfs(j, size_mib, to, w, why);
    if (s == ST_OK && fsync(fd) != 0)
        s = fault_errno(why, errno, "sync %s", to);
    if (s != ST_OK)
        (void)unlink(to);
    return s;
}

static enum status make_job(const char *temp, struct job *j, struct fault *why)
{
    *j = (struct job){.fake = geteuid() != 0};
    int n = snprintf(j->temp, sizeof j->temp - 16, "%s/.root-XXXXXX", temp);
    if (n < 0 || (size_t)n >= sizeof j->temp - 16)
        return fault_set(why, ST_TOO_BIG, "%s: the path is too long", temp);
    if (!mkdtemp(j->temp)) /* only we may enter: there will be set-uid programs in it */
        return fault_errno(why, errno, "make a folder in %s", temp);
    (void)snprintf(j->folder, sizeof j->folder, "%.*s/root", PATH_SIZE - 16, j->temp);
    (void)snprintf(j->memory, sizeof j->memory, "%.*s/owners", PATH_SIZE - 16, j->temp);
    if (mkdir(j->folder, 0755) == 0)
        return ST_OK;
    enum status s = fault_errno(why, errno, "make %s", j->folder);
    (void)rmdir(j->temp);
    return s;
}

enum status root_from_tar(const char *tar, uint64_t size_mib, const char *temp, const char *to,
                          const struct work *w, struct fault *why)
{
    struct job j;
    if (size_mib < ROOT_MIB_MIN || size_mib > ROOT_MIB_MAX)
        return fault_set(why, ST_INVALID, "a root disk has %d to %d MiB", ROOT_MIB_MIN,
                         ROOT_MIB_MAX);
    enum status s = make_job(temp, &j, why);
    if (s != ST_OK)
        return s;
    s = unpack(&j, tar, size_mib, w, why);
    if (s == ST_OK && !has(&j, "bin") && !has(&j, "usr/bin") && !has(&j, "init"))
        s = fault_set(why, ST_INVALID, "there is no root file system in it");
    if (s == ST_OK)
        s = make_file_system(&j, size_mib, to, w, why);
    enum status removed = file_remove_tree(AT_FDCWD, j.temp, s == ST_OK ? why : NULL);
    if (s == ST_OK)
        s = removed;
    return s == ST_OK ? s : fault_wrap(why, s, "root from %s", tar);
}
