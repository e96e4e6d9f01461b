#include "daemon/up.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/node_config.h"
#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "os/clock_os.h"
#include "os/file.h"

static uint64_t wall_ns(void)
{
    struct clock c;
    clock_os_init(&c);
    return c.wall_ns(&c);
}

/* A directory that belongs to the daemon's user. Only ever one whose own directory does not: there a
 * name could be replaced by a link to something that must not be given away. */
static enum status make_dir(const char *path, mode_t mode, const struct identity *who,
                            struct fault *why)
{
    enum status s = file_mkdirs(AT_FDCWD, path, 0755, why);
    if (s != ST_OK || !who->root)
        return s;
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, who->uid, who->gid) < 0 || fchmod(fd, mode) < 0)
        return fault_errno(why, errno, "give %s to user id %u", path, who->uid);
    return ST_OK;
}

static enum status enter(const struct config *c, const struct identity *who, int *ret_lock,
                         struct fault *why)
{
    enum status s = make_dir(c->data_dir, 0711, who, why);
    if (s == ST_OK)
        s = make_dir(c->run_dir, 0755, who, why);
    if (s == ST_OK && chdir(c->data_dir) < 0)
        s = fault_errno(why, errno, "enter %s", c->data_dir);
    if (s != ST_OK) {
        fault_hint(why, "data_dir and run_dir must be directories that this user may write");
        return s;
    }
    s = file_lock(AT_FDCWD, PATH_LOCK, ret_lock, why);
    if (s != ST_IN_USE)
        return s;
    (void)fault_wrap(why, s, "another daemon uses %s", c->data_dir);
    fault_hint(why, "stop it, or give this one a data_dir of its own");
    return s;
}

static enum status reread(void *file, struct config *ret, struct fault *why)
{
    return node_config_read(file, ret, why);
}

static enum status serve(char *file, struct config *c, const struct ticket *t, struct logger *log,
                         struct fault *why)
{
    char program[4096] = "";
    struct identity who;
    struct daemon *d = NULL;
    AUTO(close_fd) int lock = -1;
    identity_find(c, &who);
    if (who.note[0])
        LOG(log, LOG_WARN, "daemon.user", F_STR("msg", who.note));
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
        return fault_errno(why, errno, "find this program");
    enum status s = enter(c, &who, &lock, why);
    if (s == ST_OK)
        s = daemon_open(c, reread, file, &who, program, t, log, &d, why);
    if (s == ST_OK)
        s = daemon_run(d, why);
    daemon_close(d);
    return s;
}

int up(const char *file, struct config *c, const struct ticket *t)
{
    struct fault why;
    (void)umask(022);
    /* A reload finds it from another working directory. */
    AUTO(auto_free) char *whole = file ? realpath(file, NULL) : NULL;
    struct logger *log = log_new(STDERR_FILENO, (enum log_format)c->log.format,
                                 (enum log_level)c->log.level, c->log.rate_per_s, wall_ns);
    enum status s = serve(whole, c, t, log, &why);
    if (s != ST_OK)
        log_fault(log, LOG_ERROR, "daemon.failed", &why);
    log_free(log);
    return status_exit(s);
}
