#include "sim/journal_log.h"

#include <stdlib.h>

#include "journal/journal_inline.h"

enum {
    SNAPSHOT_MAX = 64 << 20,
    SNAPSHOT_CHUNKS = 4, /* at most; it is far smaller than one of the journal's need be */
    RECOVERY_OPS = 12,   /* a crash in recovery comes within so many operations */
};

/* What a journal tells that is being opened. */
struct loading {
    struct platter found;
    struct buf snapshot;
};

struct journal_log {
    struct member_log log;
    struct sim *sim;
    struct sim_disk disk;
    struct journal_inline *journal; /* NULL: there is no process */
    struct log_events events;
    struct platter_done *done; /* of the run that is under way */
    bool failed;               /* of itself, not with the machine */
};

static struct journal_log *self(struct member_log *l)
{
    return CONTAINER_OF(l, struct journal_log, log);
}

/* --- snapshots as bytes --- */

static void pack(const struct platter_snapshot *s, struct buf *out)
{
    AUTO(buf_done) struct buf members;
    buf_init(&members, RAFT_MEMBERS_BYTES_MAX);
    if (s->members.count)
        raft_members_encode(&s->members, &members);
    cursor_put_u64(out, s->index);
    cursor_put_u64(out, s->term);
    cursor_put_sized(out, buf_view(&members));
    cursor_put_u8(out, s->state != NULL);
    if (s->state)
        lists_pack(s->state, out);
    ensure(!out->full);
}

static enum status unpack(struct str bytes, struct platter_snapshot *out, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, bytes);
    struct platter_snapshot s = {.index = cursor_u64(&c), .term = 0};
    s.term = cursor_u64(&c);
    struct str members = cursor_sized(&c, RAFT_MEMBERS_BYTES_MAX);
    if (cursor_u8(&c))
        s.state = lists_unpack(&c);
    enum status status = cursor_end(&c, ST_CORRUPT, why);
    if (status == ST_OK && members.len)
        status = raft_members_decode(members, &s.members, why);
    if (status == ST_OK)
        *out = s;
    else
        lists_free(s.state);
    return status;
}

/* --- opening --- */

static void load_hard(void *ctx, const struct log_hard *hard)
{
    struct loading *l = ctx;
    l->found.hard = (struct raft_hard){hard->term, hard->vote};
}

static enum status load_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                                 bool last, struct fault *why)
{
    struct loading *l = ctx;
    struct platter_snapshot *s = &l->found.snapshot;
    buf_str(&l->snapshot, chunk);
    if (!last)
        return ST_OK;
    enum status status = unpack(buf_view(&l->snapshot), s, why);
    if (status == ST_OK && (s->index != index || s->term != term))
        status = fault_set(why, ST_CORRUPT, "the snapshot of entry %" PRIu64 " is of %" PRIu64,
                           index, s->index);
    l->found.first = index + 1;
    return status;
}

static enum status load_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    struct loading *l = ctx;
    if (e->index != platter_last(&l->found) + 1)
        return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " is told of after %" PRIu64, e->index,
                         platter_last(&l->found));
    struct raft_entry own = {e->index, e->term, (enum raft_entry_type)e->type, NULL};
    if (own.type != RAFT_ENTRY_NOOP)
        own.data = raft_data_new(e->data.ptr, e->data.len);
    platter_put(&l->found, &own);
    raft_data_unref(own.data);
    return ST_OK;
}

static void arm_crash(struct journal_log *j, bool recovery)
{
    struct sim *s = j->sim;
    if (recovery && rng_chance(&s->crashes, s->faults.crash_in_recovery))
        sim_disk_crash_after(&j->disk, 1 + rng_below(&s->crashes, RECOVERY_OPS));
    else if (s->faults.crash_at_op_every)
        sim_disk_crash_after(&j->disk,
                             1 + rng_below(&s->crashes, 2u * s->faults.crash_at_op_every));
}

static enum status found_wrong(const struct platter *durable, const struct platter *found,
                               struct fault *why)
{
    return fault_set(
        why, ST_INTERNAL,
        "the journal holds term %" PRIu64 ", vote %u, a snapshot of entry %" PRIu64
        ", entries to %" PRIu64 "; durable was term %" PRIu64 ", vote %u, a snapshot of %" PRIu64
        ", entries to %" PRIu64 "; no crash makes the one of the other",
        found->hard.term, found->hard.vote, found->snapshot.index, platter_last(found),
        durable->hard.term, durable->hard.vote, durable->snapshot.index, platter_last(durable));
}

static enum status open_journal(struct journal_log *j, struct loading *l, struct fault *why)
{
    struct journal_config c = {.segment_size = j->sim->faults.segment_bytes};
    struct log_load load = {load_hard, load_snapshot, load_entry, l};
    j->sim->entropy.fill(&j->sim->entropy, c.new_id, sizeof c.new_id);
    return journal_inline_open(&j->disk.port, &c, &load, &j->journal, NULL, why);
}

enum status journal_log_look(struct member_log *log, struct platter *ret, struct fault *why)
{
    struct journal_log *j = self(log);
    struct loading l;
    require(!j->journal);
    platter_init(&l.found);
    buf_init(&l.snapshot, SNAPSHOT_MAX);
    enum status s = open_journal(j, &l, why);
    journal_inline_close(j->journal);
    j->journal = NULL;
    buf_done(&l.snapshot);
    platter_init(ret);
    platter_become(ret, &l.found);
    return s;
}

static enum status log_open(struct member_log *log, struct fault *why)
{
    struct journal_log *j = self(log);
    struct loading l;
    require(!j->journal);
    platter_init(&l.found);
    buf_init(&l.snapshot, SNAPSHOT_MAX);
    j->failed = false;
    arm_crash(j, true);
    j->disk.recovering = true;
    enum status s = open_journal(j, &l, why);
    j->disk.recovering = false;
    if (s == ST_OK && !platter_may_become(&log->durable, &l.found, log->damaged))
        s = found_wrong(&log->durable, &l.found, why);
    if (s == ST_OK) {
        j->sim->stats.damage_older += l.found.snapshot.index < log->durable.snapshot.index;
        log->damaged = false;
        platter_become(&log->durable, &l.found);
        journal_inline_log(j->journal)->events = &j->events;
        arm_crash(j, false);
    } else {
        platter_done(&l.found);
        j->sim->stats.in_recovery += j->disk.frozen;
        j->sim->stats.refused_starts += !j->disk.frozen;
    }
    buf_done(&l.snapshot);
    return s;
}

/* --- what is asked --- */

static void log_append(struct member_log *log, const struct raft_ready *rd)
{
    struct log *inner = journal_inline_log(self(log)->journal);
    struct log_hard hard = {rd->hard.term, rd->hard.vote};
    struct log_entry *e = NEW_ARRAY(struct log_entry, rd->append_count + 1);
    for (size_t i = 0; i < rd->append_count; i++) {
        const struct raft_entry *r = &rd->append[i];
        struct str data = r->data ? (struct str){r->data->bytes, r->data->len} : STR("");
        e[i] = (struct log_entry){r->index, r->term, (uint32_t)r->type, data};
    }
    enum status s =
        inner->append(inner, rd->hard_changed ? &hard : NULL, e, rd->append_count, rd->token);
    ensure(s == ST_OK); /* a queue of a simulated disk is short */
    free(e);
    platter_append(&log->durable, rd);
}

static void log_save(struct member_log *log, uint64_t index, uint64_t term,
                     const struct raft_members *m, struct lists *state)
{
    struct journal_log *j = self(log);
    struct log *inner = journal_inline_log(j->journal);
    AUTO(buf_done) struct buf b;
    buf_init(&b, SNAPSHOT_MAX);
    pack(&(struct platter_snapshot){index, term, *m, state}, &b);
    size_t most = b.len / (1 + (size_t)rng_below(&j->sim->disk, SNAPSHOT_CHUNKS)) + 1;
    for (size_t at = 0; at < b.len; at += most) {
        struct str chunk = {b.ptr + at, MIN(most, b.len - at)};
        enum status s = inner->snapshot(inner, index, term, at, chunk, at + most >= b.len);
        ensure(s == ST_OK);
    }
    platter_save(&log->durable, index, term, m, state);
}

static void log_compact(struct member_log *log, uint64_t first_kept)
{
    struct log *inner = journal_inline_log(self(log)->journal);
    inner->compact(inner, first_kept);
    platter_compact(&log->durable, first_kept);
}

/* --- what is done --- */

static size_t log_waiting(struct member_log *log)
{
    return journal_inline_waiting(self(log)->journal);
}

/* Events come in the order of the requests, but for compactions, of which nothing is told. */
static void appended(void *ctx, uint64_t token)
{
    struct journal_log *j = ctx;
    struct platter_done d = {0};
    while (!d.token)
        d = platter_run(&j->log.durable, 1);
    ensure(d.token == token);
    j->done->token = token;
}

static void snapshotted(void *ctx, uint64_t index)
{
    struct journal_log *j = ctx;
    struct platter_done d = {0};
    while (!d.snapshot_index)
        d = platter_run(&j->log.durable, 1);
    ensure(d.snapshot_index == index);
    j->done->snapshot_index = index;
}

static void failed(void *ctx, const struct fault *why)
{
    struct journal_log *j = ctx;
    sim_trace(j->sim, "the journal fails: %s", why->text);
    j->failed = true;
}

static bool log_run(struct member_log *log, size_t most, struct platter_done *out)
{
    struct journal_log *j = self(log);
    *out = (struct platter_done){0};
    j->done = out;
    IGNORE(journal_inline_run(j->journal, most));
    j->done = NULL;
    return !j->failed;
}

/* --- ends --- */

static bool log_close(struct member_log *log, struct rng *r)
{
    struct journal_log *j = self(log);
    bool at_disk = j->disk.frozen;
    journal_inline_close(j->journal);
    j->journal = NULL;
    j->sim->stats.at_disk += at_disk;
    if ((j->failed && !at_disk) || rng_chance(r, j->sim->faults.keep_cache)) {
        sim_disk_thaw(&j->disk);
        return false;
    }
    sim_disk_power_cut(&j->disk);
    return true;
}

static void log_free(struct member_log *log)
{
    struct journal_log *j = self(log);
    require(!j->journal);
    sim_disk_done(&j->disk);
    platter_done(&log->durable);
    free(j);
}

struct member_log *journal_log_new(struct sim *s)
{
    static const struct member_log_ops ops = {log_open,    log_append, log_save,  log_compact,
                                              log_waiting, log_run,    log_close, log_free};
    struct journal_log *j = NEW(struct journal_log);
    j->sim = s;
    j->events = (struct log_events){appended, snapshotted, failed, j};
    sim_disk_init(&j->disk, s);
    j->log.ops = &ops;
    j->log.disk = &j->disk;
    platter_init(&j->log.durable);
    return &j->log;
}
