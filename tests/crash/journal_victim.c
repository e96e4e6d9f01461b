/*
 * journal_victim: random work on the real journal, on its thread, on the real disk, until killed.
 *
 * usage: journal_victim DIRECTORY SEED
 *        journal_victim DIRECTORY refused|unseen    a call that disk_watch must refuse, or cannot see
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crash/journal_told.h"
#include "crash/tell.h"
#include "journal/journal_thread.h"
#include "os/disk_os.h"

enum { STEPS_PER_REQUEST_MAX = 8, UNTOLD_MAX = 24 };

struct life {
    struct loop *loop;
    struct disk *disk;
    struct journal_thread *journal;
    struct log_events events;
    struct log_work w;
    uint64_t told;     /* requests */
    uint64_t snapshot; /* of this index is under way; or 0 */
};

static struct life life;

/* Here a check that fails ends the process, and its parent says so. */
_Noreturn void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    struct fault why;
    char text[FAULT_TEXT_MAX];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)fault_set(&why, ST_INTERNAL, "%s:%d: %s", file, line, text);
    tell_refused(&why);
}

static void tell_ack(void)
{
    tell(TOLD_ACK, &life.w.acked, sizeof life.w.acked);
}

static void on_appended(void *ctx, uint64_t token)
{
    (void)ctx;
    log_work_appended(&life.w, token);
    life.told++;
    tell_ack();
}

static void on_snapshotted(void *ctx, uint64_t index)
{
    (void)ctx;
    log_work_snapshotted(&life.w, index);
    life.snapshot = 0;
    tell_ack();
    uint64_t first_kept =
        rng_chance(&life.w.rng, 500) ? index + 1 : rng_range(&life.w.rng, 1, index + 1);
    life.w.log->compact(life.w.log, first_kept);
}

static void on_failed(void *ctx, const struct fault *why)
{
    (void)ctx;
    tell_refused(why);
}

static void on_step(void *ctx, const struct step *s)
{
    (void)ctx;
    tell(TOLD_STEP, s, sizeof *s);
}

static void check(enum status s, const struct fault *why)
{
    if (s != ST_OK)
        tell_refused(why);
}

/* What was loaded is what the work goes on from; the bytes of entries are not needed for that. */
static void go_on_from(const struct loaded *l)
{
    struct model *m = &life.w.now;
    m->hard = l->hard;
    m->snapshot = m->start = m->last = l->snapshot;
    m->snapshot_term = l->snapshot_term;
    m->item[l->snapshot].term = l->snapshot_term;
    for (uint64_t i = l->first; l->entries && i <= l->last; i++)
        m->item[i] = l->item[i];
    if (l->entries)
        m->last = l->last;
}

static void open_log(const char *dir)
{
    static struct told_loaded told;
    static const uint64_t sizes[] = {JOURNAL_SEGMENT_MIN, 2 * JOURNAL_SEGMENT_MIN, 1 << 20};
    struct journal_config c = {.segment_size = sizes[rng_below(&life.w.rng, ARRAY_COUNT(sizes))],
                               .new_id = "sixteen bytes id"};
    struct log_load load = loader(&told.log);
    struct fault why;
    check(loop_open(&life.loop, &why), &why);
    check(disk_os_open(dir, &life.disk, &why), &why);
    check(journal_thread_open(life.loop, life.disk, &c, &load, NULL, &life.journal, &told.report,
                              &why),
          &why);
    struct journal_view v = journal_thread_view(life.journal);
    told.base_index = v.base_index;
    told.segment_count = v.segment_count;
    tell(TOLD_LOADED, &told, sizeof told);

    life.events = (struct log_events){on_appended, on_snapshotted, on_failed, NULL};
    life.w.log = journal_thread_log(life.journal);
    life.w.log->events = &life.events;
    life.w.asked = on_step;
    go_on_from(&told.log);
}

static bool may_ask(void)
{
    return life.w.token_count - life.told < UNTOLD_MAX &&
           life.w.step_count + STEPS_PER_REQUEST_MAX < STEPS_MAX &&
           life.w.token_count < ARRAY_COUNT(life.w.steps_of_token);
}

static bool ask_snapshot(void)
{
    if (life.snapshot || !rng_chance(&life.w.rng, 120))
        return false;
    life.snapshot = log_work_snapshot(&life.w);
    return life.snapshot > 0;
}

static _Noreturn void work(void)
{
    struct fault why;
    for (;;) {
        for (uint64_t n = rng_range(&life.w.rng, 1, UNTOLD_MAX); n > 0 && may_ask(); n--)
            if (!ask_snapshot())
                log_work_append(&life.w);
        check(loop_turn(life.loop, UINT64_MAX, &why), &why);
    }
}

static _Noreturn void misbehave(const char *dir, bool seen)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/stray", dir);
    if (seen) {
        struct iovec part = {path, 1};
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        IGNORE(writev(fd, &part, 1));
    } else {
        (void)fclose(fopen(path, "w")); /* the C library does not call itself by name */
    }
    tell(TOLD_ACK, "", 0);
    (void)pause();
    _exit(1);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    if (argv[2][0] == 'r' || argv[2][0] == 'u')
        misbehave(argv[1], argv[2][0] == 'r');
    life.w.rng = (struct rng){strtoull(argv[2], NULL, 10)};
    open_log(argv[1]);
    work();
}
