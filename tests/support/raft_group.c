#include "support/raft_group.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/units.h"
#include "os/file.h"
#include "support/bench.h"
#include "support/herd.h"

enum { LOOK_MS = 20, REPEATS_MAX = 10, DIR_MAX = 300 };

/* --- sockets --- */

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "error: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void no_delay(int fd)
{
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP_NODELAY");
}

/* As socketpair(2), of TCP over loopback. */
static void tcp_pair(int ret[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    AUTO(close_fd) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || ret[0] < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &size) != 0 ||
        connect(ret[0], (struct sockaddr *)&at, sizeof at) != 0)
        fail("connect on loopback");
    ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (ret[1] < 0)
        fail("accept on loopback");
    no_delay(ret[0]);
    no_delay(ret[1]);
}

/* --- life --- */

struct wires {
    int peer[MEMBER_COUNT + 1][MEMBER_COUNT + 1]; /* [of][to] */
    int control[MEMBER_COUNT + 1][2];             /* ours, the member's */
};

static void wire(struct wires *w)
{
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, w->control[i]) != 0)
            fail("socketpair");
        w->peer[i][i] = -1;
        for (uint32_t k = i + 1; k <= MEMBER_COUNT; k++) {
            int pair[2];
            tcp_pair(pair);
            w->peer[i][k] = pair[0];
            w->peer[k][i] = pair[1];
        }
    }
}

/* All but what member `self` needs; 0: but what the benchmark needs. */
static void close_others(const struct wires *w, uint32_t self)
{
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++) {
        if (self)
            (void)close(w->control[i][0]);
        if (i == self)
            continue;
        (void)close(w->control[i][1]);
        for (uint32_t k = 1; k <= MEMBER_COUNT; k++)
            if (k != i)
                (void)close(w->peer[i][k]);
    }
}

_Noreturn static void become(const struct wires *w, uint32_t self, const char *dir)
{
    char path[DIR_MAX];
    struct config c;
    config_init(&c);
    struct member_config mc = {.self = self,
                               .dir = path,
                               .control_fd = w->control[self][1],
                               .snapshot_entries = c.journal.snapshot_entries,
                               .trailing_entries = c.journal.trailing_entries};
    memcpy(mc.peer_fd, w->peer[self], sizeof mc.peer_fd);
    (void)snprintf(path, sizeof path, "%s/member-%u", dir, self);
    if (mkdir(path, 0700) != 0)
        fail(path);
    close_others(w, self);
    member_run(&mc);
}

void raft_group_begin(struct raft_group *g, const char *dir)
{
    static const char *const name[] = {"", "member 1", "member 2", "member 3"};
    struct wires w;
    *g = (struct raft_group){0};
    wire(&w);
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++) {
        g->control_fd[i] = w.control[i][0];
        g->pid[i] = herd_fork(name[i]);
        if (g->pid[i] == 0)
            become(&w, i, dir);
    }
    close_others(&w, 0);
}

/* --- orders --- */

static void order(struct raft_group *g, uint32_t to, const struct member_order *o)
{
    if (send(g->control_fd[to], o, sizeof *o, MSG_NOSIGNAL) != (ssize_t)sizeof *o)
        fail("order a member");
}

static struct member_report report(struct raft_group *g, uint32_t from)
{
    struct member_report r;
    struct pollfd p = {.fd = g->control_fd[from], .events = POLLIN};
    for (int got = 0; got <= 0; got = poll(&p, 1, LOOK_MS))
        herd_watch();
    ssize_t n = recv(p.fd, &r, sizeof r, 0);
    while (n == 0) { /* it has ended, or is about to */
        herd_watch();
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (n != (ssize_t)sizeof r)
        fail("a member's report");
    return r;
}

static void look(struct raft_group *g, struct member_report ret[MEMBER_COUNT + 1])
{
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++) {
        order(g, i, &(struct member_order){.kind = MEMBER_LOOK});
        ret[i] = report(g, i);
    }
}

static void find_leader(struct raft_group *g)
{
    struct member_report all[MEMBER_COUNT + 1];
    for (g->leader = 0; g->leader == 0;) {
        look(g, all);
        for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
            if (all[i].leads)
                g->leader = i;
        if (g->leader == 0)
            (void)poll(NULL, 0, LOOK_MS);
    }
}

static void reach(struct raft_group *g, uint64_t index)
{
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        order(g, i, &(struct member_order){.kind = MEMBER_REACH, .index = index});
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        (void)report(g, i);
}

void raft_group_look(struct raft_group *g, struct member_report ret[MEMBER_COUNT + 1])
{
    find_leader(g);
    order(g, g->leader, &(struct member_order){.kind = MEMBER_LOOK});
    reach(g, report(g, g->leader).applied);
    look(g, ret);
}

double raft_group_rate(struct raft_group *g, uint32_t outstanding, uint64_t for_ms)
{
    for (;;) {
        find_leader(g);
        order(g, g->leader,
              &(struct member_order){
                  .kind = MEMBER_RUN, .outstanding = outstanding, .for_ms = for_ms});
        struct member_report r = report(g, g->leader);
        if (r.leads) {
            reach(g, r.applied);
            return (double)r.count / ((double)r.took_ns / UNITS_NS_PER_S);
        }
        if (++g->repeats == REPEATS_MAX) {
            (void)fprintf(stderr, "error: no leader stays for %" PRIu64 " ms\n", for_ms);
            exit(1);
        }
    }
}

uint64_t raft_group_cpu_ns(const struct raft_group *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        sum += herd_cpu_ns(g->pid[i]);
    return sum;
}
