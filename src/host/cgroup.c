#include "host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "host/request.h"
#include "host/sysfile.h"
#include "os/file.h"

enum {
    PROCS_MAX = 64 * 1024,
    PERIOD_US = 100000,
    SHARES = 1024,
    SHARES_MAX = 262144,
    WEIGHT = 100,
    WEIGHT_MAX = 10000,
    TEXT_MAX = 64
};
#define MAGIC_1 0x27e0ebL
#define MAGIC_2 0x63677270L

static const char *const kind_name[CGROUP_KINDS] = {"memory", "cpu", "pids"};

/* ---- finding the trees ---- */

static bool is_of(const char *path, long magic)
{
    struct statfs s;
    return statfs(path, &s) == 0 && s.f_type == magic;
}

/* Open <tree>/blixard-<tag>, made if need be; -1 and a line in `missing`. */
static int open_parent(const char *tree, const char *tag, struct buf *missing)
{
    char path[REQUEST_PATH_MAX + TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/blixard-%s", tree, tag);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        buf_fmt(missing, "; cannot make %s: %s", path, strerrordesc_np(errno));
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        buf_fmt(missing, "; cannot open %s: %s", path, strerrordesc_np(errno));
    return fd;
}

/* All VMs together weigh as much as one busy process on each CPU: enough to run well beside others, too
 * little to keep the host's own programs waiting. */
static void set_weight(int parent, const char *file, uint64_t each, uint64_t max)
{
    char text[TEXT_MAX];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    (void)snprintf(text, sizeof text, "%" PRIu64, MIN(each * (uint64_t)MAX(cpus, 1L), max));
    (void)!sysfile_write(parent, file, text, NULL);
}

static void open_version_1(struct cgroups *g, const char *root, const char *tag,
                           struct buf *missing)
{
    for (int k = 0; k < CGROUP_KINDS; k++) {
        char tree[REQUEST_PATH_MAX + TEXT_MAX];
        (void)snprintf(tree, sizeof tree, "%s/%s", root, kind_name[k]);
        if (!is_of(tree, MAGIC_1)) {
            buf_fmt(missing, "; no %s cgroups", kind_name[k]);
            continue;
        }
        g->dir[k] = open_parent(tree, tag, missing);
        g->has[k] = g->dir[k] >= 0;
        if (g->has[k])
            g->version = 1;
        if (g->has[k] && k == CGROUP_CPU)
            set_weight(g->dir[k], "cpu.shares", SHARES, SHARES_MAX);
    }
}

/* Let our VMs' groups have the controllers; what the kernel refuses is missing. */
static void delegate(struct cgroups *g, const char *root, struct buf *missing)
{
    for (int k = 0; k < CGROUP_KINDS; k++) {
        char path[REQUEST_PATH_MAX + TEXT_MAX], word[TEXT_MAX];
        struct fault why;
        (void)snprintf(path, sizeof path, "%s/cgroup.subtree_control", root);
        (void)snprintf(word, sizeof word, "+%s", kind_name[k]);
        g->has[k] = sysfile_write(AT_FDCWD, path, word, &why) == ST_OK &&
                    sysfile_write(g->dir[0], "cgroup.subtree_control", word, &why) == ST_OK;
        if (!g->has[k])
            buf_fmt(missing, "; no %s cgroups: %s", kind_name[k], why.text);
    }
}

static void open_version_2(struct cgroups *g, const char *root, const char *tag,
                           struct buf *missing)
{
    g->dir[0] = open_parent(root, tag, missing);
    if (g->dir[0] < 0)
        return;
    g->version = 2;
    g->dir_count = 1;
    delegate(g, root, missing);
    if (g->has[CGROUP_CPU])
        set_weight(g->dir[0], "cpu.weight", WEIGHT, WEIGHT_MAX);
}

void cgroups_open(struct cgroups *g, const char *root, const char *tag, struct buf *missing)
{
    *g = (struct cgroups){.dir = {-1, -1, -1}, .dir_count = CGROUP_KINDS};
    if (is_of(root, MAGIC_2))
        open_version_2(g, root, tag, missing);
    else
        open_version_1(g, root, tag, missing);
}

void cgroups_close(struct cgroups *g)
{
    for (size_t i = 0; i < CGROUP_KINDS; i++)
        if (g->dir[i] >= 0)
            (void)close(g->dir[i]);
    *g = (struct cgroups){.dir = {-1, -1, -1}};
}

bool cgroups_remove(const char *root, const char *tag)
{
    static const char *const tree[] = {"", "memory/", "cpu/", "pids/"};
    bool all = true;
    for (size_t i = 0; i < ARRAY_COUNT(tree); i++) {
        char path[REQUEST_PATH_MAX + TEXT_MAX];
        (void)snprintf(path, sizeof path, "%s/%sblixard-%s", root, tree[i], tag);
        all = (rmdir(path) == 0 || errno == ENOENT) && all;
    }
    return all;
}

/* ---- one VM's ---- */

/* Open the group of a VM in one tree, for files in it; -1: there is none. */
static int open_group(int parent, const char *uid)
{
    return openat(parent, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static enum status set(int group, const char *file, uint64_t value, struct fault *why)
{
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return sysfile_write(group, file, text, why);
}

static enum status set_limit_1(int group, int kind, const struct host_spawn *l, struct fault *why)
{
    enum status s = ST_OK;
    switch (kind) {
    case CGROUP_MEMORY: return set(group, "memory.limit_in_bytes", l->mem_bytes, why);
    case CGROUP_PIDS: return set(group, "pids.max", l->task_count, why);
    default:
        s = set(group, "cpu.cfs_period_us", PERIOD_US, why);
        if (s == ST_OK)
            s = set(group, "cpu.cfs_quota_us", (uint64_t)l->cpu_milli * PERIOD_US / 1000, why);
        if (s == ST_OK) /* its part of what all VMs have, when CPUs are short */
            s = set(group, "cpu.shares", (uint64_t)l->cpu_milli * SHARES / 1000, why);
        return s;
    }
}

static enum status set_limit_2(int group, int kind, const struct host_spawn *l, struct fault *why)
{
    char text[TEXT_MAX];
    switch (kind) {
    case CGROUP_MEMORY: return set(group, "memory.max", l->mem_bytes, why);
    case CGROUP_PIDS: return set(group, "pids.max", l->task_count, why);
    default:
        (void)snprintf(text, sizeof text, "%" PRIu64 " %d",
                       (uint64_t)l->cpu_milli * PERIOD_US / 1000, PERIOD_US);
        enum status s = sysfile_write(group, "cpu.max", text, why);
        if (s == ST_OK)
            s = set(group, "cpu.weight",
                    MIN((uint64_t)l->cpu_milli * WEIGHT / 1000 + 1, (uint64_t)WEIGHT_MAX), why);
        return s;
    }
}

static enum status set_limits(const struct cgroups *g, size_t tree, int group,
                              const struct host_spawn *l, struct fault *why)
{
    enum status s = ST_OK;
    if (g->version == 1)
        return set_limit_1(group, (int)tree, l, why);
    for (int k = 0; s == ST_OK && k < CGROUP_KINDS; k++)
        if (g->has[k])
            s = set_limit_2(group, k, l, why);
    return s;
}

/* The group in one tree, with limits, as the file to write processes to. */
static enum status make_one(const struct cgroups *g, size_t tree, const struct host_spawn *l,
                            int *ret_procs, struct fault *why)
{
    if (mkdirat(g->dir[tree], l->uid, 0755) != 0 && errno != EEXIST)
        return fault_errno(why, errno, "make cgroup %s", l->uid);
    int group = open_group(g->dir[tree], l->uid);
    if (group < 0)
        return fault_errno(why, errno, "open cgroup %s", l->uid);
    enum status s = set_limits(g, tree, group, l, why);
    if (s == ST_OK) {
        *ret_procs = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (*ret_procs < 0)
            s = fault_errno(why, errno, "open cgroup.procs");
    }
    (void)close(group);
    return s;
}

enum status cgroups_make(const struct cgroups *g, const struct host_spawn *limits,
                         int procs_fd[CGROUP_KINDS], size_t *ret_count, struct fault *why)
{
    require(request_is_uid(str_from(limits->uid)));
    /* What is there is a leftover, or the older self that still runs. rmdir tells them apart. */
    for (size_t i = 0; i < g->dir_count; i++)
        if (g->dir[i] >= 0 && unlinkat(g->dir[i], limits->uid, AT_REMOVEDIR) != 0 && errno == EBUSY)
            return fault_set(why, ST_IN_USE, "a monitor of this VM still runs in its cgroup");
    size_t count = 0;
    for (size_t i = 0; i < g->dir_count; i++) {
        if (g->dir[i] < 0)
            continue;
        enum status s = make_one(g, i, limits, &procs_fd[count], why);
        if (s != ST_OK) {
            while (count)
                (void)close(procs_fd[--count]);
            (void)!cgroups_clean(g, limits->uid, NULL);
            return s;
        }
        count++;
    }
    *ret_count = count;
    return ST_OK;
}

static void read_processes(int group, struct buf *text)
{
    buf_init(text, PROCS_MAX);
    (void)!file_read(group, "cgroup.procs", text, NULL);
}

/* False: there are no more. */
static bool next_process(struct str *rest, uint32_t *ret)
{
    struct str line;
    uint64_t pid;
    while (rest->len) {
        (void)str_cut(rest, '\n', &line);
        if (str_u64(line, 2, INT32_MAX, &pid, NULL) != ST_OK)
            continue;
        *ret = (uint32_t)pid;
        return true;
    }
    return false;
}

/* Kill what is in it now. Version 2 has a file for that; with version 1 what it forks meanwhile is met
 * at the next call. */
static void kill_all(int group)
{
    if (sysfile_write(group, "cgroup.kill", "1", NULL) == ST_OK)
        return;
    struct buf b AUTO(buf_done);
    read_processes(group, &b);
    struct str rest = buf_view(&b);
    for (uint32_t pid; next_process(&rest, &pid);)
        (void)kill((pid_t)pid, SIGKILL);
}

static enum status clean_one(int parent, const char *uid, struct fault *why)
{
    int group = open_group(parent, uid);
    if (group < 0 && errno == ENOENT)
        return ST_OK;
    if (group < 0) /* what is in it is not known */
        return fault_errno(why, errno, "open cgroup %s", uid);
    kill_all(group);
    (void)close(group);
    if (unlinkat(parent, uid, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return ST_OK;
    if (errno == EBUSY)
        return fault_set(why, ST_IN_USE, "processes of the VM have not ended yet");
    return fault_errno(why, errno, "remove cgroup %s", uid);
}

enum status cgroups_clean(const struct cgroups *g, const char *uid, struct fault *why)
{
    require(request_is_uid(str_from(uid)));
    enum status s = ST_OK;
    for (size_t i = 0; i < g->dir_count; i++) {
        struct fault one;
        enum status t = g->dir[i] < 0 ? ST_OK : clean_one(g->dir[i], uid, &one);
        if (t == ST_OK || s == ST_IN_USE) /* that something still runs is what counts */
            continue;
        s = t;
        if (why)
            *why = one;
    }
    return s;
}

static bool is_listed(char (*uid)[HOST_UID_MAX], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(uid[i], name) == 0)
            return true;
    return false;
}

size_t cgroups_list(const struct cgroups *g, char (*uid)[HOST_UID_MAX], size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < g->dir_count; i++) {
        int fd = g->dir[i] < 0 ? -1 : openat(g->dir[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d)
            continue;
        for (struct dirent *e; count < max && (e = readdir(d));)
            if (request_is_uid(str_from(e->d_name)) && !is_listed(uid, count, e->d_name))
                memcpy(uid[count++], e->d_name, HOST_UID_MAX);
        (void)closedir(d);
    }
    return count;
}

size_t cgroups_processes(const struct cgroups *g, const char *uid, uint32_t *pid, size_t max)
{
    require(request_is_uid(str_from(uid)));
    size_t count = 0;
    for (size_t i = 0; i < g->dir_count; i++) {
        int group = g->dir[i] < 0 ? -1 : open_group(g->dir[i], uid);
        if (group < 0)
            continue;
        struct buf b AUTO(buf_done);
        read_processes(group, &b);
        (void)close(group);
        struct str rest = buf_view(&b);
        while (count < max && next_process(&rest, &pid[count]))
            count++;
    }
    return count;
}
