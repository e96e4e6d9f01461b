#include "image/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "image/job.h"
#include "os/file.h"
#include "wire/proto.h"

enum { LINE_MAX_BYTES = 2048, RESULT_MAX = 64 * 1024 };

/* One image to make: waiting, or a process. */
struct job {
    struct list item;
    struct store *store;
    Pb__Image *image;
    pid_t pid; /* 0: waiting */
    int pidfd, out_fd;
    struct loop_source *child, *out;
    struct buf line;
    struct fault why; /* what the job itself said */
    bool cancelled;
};

/* An answer that must not be given from within the request. */
struct later {
    struct list item;
    enum blob_event_type type;
    char *uid;
    struct fault why;
};

struct store {
    struct blob blob; /* first: the port is the store */
    struct loop *loop;
    struct loop_source *defer;
    char *dir, *program, *cache_dir, *guest, *busybox;
    struct list jobs;
    size_t job_count, running;
    struct list later;
};

static struct store *of(struct blob *b)
{
    return CONTAINER_OF(b, struct store, blob);
}

/* Of its file: the digits. */
static const char *part_name(const Pb__Blob *part)
{
    return part->digest ? part->digest + strlen("sha256:") : "";
}

void store_path(const char *dir, const Pb__Blob *part, char out[STORE_PATH_MAX])
{
    int n = snprintf(out, STORE_PATH_MAX, "%s/blobs/%s", dir, part_name(part));
    require(n > 0 && n < STORE_PATH_MAX);
}

static void staging_path(const struct store *s, const char *uid, const char *name,
                         char out[STORE_PATH_MAX])
{
    int n =
        snprintf(out, STORE_PATH_MAX, "%s/staging/%s%s%s", s->dir, uid, name[0] ? "/" : "", name);
    require(n > 0 && n < STORE_PATH_MAX);
}

/* --- telling --- */

static void tell(struct store *s, const struct blob_event *e)
{
    if (s->blob.events)
        s->blob.events->event(s->blob.events->ctx, e);
}

static void tell_later(struct store *s, enum blob_event_type type, const char *uid,
                       const struct fault *why)
{
    struct later *l = NEW(struct later);
    l->type = type;
    l->uid = mem_strdup(uid);
    if (why)
        l->why = *why;
    list_push(&s->later, &l->item);
    loop_defer_arm(s->defer);
}

static void tell_waiting(void *ctx)
{
    struct store *s = ctx;
    while (!list_empty(&s->later)) {
        struct later *l = CONTAINER_OF(s->later.next, struct later, item);
        list_cut(&l->item);
        struct blob_event e = {.type = l->type, .uid = l->uid, .why = l->why};
        tell(s, &e);
        free(l->uid);
        free(l);
    }
}

/* --- moving parts in --- */

static enum status take_part(struct store *s, const char *uid, const char *name,
                             const Pb__Blob *part, struct fault *why)
{
    char from[STORE_PATH_MAX], to[STORE_PATH_MAX];
    if (!part)
        return ST_OK;
    staging_path(s, uid, name, from);
    store_path(s->dir, part, to);
    if (access(to, F_OK) == 0)
        return ST_OK; /* the same content is there already */
    if (chmod(from, 0444) < 0 || rename(from, to) < 0)
        return fault_errno(why, errno, "move %s into the image store", name);
    return ST_OK;
}

static enum status read_result(struct store *s, const char *uid, Pb__Image **ret, struct fault *why)
{
    char path[STORE_PATH_MAX];
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, RESULT_MAX);
    staging_path(s, uid, "result", path);
    enum status st = file_read(AT_FDCWD, path, &bytes, why);
    ProtobufCMessage *m = NULL;
    if (st == ST_OK)
        st = proto_unpack(&pb__image__descriptor, buf_view(&bytes), RESULT_MAX, &m, why);
    if (st != ST_OK)
        return st;
    *ret = (Pb__Image *)m;
    return ST_OK;
}

static enum status take_result(struct store *s, const char *uid, Pb__Image **ret, struct fault *why)
{
    char blobs[STORE_PATH_MAX];
    Pb__Image *image = NULL;
    enum status st = read_result(s, uid, &image, why);
    if (st != ST_OK)
        return fault_wrap(why, st, "read what the image's job made");
    st = take_part(s, uid, "kernel", image->kernel, why);
    if (st == ST_OK)
        st = take_part(s, uid, "initrd", image->initrd, why);
    if (st == ST_OK)
        st = take_part(s, uid, "disk", image->disk, why);
    (void)snprintf(blobs, sizeof blobs, "%s/blobs", s->dir);
    if (st == ST_OK)
        st = file_sync_dir(AT_FDCWD, blobs, why);
    if (st != ST_OK) {
        proto_free(&image->base);
        return st;
    }
    *ret = image;
    return ST_OK;
}

/* --- jobs --- */

static void start_waiting(struct store *s);

static void job_free(struct job *j)
{
    list_cut(&j->item);
    j->store->job_count--;
    loop_source_close(j->child);
    loop_source_close(j->out);
    close_fd(&j->pidfd);
    close_fd(&j->out_fd);
    buf_done(&j->line);
    proto_free(&j->image->base);
    free(j);
}

static void remove_staging(struct store *s, const char *uid)
{
    char path[STORE_PATH_MAX];
    staging_path(s, uid, "", path);
    IGNORE(file_remove_tree(AT_FDCWD, path, NULL)); /* tried again at the next start */
}

/* The job is over; s is what became of it. */
static void job_end(struct job *j, enum status st, struct fault *why)
{
    struct store *s = j->store;
    const char *uid = j->image->meta->uid;
    Pb__Image *image = NULL;
    if (st == ST_OK)
        st = take_result(s, uid, &image, why);
    remove_staging(s, uid);
    struct blob_event e = {.type = st == ST_OK ? BLOB_READY : BLOB_FAILED, .uid = uid};
    e.image = image;
    if (st != ST_OK)
        e.why = *why;
    s->running--;
    tell(s, &e);
    if (image)
        proto_free(&image->base);
    job_free(j);
    start_waiting(s);
}

/* "step 30 unpacking" or "fault code<tab>text<tab>hint". Anything else is a tool's chatter. */
static void handle_line(struct job *j, struct str line)
{
    struct str head, rest = line;
    (void)str_cut(&rest, ' ', &head);
    if (str_is(head, "step")) {
        uint64_t percent;
        char step[BLOB_STEP_MAX] = "";
        (void)str_cut(&rest, ' ', &head);
        if (str_u64(head, 0, 255, &percent, NULL) != ST_OK ||
            str_copy(rest, step, sizeof step, NULL) != ST_OK)
            return;
        struct blob_event e = {.type = BLOB_PROGRESS, .uid = j->image->meta->uid, .step = step};
        e.percent = percent <= 100 ? (uint8_t)percent : BLOB_PERCENT_UNKNOWN;
        tell(j->store, &e);
    } else if (str_is(head, "fault")) {
        struct str code, text;
        char word[40] = "";
        (void)str_cut(&rest, '\t', &code);
        (void)str_cut(&rest, '\t', &text);
        enum status s =
            str_copy(code, word, sizeof word, NULL) == ST_OK ? status_from_code(word) : ST_INTERNAL;
        (void)fault_set(&j->why, s == ST_OK ? ST_INTERNAL : s, STR_FMT, STR_ARG(text));
        if (rest.len)
            fault_hint(&j->why, STR_FMT, STR_ARG(rest));
    }
}

/* Take what the pipe holds, a piece of it. false: there is nothing more now. */
static bool read_output(struct job *j)
{
    char data[4096];
    ssize_t n = read(j->out_fd, data, sizeof data);
    if (n < 0 && errno == EINTR)
        return true;
    if (n == 0) {
        loop_source_close(j->out); /* the end is told by the process */
        j->out = NULL;
    }
    if (n <= 0)
        return false;
    for (ssize_t i = 0; i < n; i++) {
        if (data[i] != '\n') {
            buf_char(&j->line, data[i]);
            continue;
        }
        if (!j->line.full)
            handle_line(j, buf_view(&j->line));
        buf_reset(&j->line);
    }
    return true;
}

static void on_output(void *ctx, uint32_t events)
{
    (void)events;
    (void)read_output(ctx);
}

static void on_exit_of_job(void *ctx, pid_t pid, int wait_status)
{
    struct job *j = ctx;
    struct fault why;
    (void)pid;
    while (read_output(j)) /* all that it said, first */
        ;
    if (j->cancelled) {
        job_end(j, fault_set(&why, ST_CANCELLED, "cancelled"), &why);
    } else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) {
        job_end(j, ST_OK, &why);
    } else if (j->why.status != ST_OK) {
        why = j->why;
        job_end(j, why.status, &why);
    } else {
        (void)fault_set(&why, ST_INTERNAL, "the image's job ended without a word (%s %d)",
                        WIFSIGNALED(wait_status) ? "signal" : "exit",
                        WIFSIGNALED(wait_status) ? WTERMSIG(wait_status)
                                                 : WEXITSTATUS(wait_status));
        job_end(j, why.status, &why);
    }
}

static enum status write_request(struct store *s, const Pb__Image *image, struct fault *why)
{
    char path[STORE_PATH_MAX];
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, RESULT_MAX);
    proto_pack(&image->base, &bytes);
    staging_path(s, image->meta->uid, "", path);
    enum status st = buf_status(&bytes, why);
    if (st == ST_OK)
        st = file_remove_tree(AT_FDCWD, path, why);
    if (st == ST_OK)
        st = file_mkdirs(AT_FDCWD, path, 0700, why);
    staging_path(s, image->meta->uid, "request", path);
    if (st == ST_OK)
        st = file_write(AT_FDCWD, path, buf_view(&bytes), 0600, why);
    return st;
}

/* In the child: nothing but what is safe after fork. */
static _Noreturn void become_job(const struct store *s, const char *dir, int out_fd, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || setpgid(0, 0) < 0 || chdir(dir) < 0)
        _exit(127);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(null, 2) < 0)
        _exit(127);
    (void)syscall(SYS_close_range, 3, ~0U, 0);
    execl(s->program, s->program, JOB_ARGUMENT, s->cache_dir, s->guest, s->busybox, (char *)NULL);
    _exit(127);
}

static enum status spawn(struct job *j, struct fault *why)
{
    struct store *s = j->store;
    char dir[STORE_PATH_MAX];
    int pipe_fd[2];
    staging_path(s, j->image->meta->uid, "", dir);
    if (pipe2(pipe_fd, O_CLOEXEC) < 0)
        return fault_errno(why, errno, "make a pipe");
    pid_t parent = getpid();
    j->pid = fork();
    if (j->pid == 0)
        become_job(s, dir, pipe_fd[1], parent);
    (void)close(pipe_fd[1]);
    j->out_fd = pipe_fd[0];
    if (j->pid < 0)
        return fault_errno(why, errno, "start the image's job");
    (void)fcntl(j->out_fd, F_SETFL, O_NONBLOCK);
    j->pidfd = (int)syscall(SYS_pidfd_open, j->pid, 0);
    enum status st = j->pidfd < 0 ? fault_errno(why, errno, "watch the image's job") : ST_OK;
    if (st == ST_OK)
        st = loop_io_open(s->loop, j->out_fd, EPOLLIN, on_output, j, &j->out, why);
    if (st == ST_OK)
        st = loop_child_open(s->loop, j->pidfd, on_exit_of_job, j, &j->child, why);
    if (st != ST_OK) {
        (void)kill(j->pid, SIGKILL);
        (void)waitpid(j->pid, NULL, 0);
    }
    return st;
}

static void start_waiting(struct store *s)
{
    LIST_EACH(it, &s->jobs) {
        struct job *j = CONTAINER_OF(it, struct job, item);
        struct fault why;
        if (s->running >= STORE_JOBS_MAX)
            return;
        if (j->pid)
            continue;
        enum status st = write_request(s, j->image, &why);
        if (st == ST_OK)
            st = spawn(j, &why);
        if (st == ST_OK) {
            s->running++;
            continue;
        }
        (void)fault_wrap(&why, st, "make image %s", j->image->meta->name);
        tell_later(s, BLOB_FAILED, j->image->meta->uid, &why);
        remove_staging(s, j->image->meta->uid);
        job_free(j);
    }
}

static struct job *find_job(struct store *s, const char *uid)
{
    LIST_EACH(it, &s->jobs) {
        struct job *j = CONTAINER_OF(it, struct job, item);
        if (strcmp(j->image->meta->uid, uid) == 0)
            return j;
    }
    return NULL;
}

/* --- the port --- */

static void store_make(struct blob *b, const Pb__Image *image)
{
    struct store *s = of(b);
    struct fault why;
    if (find_job(s, image->meta->uid))
        return;
    if (s->job_count >= STORE_WAITING_MAX) {
        (void)fault_set(&why, ST_LIMIT, "%d images are being made already", STORE_WAITING_MAX);
        tell_later(s, BLOB_FAILED, image->meta->uid, &why);
        return;
    }
    struct job *j = NEW(struct job);
    *j = (struct job){.store = s, .pidfd = -1, .out_fd = -1};
    j->image = (Pb__Image *)proto_copy(&image->base);
    buf_init(&j->line, LINE_MAX_BYTES);
    list_push(&s->jobs, &j->item);
    s->job_count++;
    start_waiting(s);
}

static void store_cancel(struct blob *b, const char *uid)
{
    struct store *s = of(b);
    struct job *j = find_job(s, uid);
    struct fault why;
    if (!j)
        return;
    if (j->pid) {
        j->cancelled = true;
        (void)kill(-j->pid, SIGKILL);
        (void)kill(j->pid, SIGKILL); /* it may not have its group yet */
        return;
    }
    (void)fault_set(&why, ST_CANCELLED, "cancelled");
    tell_later(s, BLOB_FAILED, uid, &why);
    job_free(j);
}

static bool holds(const Pb__Image *image, const Pb__Blob *part)
{
    const Pb__Blob *parts[] = {image->kernel, image->initrd, image->disk};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        if (parts[i] && strcmp(parts[i]->digest, part->digest) == 0)
            return true;
    return false;
}

static void store_remove(struct blob *b, const Pb__Image *image, const Pb__Image *const *keep,
                         size_t keep_count)
{
    struct store *s = of(b);
    const Pb__Blob *parts[] = {image->kernel, image->initrd, image->disk};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        bool kept = !parts[i];
        for (size_t k = 0; k < keep_count && !kept; k++)
            kept = holds(keep[k], parts[i]);
        char path[STORE_PATH_MAX];
        if (kept)
            continue;
        store_path(s->dir, parts[i], path);
        (void)unlink(path); /* absent is as good */
    }
    tell_later(s, BLOB_REMOVED, image->meta->uid, NULL);
}

/* The names of the parts that images have, as keys. */
static void note_parts(struct map *names, const Pb__Image *image)
{
    static char known;
    const Pb__Blob *parts[] = {image->kernel, image->initrd, image->disk};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        if (parts[i])
            (void)map_put(names, str_from(part_name(parts[i])), &known);
}

static void store_sweep(struct blob *b, const Pb__Image *const *keep, size_t keep_count)
{
    struct store *s = of(b);
    require(list_empty(&s->jobs));
    char path[STORE_PATH_MAX];
    struct map names;
    map_init(&names);
    for (size_t i = 0; i < keep_count; i++)
        note_parts(&names, keep[i]);
    (void)snprintf(path, sizeof path, "%s/blobs", s->dir);
    DIR *dir = opendir(path);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (!map_find(&names, str_from(d->d_name)))
            (void)unlinkat(dirfd(dir), d->d_name, 0); /* what is no file stays: "." is none */
    if (dir)
        (void)closedir(dir);
    map_done(&names);
}

/* --- life --- */

static enum status make_dirs(struct store *s, struct fault *why)
{
    char path[STORE_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/staging", s->dir);
    enum status st = file_remove_tree(AT_FDCWD, path, why);
    if (st == ST_OK)
        st = file_mkdirs(AT_FDCWD, path, 0700, why);
    (void)snprintf(path, sizeof path, "%s/blobs", s->dir);
    if (st == ST_OK)
        st = file_mkdirs(AT_FDCWD, path, 0755, why);
    if (st == ST_OK)
        st = file_mkdirs(AT_FDCWD, s->cache_dir, 0755, why);
    return st;
}

enum status store_open(struct loop *l, const struct store_config *c, struct store **ret,
                       struct fault *why)
{
    struct store *s = NEW(struct store);
    *s = (struct store){
        .blob = {.make = store_make,
                 .cancel = store_cancel,
                 .remove = store_remove,
                 .sweep = store_sweep},
        .loop = l,
        .dir = mem_strdup(c->dir),
        .program = mem_strdup(c->program),
        .cache_dir = mem_strdup(c->cache_dir),
        .guest = mem_strdup(c->guest),
        .busybox = mem_strdup(c->busybox),
    };
    list_init(&s->jobs);
    list_init(&s->later);
    require(strlen(c->dir) < STORE_PATH_MAX - 128);
    enum status st = make_dirs(s, why);
    if (st == ST_OK)
        st = loop_defer_open(l, tell_waiting, s, &s->defer, why);
    if (st != ST_OK) {
        store_close(s);
        return fault_wrap(why, st, "open the image store");
    }
    *ret = s;
    return ST_OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    LIST_EACH(it, &s->jobs) {
        struct job *j = CONTAINER_OF(it, struct job, item);
        if (j->pid) {
            (void)kill(-j->pid, SIGKILL);
            (void)kill(j->pid, SIGKILL);
            (void)waitpid(j->pid, NULL, 0);
            remove_staging(s, j->image->meta->uid);
        }
        job_free(j);
    }
    LIST_EACH(it, &s->later) {
        struct later *l = CONTAINER_OF(it, struct later, item);
        list_cut(&l->item);
        free(l->uid);
        free(l);
    }
    loop_source_close(s->defer);
    free(s->dir);
    free(s->program);
    free(s->cache_dir);
    free(s->guest);
    free(s->busybox);
    free(s);
}

struct blob *store_blob(struct store *s)
{
    return &s->blob;
}
