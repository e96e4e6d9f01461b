#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"
#include "vmm/cause.h"
#include "vmm/console_log.h"
#include "vmm/process.h"
#include "vmm/vm.h"

enum { KILL_AGAIN_MS = 3000, CONSOLE_TAIL = 4096, CLEAN_AGAIN_MS = 2000 };

/* ---- processes ---- */

static void on_process(void *ctx, uint32_t events)
{
    struct vm_process *p = ctx;
    (void)events;
    loop_source_close(p->source);
    p->source = NULL;
    close_fd(&p->pidfd);
    p->gone = true;
    vm_check_end(p->vm);
}

void vm_watch(struct vm *vm, struct vm_process *p, uint32_t pid, int pidfd)
{
    struct fault why;
    *p = (struct vm_process){.vm = vm, .pid = pid, .pidfd = pidfd};
    enum status s = loop_io_open(vm->q->loop, pidfd, EPOLLIN, on_process, p, &p->source, &why);
    ensure(s == ST_OK); /* what cannot be watched must not be taken for something that runs */
}

static void forget(struct vm_process *p)
{
    loop_source_close(p->source);
    close_fd(&p->pidfd);
    *p = (struct vm_process){.pidfd = -1};
}

void vm_forget_processes(struct vm *vm)
{
    forget(&vm->shim);
    forget(&vm->monitor);
}

bool vm_hold(struct vm *vm, struct vm_process *p, uint32_t pid, uint64_t start)
{
    int pidfd = -1;
    if (p->pid || !pid)
        return true;
    enum status s = process_open(pid, start, &pidfd, NULL);
    if (s == ST_OK) {
        vm_watch(vm, p, pid, pidfd);
    } else if (s == ST_NOT_FOUND) {
        p->pid = pid;
        p->gone = true;
    }
    return s == ST_OK || s == ST_NOT_FOUND;
}

enum status vm_shim_record(const struct vm *vm, struct buf *b, struct shim_record *ret)
{
    enum status s = vm->dir < 0 ? ST_NOT_FOUND : file_read(vm->dir, SHIM_FILE, b, NULL);
    if (s != ST_OK)
        return s;
    bool ours = shim_get_record(buf_view(b), ret, NULL) == ST_OK &&
                ret->incarnation == vm->rec.incarnation && ret->epoch == vm->rec.epoch;
    return ours ? ST_OK : ST_NOT_FOUND;
}

/* ---- killing ---- */

static void signal_shim(struct vm *vm, int signal)
{
    if (vm->shim.pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, vm->shim.pidfd, signal, NULL, 0);
}

static void on_force_cleaned(void *ctx, enum status s, const struct fault *why)
{
    (void)ctx;
    (void)s;
    (void)why; /* the processes tell whether it helped */
}

/* It did not end: harder. The monitor dies with its shim, and what its cgroup holds dies too. */
static void kill_harder(struct vm *vm)
{
    if (vm->state != VM_IS_UP)
        return;
    signal_shim(vm, SIGKILL);
    vm->q->host->clean(vm->q->host, vm->rec.uid, on_force_cleaned, vm);
    loop_timer_after(vm->end_timer, KILL_AGAIN_MS);
}

void vm_kill(struct vm *vm)
{
    vm->rec.asked_kill = true;
    if (vm->state != VM_IS_UP) /* it is seen to when it is */
        return;
    vm_save(vm);
    if (!vm->shim_link || !shim_link_ask(vm->shim_link, SHIM_KILL, 0))
        signal_shim(vm, SIGTERM);
    loop_timer_after(vm->end_timer, KILL_AGAIN_MS);
}

/* ---- the end ---- */

static size_t read_console_tail(const struct vm *vm, char out[CONSOLE_TAIL])
{
    AUTO(close_fd)
    int fd =
        vm->dir < 0 ? -1 : openat(vm->dir, PREPARE_CONSOLE_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    uint64_t at = console_log_tail(fd, CONSOLE_TAIL);
    return console_log_read(fd, &at, out, CONSOLE_TAIL);
}

/* Find out how it ended, into vm->rec. */
static void conclude(struct vm *vm, bool watched)
{
    char console[CONSOLE_TAIL];
    struct shim_record exit;
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_RECORD_MAX);
    bool left = vm_shim_record(vm, &b, &exit) == ST_OK;
    struct cause_facts f = {
        .ready = vm->rec.ready,
        .spoke = vm->spoke,
        .watched = watched,
        .asked_down = vm->rec.asked_down,
        .asked_kill = vm->rec.asked_kill,
        .host_rebooted = memcmp(vm->rec.host_boot, vm->q->host_boot, 16) != 0,
        .reason = vm->reason,
        .exit = left && exit.phase == SHIM_EXITED ? &exit : NULL,
        .console = {console, read_console_tail(vm, console)},
    };
    cause_find(&f, &vm->rec.cause, vm->rec.detail);
    struct clock *c = vm->q->clock;
    vm->rec.ended = true;
    vm->rec.ended_ns = f.exit ? f.exit->ended_wall_ns : watched ? c->wall_ns(c) : 0;
}

static void settle(struct vm *vm)
{
    vm->state = VM_IS_DOWN;
    if (vm->told_found)
        vm_tell(vm, VMM_EXITED);
    else
        vm_found(vm, PB__VM_PHASE__VM_STOPPED);
    vm_settled(vm);
}

/* While the helper finds processes in the cgroup, it did not end. A helper that is gone cannot look; but
 * what we held by pidfds is gone. */
static void on_cleaned(void *ctx, enum status s, const struct fault *why)
{
    struct vm *vm = ctx;
    (void)why;
    if (s == ST_IN_USE)
        loop_timer_after(vm->end_timer, CLEAN_AGAIN_MS);
    else
        settle(vm);
}

static void clean(struct vm *vm)
{
    vm->q->host->clean(vm->q->host, vm->rec.uid, on_cleaned, vm);
}

void vm_end_late(void *ctx)
{
    struct vm *vm = ctx;
    if (vm->state == VM_IS_CLEANING) {
        clean(vm);
    } else {
        kill_harder(vm);
        vm_check_end(vm);
    }
}

static void ended(struct vm *vm, bool watched)
{
    vm->state = VM_IS_CLEANING;
    loop_timer_at(vm->end_timer, UINT64_MAX);
    loop_timer_at(vm->adopt_timer, UINT64_MAX);
    vm_streams_end(vm, false);
    vm_disconnect(vm);
    vm_forget_processes(vm);
    if (!vm->rec.ended) {
        conclude(vm, watched);
        vm_save(vm);
    }
    clean(vm);
}

/* The shim is gone and never told us of its monitor: perhaps it left word of it. */
static void look_for_monitor(struct vm *vm)
{
    struct shim_record r;
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_RECORD_MAX);
    enum status s = vm_shim_record(vm, &b, &r);
    if (s == ST_NOT_FOUND || (s == ST_OK && (r.phase == SHIM_EXITED || !r.pid)))
        vm->monitor.gone = true;
    else if (s != ST_OK || !vm_hold(vm, &vm->monitor, r.pid, r.start))
        loop_timer_after(vm->end_timer,
                         KILL_AGAIN_MS); /* it may run, and nobody else will end it */
}

void vm_check_end(struct vm *vm)
{
    if (vm->state != VM_IS_UP && vm->state != VM_IS_ADOPTING)
        return;
    if (!vm->shim.gone)
        return;
    if (!vm->monitor.gone && vm->monitor.pidfd < 0)
        look_for_monitor(vm);
    /* Its last words may still be in the socket; the end of that comes after them. */
    if (vm->monitor.gone && !vm->qmp)
        ended(vm, vm->state == VM_IS_UP && vm->told_found);
}

void vm_found_dead(struct vm *vm)
{
    ended(vm, false);
}

void vm_start_failed(struct vm *vm, const struct fault *why)
{
    struct clock *c = vm->q->clock;
    vm->state = VM_IS_DOWN;
    vm->rec.ended = true;
    vm->rec.cause =
        vm->rec.asked_kill ? PB__EXIT_CAUSE__EXIT_KILLED : PB__EXIT_CAUSE__EXIT_START_FAILED;
    vm->rec.ended_ns = c->wall_ns(c);
    (void)snprintf(vm->rec.detail, sizeof vm->rec.detail, "%s", why->text);
    vm_tell(vm, VMM_EXITED);
}

/* ---- removal ---- */

struct remove_job {
    struct job job; /* first */
    struct vm *vm;
    int dir; /* of all VMs */
    char uid[RECORD_UID_MAX];
    enum status status;
    struct fault why;
};

static void remove_drop(struct job *j)
{
    free(j);
}

static void remove_tree(struct job *job)
{
    struct remove_job *j = (struct remove_job *)job;
    j->status = file_remove_tree(j->dir, j->uid, &j->why);
    if (j->status == ST_OK)
        j->status = file_sync_dir(j->dir, ".", &j->why);
}

static void on_removed(struct job *job)
{
    struct remove_job *j = (struct remove_job *)job;
    struct vm *vm = j->vm;
    vm->state = VM_IS_DOWN;
    vm->remove_wanted = false;
    if (j->status == ST_OK) {
        vm_tell(vm, VMM_REMOVED);
        vm_free(vm);
    } else {
        vm_tell_why(vm, VMM_REFUSED, j->why.text);
    }
    free(j);
}

static void on_remove_cleaned(void *ctx, enum status s, const struct fault *why)
{
    struct vm *vm = ctx;
    if (s == ST_IN_USE) {
        vm->state = VM_IS_DOWN;
        vm->remove_wanted = false;
        vm_tell_why(vm, VMM_REFUSED, why->text);
        return;
    }
    struct remove_job *j = NEW(struct remove_job);
    *j = (struct remove_job){.job = {.run = remove_tree, .done = on_removed, .drop = remove_drop},
                             .vm = vm,
                             .dir = vm->q->site.dir};
    memcpy(j->uid, vm->rec.uid, sizeof j->uid);
    worker_add(vm->q->worker, &j->job);
}

void vm_remove(struct vm *vm)
{
    vm->remove_wanted = true;
    if (vm->state == VM_IS_DOWN) {
        vm->state = VM_IS_REMOVING;
        vm_streams_end(vm, true);
        close_fd(&vm->dir);
        vm->q->host->clean(vm->q->host, vm->rec.uid, on_remove_cleaned, vm);
    } else {
        vm_kill(vm);
    }
}

void vm_settled(struct vm *vm)
{
    if (vm->remove_wanted)
        vm_remove(vm);
}
