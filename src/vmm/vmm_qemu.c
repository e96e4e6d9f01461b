#include "vmm/vmm_qemu.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "vmm/console_log.h"
#include "vmm/process.h"
#include "vmm/vm.h"

enum { KEEP_MS = 5000, KEEP_SLACK_MS = 2000 };

/* ---- events ---- */

struct event {
    struct list item;
    struct vmm_event e;
};

void qemu_tell(struct qemu *q, const struct vmm_event *e)
{
    struct event *x = NEW(struct event);
    x->e = *e;
    list_push(&q->events, &x->item);
    loop_defer_arm(q->tell);
}

static void on_tell(void *ctx)
{
    struct qemu *q = ctx;
    while (!list_empty(&q->events)) {
        struct event *x = CONTAINER_OF(q->events.next, struct event, item);
        struct vmm_event e = x->e;
        list_cut(&x->item);
        free(x);
        q->vmm.events->event(q->vmm.events->ctx, &e);
    }
}

struct vmm_event vm_event(const struct vm *vm, enum vmm_event_type type)
{
    const struct record *r = &vm->rec;
    struct vmm_event e = {.type = type,
                          .epoch = r->epoch,
                          .incarnation = r->incarnation,
                          .generation = r->generation,
                          .cause = r->cause,
                          .start_ms = r->start_ms,
                          .started_ns = r->started_ns,
                          .ended_ns = r->ended_ns};
    memcpy(e.uid, r->uid, sizeof e.uid);
    memcpy(e.detail, r->detail, sizeof e.detail);
    memcpy(e.boot_id, r->boot_id, sizeof e.boot_id);
    if (r->address)
        guestcfg_ipv4_text(r->address, e.address);
    return e;
}

void vm_tell(struct vm *vm, enum vmm_event_type type)
{
    struct vmm_event e = vm_event(vm, type);
    qemu_tell(vm->q, &e);
}

void vm_tell_why(struct vm *vm, enum vmm_event_type type, const char *detail)
{
    struct vmm_event e = vm_event(vm, type);
    (void)snprintf(e.detail, sizeof e.detail, "%s", detail);
    qemu_tell(vm->q, &e);
}

/* ---- looking ---- */

void qemu_seen(struct qemu *q)
{
    require(q->unseen > 0);
    q->unseen--;
    if (q->unseen || !q->looking)
        return;
    q->looking = false;
    struct vmm_event e = {.type = q->look_trouble[0] ? VMM_LOOK_FAILED : VMM_LOOKED};
    memcpy(e.detail, q->look_trouble, sizeof e.detail);
    q->look_trouble[0] = 0;
    qemu_tell(q, &e);
}

static void look_failed(struct qemu *q, const struct fault *why)
{
    if (!q->look_trouble[0])
        (void)snprintf(q->look_trouble, sizeof q->look_trouble, "%s", why->text);
}

void vm_found(struct vm *vm, Pb__VmPhase phase)
{
    if (vm->told_found)
        return;
    struct vmm_event e = vm_event(vm, VMM_FOUND);
    e.phase = phase;
    qemu_tell(vm->q, &e);
    vm->told_found = true;
    loop_timer_at(vm->adopt_timer, UINT64_MAX);
    qemu_seen(vm->q);
}

/* Read what was recorded of a VM. Without a record, or with one that says nothing, nothing of ours was
 * started there that is not found otherwise. Any other failure tells nothing: it may run. */
static enum status read_record(struct vm *vm, struct fault *why)
{
    const char *uid = vm->rec.uid;
    vm->dir = openat(vm->q->site.dir, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (vm->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        return ST_OK;
    if (vm->dir < 0)
        return fault_errno(why, errno, "open the directory of VM %s", uid);
    struct record r;
    AUTO(buf_done) struct buf b;
    buf_init(&b, RECORD_SIZE_MAX);
    enum status s = file_read(vm->dir, RECORD_FILE, &b, why);
    if (s == ST_NOT_FOUND || s == ST_TOO_BIG || s == ST_INVALID)
        return ST_OK;
    if (s != ST_OK)
        return fault_wrap(why, s, "VM %s", uid);
    if (vm_record_decode(buf_view(&b), &r, NULL) == ST_OK && strcmp(r.uid, uid) == 0) {
        vm->rec = r;
        vm->recorded = true;
    }
    return ST_OK;
}

/* A VM that this driver knows already. */
static void tell_known(struct vm *vm)
{
    bool runs = vm->state == VM_IS_UP;
    struct vmm_event e = vm_event(vm, VMM_FOUND);
    e.phase = !runs           ? PB__VM_PHASE__VM_STOPPED
              : vm->paused    ? PB__VM_PHASE__VM_PAUSED
              : vm->rec.ready ? PB__VM_PHASE__VM_RUNNING
                              : PB__VM_PHASE__VM_STARTING;
    qemu_tell(vm->q, &e);
}

static void look_at(struct qemu *q, const char *uid)
{
    struct vm *vm = vm_find(q, uid);
    if (vm) {
        if (vm->told_found)
            tell_known(vm);
        return;
    }
    struct fault why;
    vm = vm_new(q, uid);
    if (read_record(vm, &why) != ST_OK) {
        look_failed(q, &why);
        vm_free(vm);
        return;
    }
    vm->told_found = false;
    q->unseen++;
    if (!vm->recorded)
        vm_found(vm, PB__VM_PHASE__VM_STOPPED);
    else if (vm->rec.ended)
        vm_found_dead(vm);
    else
        vm_adopt(vm);
}

static bool is_uid(const char *name)
{
    return str_is_hex(str_from(name), RECORD_UID_MAX - 1);
}

static void look_through(struct qemu *q)
{
    struct fault why;
    int fd = openat(q->site.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)fault_errno(&why, errno, "open the directory of VMs");
        look_failed(q, &why);
        return;
    }
    DIR *d = fdopendir(fd);
    ensure(d != NULL);
    struct dirent *e;
    while (errno = 0, (e = readdir(d)))
        if (is_uid(e->d_name))
            look_at(q, e->d_name);
    if (errno) {
        (void)fault_errno(&why, errno, "read the directory of VMs");
        look_failed(q, &why);
    }
    (void)closedir(d);
}

static void on_orphan_cleaned(void *ctx, enum status s, const struct fault *why)
{
    (void)s;
    (void)why; /* it is tried again when another driver comes */
    qemu_seen(ctx);
}

/* What runs without a directory belongs to nobody; but what could not be looked at may have one. */
static void on_listed(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX], size_t count)
{
    struct qemu *q = ctx;
    struct fault why;
    if (s != ST_OK) {
        (void)fault_set(&why, s, "what is left of VMs cannot be listed");
        look_failed(q, &why);
    }
    for (size_t i = 0; !q->look_trouble[0] && i < count; i++) {
        if (vm_find(q, uid[i]))
            continue;
        q->unseen++;
        q->host->clean(q->host, uid[i], on_orphan_cleaned, q);
    }
    qemu_seen(q);
}

static void vmm_look(struct vmm *v)
{
    struct qemu *q = (struct qemu *)v;
    if (q->looking)
        return;
    q->looking = true;
    q->unseen++; /* the list; so LOOKED is not told while we are still here */
    look_through(q);
    q->host->list(q->host, on_listed, q);
}

/* ---- the table ---- */

struct vm *vm_find(struct qemu *q, const char *uid)
{
    struct str key = str_from(uid);
    return key.len ? map_find(&q->vms, key) : NULL;
}

static void on_retry(void *ctx)
{
    vm_connect(ctx);
}

struct vm *vm_new(struct qemu *q, const char *uid)
{
    struct fault why;
    struct vm *vm = NEW(struct vm);
    vm->q = q;
    vm->dir = -1;
    vm->shim.pidfd = vm->monitor.pidfd = -1;
    vm->told_found = true;
    (void)snprintf(vm->rec.uid, sizeof vm->rec.uid, "%s", uid);
    list_init(&vm->streams);
    enum status s = loop_timer_open(q->loop, LOOP_MONOTONIC, 100, on_retry, vm, &vm->retry, &why);
    if (s == ST_OK)
        s = loop_timer_open(q->loop, LOOP_MONOTONIC, 100, vm_end_late, vm, &vm->end_timer, &why);
    if (s == ST_OK)
        s = loop_timer_open(q->loop, LOOP_MONOTONIC, 100, vm_adopt_late, vm, &vm->adopt_timer,
                            &why);
    ensure(s == ST_OK); /* timers share the loop's descriptors: nothing can be lacking but memory */
    (void)map_put(&q->vms, str_from(uid), vm);
    return vm;
}

void vm_free(struct vm *vm)
{
    (void)map_take(&vm->q->vms, str_from(vm->rec.uid));
    vm_streams_drop(vm);
    vm_disconnect(vm);
    vm_forget_processes(vm);
    loop_source_close(vm->retry);
    loop_source_close(vm->end_timer);
    loop_source_close(vm->adopt_timer);
    close_fd(&vm->dir);
    free(vm);
}

/* ---- records ---- */

struct save_job {
    struct job job; /* first */
    int dir;
    struct buf bytes;
};

static void save(struct job *job)
{
    struct save_job *j = (struct save_job *)job;
    /* A record that cannot be written is as after a crash: what it says is found out again. */
    (void)!file_write(j->dir, RECORD_FILE, buf_view(&j->bytes), 0600, NULL);
}

static void save_free(struct job *job)
{
    struct save_job *j = (struct save_job *)job;
    close_fd(&j->dir);
    buf_done(&j->bytes);
    free(j);
}

/* Even then: the next driver should know. */
static void save_drop(struct job *job)
{
    save(job);
    save_free(job);
}

void vm_save(struct vm *vm)
{
    if (vm->dir < 0)
        return;
    struct save_job *j = NEW(struct save_job);
    j->job = (struct job){.run = save, .done = save_free, .drop = save_drop};
    j->dir = fcntl(vm->dir, F_DUPFD_CLOEXEC, 0);
    buf_init(&j->bytes, RECORD_SIZE_MAX);
    vm_record_encode(&j->bytes, &vm->rec);
    worker_add(vm->q->worker, &j->job);
}

/* ---- the port ---- */

static void vmm_start(struct vmm *v, const struct vmm_start *s)
{
    vm_start((struct qemu *)v, s);
}

/* Does this incarnation run, or is it about to? */
static bool is_current(const struct vm *vm, uint64_t incarnation)
{
    return vm && vm->rec.incarnation == incarnation && vm->state != VM_IS_DOWN &&
           vm->state != VM_IS_CLEANING && vm->state != VM_IS_REMOVING;
}

static void vmm_power(struct vmm *v, const char *uid, uint64_t incarnation, enum vmm_power p)
{
    struct qemu *q = (struct qemu *)v;
    struct vm *vm = vm_find(q, uid);
    if (!is_current(vm, incarnation)) {
        struct vmm_event e = {.type = VMM_REFUSED, .incarnation = incarnation};
        (void)!str_copy(str_from(uid), e.uid, sizeof e.uid, NULL);
        (void)snprintf(e.detail, sizeof e.detail, "it does not run");
        qemu_tell(q, &e);
        return;
    }
    switch (p) {
    case VMM_POWER_DOWN: vm_power_down(vm); return;
    case VMM_KILL: vm_kill(vm); return;
    case VMM_PAUSE: vm_pause(vm); return;
    case VMM_RESUME: vm_resume(vm); return;
    }
}

static void vmm_remove(struct vmm *v, const char *uid)
{
    struct qemu *q = (struct qemu *)v;
    struct vm *vm = vm_find(q, uid);
    if (!is_uid(uid))
        return;
    if (!vm)
        vm = vm_new(q, uid);
    if (vm->state != VM_IS_REMOVING)
        vm_remove(vm);
}

/* ---- keeping logs short ---- */

static enum status trim(const struct vm *vm, struct fault *why)
{
    AUTO(close_fd)
    int fd = openat(vm->dir, PREPARE_CONSOLE_LOG, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", PREPARE_CONSOLE_LOG);
    return console_log_trim(fd, vm->q->config.console_log_max, why);
}

/* Once: what is wrong with one is wrong with all, and stays so. */
static void warn(struct qemu *q, const struct vm *vm, struct fault *why)
{
    if (q->warned || !q->config.warn)
        return;
    q->warned = true;
    (void)fault_wrap(why, why->status, "VM %s", vm->rec.uid);
    q->config.warn(q->config.warn_ctx, why);
}

static void on_keep(void *ctx)
{
    struct qemu *q = ctx;
    struct fault why;
    q->keeping = false;
    MAP_EACH(&q->vms, uid, value) {
        const struct vm *vm = value;
        if (vm->state != VM_IS_UP)
            continue;
        if (trim(vm, &why) != ST_OK)
            warn(q, vm, &why);
        qemu_keep(q);
    }
}

void qemu_keep(struct qemu *q)
{
    if (q->keeping)
        return;
    q->keeping = true;
    loop_timer_after(q->keep, KEEP_MS);
}

/* ---- making it ---- */

static void site_init(struct qemu *q)
{
    const struct vmm_qemu_config *c = &q->config;
    q->site = (struct prepare_site){.dir = -1,
                                    .blob_dir = q->blob_dir,
                                    .qemu = q->qemu_path,
                                    .kvm = c->kvm,
                                    .own_ids = q->host->facts.privileged,
                                    .profile = c->profile,
                                    .tsc_khz = c->tsc_khz,
                                    .gateway = q->host->facts.gateway,
                                    .dns = c->dns,
                                    .dns_count = MIN(c->dns_count, (size_t)VMM_QEMU_DNS_MAX),
                                    .first_fd = HOST_FD_FIRST,
                                    .verified = verified_new()};
}

static enum status open_all(struct qemu *q, struct fault *why)
{
    enum status s = file_mkdirs(AT_FDCWD, q->dir_path, 0700, why);
    if (s != ST_OK)
        return s;
    q->site.dir = open(q->dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (q->site.dir < 0)
        return fault_errno(why, errno, "open %s", q->dir_path);
    s = loop_defer_open(q->loop, on_tell, q, &q->tell, why);
    if (s == ST_OK)
        s = loop_timer_open(q->loop, LOOP_MONOTONIC, KEEP_SLACK_MS, on_keep, q, &q->keep, why);
    if (s == ST_OK)
        s = worker_open(q->loop, &q->worker, why);
    return s;
}

enum status vmm_qemu_new(struct loop *l, struct host *h, struct clock *c, struct entropy *e,
                         const struct vmm_qemu_config *config, struct vmm **ret, struct fault *why)
{
    require(config->dir[0] == '/' && config->qemu[0] == '/' && config->console_log_max > 0);
    struct qemu *q = NEW(struct qemu);
    *q = (struct qemu){.vmm = {.look = vmm_look,
                               .start = vmm_start,
                               .power = vmm_power,
                               .remove = vmm_remove,
                               .stats = vm_stats,
                               .open = vm_stream_open,
                               .write = vm_stream_write,
                               .write_end = vm_stream_write_end,
                               .resize = vm_stream_resize,
                               .grant = vm_stream_grant,
                               .close = vm_stream_close},
                       .loop = l,
                       .host = h,
                       .clock = c,
                       .entropy = e,
                       .config = *config};
    q->dir_path = mem_strdup(config->dir);
    q->blob_dir = mem_strdup(config->blob_dir);
    q->qemu_path = mem_strdup(config->qemu);
    q->config.dir = q->dir_path;
    q->config.blob_dir = q->blob_dir;
    q->config.qemu = q->qemu_path;
    map_init(&q->vms);
    list_init(&q->events);
    process_host_boot(q->host_boot);
    site_init(q);
    enum status s = open_all(q, why);
    if (s != ST_OK) {
        vmm_qemu_free(&q->vmm);
        return fault_wrap(why, s, "VMs");
    }
    *ret = &q->vmm;
    return ST_OK;
}

void vmm_qemu_free(struct vmm *v)
{
    struct qemu *q = (struct qemu *)v;
    if (!q)
        return;
    worker_close(q->worker);
    struct str uid;
    void *vm;
    while (map_seek(&q->vms, STR(""), false, &uid, &vm))
        vm_free(vm);
    while (!list_empty(&q->events)) {
        struct event *x = CONTAINER_OF(q->events.next, struct event, item);
        list_cut(&x->item);
        free(x);
    }
    loop_source_close(q->tell);
    loop_source_close(q->keep);
    close_fd(&q->site.dir);
    verified_free(q->site.verified);
    map_done(&q->vms);
    buf_done(&q->net_table);
    free(q->dir_path);
    free(q->blob_dir);
    free(q->qemu_path);
    free(q);
}
