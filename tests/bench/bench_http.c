/*
 * How long a client waits for a read on the API's unix socket: one VM and a list, on a kept
 * connection and on a new one for each. The server runs in this process, the client in a child.
 * Also what a request and an idle listener cost the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "http/http.h"
#include "os/net_unix.h"
#include "support/fake.h"
#include "support/scratch.h"
#include "wire/json.h"

enum { VMS = 50, ASKED = 5000, LISTENERS = 200 };

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int dial(const char *path)
{
    int fd;
    require(net_unix_connect(path, 1000, &fd, NULL) == ST_OK);
    return fd;
}

static void ask(int fd, const char *path)
{
    static char answer[1 << 20];
    char request[200];
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    require(send(fd, request, (size_t)n, 0) == n);
    size_t len = 0, want = SIZE_MAX;
    while (len < want) {
        ssize_t got = recv(fd, answer + len, sizeof answer - len - 1, 0);
        require(got > 0);
        len += (size_t)got;
        answer[len] = 0;
        const char *head = strstr(answer, "\r\n\r\n"), *size = strstr(answer, "Content-Length: ");
        if (head && size)
            want = (size_t)(head + 4 - answer) + (size_t)atol(size + 16);
    }
    require(strncmp(answer, "HTTP/1.1 200", 12) == 0);
}

static void measure(const char *socket_path, const char *what, const char *path, bool keep)
{
    static uint64_t took[ASKED];
    int fd = keep ? dial(socket_path) : -1;
    for (int i = 0; i < ASKED; i++) {
        uint64_t start = now_ns();
        if (!keep)
            fd = dial(socket_path);
        ask(fd, path);
        if (!keep)
            (void)close(fd);
        took[i] = now_ns() - start;
    }
    if (keep)
        (void)close(fd);
    qsort(took, ASKED, sizeof took[0], compare);
    printf("%-34s p50 %6.3f ms  p99 %6.3f ms\n", what, (double)took[ASKED / 2] / 1e6,
           (double)took[ASKED * 99 / 100] / 1e6);
    (void)fflush(stdout);
}

static long rss_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    require(f && fscanf(f, "%*d %ld", &pages) == 1);
    (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void ignore(void *ctx, struct op_answer *a)
{
    (void)ctx;
    require(a->http < 300);
}

static void make(struct fake *f, struct ops *o, enum op_id id, const char *body)
{
    struct op_call c = {
        .op = op_get(id), .who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN}, .body = str_from(body)};
    ops_call(o, &c, ignore, NULL);
    fake_run(f);
}

static void client(const char *path)
{
    measure(path, "one VM, kept connection", "/v1/vms/vm-7", true);
    measure(path, "one VM, new connection", "/v1/vms/vm-7", false);
    measure(path, "list of 50 VMs, kept connection", "/v1/vms", true);
    measure(path, "livez, kept connection", "/livez", true);
    _exit(0); /* the directory is the server's to remove */
}

static void step(void *ctx)
{
    struct fake *f = ctx;
    while (fake_turn(f))
        ;
}

int main(void)
{
    static struct fake f = {.real = true};
    struct ops_config oc = {.version = "bench", .feature_level = 1, .timeout_ms = 5000};
    struct http_config hc;
    struct loop *l;
    struct loop_source *post;
    struct http *h;
    int fd, ws;
    char path[128], body[100];
    json_setup();
    fake_start(&f);
    struct ops *o = ops_new(f.node, &oc);
    make(&f, o, OP_IMAGE_BUILD, "{\"name\":\"debian\"}");
    for (int i = 0; i < VMS; i++) {
        (void)snprintf(body, sizeof body, "{\"name\":\"vm-%d\",\"spec\":{\"image\":\"debian\"}}",
                       i);
        make(&f, o, OP_VM_CREATE, body);
    }
    (void)snprintf(path, sizeof path, "%.100s", scratch_file("s"));
    http_config_default(&hc);
    require(net_unix_listen(path, 0600, (gid_t)-1, &fd, NULL) == ST_OK);
    require(loop_open(&l, NULL) == ST_OK && http_open(l, fd, o, &hc, &h, NULL) == ST_OK);
    require(loop_post_open(l, step, &f, &post, NULL) == ST_OK);

    pid_t pid = fork();
    if (pid == 0)
        client(path);
    while (waitpid(pid, &ws, WNOHANG) != pid)
        require(loop_turn(l, 100, NULL) == ST_OK);
    require(ws == 0);
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    double cpu_us = (double)used.ru_utime.tv_sec * 1e6 + (double)used.ru_utime.tv_usec +
                    (double)used.ru_stime.tv_sec * 1e6 + (double)used.ru_stime.tv_usec;
    printf("%-34s %6.1f us\n", "CPU of the server for a request", cpu_us / (4 * ASKED));

    long before = rss_kib();
    int listener[LISTENERS];
    for (int i = 0; i < LISTENERS; i++) {
        static const char request[] = "GET /v1/events?follow HTTP/1.1\r\nHost: x\r\n\r\n";
        listener[i] = dial(path);
        require(send(listener[i], request, sizeof request - 1, 0) == sizeof request - 1);
        while (http_view(h).feeds < (unsigned)i + 1)
            require(loop_turn(l, 100, NULL) == ST_OK);
    }
    printf("%-34s %6.1f KiB\n", "RSS of an idle listener",
           (double)(rss_kib() - before) / LISTENERS);
    for (int i = 0; i < LISTENERS; i++)
        (void)close(listener[i]);
    loop_source_close(post);
    http_close(h);
    ops_free(o);
    fake_stop(&f);
    loop_close(l);
    return 0;
}
