#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#include "os/file.h"
#include "vmm/console_log.h"
#include "vmm/sock.h"
#include "vmm/vm.h"

enum { WINDOW = 64 * 1024, CHUNK = 16 * 1024, PATH_LEN = 4200 };

struct vmm_stream {
    struct list item;
    struct vm *vm;
    enum vmm_stream_kind kind;
    const struct vmm_stream_events *ev;
    struct agent_channel *channel; /* EXEC, PUSH, PULL */
    /* CONSOLE and LOG: what the serial line said comes from its log, from one offset on, so that
     * scrollback and what follows have neither gap nor overlap. */
    int log;
    uint64_t at;
    uint64_t end; /* one past the last byte that is wanted; UINT64_MAX: it is followed */
    size_t room;  /* bytes that the owner still takes */
    bool blocked; /* CONSOLE: the owner waits for `writable` */
    struct loop_source *watch, *pump;
    bool busy;   /* we are calling the owner */
    bool closed; /* by the owner, while busy: we free it */
};

/* The input of a serial line: QEMU takes one client, so that all consoles share it. What comes back is
 * in the log too, and dropped; but it must be read, or the guest would wait. */
struct console {
    struct vm *vm;
    int fd;
    unsigned users;
    struct loop_source *io;
};

/* ---- the end of a stream ---- */

static void console_drop(struct vm *vm)
{
    struct console *c = vm->console;
    if (!c || --c->users)
        return;
    loop_source_close(c->io);
    close_fd(&c->fd);
    free(c);
    vm->console = NULL;
}

static void stream_free(struct vmm_stream *s)
{
    list_cut(&s->item);
    if (s->channel)
        agent_channel_close(s->channel);
    loop_source_close(s->watch);
    loop_source_close(s->pump);
    close_fd(&s->log);
    if (s->kind == VMM_STREAM_CONSOLE)
        console_drop(s->vm);
    s->closed = true;
    if (!s->busy)
        free(s);
}

static void finish(struct vmm_stream *s, enum status st, const struct fault *why, int exit_status)
{
    const struct vmm_stream_events *ev = s->ev;
    stream_free(s);
    ev->closed(ev->ctx, st, why, exit_status);
}

void vm_stream_close(struct vmm *v, struct vmm_stream *s)
{
    (void)v;
    stream_free(s);
}

void vm_streams_drop(struct vm *vm)
{
    while (!list_empty(&vm->streams))
        stream_free(CONTAINER_OF(vm->streams.next, struct vmm_stream, item));
}

void vm_streams_end(struct vm *vm, bool removed)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, removed ? "the VM is being removed" : "the VM ended");
    /* A callback may close others: begin anew after each. */
    for (bool more = true; more;) {
        more = false;
        LIST_EACH(it, &vm->streams) {
            struct vmm_stream *s = CONTAINER_OF(it, struct vmm_stream, item);
            if (s->kind == VMM_STREAM_LOG && !removed)
                continue;
            more = true;
            finish(s, why.status, &why, 0);
            break;
        }
    }
}

/* ---- programs and files: channels of the agent ---- */

static void on_data(void *ctx, enum agent_type type, struct str bytes)
{
    struct vmm_stream *s = ctx;
    s->ev->data(s->ev->ctx, type == AGENT_STDERR ? VMM_STDERR : VMM_STDOUT, bytes);
}

static void on_writable(void *ctx)
{
    struct vmm_stream *s = ctx;
    s->ev->writable(s->ev->ctx);
}

static void on_end(void *ctx, enum status st, const struct fault *why,
                   const struct agent_frame *last)
{
    struct vmm_stream *s = ctx;
    struct agent_exit x = {0};
    struct fault bad;
    s->channel = NULL;
    if (st == ST_OK && s->kind == VMM_STREAM_EXEC) {
        st = agent_get_exit(last->payload, &x, &bad);
        why = &bad;
    }
    int status = x.signalled ? 128 + (int)(x.value & 127) : (int)(x.value & 255);
    finish(s, st, st == ST_OK ? NULL : why, st == ST_OK ? status : 0);
}

static const struct agent_channel_events channel_events = {on_data, on_writable, on_end};

static enum status take_words(const char *const *from, struct str *to, size_t *ret_count,
                              struct fault *why)
{
    for (*ret_count = 0; from && from[*ret_count]; (*ret_count)++) {
        if (*ret_count == AGENT_ARGS_MAX)
            return fault_set(why, ST_TOO_BIG, "more than %d arguments or variables",
                             AGENT_ARGS_MAX);
        to[*ret_count] = str_from(from[*ret_count]);
    }
    return ST_OK;
}

static enum status open_exec(struct vmm_stream *s, const struct vmm_stream_open *o,
                             struct fault *why)
{
    AUTO(auto_free) struct agent_exec *x = NEW(struct agent_exec);
    x->tty = o->tty;
    x->rows = o->rows;
    x->cols = o->cols;
    x->cwd = str_from(o->cwd);
    enum status st = take_words(o->argv, x->argv, &x->argc, why);
    if (st == ST_OK)
        st = take_words(o->env, x->env, &x->envc, why);
    if (st == ST_OK && x->argc == 0)
        st = fault_set(why, ST_INVALID, "no program to run");
    if (st != ST_OK)
        return st;
    return agent_link_exec(s->vm->agent, x, &channel_events, s, &s->channel, why);
}

static enum status open_channel(struct vmm_stream *s, const struct vmm_stream_open *o,
                                struct fault *why)
{
    if (s->vm->state != VM_IS_UP)
        return fault_set(why, ST_UNAVAILABLE, "the VM does not run");
    if (!s->vm->agent)
        return fault_set(why, ST_UNAVAILABLE, "the guest's agent does not answer");
    if (s->vm->paused)
        return fault_set(why, ST_CONFLICT, "the VM is paused");
    if (o->kind == VMM_STREAM_EXEC)
        return open_exec(s, o, why);
    if (o->kind == VMM_STREAM_PULL)
        return agent_link_pull(s->vm->agent, str_from(o->path), &channel_events, s, &s->channel,
                               why);
    struct agent_file f = {.path = str_from(o->path), .mode = o->mode & 07777, .size = o->size};
    return agent_link_push(s->vm->agent, &f, &channel_events, s, &s->channel, why);
}

/* ---- the serial line ---- */

/* What comes next in the log and is wanted; 0: nothing, now. */
static size_t read_log(struct vmm_stream *s, char *out, size_t size)
{
    if (s->at >= s->end)
        return 0;
    size_t n = console_log_read(s->log, &s->at, out, size);
    uint64_t beyond = s->at > s->end ? s->at - s->end : 0;
    return beyond < n ? n - beyond : 0;
}

/* Hand on what the log holds, as far as there is room. */
static void pump(void *ctx)
{
    struct vmm_stream *s = ctx;
    char chunk[CHUNK];
    bool all = false;
    s->busy = true;
    while (!s->closed && s->room && !all) {
        size_t n = read_log(s, chunk, MIN(s->room, sizeof chunk));
        all = n == 0;
        s->room -= n;
        if (n)
            s->ev->data(s->ev->ctx, VMM_STDOUT, (struct str){chunk, n});
    }
    s->busy = false;
    if (s->closed)
        free(s);
    else if (s->end != UINT64_MAX && (all || s->at >= s->end))
        finish(s, ST_OK, NULL, 0);
}

static void on_log_grew(void *ctx, const struct inotify_event *e)
{
    struct vmm_stream *s = ctx;
    (void)e;
    loop_defer_arm(s->pump);
}

static void console_writable(struct vm *vm)
{
    for (bool more = true; more;) {
        more = false;
        LIST_EACH(it, &vm->streams) {
            struct vmm_stream *s = CONTAINER_OF(it, struct vmm_stream, item);
            if (!s->blocked)
                continue;
            s->blocked = false;
            more = true;
            s->ev->writable(s->ev->ctx); /* the list may be another one now */
            break;
        }
    }
}

static void on_console(void *ctx, uint32_t events)
{
    struct console *c = ctx;
    char chunk[CHUNK];
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            loop_io_want(c->io, 0), close_fd(&c->fd); /* the VM is ending, which ends the streams */
    }
    if (c->fd >= 0 && (events & EPOLLOUT)) {
        loop_io_want(c->io, EPOLLIN);
        console_writable(c->vm);
    }
}

static enum status console_use(struct vm *vm, struct fault *why)
{
    if (vm->console) {
        vm->console->users++;
        return ST_OK;
    }
    struct console *c = NEW(struct console);
    *c = (struct console){.vm = vm, .fd = -1, .users = 1};
    enum status s = sock_connect(vm->dir, PREPARE_CONSOLE_SOCKET, SOCK_STREAM, &c->fd, why);
    if (s == ST_OK)
        s = loop_io_open(vm->q->loop, c->fd, EPOLLIN, on_console, c, &c->io, why);
    if (s != ST_OK) {
        close_fd(&c->fd);
        free(c);
        return s;
    }
    vm->console = c;
    return ST_OK;
}

static enum status open_log(struct vmm_stream *s, const struct vmm_stream_open *o, bool follow,
                            struct fault *why)
{
    char path[PATH_LEN];
    s->log = s->vm->dir < 0
                 ? -1
                 : openat(s->vm->dir, PREPARE_CONSOLE_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->log < 0)
        return fault_set(why, ST_NOT_FOUND, "the VM has no log yet");
    s->at = console_log_tail(s->log, o->tail);
    s->end = follow ? UINT64_MAX : console_log_end(s->log);
    enum status st = loop_defer_open(s->vm->q->loop, pump, s, &s->pump, why);
    if (st == ST_OK && follow) {
        (void)snprintf(path, sizeof path, "%s/%s/%s", s->vm->q->dir_path, s->vm->rec.uid,
                       PREPARE_CONSOLE_LOG);
        st = loop_watch_open(s->vm->q->loop, path, IN_MODIFY, on_log_grew, s, &s->watch, why);
    }
    if (st == ST_OK)
        loop_defer_arm(s->pump);
    return st;
}

static enum status open_console(struct vmm_stream *s, const struct vmm_stream_open *o,
                                struct fault *why)
{
    if (s->vm->state != VM_IS_UP)
        return fault_set(why, ST_UNAVAILABLE, "the VM does not run");
    enum status st = console_use(s->vm, why);
    if (st != ST_OK)
        return st;
    s->kind = VMM_STREAM_CONSOLE; /* from here on it gives the console back */
    return open_log(s, o, true, why);
}

static size_t console_write(struct vmm_stream *s, struct str bytes)
{
    struct console *c = s->vm->console;
    if (!c || c->fd < 0)
        return 0;
    ssize_t n = send(c->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t taken = n > 0 ? (size_t)n : 0;
    s->blocked = taken < bytes.len;
    if (s->blocked)
        loop_io_want(c->io, EPOLLIN | EPOLLOUT);
    return taken;
}

/* ---- the port ---- */

static enum status open_kind(struct vmm_stream *s, const struct vmm_stream_open *o,
                             struct fault *why)
{
    switch (o->kind) {
    case VMM_STREAM_CONSOLE: return open_console(s, o, why);
    case VMM_STREAM_LOG: return open_log(s, o, o->follow, why);
    default: return open_channel(s, o, why);
    }
}

enum status vm_stream_open(struct vmm *v, const char *uid, const struct vmm_stream_open *o,
                           const struct vmm_stream_events *ev, struct vmm_stream **ret,
                           struct fault *why)
{
    struct qemu *q = (struct qemu *)v;
    struct vm *vm = vm_find(q, uid);
    if (!vm)
        return fault_set(why, ST_NOT_FOUND, "the VM is not on this node");
    struct vmm_stream *s = NEW(struct vmm_stream);
    *s = (struct vmm_stream){.vm = vm,
                             .kind = o->kind == VMM_STREAM_CONSOLE ? VMM_STREAM_LOG : o->kind,
                             .ev = ev,
                             .log = -1,
                             .room = WINDOW};
    list_init(&s->item);
    enum status st = open_kind(s, o, why);
    if (st != ST_OK) {
        stream_free(s);
        return st;
    }
    list_push(&vm->streams, &s->item);
    *ret = s;
    return ST_OK;
}

size_t vm_stream_write(struct vmm *v, struct vmm_stream *s, struct str bytes)
{
    (void)v;
    if (s->kind == VMM_STREAM_CONSOLE)
        return console_write(s, bytes);
    if (!s->channel || s->kind == VMM_STREAM_PULL)
        return 0;
    return agent_channel_send(s->channel,
                              s->kind == VMM_STREAM_PUSH ? AGENT_FILE_DATA : AGENT_STDIN, bytes);
}

void vm_stream_write_end(struct vmm *v, struct vmm_stream *s)
{
    (void)v;
    if (s->channel && s->kind != VMM_STREAM_PULL)
        agent_channel_send_end(s->channel,
                               s->kind == VMM_STREAM_PUSH ? AGENT_FILE_EOF : AGENT_STDIN_EOF);
}

void vm_stream_resize(struct vmm *v, struct vmm_stream *s, uint16_t rows, uint16_t cols)
{
    (void)v;
    if (s->channel && s->kind == VMM_STREAM_EXEC)
        agent_channel_resize(s->channel, rows, cols);
}

void vm_stream_grant(struct vmm *v, struct vmm_stream *s, size_t bytes)
{
    (void)v;
    if (s->channel) {
        agent_channel_eaten(s->channel, bytes);
    } else if (s->pump) {
        s->room = MIN(s->room + bytes, (size_t)WINDOW);
        loop_defer_arm(s->pump);
    }
}
