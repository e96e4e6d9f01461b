/*
 * The helper's messages, and that it refuses what a broken-into daemon might ask. The helper runs here
 * without any rights, so that a mistake in it costs nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/request.h"
#include "host/serve.h"
#include "os/file.h"
#include "support/scratch.h"
#include "support/tap.h"

#define UID "0123456789abcdef0123456789abcdef"

static struct request_init an_init(void)
{
    return (struct request_init){
        .tag = "t1",
        .qemu = "/bin/true",
        .shim = "/nowhere/shim",
        .cgroup_root = "/nowhere",
        .id_first = 1900000000,
        .id_count = 10,
        .own_id = 65534,
        .own_group = 65534,
        .subnet = 0x0a530000,
        .subnet_bits = 16,
        .gateway = 0xa9fe0101,
    };
}

static const char *const argv_true[] = {"/bin/true", "-x", NULL};

static struct request a_spawn(void)
{
    struct request r = {.type = REQUEST_SPAWN, .id = 5, .uid = UID};
    r.spawn = (struct host_spawn){.slot = 3,
                                  .epoch = 1,
                                  .incarnation = 2,
                                  .deadline_ms = UINT64_MAX,
                                  .net = HOST_NET_USER,
                                  .mem_bytes = 256 << 20,
                                  .cpu_milli = 1000,
                                  .task_count = 64,
                                  .argv = argv_true,
                                  .argc = 2};
    return r;
}

/* ---- messages ---- */

TEST(helper_requests_come_back)
{
    struct request r = a_spawn(), *got = NEW(struct request);
    struct buf b;
    buf_init(&b, REQUEST_SIZE_MAX);
    r.spawn.address = 0x0a530004;
    r.spawn.kvm = true;
    CHECK_EQ(ST_OK, request_put(&b, &r, NULL));
    CHECK_EQ(ST_OK, request_get(buf_view(&b), got, NULL));
    CHECK_EQ(5, got->id);
    CHECK_STR(UID, got->uid);
    CHECK_EQ(3, got->spawn.slot);
    CHECK_EQ(0x0a530004, got->spawn.address);
    CHECK(got->spawn.kvm);
    CHECK_EQ(2, got->argc);
    CHECK_STR("-x", got->argv[1].ptr);

    r = (struct request){.type = REQUEST_INIT, .id = 1, .init = an_init()};
    buf_reset(&b);
    CHECK_EQ(ST_OK, request_put(&b, &r, NULL));
    CHECK_EQ(ST_OK, request_get(buf_view(&b), got, NULL));
    CHECK_STR("t1", got->init.tag);
    CHECK_STR("/bin/true", got->init.qemu);
    CHECK_STR("", got->init.nft);
    CHECK_EQ(1900000000, got->init.id_first);
    CHECK_EQ(16, got->init.subnet_bits);
    free(got);
    buf_done(&b);
}

TEST(helper_requests_with_bad_values_are_refused)
{
    struct request *got = NEW(struct request);
    struct buf b;
    struct fault why;
    buf_init(&b, REQUEST_SIZE_MAX);
    static const char *const tag[] = {"", "UP", "a/b", ".."};
    for (size_t i = 0; i < ARRAY_COUNT(tag); i++) {
        struct request r = {.type = REQUEST_INIT, .init = an_init()};
        memset(r.init.tag, 0, sizeof r.init.tag);
        memcpy(r.init.tag, tag[i], strlen(tag[i]));
        buf_reset(&b);
        CHECK_EQ(ST_OK, request_put(&b, &r, NULL));
        CHECK_EQ(ST_INVALID, request_get(buf_view(&b), got, &why));
    }
    struct request r = {.type = REQUEST_INIT, .init = an_init()};
    r.init.id_first = 0; /* root */
    buf_reset(&b);
    CHECK_EQ(ST_OK, request_put(&b, &r, NULL));
    CHECK_EQ(ST_INVALID, request_get(buf_view(&b), got, &why));
    r.init = an_init();
    r.init.id_count = UINT32_MAX; /* wraps to root */
    buf_reset(&b);
    CHECK_EQ(ST_OK, request_put(&b, &r, NULL));
    CHECK_EQ(ST_INVALID, request_get(buf_view(&b), got, &why));
    r = (struct request){.type = REQUEST_CLEAN, .uid = "../../etc"};
    CHECK_EQ(ST_INVALID, request_put(&b, &r, &why));
    free(got);
    buf_done(&b);
}

TEST(helper_answers_come_back)
{
    static char uids[HOST_LIST_MAX][HOST_UID_MAX], got_uids[HOST_LIST_MAX][HOST_UID_MAX];
    struct buf b;
    struct answer got = {.uid = got_uids};
    buf_init(&b, REQUEST_SIZE_MAX);
    for (size_t i = 0; i < HOST_LIST_MAX; i++)
        memcpy(uids[i], UID, sizeof uids[i]);
    struct answer a = {.id = 9, .count = HOST_LIST_MAX, .uid = uids};
    answer_put(&b, REQUEST_LIST, &a);
    CHECK_EQ(ST_OK, answer_get(buf_view(&b), REQUEST_LIST, &got, NULL));
    CHECK_EQ(HOST_LIST_MAX, got.count);
    CHECK_STR(UID, got_uids[HOST_LIST_MAX - 1]);

    a = (struct answer){.id = 10, .status = ST_DENIED};
    (void)fault_set(&a.why, ST_DENIED, "no such thing");
    buf_reset(&b);
    answer_put(&b, REQUEST_SPAWN, &a);
    CHECK_EQ(10, answer_id(buf_view(&b)));
    CHECK_EQ(ST_OK, answer_get(buf_view(&b), REQUEST_SPAWN, &got, NULL));
    CHECK_EQ(ST_DENIED, got.status);
    CHECK_STR("no such thing", got.why.text);

    a = (struct answer){.id = 1, .facts = {.privileged = true, .cgroup = 1, .slots = 7}};
    memcpy(a.facts.why, "no nft", 7);
    buf_reset(&b);
    answer_put(&b, REQUEST_INIT, &a);
    CHECK_EQ(ST_OK, answer_get(buf_view(&b), REQUEST_INIT, &got, NULL));
    CHECK(got.facts.privileged && !got.facts.tap);
    CHECK_EQ(7, got.facts.slots);
    CHECK_STR("no nft", got.facts.why);
    buf_done(&b);
}

/* ---- a helper without rights ---- */

/* A script that any user may run, for a shim. */
static const char *make_program(const char *text)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s", scratch_file("program"));
    CHECK_EQ(0, chmod(scratch_dir(), 0711));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, str_from(text), 0755, NULL));
    CHECK_EQ(0, chmod(path, 0755));
    return path;
}

static int start_helper(void)
{
    int pair[2];
    CHECK_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pair[0]);
        if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
            _exit(9);
        _exit(helper_main(pair[1]));
    }
    (void)close(pair[1]);
    return pair[0];
}

static void send_with(int fd, const struct buf *b, const int *fds, size_t count)
{
    union {
        char room[CMSG_SPACE(sizeof(int) * 64)];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec v = {b->ptr, b->len};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (count) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * count);
    }
    CHECK_EQ(b->len, sendmsg(fd, &m, MSG_NOSIGNAL));
}

static struct answer ask(int fd, const struct request *r, const int *fds, size_t count)
{
    static char data[REQUEST_SIZE_MAX];
    struct answer a = {0};
    struct buf b;
    buf_init(&b, REQUEST_SIZE_MAX);
    CHECK_EQ(ST_OK, request_put(&b, r, NULL));
    send_with(fd, &b, fds, count);
    buf_done(&b);
    ssize_t n = recv(fd, data, sizeof data, 0);
    CHECK(n > 0);
    CHECK_EQ(ST_OK, answer_get((struct str){data, (size_t)n}, r->type, &a, NULL));
    CHECK_EQ(r->id, a.id);
    return a;
}

static int ready_helper_with(const char *shim, struct host_facts *ret)
{
    int fd = start_helper();
    struct request r = {.type = REQUEST_INIT, .id = 1, .init = an_init()};
    (void)snprintf(r.init.shim, sizeof r.init.shim, "%s", shim);
    struct answer a = ask(fd, &r, NULL, 0);
    CHECK_EQ(ST_OK, a.status);
    *ret = a.facts;
    return fd;
}

static int ready_helper(struct host_facts *ret)
{
    return ready_helper_with("/nowhere/shim", ret);
}

TEST(helper_without_root_says_what_it_lacks)
{
    struct host_facts f;
    int fd = ready_helper(&f);
    CHECK(!f.privileged && !f.tap && !f.filter);
    CHECK_EQ(0, f.cgroup);
    CHECK_EQ(10, f.slots);
    CHECK_STR("not root: VMs run as this user, without namespaces, cgroups and taps", f.why);
    (void)close(fd);
}

TEST(helper_takes_init_first_and_once)
{
    int fd = start_helper();
    struct request r = {.type = REQUEST_CLEAN, .id = 2, .uid = UID};
    CHECK_EQ(ST_DENIED, ask(fd, &r, NULL, 0).status);
    r = (struct request){.type = REQUEST_INIT, .id = 3, .init = an_init()};
    CHECK_EQ(ST_OK, ask(fd, &r, NULL, 0).status);
    memcpy(r.init.qemu, "/bin/sh", 8); /* what a daemon that was broken into would like */
    CHECK_EQ(ST_DENIED, ask(fd, &r, NULL, 0).status);
}

static int listening(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK_EQ(0, bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t))); /* a name of the kernel's */
    CHECK_EQ(0, listen(fd, 1));
    return fd;
}

static void check_refused(int fd, const struct request *r, const int *fds, size_t count,
                          enum status want, const char *text)
{
    struct answer a = ask(fd, r, fds, count);
    CHECK_EQ(want, a.status);
    CHECK_STR(text, a.why.text);
}

TEST(helper_refuses_spawns_that_reach_too_far)
{
    struct host_facts f;
    int fd = ready_helper(&f);
    int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), null = open("/dev/null", O_RDWR);
    int fds[] = {dir, listening(), dir};
    static const char *const shell[] = {"/bin/sh", "-c", "id", NULL};

    struct request r = a_spawn();
    r.spawn.argv = shell;
    check_refused(fd, &r, fds, 2, ST_DENIED, "only /bin/true may be run");
    static const char *const no_wall[] = {"/bin/true", "-x", "--sandbox", "off"};
    r = a_spawn();
    r.spawn.argv = no_wall;
    r.spawn.argc = ARRAY_COUNT(no_wall);
    check_refused(fd, &r, fds, 2, ST_DENIED, "--sandbox is not for the one who asks to say");
    r = a_spawn();
    r.spawn.slot = 10;
    check_refused(fd, &r, fds, 2, ST_DENIED, "slot 10 of 10");
    r = a_spawn();
    r.spawn.mem_bytes = 1;
    check_refused(fd, &r, fds, 2, ST_INVALID, "a limit of memory, CPUs or tasks is out of range");
    r = a_spawn();
    r.spawn.net = HOST_NET_TAP;
    r.spawn.address = 0x0a530004;
    CHECK_EQ(ST_UNSUPPORTED, ask(fd, &r, fds, 2).status);
    r = a_spawn();
    check_refused(fd, &r, fds, 1, ST_INVALID, "1 descriptors came, 2 were told");
    check_refused(fd, &r, (int[]){null, fds[1]}, 2, ST_INVALID, "the VM's directory is none");
    check_refused(fd, &r, (int[]){dir, null}, 2, ST_INVALID,
                  "the shim's socket is no listening one");
    r.spawn.fd_count = 1;
    check_refused(fd, &r, fds, 3, ST_INVALID, "descriptor 2 is a directory");
    r.spawn.fd_count = 0; /* all is well but for the shim, which is not there */
    check_refused(fd, &r, fds, 2, ST_NOT_FOUND, "/nowhere/shim: there is no such program");
}

/* One who has the slot of another has its user id, and so its memory and its disks. */
TEST(helper_gives_a_slot_to_one_living_vm)
{
    struct host_facts f;
    int fd = ready_helper_with(make_program("#!/bin/sh\nexec sleep 100\n"), &f);
    int fds[] = {open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), listening()};
    struct request r = a_spawn();
    struct answer first = ask(fd, &r, fds, 2);
    CHECK_EQ(ST_OK, first.status);

    r.uid[0] = 'a'; /* another VM */
    check_refused(fd, &r, fds, 2, ST_IN_USE, "a VM in slot 3 still runs");
    r.spawn.slot = 4;
    struct answer second = ask(fd, &r, fds, 2);
    CHECK_EQ(ST_OK, second.status);

    r.uid[0] = 'b';
    r.spawn.slot = 3;
    CHECK_EQ(0, kill((pid_t)first.spawned.shim_pid, SIGKILL));
    struct answer third;
    do /* its end may take a moment */
        third = ask(fd, &r, fds, 2);
    while (third.status == ST_IN_USE);
    CHECK_EQ(ST_OK, third.status);
    CHECK_EQ(0, kill((pid_t)second.spawned.shim_pid, SIGKILL));
    CHECK_EQ(0, kill((pid_t)third.spawned.shim_pid, SIGKILL));
}

/* Rubbish is answered by a refusal, and the next request is served. */
TEST(helper_survives_rubbish)
{
    struct host_facts f;
    int fd = ready_helper(&f);
    struct buf b;
    char data[1024];
    struct answer a;
    buf_init(&b, 1000);
    buf_text(&b, "\x07\0\0\0 what is this");
    int many[60];
    for (size_t i = 0; i < 60; i++)
        many[i] = fd;
    send_with(fd, &b, many, 60); /* more descriptors than it takes; it must not keep them */
    ssize_t n = recv(fd, data, sizeof data, 0);
    CHECK_EQ(ST_OK, answer_get((struct str){data, (size_t)n}, REQUEST_CLEAN, &a, NULL));
    CHECK(a.status == ST_INVALID || a.status == ST_TOO_BIG);
    struct request r = {.type = REQUEST_CLEAN, .id = 8, .uid = UID};
    CHECK_EQ(ST_OK, ask(fd, &r, NULL, 0).status); /* nothing there: clean */
    buf_done(&b);
}

TEST(helper_ends_with_its_daemon)
{
    struct host_facts f;
    int fd = ready_helper(&f), status = 0;
    (void)close(fd);
    CHECK(wait(&status) > 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
