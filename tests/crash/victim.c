#include "crash/victim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash/tell.h"
#include "os/file.h"
#include "support/tap.h"

enum { READ_STEP = 64 << 10, TEXT_MAX = 16 << 20 };

void victim_beside(const char *name, char out[512])
{
    char self[400];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(len > 0);
    self[len] = 0;
    *strrchr(self, '/') = 0;
    (void)snprintf(out, 512, "%s/%s", self, name);
}

static _Noreturn void become(const char *const *argv, const char *const *env, int out)
{
    char path[512];
    victim_beside(argv[0], path);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(0);
    for (; *env; env++) {
        char *text = mem_strdup(*env), *is = strchr(text, '=');
        *is = 0;
        (void)setenv(text, is + 1, 1);
    }
    if (dup2(out, TELL_OUT) != TELL_OUT)
        _exit(127);
    (void)execv(path, (char *const *)(uintptr_t)argv);
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    _exit(127);
}

void victim_start(struct victim *v, const char *const *argv, const char *const *env)
{
    int out[2];
    CHECK(pipe2(out, O_CLOEXEC) == 0);
    *v = (struct victim){.in = out[0], .pid = fork()};
    if (v->pid == 0)
        become(argv, env, out[1]);
    CHECK(v->pid > 0);
    close_fd(&out[1]);
    buf_init(&v->text, TEXT_MAX);
}

static bool whole(const struct victim *v, struct tell_head *ret)
{
    size_t have = v->text.len - v->taken;
    if (have < sizeof *ret)
        return false;
    memcpy(ret, v->text.ptr + v->taken, sizeof *ret);
    return have - sizeof *ret >= ret->len;
}

bool victim_next(struct victim *v, uint32_t *ret_kind, struct str *ret)
{
    struct tell_head h;
    while (!whole(v, &h)) {
        buf_eat(&v->text, v->taken);
        v->taken = 0;
        ssize_t n = read(v->in, buf_space(&v->text, READ_STEP), READ_STEP);
        if (n <= 0)
            return false;
        buf_wrote(&v->text, (size_t)n);
    }
    *ret_kind = h.kind;
    *ret = (struct str){v->text.ptr + v->taken + sizeof h, h.len};
    v->taken += sizeof h + h.len;
    return true;
}

bool victim_kill(struct victim *v, struct fault *why)
{
    int ws = 0;
    CHECK(kill(v->pid, SIGKILL) == 0 && waitpid(v->pid, &ws, 0) == v->pid);
    if (WIFSIGNALED(ws) && WTERMSIG(ws) == SIGKILL)
        return true;
    if (WIFSIGNALED(ws))
        (void)fault_set(why, ST_INTERNAL, "it died: %s", strsignal(WTERMSIG(ws)));
    else
        (void)fault_set(why, ST_INTERNAL, "it ended with status %d", WEXITSTATUS(ws));
    return false;
}

void victim_done(struct victim *v)
{
    close_fd(&v->in);
    buf_done(&v->text);
}
