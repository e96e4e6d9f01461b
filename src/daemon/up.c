#include "daemon/up.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "daemon/daemon.h"
#include "daemon/paths.h"
#include "os/file.h"

extern char **environ;

static const char help[] =
    "Run the node. Its first start makes a cluster of one.\n"
    "\n"
    "examples:\n"
    "  blixard up\n"
    "  blixard up --config ./blixard.toml\n"
    "\n"
    "flags:\n"
    "  --config FILE   configuration; default " CONFIG_FILE ", which may be absent\n"
    "  -h, --help      this text\n"
    "\n"
    "`blixard config docs` tells every key; an environment variable overrides each.\n";

static int complain(const struct fault *why)
{
    (void)fprintf(stderr, "error: %s\n", why->text);
    if (why->hint[0])
        (void)fprintf(stderr, "hint: %s\n", why->hint);
    (void)fprintf(stderr, "code: %s\n", status_code(why->status));
    return status_exit(why->status);
}

static uint64_t wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Only a file that was named must be there. */
static enum status read_config(struct config *c, const char *named, struct fault *why)
{
    const char *file = named ? named : CONFIG_FILE;
    char host[256] = "";
    AUTO(buf_done) struct buf text;
    buf_init(&text, CONFIG_TEXT_MAX);
    enum status s = file_read(AT_FDCWD, file, &text, why);
    if (s != ST_OK && (named || s != ST_NOT_FOUND))
        return fault_wrap(why, s, "read the configuration");
    (void)gethostname(host, sizeof host - 1);
    return config_read(c, file, buf_view(&text), environ, str_from(host), why);
}

/* Directories that belong to the daemon's user. */
static enum status make_dir(const char *path, mode_t mode, const struct identity *who,
                            struct fault *why)
{
    enum status s = file_mkdirs(AT_FDCWD, path, 0755, why);
    if (s != ST_OK)
        return s;
    if (who->root && (chown(path, who->uid, who->gid) < 0 || chmod(path, mode) < 0))
        return fault_errno(why, errno, "give %s to user id %u", path, who->uid);
    return ST_OK;
}

static enum status enter(const struct config *c, const struct identity *who, int *ret_lock,
                         struct fault *why)
{
    enum status s = make_dir(c->data_dir, 0711, who, why);
    if (s == ST_OK)
        s = make_dir(c->run_dir, 0755, who, why);
    if (s == ST_OK)
        s = make_dir(c->image.cache_dir, 0755, who, why);
    if (s == ST_OK && chdir(c->data_dir) < 0)
        s = fault_errno(why, errno, "enter %s", c->data_dir);
    if (s != ST_OK)
        return fault_hint(why, "data_dir and run_dir must be directories that this user may write");
    s = file_lock(AT_FDCWD, PATH_LOCK, ret_lock, why);
    if (s != ST_IN_USE)
        return s;
    (void)fault_wrap(why, s, "another daemon uses %s", c->data_dir);
    return fault_hint(why, "stop it, or give this one a data_dir of its own");
}

static enum status reread(void *ctx, struct config *ret, struct fault *why)
{
    return read_config(ret, ctx, why);
}

static enum status serve(struct config *c, char *file, struct logger *log, struct fault *why)
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
        s = daemon_open(c, reread, file, &who, program, log, &d, why);
    if (s == ST_OK)
        s = daemon_run(d, why);
    daemon_close(d);
    return s;
}

int up_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    char *file = NULL;
    struct config c;
    struct fault why;
    (void)umask(022);
    for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (o == 'h')
            return fputs(help, stdout) < 0;
        if (o != 'c')
            return status_exit(ST_INVALID);
        file = optarg;
    }
    if (optind < argc) {
        (void)fault_set(&why, ST_INVALID, "up takes no argument \"%s\"", argv[optind]);
        return complain(&why);
    }
    if (read_config(&c, file, &why) != ST_OK)
        return complain(&why);
    /* A reload finds it from another working directory. */
    AUTO(auto_free) char *whole = file ? realpath(file, NULL) : NULL;
    struct logger *log = log_new(STDERR_FILENO, (enum log_format)c.log.format,
                                 (enum log_level)c.log.level, c.log.rate_per_s, wall_ns);
    enum status s = serve(&c, whole, log, &why);
    if (s != ST_OK) {
        /* Once: as people read it on a terminal, as an event for whoever collects them. */
        if (isatty(STDERR_FILENO))
            (void)complain(&why);
        else
            log_fault(log, LOG_ERROR, "daemon.failed", &why);
    }
    log_free(log);
    return status_exit(s);
}
