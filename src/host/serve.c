#include "host/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "host/filter.h"
#include "host/launch.h"
#include "host/request.h"
#include "host/slot.h"
#include "host/sysfile.h"
#include "host/tap.h"
#include "os/file.h"

enum {
    EXIT_BROKEN = 3,
    OPEN_FILES = 4096,
    TASKS_MIN = 16,
    TASKS_MAX = 4096,
    CPU_MILLI_MAX = 1024000
};
#define MEM_MIN (UINT64_C(32) << 20)
#define MEM_MAX (UINT64_C(16) << 40)

struct helper {
    int fd;
    bool ready; /* REQUEST_INIT was served */
    struct request_init init;
    struct cgroups cgroups;
    struct host_facts facts;
    struct slots slots;
};

/* A request and what came with it. */
struct mail {
    char message[REQUEST_SIZE_MAX];
    struct request request; /* views into message */
    int fd[REQUEST_FDS_MAX];
    size_t fd_count;
};

/* ---- INIT ---- */

/* What is needed from now on, and nothing else: to change ids and end processes of others, to make
 * taps and routes, to unshare, mount and write to cgroups; and, asleep until the end, to remove
 * the cgroups' parents, whose own parents even root may not write to. */
enum {
    RIGHTS =
        1 << CAP_SETUID | 1 << CAP_SETGID | 1 << CAP_KILL | 1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN,
    RIGHTS_ASLEEP = 1 << CAP_DAC_OVERRIDE,
};

static bool set_rights(uint32_t effective)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = effective, .permitted = RIGHTS | RIGHTS_ASLEEP}};
    return syscall(SYS_capset, &head, data) == 0;
}

static enum status drop_rights(struct fault *why)
{
    /* What we execute as root gets what the bounding set holds. */
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
        bool kept = cap < 32 && (RIGHTS & 1U << cap);
        if (!kept && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            return fault_errno(why, errno, "drop capability %lu", cap);
    }
    if (!set_rights(RIGHTS))
        return fault_errno(why, errno, "drop capabilities");
    return ST_OK;
}

/* Only making one shows that taps can be made: the module, the right, a writable /proc/sys. */
static bool try_tap(const struct request_init *i, struct buf *missing)
{
    char name[TAP_NAME_MAX];
    struct fault why;
    tap_name(i->tag, i->id_count, name);
    AUTO(close_fd) int fd = -1;
    if (tap_open(name, i->subnet + i->id_count + 1, i->gateway, &fd, &why) == ST_OK)
        return true;
    buf_fmt(missing, "; no taps: %s", why.text);
    return false;
}

static bool try_filter(const struct request_init *i, struct buf *missing)
{
    struct fault why;
    if (!i->nft[0])
        buf_text(missing, "; no packet filter: nft is not installed");
    else if (filter_install(i->nft, i->tag, &why) != ST_OK)
        buf_fmt(missing, "; no packet filter: %s", why.text);
    else
        return true;
    return false;
}

static void find_facts(struct helper *h, struct buf *missing)
{
    const struct request_init *i = &h->init;
    struct host_facts *f = &h->facts;
    struct fault why;
    f->privileged = geteuid() == 0;
    f->slots = i->id_count;
    f->subnet = i->subnet;
    f->gateway = i->gateway;
    tap_prefix(i->tag, f->tap_prefix);
    if (!f->privileged) {
        buf_text(missing, "; not root: VMs run as this user, without namespaces, cgroups and taps");
        return;
    }
    cgroups_open(&h->cgroups, i->cgroup_root, i->tag, missing);
    f->cgroup = h->cgroups.version;
    f->cgroup_memory = h->cgroups.has[CGROUP_MEMORY];
    f->cgroup_cpu = h->cgroups.has[CGROUP_CPU];
    f->cgroup_pids = h->cgroups.has[CGROUP_PIDS];
    f->tap = try_tap(i, missing);
    f->filter = f->tap && try_filter(i, missing);
    if (i->forward && sysfile_write(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1", &why) != ST_OK)
        buf_fmt(missing, "; no forwarding: %s", why.text);
}

static enum status serve_init(struct helper *h, const struct request *r, struct answer *a)
{
    struct buf missing AUTO(buf_done);
    buf_init(&missing, 4096);
    h->init = r->init;
    /* Each slot has an address; the subnet's own, the try's and broadcast are left out. */
    uint32_t addresses = (UINT32_C(1) << (32 - h->init.subnet_bits)) - 3;
    h->init.id_count = MIN(h->init.id_count, addresses);
    find_facts(h, &missing);
    slots_init(&h->slots, &h->cgroups, h->init.id_first, h->init.id_count);
    if (h->facts.privileged) {
        enum status s = drop_rights(&a->why);
        if (s != ST_OK)
            return s;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fault_errno(&a->why, errno, "forbid new privileges");
    (void)signal(SIGCHLD, SIG_IGN); /* shims are watched by those who know them; no zombies */
    struct str text = buf_view(&missing);
    if (text.len > 2) { /* "; " before the first */
        size_t len = MIN(text.len - 2, sizeof h->facts.why - 1);
        memcpy(h->facts.why, text.ptr + 2, len);
        h->facts.why[len] = 0;
    }
    a->facts = h->facts;
    h->ready = true;
    return ST_OK;
}

/* ---- SPAWN ---- */

static bool is_listening(int fd)
{
    int type = 0, domain = 0, listening = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening;
}

static enum status check_fds(const struct mail *m, struct fault *why)
{
    struct stat st;
    if (m->fd_count != m->request.spawn.fd_count + 2)
        return fault_set(why, ST_INVALID, "%zu descriptors came, %zu were told", m->fd_count,
                         m->request.spawn.fd_count + 2);
    if (fstat(m->fd[0], &st) != 0 || !S_ISDIR(st.st_mode))
        return fault_set(why, ST_INVALID, "the VM's directory is none");
    if (!is_listening(m->fd[1]))
        return fault_set(why, ST_INVALID, "the shim's socket is no listening one");
    for (size_t i = 2; i < m->fd_count; i++)
        if (fstat(m->fd[i], &st) != 0 || S_ISDIR(st.st_mode))
            return fault_set(why, ST_INVALID, "descriptor %zu is a directory", i);
    return ST_OK;
}

/* The seccomp filter around QEMU. It stands before all other words: behind them it could be taken for
 * the value of the last. A later one takes nothing back, but nobody has a reason to say one. */
static const char *const seccomp_wall[] = {
    "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"};
_Static_assert(HOST_ARGS_MAX + ARRAY_COUNT(seccomp_wall) <= SHIM_ARGS_MAX, "both fit");

static enum status check_argv(const struct helper *h, const struct request *r, struct fault *why)
{
    if (!str_is(r->argv[0], h->init.qemu))
        return fault_set(why, ST_DENIED, "only %s may be run", h->init.qemu);
    for (size_t i = 1; i < r->argc; i++)
        if (str_is(r->argv[i], "-sandbox") || str_is(r->argv[i], "--sandbox"))
            return fault_set(why, ST_DENIED, STR_FMT " is not for the one who asks to say",
                             STR_ARG(r->argv[i]));
    return ST_OK;
}

static enum status check_spawn(const struct helper *h, const struct mail *m, struct fault *why)
{
    const struct host_spawn *s = &m->request.spawn;
    enum status args = check_argv(h, &m->request, why);
    if (args != ST_OK)
        return args;
    if (s->slot >= h->facts.slots)
        return fault_set(why, ST_DENIED, "slot %" PRIu32 " of %" PRIu32, s->slot, h->facts.slots);
    if (s->mem_bytes < MEM_MIN || s->mem_bytes > MEM_MAX || s->cpu_milli < 1 ||
        s->cpu_milli > CPU_MILLI_MAX || s->task_count < TASKS_MIN || s->task_count > TASKS_MAX)
        return fault_set(why, ST_INVALID, "a limit of memory, CPUs or tasks is out of range");
    if (s->net == HOST_NET_TAP && !h->facts.tap)
        return fault_set(why, ST_UNSUPPORTED, "no taps here: %s", h->facts.why);
    if (s->net == HOST_NET_TAP && s->address != h->init.subnet + 1 + s->slot)
        return fault_set(why, ST_DENIED, "the address is not that of the slot");
    return check_fds(m, why);
}

static void add_limit(struct shim_start *s, int resource, uint64_t wanted)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0)
        s->limit[s->limit_count++] =
            (struct shim_limit){(uint32_t)resource, MIN(wanted, (uint64_t)now.rlim_max)};
}

/* The group that may use /dev/kvm, if it takes a group. */
static void add_kvm_group(struct shim_start *s)
{
    struct stat st;
    if (stat("/dev/kvm", &st) == 0 && S_ISCHR(st.st_mode) && st.st_gid != 0 &&
        (st.st_mode & S_IRGRP) && (st.st_mode & S_IWGRP))
        s->group[s->group_count++] = st.st_gid;
}

/* Which walls stand around a VM is not for the one who asks to say. */
static void make_start(const struct helper *h, const struct request *r, struct shim_start *s)
{
    const struct host_spawn *w = &r->spawn;
    memcpy(s->uid, r->uid, sizeof s->uid);
    s->epoch = w->epoch;
    s->incarnation = w->incarnation;
    s->deadline_ms = w->deadline_ms;
    add_limit(s, RLIMIT_NOFILE, OPEN_FILES);
    if (h->facts.privileged) {
        s->walls = w->net == HOST_NET_USER ? SHIM_WALLS & ~(uint32_t)SHIM_NET : SHIM_WALLS;
        s->id = h->init.id_first + w->slot;
        s->own_id = h->init.own_id;
        s->own_group = h->init.own_group;
        add_limit(s, RLIMIT_NPROC, w->task_count);
        if (w->kvm)
            add_kvm_group(s);
    }
    s->argv[s->argc++] = r->argv[0];
    for (size_t i = 0; i < ARRAY_COUNT(seccomp_wall); i++)
        s->argv[s->argc++] = str_from(seccomp_wall[i]);
    memcpy(s->argv + s->argc, r->argv + 1, (r->argc - 1) * sizeof r->argv[0]);
    s->argc += r->argc - 1;
}

static enum status spawn(const struct helper *h, const struct mail *m, const int *cgroup,
                         size_t cgroup_count, int tap, struct answer *a)
{
    struct shim_start start = {.cgroup_count = (uint32_t)cgroup_count};
    int keep[HOST_FDS_MAX + 1];
    make_start(h, &m->request, &start);
    for (size_t i = 0; i < m->request.spawn.fd_count; i++)
        keep[start.keep_count++] = m->fd[i + 2];
    if (tap >= 0)
        keep[start.keep_count++] = tap;
    struct launch l = {.shim = h->init.shim,
                       .start = &start,
                       .dir = m->fd[0],
                       .listen = m->fd[1],
                       .cgroup = cgroup,
                       .keep = keep};
    return launch_shim(&l, &a->spawned.shim_pid, &a->spawned.shim_pidfd, &a->why);
}

static enum status serve_spawn(struct helper *h, struct mail *m, struct answer *a)
{
    struct host_spawn *w = &m->request.spawn;
    enum status s = check_spawn(h, m, &a->why);
    if (s == ST_OK)
        s = slots_check(&h->slots, w->slot, &a->why);
    if (s != ST_OK)
        return s;
    int cgroup[CGROUP_KINDS];
    size_t cgroup_count = 0;
    w->uid = m->request.uid;
    s = cgroups_make(&h->cgroups, w, cgroup, &cgroup_count, &a->why);
    if (s != ST_OK)
        return s;
    AUTO(close_fd) int tap = -1;
    if (w->net == HOST_NET_TAP) {
        char name[TAP_NAME_MAX];
        tap_name(h->init.tag, w->slot, name);
        s = tap_open(name, w->address, h->init.gateway, &tap, &a->why);
    }
    if (s == ST_OK)
        s = spawn(h, m, cgroup, cgroup_count, tap, a);
    for (size_t i = 0; i < cgroup_count; i++)
        (void)close(cgroup[i]);
    if (s == ST_OK)
        slots_take(&h->slots, w->slot, a->spawned.shim_pidfd);
    else
        (void)!cgroups_clean(&h->cgroups, m->request.uid, NULL);
    return s;
}

/* ---- mail ---- */

static enum status serve(struct helper *h, struct mail *m, struct answer *a)
{
    if (h->ready == (m->request.type == REQUEST_INIT))
        return fault_set(&a->why, ST_DENIED, "INIT comes first, and once");
    switch (m->request.type) {
    case REQUEST_INIT: return serve_init(h, &m->request, a);
    case REQUEST_SPAWN: return serve_spawn(h, m, a);
    case REQUEST_CLEAN: return cgroups_clean(&h->cgroups, m->request.uid, &a->why);
    case REQUEST_LIST: a->count = cgroups_list(&h->cgroups, a->uid, HOST_LIST_MAX); return ST_OK;
    case REQUEST_TYPE_COUNT: break;
    }
    return fault_set(&a->why, ST_INVALID, "the request is not known");
}

static void take_fds(struct msghdr *h, struct mail *m)
{
    m->fd_count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (m->fd_count < REQUEST_FDS_MAX)
                m->fd[m->fd_count++] = fd;
            else
                (void)close(fd);
        }
    }
}

/* Wait for the next request; false at the end, or when what came cannot be answered. */
static bool receive(struct helper *h, struct mail *m, enum status *ret_status, struct fault *why)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * REQUEST_FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec v = {m->message, sizeof m->message};
    struct msghdr msg = {.msg_iov = &v,
                         .msg_iovlen = 1,
                         .msg_control = control.room,
                         .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(h->fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    take_fds(&msg, m);
    struct str bytes = {m->message, (size_t)n};
    *ret_status = request_get(bytes, &m->request, why);
    if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        *ret_status = fault_set(why, ST_TOO_BIG, "the request is too large");
    m->request.id = answer_id(bytes);
    return true;
}

static bool reply(struct helper *h, enum request_type type, const struct answer *a)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct buf b AUTO(buf_done);
    buf_init(&b, REQUEST_SIZE_MAX);
    answer_put(&b, type, a);
    struct iovec v = {b.ptr, b.len};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    if (a->status == ST_OK && a->spawned.shim_pidfd >= 0) {
        msg.msg_control = control.room;
        msg.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &a->spawned.shim_pidfd, sizeof(int));
    }
    return sendmsg(h->fd, &msg, MSG_NOSIGNAL) == (ssize_t)b.len;
}

static bool turn(struct helper *h, struct mail *m, char (*uids)[HOST_UID_MAX])
{
    struct answer a = {.spawned.shim_pidfd = -1, .uid = uids};
    if (!receive(h, m, &a.status, &a.why))
        return false;
    a.id = m->request.id;
    if (a.status == ST_OK)
        a.status = serve(h, m, &a);
    for (size_t i = 0; i < m->fd_count; i++)
        (void)close(m->fd[i]);
    return reply(h, m->request.type, &a);
}

/* The daemon is gone. If no VM is left either, nothing of ours should be. */
static void leave(struct helper *h)
{
    slots_done(&h->slots);
    cgroups_close(&h->cgroups);
    (void)signal(SIGCHLD, SIG_DFL);
    if (h->facts.privileged)
        (void)set_rights(RIGHTS | RIGHTS_ASLEEP);
    bool alone = h->facts.cgroup && cgroups_remove(h->init.cgroup_root, h->init.tag);
    if (alone && h->facts.filter)
        (void)!filter_remove(h->init.nft, h->init.tag, NULL);
}

/* One descriptor for each VM that runs, and then some. Where that is not allowed, fewer VMs are started. */
static void want_descriptors(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return;
    l.rlim_cur = MIN(MAX(l.rlim_cur, (rlim_t)SLOTS_HELD_MAX * 2), l.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &l);
}

int helper_main(int fd)
{
    struct mail *mail = NEW(struct mail);
    char(*uids)[HOST_UID_MAX] = mem_new(sizeof(char[HOST_LIST_MAX][HOST_UID_MAX]));
    struct helper h = {.fd = fd, .cgroups = {.dir = {-1, -1, -1}}};
    /* It ends when its daemon does, and by nothing that a terminal or a service manager sends to all. */
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < ARRAY_COUNT(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)prctl(PR_SET_NAME, "blixard-helper");
    (void)umask(077);
    want_descriptors();
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || chdir("/") != 0)
        return EXIT_BROKEN;
    while (turn(&h, mail, uids))
        ;
    leave(&h);
    free(uids);
    free(mail);
    return 0;
}
