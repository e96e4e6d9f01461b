/*
 * The daemon's side of the helper: in which order things are asked of it. This program is its own helper,
 * one whose VMs never end when they are told to.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/helper.h"
#include "support/tap.h"

#define UID   "0123456789abcdef0123456789abcdef"
#define OTHER "00000000000000000000000000000002"
enum { WAIT_MS = 60000, TURN_MS = 50 };

/* ---- the helper ---- */

struct stubborn {
    size_t cleans; /* of UID, heard since the last spawn */
    char uid[HOST_LIST_MAX][HOST_UID_MAX];
};

/* CLEAN: what is to be cleaned still runs. LIST: as many VMs as cleans were heard. */
static void answer_one(struct stubborn *s, const struct request *r, struct answer *a)
{
    *a = (struct answer){.id = r->id, .spawned.shim_pidfd = -1, .uid = s->uid};
    if (r->type == REQUEST_CLEAN) {
        s->cleans += strcmp(r->uid, UID) == 0;
        a->status = fault_set(&a->why, ST_IN_USE, "it still runs");
    } else if (r->type == REQUEST_SPAWN) {
        s->cleans = 0;
        a->spawned.shim_pid = (uint32_t)getpid();
        a->spawned.shim_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    } else if (r->type == REQUEST_LIST) {
        a->count = MIN(s->cleans, (size_t)HOST_LIST_MAX);
    }
}

static void reply(const struct request *r, const struct answer *a)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct buf b;
    buf_init(&b, REQUEST_SIZE_MAX);
    answer_put(&b, r->type, a);
    struct iovec v = {b.ptr, b.len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (a->spawned.shim_pidfd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(c), &a->spawned.shim_pidfd, sizeof(int));
    }
    (void)sendmsg(HELPER_FD, &m, MSG_NOSIGNAL);
    buf_done(&b);
}

__attribute__((constructor)) static void be_the_helper(int argc, char **argv)
{
    if (argc != 1 || strcmp(argv[0], "blixard-helper") != 0)
        return;
    static char message[REQUEST_SIZE_MAX];
    static struct stubborn s;
    static struct request r;
    struct answer a;
    memset(s.uid, '0', sizeof s.uid);
    for (size_t i = 0; i < HOST_LIST_MAX; i++)
        s.uid[i][HOST_UID_MAX - 1] = 0;
    for (ssize_t n; (n = recv(HELPER_FD, message, sizeof message, 0)) > 0;) {
        if (request_get((struct str){message, (size_t)n}, &r, NULL) != ST_OK)
            _exit(1);
        answer_one(&s, &r, &a);
        reply(&r, &a);
        if (a.spawned.shim_pidfd >= 0)
            (void)close(a.spawned.shim_pidfd);
    }
    _exit(0);
}

/* ---- what is told ---- */

struct told {
    bool done;
    enum status status;
    size_t count;
};

static void on_spawned(void *ctx, enum status s, const struct fault *why,
                       const struct host_spawned *r)
{
    struct told *t = ctx;
    (void)why;
    *t = (struct told){true, s, 0};
    if (r)
        (void)close(r->shim_pidfd);
}

static void on_cleaned(void *ctx, enum status s, const struct fault *why)
{
    struct told *t = ctx;
    (void)why;
    *t = (struct told){true, s, 0};
}

static void on_listed(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX], size_t count)
{
    struct told *t = ctx;
    (void)uid;
    *t = (struct told){true, s, count};
}

static struct loop *loop;

static uint64_t now_ms(void)
{
    struct timespec t;
    CHECK_EQ(0, clock_gettime(CLOCK_MONOTONIC, &t));
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void await(const struct told *t)
{
    uint64_t until = now_ms() + WAIT_MS;
    while (!t->done && now_ms() < until)
        CHECK_EQ(ST_OK, loop_turn(loop, TURN_MS, NULL));
    CHECK(t->done);
}

static struct host *helper(void)
{
    struct request_init i;
    struct host *h;
    struct fault why;
    helper_defaults(&i);
    CHECK_EQ(ST_OK, loop_open(&loop, NULL));
    if (helper_start(loop, "/proc/self/exe", &i, NULL, NULL, &h, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    return h;
}

static void spawn(struct host *h, struct told *t)
{
    static const char *const argv[] = {"/bin/true", NULL};
    const struct host_spawn w = {.uid = UID,
                                 .deadline_ms = UINT64_MAX,
                                 .net = HOST_NET_USER,
                                 .dir = 0,
                                 .listen = 0,
                                 .argv = argv,
                                 .argc = 1};
    h->spawn(h, &w, on_spawned, t);
}

/* How many cleans did it hear since the last spawn? What was asked before is answered then. */
static size_t heard(struct host *h)
{
    struct told t = {0};
    h->list(h, on_listed, &t);
    await(&t);
    CHECK_EQ(ST_OK, t.status);
    return t.count;
}

/* The helper hears more and more cleans, and `clean` goes on. */
static void await_cleans(struct host *h, const struct told *clean)
{
    uint64_t until = now_ms() + WAIT_MS;
    while (heard(h) < 3) {
        CHECK(!clean->done);
        CHECK(now_ms() < until);
    }
}

static void stop(struct host *h)
{
    helper_stop(h);
    loop_close(loop);
}

TEST(helper_clean_is_tried_again)
{
    struct host *h = helper();
    struct told clean = {0};
    h->clean(h, UID, on_cleaned, &clean);
    await_cleans(h, &clean);
    stop(h);
}

/* The next incarnation is not killed by what was meant for the last one. */
TEST(helper_clean_that_waits_ends_before_a_spawn)
{
    struct host *h = helper();
    struct told clean = {0}, other = {0}, up = {0};
    h->clean(h, UID, on_cleaned, &clean);
    h->clean(h, OTHER, on_cleaned, &other);
    await_cleans(h, &clean);
    spawn(h, &up);
    CHECK(!clean.done); /* nothing is told from within a request */
    await(&up);
    CHECK_EQ(ST_OK, up.status);
    await(&clean);
    CHECK_EQ(ST_CANCELLED, clean.status);
    CHECK(!other.done);
    CHECK_EQ(0, heard(h));
    stop(h);
}

TEST(helper_clean_on_its_way_ends_before_a_spawn)
{
    struct host *h = helper();
    struct told clean = {0}, up = {0};
    h->clean(h, UID, on_cleaned, &clean);
    spawn(h, &up);
    await(&clean);
    CHECK_EQ(ST_CANCELLED, clean.status);
    await(&up);
    CHECK_EQ(ST_OK, up.status);
    CHECK_EQ(0, heard(h));
    stop(h);
}

/* One that is asked for after the spawn is of this incarnation. */
TEST(helper_clean_after_a_spawn_is_tried_again)
{
    struct host *h = helper();
    struct told clean = {0}, up = {0};
    spawn(h, &up);
    h->clean(h, UID, on_cleaned, &clean);
    await_cleans(h, &clean);
    stop(h);
}
