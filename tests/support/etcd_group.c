#include "support/etcd_group.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/units.h"
#include "os/clock_os.h"
#include "os/file.h"
#include "support/bench.h"
#include "support/grpc_link.h"
#include "support/herd.h"
#include "wire/cursor.h"

enum { LOOK_MS = 20, START_MS = 60000, KEYS = 1024, KEY_BYTES = 8, REQUEST_MAX = 512 };

static const char put_path[] = "/etcdserverpb.KV/Put", range_path[] = "/etcdserverpb.KV/Range",
                  status_path[] = "/etcdserverpb.Maintenance/Status";

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "error: etcd: %s\n", what);
    exit(1);
}

/* --- protobuf, as far as it goes here --- */

/* Field `number` of a message, the first one: *ret is its number, *ret_bytes its bytes. Nothing when it is not
 * there, as of a field that has its default. */
static void field(struct str message, unsigned number, uint64_t *ret, struct str *ret_bytes)
{
    struct cursor c;
    *ret = 0;
    *ret_bytes = (struct str){"", 0};
    cursor_init(&c, message);
    while (cursor_left(&c)) {
        uint64_t tag = cursor_varint(&c), value = 0;
        struct str bytes = {"", 0};
        if ((tag & 7) == 0)
            value = cursor_varint(&c);
        else if ((tag & 7) == 2)
            bytes = cursor_bytes(&c, (size_t)cursor_varint(&c));
        else
            cursor_fail(&c, "a field of another kind");
        if (cursor_ok(&c) && tag >> 3 == number) {
            *ret = value;
            *ret_bytes = bytes;
            return;
        }
    }
}

static uint64_t field_number(struct str message, unsigned number)
{
    uint64_t v;
    struct str bytes;
    field(message, number, &v, &bytes);
    return v;
}

static struct str field_bytes(struct str message, unsigned number)
{
    uint64_t v;
    struct str bytes;
    field(message, number, &v, &bytes);
    return bytes;
}

static void put_bytes(struct buf *b, unsigned number, const void *data, size_t len)
{
    cursor_put_varint(b, number << 3 | 2);
    cursor_put_varint(b, len);
    buf_add(b, data, len);
}

/* --- requests --- */

typedef void request_fn(struct etcd_group *g, struct buf *out);

static void put_request(struct etcd_group *g, struct buf *out)
{
    static char value[ETCD_VALUE_BYTES];
    char key[KEY_BYTES + 1];
    (void)snprintf(key, sizeof key, "key-%04u", (unsigned)(g->number % KEYS));
    cursor_store_u64(value, g->number++);
    put_bytes(out, 1, key, KEY_BYTES);
    put_bytes(out, 2, value, sizeof value);
}

/* A key that is not there, serializable. */
static void range_request(struct etcd_group *g, struct buf *out)
{
    (void)g;
    put_bytes(out, 1, "no", 2);
    cursor_put_varint(out, 7 << 3);
    cursor_put_varint(out, 1);
}

static void status_request(struct etcd_group *g, struct buf *out)
{
    (void)g, (void)out;
}

/* --- one call at a time --- */

static void wait_for(struct grpc_link *const *link, size_t count)
{
    struct pollfd p[ETCD_LINKS_MAX];
    for (size_t i = 0; i < count; i++)
        p[i] = (struct pollfd){.fd = grpc_fd(link[i]),
                               .events = (short)(POLLIN | (grpc_unsent(link[i]) ? POLLOUT : 0))};
    herd_watch();
    (void)poll(p, count, LOOK_MS);
}

/* ret: room for the answer. */
static enum status call(struct etcd_group *g, unsigned member, const char *path,
                        request_fn *request, struct buf *ret, struct fault *why)
{
    AUTO(buf_done) struct buf message;
    struct grpc_link *l;
    size_t answered = 0;
    buf_init(&message, REQUEST_MAX);
    request(g, &message);
    enum status s = grpc_open(g->port[member], path, &l, why);
    if (s != ST_OK)
        return s;
    ensure(grpc_ask(l, buf_view(&message)));
    for (;;) {
        s = grpc_turn(l, &answered, why);
        if (s != ST_OK || answered)
            break;
        wait_for(&l, 1);
    }
    if (s == ST_OK)
        buf_str(ret, grpc_answer(l));
    grpc_close(l);
    return s;
}

/* --- start --- */

const char *etcd_find(void)
{
    static const char *const place[] = {"/usr/bin/etcd", "/usr/local/bin/etcd"};
    for (size_t i = 0; i < ARRAY_COUNT(place); i++)
        if (access(place[i], X_OK) == 0)
            return place[i];
    return NULL;
}

/* Ports that nobody has: all are taken at once, then given back. */
static void find_ports(uint16_t *ret, size_t count)
{
    int fd[2 * ETCD_COUNT];
    require(count <= ARRAY_COUNT(fd));
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof at;
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd[i] < 0 || bind(fd[i], (struct sockaddr *)&at, sizeof at) != 0 ||
            getsockname(fd[i], (struct sockaddr *)&at, &size) != 0)
            fail("no free port on loopback");
        ret[i] = ntohs(at.sin_port);
    }
    for (size_t i = 0; i < count; i++)
        (void)close(fd[i]);
}

_Noreturn static void become(const char *program, const char *dir, unsigned i, uint16_t port,
                             const uint16_t peer[ETCD_COUNT])
{
    char name[16], data[300], log[300], client_url[64], peer_url[64], cluster[256];
    (void)snprintf(name, sizeof name, "etcd-%u", i);
    (void)snprintf(data, sizeof data, "%s/etcd-%u", dir, i);
    (void)snprintf(log, sizeof log, "%s/etcd-%u.log", dir, i);
    (void)snprintf(client_url, sizeof client_url, "http://127.0.0.1:%u", port);
    (void)snprintf(peer_url, sizeof peer_url, "http://127.0.0.1:%u", peer[i]);
    (void)snprintf(cluster, sizeof cluster,
                   "etcd-0=http://127.0.0.1:%u,etcd-1=http://127.0.0.1:%u,"
                   "etcd-2=http://127.0.0.1:%u",
                   peer[0], peer[1], peer[2]);
    const char *const argv[] = {program,    "--name",
                                name,       "--data-dir",
                                data,       "--listen-client-urls",
                                client_url, "--advertise-client-urls",
                                client_url, "--listen-peer-urls",
                                peer_url,   "--initial-advertise-peer-urls",
                                peer_url,   "--initial-cluster",
                                cluster,    NULL};
    /* It takes options from the environment too. */
    const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    int fd = open(log, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
        _exit(1);
    (void)execve(program, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    _exit(1);
}

/* Each answers, and they agree on a leader. */
static bool ready(struct etcd_group *g)
{
    unsigned known = 0;
    for (unsigned i = 0; i < ETCD_COUNT; i++) {
        AUTO(buf_done) struct buf answer;
        struct fault why;
        buf_init(&answer, REQUEST_MAX);
        if (call(g, i, status_path, status_request, &answer, &why) != ST_OK)
            return false;
        uint64_t leader = field_number(buf_view(&answer), 4);
        uint64_t self = field_number(field_bytes(buf_view(&answer), 1), 2);
        struct str version = field_bytes(buf_view(&answer), 2);
        (void)snprintf(g->version, sizeof g->version, "%.*s", (int)version.len, version.ptr);
        known += leader != 0;
        if (leader == self)
            g->leader = i;
    }
    return known == ETCD_COUNT;
}

static void find_leader(struct etcd_group *g)
{
    uint64_t end_ms = clock_os_now_ms() + START_MS;
    while (!ready(g)) {
        if (clock_os_now_ms() > end_ms)
            fail("it has no leader");
        herd_watch();
        (void)poll(NULL, 0, LOOK_MS);
    }
}

void etcd_group_begin(struct etcd_group *g, const char *program, const char *dir, size_t link_count)
{
    static const char *const name[] = {"etcd 0", "etcd 1", "etcd 2"};
    uint16_t port[2 * ETCD_COUNT];
    require(link_count > 0 && link_count <= ETCD_LINKS_MAX);
    *g = (struct etcd_group){.link_count = link_count};
    find_ports(port, ARRAY_COUNT(port));
    for (unsigned i = 0; i < ETCD_COUNT; i++) {
        g->port[i] = port[i];
        g->pid[i] = herd_fork(name[i]);
        if (g->pid[i] == 0)
            become(program, dir, i, port[i], port + ETCD_COUNT);
    }
    find_leader(g);
}

/* --- load --- */

struct load {
    struct etcd_group *group;
    request_fn *request;
    size_t link_count;
    struct grpc_link *link[ETCD_LINKS_MAX];
    size_t share[ETCD_LINKS_MAX]; /* how many are to be outstanding */
    size_t under_way[ETCD_LINKS_MAX];
    bool over;
    uint64_t answered;
};

/* What one link takes now: its window may have no room, until more is answered. */
static void fill(struct load *l, size_t i, struct buf *message)
{
    while (!l->over && l->under_way[i] < l->share[i]) {
        buf_reset(message);
        l->request(l->group, message);
        if (!grpc_ask(l->link[i], buf_view(message)))
            return;
        l->under_way[i]++;
    }
}

static size_t turn(struct load *l, struct buf *message)
{
    size_t sum = 0;
    for (size_t i = 0; i < l->link_count; i++) {
        size_t answered;
        struct fault why;
        fill(l, i, message);
        bench_check(grpc_turn(l->link[i], &answered, &why), &why);
        l->under_way[i] -= answered;
        l->answered += answered;
        sum += answered;
    }
    return sum;
}

static size_t under_way(const struct load *l)
{
    size_t sum = 0;
    for (size_t i = 0; i < l->link_count; i++)
        sum += l->under_way[i];
    return sum;
}

static double run(struct load *l, uint64_t for_ms)
{
    AUTO(buf_done) struct buf message;
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), took = 0, count = 0;
    buf_init(&message, REQUEST_MAX);
    while (took < for_ms * UNITS_NS_PER_MS) {
        size_t answered = turn(l, &message);
        count += answered;
        if (answered == 0)
            wait_for(l->link, l->link_count);
        took = clock_os_ns(CLOCK_MONOTONIC) - from;
    }
    for (l->over = true; under_way(l);)
        if (turn(l, &message) == 0)
            wait_for(l->link, l->link_count);
    return (double)count / ((double)took / UNITS_NS_PER_S);
}

static double rate(struct etcd_group *g, const char *path, request_fn *request,
                   uint32_t outstanding, uint64_t for_ms, uint64_t *ret_answered)
{
    struct load l = {.group = g, .request = request};
    struct fault why;
    find_leader(g); /* it may have changed since */
    l.link_count = MIN(g->link_count, (size_t)outstanding);
    for (size_t i = 0; i < l.link_count; i++) {
        l.share[i] = outstanding / l.link_count + (i < outstanding % l.link_count);
        bench_check(grpc_open(g->port[g->leader], path, &l.link[i], &why), &why);
    }
    uint64_t cpu = clock_os_ns(CLOCK_PROCESS_CPUTIME_ID);
    double per_s = run(&l, for_ms);
    g->own_ns += clock_os_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    for (size_t i = 0; i < l.link_count; i++)
        grpc_close(l.link[i]);
    *ret_answered = l.answered;
    return per_s;
}

double etcd_group_rate(struct etcd_group *g, uint32_t outstanding, uint64_t for_ms)
{
    uint64_t answered;
    double per_s = rate(g, put_path, put_request, outstanding, for_ms, &answered);
    g->answered += answered;
    return per_s;
}

double etcd_group_status_rate(struct etcd_group *g, uint32_t outstanding, uint64_t for_ms)
{
    uint64_t answered;
    return rate(g, status_path, status_request, outstanding, for_ms, &answered);
}

uint64_t etcd_group_written(struct etcd_group *g)
{
    AUTO(buf_done) struct buf answer;
    struct fault why;
    buf_init(&answer, REQUEST_MAX);
    bench_check(call(g, g->leader, range_path, range_request, &answer, &why), &why);
    /* The first write made revision 2. */
    return field_number(field_bytes(buf_view(&answer), 1), 3) - 1;
}

uint64_t etcd_group_cpu_ns(const struct etcd_group *g)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ETCD_COUNT; i++)
        sum += herd_cpu_ns(g->pid[i]);
    return sum;
}
