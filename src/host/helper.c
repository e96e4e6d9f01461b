#include "host/helper.h"

#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "os/file.h"

enum {
    START_MS = 10000,
    STOP_MS = 3000,
    CALLS_MAX = 1024,
    RETRY_MIN_MS = 5,
    RETRY_MAX_MS = 200,
    CLEAN_TRIES = 60, /* with the delays above: some 10 s */
};

struct helper {
    struct host host; /* first */
    struct loop *loop;
    struct loop_source *io, *defer;
    int fd;
    pid_t pid;
    bool lost;
    uint32_t last_id;
    size_t call_count;
    struct list calls;   /* sent, waiting for the answer, or for their next try */
    struct list unsent;  /* in order */
    struct list refused; /* to be told by `defer` */
    int send_error;      /* told by `defer` */
    void (*on_lost)(void *ctx);
    void *on_lost_ctx;
    char uids[HOST_LIST_MAX][HOST_UID_MAX];
    char answer[REQUEST_SIZE_MAX];
};

union done {
    void (*spawned)(void *ctx, enum status s, const struct fault *why,
                    const struct host_spawned *r);
    void (*cleaned)(void *ctx, enum status s, const struct fault *why);
    void (*listed)(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX], size_t count);
};

struct call {
    struct list item;
    struct helper *helper;
    enum request_type type;
    uint32_t id;
    char uid[HOST_UID_MAX]; /* SPAWN and CLEAN: of the VM */
    bool sent;              /* its answer is awaited */
    bool stale;             /* CLEAN: a spawn of this VM was asked for since */
    struct buf message;
    int fd[REQUEST_FDS_MAX];
    size_t fd_count;
    struct fault why; /* when refused */
    struct loop_source *retry;
    unsigned tries;
    uint64_t delay_ms;
    union done done;
    void *ctx;
};

/* ---- one call ---- */

static void close_fds(struct call *c)
{
    for (size_t i = 0; i < c->fd_count; i++)
        (void)close(c->fd[i]);
    c->fd_count = 0;
}

static void call_free(struct call *c)
{
    list_cut(&c->item);
    c->helper->call_count--;
    close_fds(c);
    buf_done(&c->message);
    loop_source_close(c->retry);
    free(c);
}

/* Tell the one who asked; the call is gone after that. */
static void finish(struct call *c, struct answer *a)
{
    union done done = c->done;
    void *ctx = c->ctx;
    enum request_type type = c->type;
    call_free(c);
    const struct fault *why = a->status == ST_OK ? NULL : &a->why;
    if (type == REQUEST_SPAWN)
        done.spawned(ctx, a->status, why, a->status == ST_OK ? &a->spawned : NULL);
    else if (type == REQUEST_CLEAN)
        done.cleaned(ctx, a->status, why);
    else
        done.listed(ctx, a->status, (const char(*)[HOST_UID_MAX])a->uid, a->count);
}

static void finish_fault(struct call *c, const struct fault *why)
{
    struct answer a = {.status = why->status, .why = *why};
    finish(c, &a);
}

/* ---- losing it ---- */

static void fail_all(struct list *calls, const struct fault *why)
{
    while (!list_empty(calls))
        finish_fault(CONTAINER_OF(calls->next, struct call, item), why);
}

static void lose(struct helper *h, const char *how)
{
    if (h->lost)
        return;
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "the helper process is gone: %s", how);
    h->lost = true;
    loop_source_close(h->io);
    h->io = NULL;
    close_fd(&h->fd);
    fail_all(&h->calls, &why);
    fail_all(&h->unsent, &why);
    if (h->on_lost)
        h->on_lost(h->on_lost_ctx);
}

/* ---- sending ---- */

static ssize_t send_message(int fd, struct str message, const int *fds, size_t fd_count)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * REQUEST_FDS_MAX)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec v = {(void *)(uintptr_t)message.ptr, message.len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (fd_count) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * fd_count);
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void flush(struct helper *h)
{
    while (!h->lost && !list_empty(&h->unsent)) {
        struct call *c = CONTAINER_OF(h->unsent.next, struct call, item);
        if (send_message(h->fd, buf_view(&c->message), c->fd, c->fd_count) < 0) {
            if (errno == EAGAIN || errno == EINTR)
                break;
            h->send_error = errno; /* not here: it would tell the one who is just asking */
            loop_defer_arm(h->defer);
            return;
        }
        close_fds(c);
        c->sent = true;
        list_cut(&c->item);
        list_push(&h->calls, &c->item);
    }
    if (!h->lost)
        loop_io_want(h->io, list_empty(&h->unsent) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

static void on_defer(void *ctx)
{
    struct helper *h = ctx;
    while (!list_empty(&h->refused)) {
        struct call *c = CONTAINER_OF(h->refused.next, struct call, item);
        struct fault why = c->why;
        finish_fault(c, &why);
    }
    if (h->send_error)
        lose(h, strerrordesc_np(h->send_error));
}

static void on_retry(void *ctx)
{
    struct call *c = ctx;
    list_cut(&c->item);
    list_push(&c->helper->unsent, &c->item);
    flush(c->helper);
}

/* ---- asking ---- */

static void refuse(struct call *c, const struct fault *why)
{
    c->why = *why;
    list_push(&c->helper->refused, &c->item);
    loop_defer_arm(c->helper->defer);
}

/* Take descriptors of our own: the caller's are borrowed. */
static bool keep_fds(struct call *c, const struct host_spawn *s)
{
    for (size_t i = 0; i < s->fd_count + 2; i++) {
        int from = i == 0 ? s->dir : i == 1 ? s->listen : s->fd[i - 2];
        int fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return false;
        c->fd[c->fd_count++] = fd;
    }
    return true;
}

static void ask(struct helper *h, struct request *r, union done done, void *ctx)
{
    struct fault why;
    struct call *c = NEW(struct call);
    *c = (struct call){.helper = h, .type = r->type, .done = done, .ctx = ctx};
    memcpy(c->uid, r->uid, sizeof c->uid);
    list_init(&c->item);
    h->call_count++;
    buf_init(&c->message, REQUEST_SIZE_MAX);
    c->id = r->id = ++h->last_id;
    if (h->lost)
        (void)fault_set(&why, ST_UNAVAILABLE, "the helper process is gone");
    else if (h->call_count > CALLS_MAX)
        (void)fault_set(&why, ST_LIMIT, "too many requests wait for the helper");
    else if (request_put(&c->message, r, &why) != ST_OK)
        (void)fault_wrap(&why, why.status, "ask the helper");
    else if (r->type == REQUEST_SPAWN && !keep_fds(c, &r->spawn))
        (void)fault_errno(&why, errno, "duplicate descriptors");
    else {
        list_push(&h->unsent, &c->item);
        flush(h);
        return;
    }
    refuse(c, &why);
}

static void copy_uid(char out[HOST_UID_MAX], const char *uid)
{
    require(request_is_uid(str_from(uid)));
    memcpy(out, uid, HOST_UID_MAX);
}

static enum status no_more_cleaning(struct fault *why)
{
    return fault_set(why, ST_CANCELLED, "the VM is being started again");
}

/* What was to end the last incarnation must not meet the next one. What is not sent is not sent any
 * more; what is on its way comes before the spawn, and is not tried again (see answered()). */
static void give_up_cleans(struct list *calls, const char *uid)
{
    LIST_EACH(it, calls) {
        struct call *c = CONTAINER_OF(it, struct call, item);
        if (c->type != REQUEST_CLEAN || strcmp(c->uid, uid) != 0)
            continue;
        c->stale = true;
        if (c->sent)
            continue;
        struct fault why;
        (void)no_more_cleaning(&why);
        loop_source_close(c->retry);
        c->retry = NULL;
        list_cut(&c->item);
        refuse(c, &why);
    }
}

static void host_spawn(struct host *host, const struct host_spawn *spawn,
                       void (*done)(void *ctx, enum status s, const struct fault *why,
                                    const struct host_spawned *r),
                       void *ctx)
{
    struct request r = {.type = REQUEST_SPAWN, .spawn = *spawn};
    struct helper *h = (struct helper *)host;
    copy_uid(r.uid, spawn->uid);
    give_up_cleans(&h->calls, r.uid);
    give_up_cleans(&h->unsent, r.uid);
    ask(h, &r, (union done){.spawned = done}, ctx);
}

static void host_clean(struct host *host, const char *uid,
                       void (*done)(void *ctx, enum status s, const struct fault *why), void *ctx)
{
    struct request r = {.type = REQUEST_CLEAN};
    copy_uid(r.uid, uid);
    ask((struct helper *)host, &r, (union done){.cleaned = done}, ctx);
}

static void host_list(struct host *host,
                      void (*done)(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX],
                                   size_t count),
                      void *ctx)
{
    struct request r = {.type = REQUEST_LIST};
    ask((struct helper *)host, &r, (union done){.listed = done}, ctx);
}

/* ---- answers ---- */

/* What is being killed takes its time to end. False: no more tries. */
static bool try_again(struct call *c)
{
    if (c->type != REQUEST_CLEAN || ++c->tries >= CLEAN_TRIES)
        return false;
    if (!c->retry &&
        loop_timer_open(c->helper->loop, LOOP_MONOTONIC, 0, on_retry, c, &c->retry, NULL) != ST_OK)
        return false;
    c->sent = false;
    c->delay_ms = MIN(MAX(c->delay_ms * 2, (uint64_t)RETRY_MIN_MS), (uint64_t)RETRY_MAX_MS);
    loop_timer_after(c->retry, c->delay_ms);
    return true;
}

static struct call *find(struct helper *h, uint32_t id)
{
    LIST_EACH(it, &h->calls) {
        struct call *c = CONTAINER_OF(it, struct call, item);
        if (c->id == id)
            return c;
    }
    return NULL;
}

/* False: it does not speak as it should. What came with it is taken, or left in *fd. */
static bool answered(struct helper *h, struct str message, int *fd)
{
    struct call *c = find(h, answer_id(message));
    struct answer a = {.uid = h->uids};
    if (!c || answer_get(message, c->type, &a, NULL) != ST_OK)
        return false;
    if (a.status == ST_OK && (c->type == REQUEST_SPAWN) != (*fd >= 0))
        return false;
    if (a.status == ST_IN_USE && c->stale)
        a.status = no_more_cleaning(&a.why);
    else if (a.status == ST_IN_USE && try_again(c))
        return true;
    if (a.status == ST_OK && *fd >= 0) {
        a.spawned.shim_pidfd = *fd;
        *fd = -1;
    }
    finish(c, &a);
    return true;
}

static ssize_t receive(int fd, char *data, size_t size, int *ret_fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec v = {data, size};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof control.room};
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    return n;
}

static void on_io(void *ctx, uint32_t events)
{
    struct helper *h = ctx;
    if (events & EPOLLOUT)
        flush(h);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    AUTO(close_fd) int fd = -1;
    ssize_t n = receive(h->fd, h->answer, sizeof h->answer, &fd);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        lose(h, "it ended");
    else if (!answered(h, (struct str){h->answer, (size_t)n}, &fd))
        lose(h, "its answer makes no sense");
}

/* ---- start and stop ---- */

void helper_defaults(struct request_init *i)
{
    *i = (struct request_init){
        .tag = "0",
        .qemu = "/usr/bin/qemu-system-x86_64",
        .shim = "/usr/libexec/blixard/blixard-shim",
        .cgroup_root = "/sys/fs/cgroup",
        .id_first = 1900000000,
        .id_count = 4000,
        .own_id = geteuid(),
        .own_group = getegid(),
        .subnet = UINT32_C(10) << 24 | 83 << 16,
        .subnet_bits = 16,
        .gateway = UINT32_C(169) << 24 | 254 << 16 | 1 << 8 | 1,
    };
    if (access("/usr/sbin/nft", X_OK) == 0)
        (void)snprintf(i->nft, sizeof i->nft, "/usr/sbin/nft");
}

_Noreturn static void become(const char *exe, int fd)
{
    const char *const argv[] = {"blixard-helper", NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    bool moved = fd == HELPER_FD ? fcntl(fd, F_SETFD, 0) == 0 : dup2(fd, HELPER_FD) == HELPER_FD;
    if (moved && close_range(HELPER_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        (void)execv(exe, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static enum status run(const char *exe, int *ret_fd, pid_t *ret_pid, struct fault *why)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return fault_errno(why, errno, "make a socket pair");
    pid_t pid = fork();
    if (pid == 0)
        become(exe, pair[1]);
    int err = errno;
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return fault_errno(why, err, "fork");
    }
    *ret_fd = pair[0];
    *ret_pid = pid;
    return ST_OK;
}

/* Tell it what holds, and hear what it can. */
static enum status introduce(int fd, const struct request_init *i, struct host_facts *ret,
                             struct fault *why)
{
    struct request r = {.type = REQUEST_INIT, .id = 1, .init = *i};
    struct buf b AUTO(buf_done);
    buf_init(&b, REQUEST_SIZE_MAX);
    enum status s = request_put(&b, &r, why);
    if (s != ST_OK)
        return s;
    char data[4096];
    int none = -1;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (send_message(fd, buf_view(&b), NULL, 0) < 0)
        return fault_errno(why, errno, "speak to it");
    if (poll(&p, 1, START_MS) <= 0)
        return fault_set(why, ST_TIMEOUT, "it does not answer");
    ssize_t n = receive(fd, data, sizeof data, &none);
    if (n <= 0)
        return fault_set(why, ST_UNAVAILABLE, "it ended at once");
    struct answer a = {0};
    s = answer_get((struct str){data, (size_t)n}, REQUEST_INIT, &a, why);
    if (s != ST_OK)
        return s;
    *ret = a.facts;
    if (a.status != ST_OK && why)
        *why = a.why;
    return a.status;
}

/* It ends when its socket does. */
static void await_end(pid_t pid)
{
    for (int waited_ms = 0; waited_ms < STOP_MS; waited_ms++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        (void)poll(NULL, 0, 1);
    }
    (void)kill(pid, SIGKILL); /* has no effect if it has more rights than we have */
    (void)waitpid(pid, NULL, WNOHANG);
}

enum status helper_start(struct loop *l, const char *exe, const struct request_init *i,
                         void (*lost)(void *ctx), void *ctx, struct host **ret, struct fault *why)
{
    struct helper *h = NEW(struct helper);
    *h = (struct helper){.host = {.spawn = host_spawn, .clean = host_clean, .list = host_list},
                         .loop = l,
                         .fd = -1,
                         .last_id = 1,
                         .on_lost = lost,
                         .on_lost_ctx = ctx};
    list_init(&h->calls);
    list_init(&h->unsent);
    list_init(&h->refused);
    enum status s = run(exe, &h->fd, &h->pid, why);
    if (s == ST_OK)
        s = introduce(h->fd, i, &h->host.facts, why);
    if (s == ST_OK && fcntl(h->fd, F_SETFL, O_NONBLOCK) != 0)
        s = fault_errno(why, errno, "make a socket non-blocking");
    if (s == ST_OK)
        s = loop_io_open(l, h->fd, EPOLLIN, on_io, h, &h->io, why);
    if (s == ST_OK)
        s = loop_defer_open(l, on_defer, h, &h->defer, why);
    if (s != ST_OK) {
        helper_stop(&h->host);
        return fault_wrap(why, s, "start the helper process");
    }
    *ret = &h->host;
    return ST_OK;
}

static void drop_all(struct list *calls)
{
    while (!list_empty(calls))
        call_free(CONTAINER_OF(calls->next, struct call, item));
}

void helper_stop(struct host *host)
{
    struct helper *h = (struct helper *)host;
    if (!h)
        return;
    drop_all(&h->calls);
    drop_all(&h->unsent);
    drop_all(&h->refused);
    loop_source_close(h->io);
    loop_source_close(h->defer);
    close_fd(&h->fd);
    if (h->pid > 0)
        await_end(h->pid);
    free(h);
}
