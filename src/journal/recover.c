/*
 * Opening: find what was durable, cut what a crash left half-written, refuse what is damaged.
 *
 * Everything is read first, and changed only when all of it is understood. How a torn write is told
 * from damage is argued in docs/explanation/journal.md.
 */
#include <stdlib.h>
#include <string.h>

#include "journal/journal_internal.h"
#include "journal/reader.h"

enum { FORMAT_FILE_MAX = 4096 };

/* Where a live entry stands. */
struct place {
    uint64_t seq;
    uint64_t offset;
};

struct recovery {
    struct journal *j;
    struct files files;
    struct reader reader;
    char name[DISK_NAME_MAX + 1]; /* of the file that is being read */
    uint64_t seq;                 /* of the segment that is being read */
    uint64_t at;                  /* where its next record stands */
    uint64_t unborn;              /* the last segment, if it never came to be; 0: none */
    bool torn;                    /* the last segment holds more than true records */
    struct place *places;         /* of entries base_index + 1, ... */
    size_t place_count, place_room;
    struct files_snapshot snapshot; /* the one that counts; index 0: none */
    uint32_t chunk_count;           /* of it */
    struct journal_report report;
    struct fault *why;
};

static enum status damaged(struct recovery *r, const char *name, uint64_t offset, const char *what)
{
    (void)fault_set(r->why, ST_CORRUPT,
                    "%s is damaged at offset %" PRIu64 ", after index %" PRIu64 ": %s", name,
                    offset, r->j->shape.last_index, what);
    fault_hint(r->why, "restore this directory from a backup; or, as a member of a cluster, "
                       "empty it and join again, which gives this node a new number");
    return ST_CORRUPT;
}

static enum status open_segment(struct recovery *r, uint64_t seq)
{
    r->seq = seq;
    r->j->seed = record_seed(&r->j->id, seq);
    files_segment_name(seq, r->name);
    return reader_open(&r->reader, r->name, r->why);
}

/* The record at `at`, if there is one that is true in itself; *ret_data is NULL if not. */
static enum status read_record(struct recovery *r, uint64_t at, struct record *ret,
                               const uint8_t **ret_data)
{
    const uint8_t *p;
    *ret_data = NULL;
    enum status s = reader_get(&r->reader, at, RECORD_HEAD_SIZE, &p, r->why);
    if (s != ST_OK || !p || !record_decode(p, r->j->seed, at, ret))
        return s;
    s = reader_get(&r->reader, at, (size_t)record_size(ret->len), &p, r->why);
    if (s == ST_OK && p && record_data_good(ret, r->j->seed, p + RECORD_HEAD_SIZE))
        *ret_data = p + RECORD_HEAD_SIZE;
    return s;
}

/*
 * At `at` no true record stands. Were its bytes ever durable? They were, if the head of a record
 * behind it says so: it names how much had been synced when it was written.
 *
 * ret_end   where the last byte that is not zero ends; `at` when there is none.
 */
static enum status look_behind(struct recovery *r, uint64_t at, bool *ret_proof, uint64_t *ret_end)
{
    enum { STEP = 64 << 10 };
    struct reader *file = &r->reader;
    *ret_proof = false;
    *ret_end = at;
    for (uint64_t from = at; from < file->size; from += STEP) {
        /* A head may begin in this step and end in the next. */
        size_t have = (size_t)MIN(file->size - from, (uint64_t)STEP + RECORD_HEAD_SIZE);
        const uint8_t *p;
        enum status s = reader_get(file, from, have, &p, r->why);
        if (s != ST_OK)
            return s;
        for (size_t i = 0; i < MIN(have, (size_t)STEP); i++) {
            struct record later;
            uint64_t offset = from + i;
            if (p[i])
                *ret_end = offset + 1;
            if (offset % RECORD_ALIGN == 0 && have - i >= RECORD_HEAD_SIZE &&
                record_decode(p + i, r->j->seed, offset, &later) && later.durable > at)
                *ret_proof = true;
        }
    }
    return ST_OK;
}

/* --- the log --- */

static void remember_place(struct recovery *r, uint64_t index)
{
    uint64_t number = index - r->j->shape.base_index - 1; /* among the live ones */
    ensure(number <= r->place_count);
    r->place_count = (size_t)number;
    if (r->place_count == r->place_room) {
        r->place_room = r->place_room ? 2 * r->place_room : 256;
        r->places = mem_grow(r->places, r->place_room, sizeof *r->places);
    }
    r->places[r->place_count++] = (struct place){r->seq, r->at};
}

static const char *take_start(struct recovery *r, const struct record *rec, struct str data)
{
    struct shape *shape = &r->j->shape;
    struct record_start start;
    if (record_start_decode(data, &start, NULL) != ST_OK)
        return "the start of the segment does not say what it should";
    if (rec->index != r->seq)
        return "it is another segment";
    if (r->j->segment_count == 1) { /* what was before it is gone, and covered by a snapshot */
        shape->hard = start.hard;
        return shape_restart(shape, start.last_index, start.last_term);
    }
    bool same = start.last_index == shape->last_index &&
                start.last_term == shape_term(shape, shape->last_index) &&
                start.hard.term == shape->hard.term && start.hard.vote == shape->hard.vote;
    return same ? NULL : "it does not go on as the one before it ended";
}

/* Returns what is wrong with it, or NULL. */
static const char *take_record(struct recovery *r, const struct record *rec, struct str data)
{
    struct shape *shape = &r->j->shape;
    const char *bad;
    if ((rec->kind == RECORD_START) != (r->at == 0))
        return "a record stands where its kind cannot be";
    switch ((enum record_kind)rec->kind) {
    case RECORD_START: return take_start(r, rec, data);
    case RECORD_HARD:
        return shape_hard(shape, &(struct log_hard){.term = rec->term, .vote = rec->arg});
    case RECORD_RESTART: r->place_count = 0; return shape_restart(shape, rec->index, rec->term);
    case RECORD_ENTRY:
        bad = shape_entry(shape, rec->index, rec->term);
        if (bad)
            return bad;
        remember_place(r, rec->index);
        struct segment *now = &r->j->segments[r->j->segment_count - 1];
        now->max_index = MAX(now->max_index, rec->index);
        return NULL;
    case RECORD_KIND_COUNT: break;
    }
    defs_unreachable("record_decode knows the kinds");
}

/* A true record that goes on from something else than what was found before it: that was replaced
 * after it had been durable, or its end was lost. */
static enum status does_not_follow(struct recovery *r, uint64_t prev_end)
{
    char name[DISK_NAME_MAX + 1];
    if (r->at > 0)
        return damaged(r, r->name, r->at, "this record does not follow the one before it");
    files_segment_name(r->seq - 1, name);
    return damaged(r, name, prev_end, "the next segment does not follow what ends here");
}

/* Take the records of a segment up to the first place, r->at, where none stands. */
static enum status read_segment(struct recovery *r, uint64_t seq)
{
    struct journal *j = r->j;
    struct record rec;
    uint64_t prev_end = r->at;
    enum status s = open_segment(r, seq);
    if (s != ST_OK)
        return s;
    (void)journal_add_segment(j, seq);
    for (r->at = 0;; r->at += record_size(rec.len)) {
        const uint8_t *data;
        s = read_record(r, r->at, &rec, &data);
        if (s != ST_OK)
            return s;
        if (!data)
            return r->at > 0 ? ST_OK : damaged(r, r->name, 0, "its first record is not true");
        bool first_of_all = r->at == 0 && j->segment_count == 1;
        if (rec.prev != j->chain && !first_of_all)
            return does_not_follow(r, prev_end);
        const char *bad = take_record(r, &rec, (struct str){(const char *)data, rec.len});
        if (bad)
            return damaged(r, r->name, r->at, bad);
        j->chain = rec.crc;
    }
}

/* The write that began the last segment may have been cut off: then none of it counts. */
static enum status find_unborn(struct recovery *r)
{
    struct files *f = &r->files;
    struct record rec;
    const uint8_t *data;
    bool proof;
    uint64_t end;
    enum status s = open_segment(r, f->segments[f->segment_count - 1]);
    if (s == ST_OK)
        s = read_record(r, 0, &rec, &data);
    if (s != ST_OK || data)
        return s;
    s = look_behind(r, 0, &proof, &end);
    if (s != ST_OK)
        return s;
    if (proof || f->segment_count == 1)
        return damaged(r, r->name, 0, "its first record is not true");
    r->unborn = r->seq;
    r->report.torn_bytes = end;
    memcpy(r->report.torn_file, r->name, sizeof r->name);
    f->segment_count--;
    return ST_OK;
}

/* Where nothing follows in the last segment, the log ends. */
static enum status find_end(struct recovery *r)
{
    bool proof;
    uint64_t end;
    enum status s = look_behind(r, r->at, &proof, &end);
    if (s != ST_OK)
        return s;
    if (proof)
        return damaged(r, r->name, r->at,
                       "no true record stands here, and a later one says that one did");
    r->j->end = r->j->durable = r->at;
    if (end == r->at)
        return ST_OK;
    r->torn = true;
    r->report.torn_bytes += end - r->at;
    r->report.torn_offset = r->at;
    memcpy(r->report.torn_file, r->name, sizeof r->name);
    return ST_OK;
}

static enum status read_log(struct recovery *r)
{
    struct files *f = &r->files;
    char name[DISK_NAME_MAX + 1];
    if (f->segment_count == 0)
        return damaged(r, FILES_FORMAT, 0, "the log that it speaks of is not there");
    for (size_t i = 1; i < f->segment_count; i++)
        if (f->segments[i] != f->segments[i - 1] + 1) {
            files_segment_name(f->segments[i - 1] + 1, name);
            return damaged(r, name, 0, "it is missing");
        }
    enum status s = find_unborn(r);
    for (size_t i = 0; s == ST_OK && i < f->segment_count; i++)
        s = read_segment(r, f->segments[i]);
    return s == ST_OK ? find_end(r) : s;
}

/* --- the snapshots --- */

struct walk {
    uint32_t seed;
    uint64_t at;
    uint32_t number; /* of the next chunk */
    uint64_t bytes;
};

static enum status walk_open(struct recovery *r, const struct files_snapshot *snap, struct walk *w)
{
    *w = (struct walk){.seed = chunk_seed(&r->j->id, snap->index, snap->term)};
    files_snapshot_name(snap->index, snap->term, r->name);
    return reader_open(&r->reader, r->name, r->why);
}

/* The next chunk of data, or *ret_end after the last one. *ret_bad says what is wrong, or is NULL. */
static enum status walk_next(struct recovery *r, struct walk *w, struct str *ret_data,
                             bool *ret_end, const char **ret_bad)
{
    struct chunk c = {0};
    const uint8_t *p;
    enum status s = reader_get(&r->reader, w->at, CHUNK_HEAD_SIZE, &p, r->why);
    if (s == ST_OK && p) {
        chunk_decode(p, &c);
        size_t size = (size_t)record_align(CHUNK_HEAD_SIZE + MIN(c.len, LOG_CHUNK_MAX));
        s = reader_get(&r->reader, w->at, size, &p, r->why);
    }
    if (s != ST_OK)
        return s;

    *ret_bad = "a chunk of it is not true";
    if (!p || !chunk_good(&c, w->seed, p) || c.number != w->number || c.before != w->bytes)
        return ST_OK;
    w->at += record_align(CHUNK_HEAD_SIZE + c.len);
    *ret_end = c.kind == CHUNK_END;
    if (*ret_end ? c.len > 0 || w->at != r->reader.size : c.kind != CHUNK_DATA)
        return ST_OK;
    w->number++;
    w->bytes += c.len;
    *ret_data = (struct str){(const char *)p + CHUNK_HEAD_SIZE, c.len};
    *ret_bad = NULL;
    return ST_OK;
}

static enum status check_snapshot(struct recovery *r, const struct files_snapshot *snap,
                                  uint32_t *ret_count, const char **ret_bad)
{
    struct walk w;
    struct str data;
    bool end = false;
    *ret_bad = NULL;
    enum status s = walk_open(r, snap, &w);
    while (s == ST_OK && !end && !*ret_bad)
        s = walk_next(r, &w, &data, &end, ret_bad);
    *ret_count = w.number - 1; /* the end is no chunk of data */
    return s;
}

/* The newest snapshot that is true, provided that the log goes on from it. */
static enum status pick_snapshot(struct recovery *r)
{
    struct files *f = &r->files;
    char newest_bad[DISK_NAME_MAX + 1] = "";
    const char *bad = NULL;
    for (size_t i = f->snapshot_count; i-- > 0 && r->snapshot.index == 0;) {
        enum status s = check_snapshot(r, &f->snapshots[i], &r->chunk_count, &bad);
        if (s != ST_OK)
            return s;
        if (!bad)
            r->snapshot = f->snapshots[i];
        else if (!newest_bad[0])
            memcpy(newest_bad, r->name, sizeof newest_bad);
    }
    memcpy(r->report.bad_snapshot, newest_bad, sizeof newest_bad);
    if (r->snapshot.index >= r->j->shape.base_index)
        return ST_OK;
    char name[DISK_NAME_MAX + 1];
    files_snapshot_name(r->j->shape.base_index, r->j->shape.base_term, name);
    if (newest_bad[0])
        return damaged(r, newest_bad, 0, "what it held is not in the log any more");
    return damaged(r, name, 0, "no snapshot holds what was before the beginning of the log");
}

/* --- telling --- */

static enum status tell_snapshot(struct recovery *r, const struct log_load *load)
{
    const struct files_snapshot *snap = &r->snapshot;
    struct walk w;
    struct str data = STR("");
    bool end = false;
    const char *bad = NULL;
    enum status s = walk_open(r, snap, &w);
    if (s == ST_OK)
        s = load->snapshot(load->ctx, snap->index, snap->term, data, false, r->why);
    for (uint32_t i = 0; s == ST_OK && i < r->chunk_count; i++) {
        s = walk_next(r, &w, &data, &end, &bad);
        if (s == ST_OK && (bad || end))
            return damaged(r, r->name, w.at, "it changed while it was read");
        if (s == ST_OK)
            s = load->snapshot(load->ctx, snap->index, snap->term, data, i + 1 == r->chunk_count,
                               r->why);
    }
    if (s == ST_OK && r->chunk_count == 0)
        s = load->snapshot(load->ctx, snap->index, snap->term, data, true, r->why);
    return s;
}

static enum status tell_entry(struct recovery *r, const struct log_load *load, uint64_t index)
{
    const struct place *p = &r->places[index - r->j->shape.base_index - 1];
    struct record rec;
    const uint8_t *data;
    enum status s = ST_OK;
    if (!r->reader.file || r->seq != p->seq)
        s = open_segment(r, p->seq);
    if (s == ST_OK)
        s = read_record(r, p->offset, &rec, &data);
    if (s != ST_OK)
        return s;
    if (!data || rec.kind != RECORD_ENTRY || rec.index != index)
        return damaged(r, r->name, p->offset, "it changed while it was read");
    struct log_entry e = {
        .index = index, .term = rec.term, .type = rec.arg, .data = {(const char *)data, rec.len}};
    r->report.entries++;
    return load->entry(load->ctx, &e, r->why);
}

static enum status tell(struct recovery *r, const struct log_load *load)
{
    const struct shape *shape = &r->j->shape;
    enum status s = ST_OK;
    if (shape->hard.term > 0)
        load->hard(load->ctx, &shape->hard);
    if (r->snapshot.index > 0)
        s = tell_snapshot(r, load);
    r->seq = 0;
    if (journal_holds(shape, r->snapshot.index, r->snapshot.term))
        for (uint64_t i = r->snapshot.index + 1; s == ST_OK && i <= shape->last_index; i++)
            s = tell_entry(r, load, i);
    return s;
}

/* --- making it so --- */

static enum status remove_file(struct recovery *r, const char *name)
{
    return r->j->disk->remove(r->j->disk, name, r->why);
}

static enum status repair(struct recovery *r)
{
    struct journal *j = r->j;
    struct disk *d = j->disk;
    char name[DISK_NAME_MAX + 1];
    enum status s = ST_OK;
    if (r->unborn) {
        files_segment_name(r->unborn, name);
        s = remove_file(r, name);
        if (s == ST_OK)
            s = d->sync_dir(d, r->why);
    }
    if (s == ST_OK && r->files.format_tmp)
        s = remove_file(r, FILES_FORMAT_TMP);
    if (s == ST_OK && r->files.snapshot_tmp)
        s = remove_file(r, FILES_SNAPSHOT_TMP);
    if (s == ST_OK)
        s = open_segment(r, j->segments[j->segment_count - 1].seq);
    if (s != ST_OK)
        return s;

    j->allocated = r->reader.size;
    j->file = reader_take(&r->reader);
    if (r->torn) {
        s = d->truncate(d, j->file, j->end, r->why);
        if (s == ST_OK)
            s = d->sync(d, j->file, r->why);
        j->allocated = j->end;
    }
    j->snapshot_index = r->snapshot.index;
    j->snapshot_term = r->snapshot.term;
    if (s == ST_OK && !journal_holds(&j->shape, j->snapshot_index, j->snapshot_term)) {
        journal_restart(j, j->snapshot_index, j->snapshot_term);
        s = journal_sync(j, r->why);
    }
    return s;
}

/* --- a new directory --- */

/* Without a format file there is no log, unless somebody took that file away: then there is more
 * than the first record, with which a log is made. */
static enum status check_empty(struct recovery *r)
{
    struct files *f = &r->files;
    bool proof, nothing = f->segment_count == 0 && f->snapshot_count == 0;
    uint64_t end = 0;
    if (nothing)
        return ST_OK;
    if (f->segment_count == 1 && f->segments[0] == 1 && f->snapshot_count == 0) {
        enum status s = open_segment(r, 1);
        if (s == ST_OK)
            s = look_behind(r, 0, &proof, &end);
        if (s != ST_OK)
            return s;
        if (end <= record_size(RECORD_START_SIZE))
            return remove_file(r, r->name);
    }
    return damaged(r, FILES_FORMAT, 0, "it is missing");
}

static enum status write_format(struct recovery *r)
{
    struct disk *d = r->j->disk;
    struct disk_file *f;
    AUTO(buf_done) struct buf b;
    buf_init(&b, FORMAT_FILE_MAX);
    record_format_encode(&b, &r->j->id);
    enum status s = d->open(d, FILES_FORMAT_TMP, true, &f, r->why);
    if (s != ST_OK)
        return s;
    s = d->truncate(d, f, 0, r->why);
    if (s == ST_OK)
        s = d->write(d, f, 0, b.ptr, b.len, r->why);
    if (s == ST_OK)
        s = d->sync(d, f, r->why);
    d->close(d, f);
    if (s == ST_OK)
        s = d->rename(d, FILES_FORMAT_TMP, FILES_FORMAT, r->why);
    return s == ST_OK ? d->sync_dir(d, r->why) : s;
}

static enum status create(struct recovery *r)
{
    enum status s = check_empty(r);
    if (s != ST_OK)
        return s;
    reader_done(&r->reader);
    r->report.created = true;
    journal_begin_segment(r->j, 1);
    s = journal_sync(r->j, r->why);
    return s == ST_OK ? write_format(r) : s;
}

/* --- an old one --- */

static enum status read_format(struct recovery *r)
{
    const uint8_t *p;
    enum status s = reader_open(&r->reader, FILES_FORMAT, r->why);
    size_t size = (size_t)MIN(r->reader.size, (uint64_t)FORMAT_FILE_MAX);
    if (s == ST_OK)
        s = reader_get(&r->reader, 0, size, &p, r->why);
    if (s != ST_OK)
        return s;
    s = record_format_decode((struct str){(const char *)p, size}, &r->j->id, r->why);
    return s == ST_CORRUPT ? damaged(r, FILES_FORMAT, 0, "it is not what was written") : s;
}

/* Write a file's bytes as they read over themselves. */
static enum status write_anew(struct recovery *r, struct disk_file *f)
{
    enum { STEP = 256 << 10 };
    struct disk *d = r->j->disk;
    AUTO(auto_free) char *bytes = mem_new(STEP);
    size_t len = STEP;
    enum status s = ST_OK;
    for (uint64_t at = 0; s == ST_OK && len == STEP; at += len) {
        s = d->read(d, f, at, bytes, STEP, &len, r->why);
        if (s == ST_OK && len > 0)
            s = d->write(d, f, at, bytes, len, r->why);
    }
    return s;
}

/* What a killed process wrote is in memory, and may not be on the platter: make it so before
 * anything is built on it. After a sync that failed, the system holds for clean what never got
 * there, and no other sync would write it: so it is written anew. Only the last segment can have
 * such bytes: the others were synced before the next one was begun. */
static enum status sync_last(struct recovery *r)
{
    struct disk *d = r->j->disk;
    struct disk_file *f;
    if (r->files.segment_count == 0)
        return ST_OK;
    files_segment_name(r->files.segments[r->files.segment_count - 1], r->name);
    enum status s = d->open(d, r->name, false, &f, r->why);
    if (s != ST_OK)
        return s;
    s = write_anew(r, f);
    if (s == ST_OK)
        s = d->sync(d, f, r->why);
    d->close(d, f);
    return s;
}

static enum status open_old(struct recovery *r, const struct log_load *load)
{
    enum status s = read_format(r);
    if (s == ST_OK)
        s = sync_last(r);
    if (s == ST_OK)
        s = read_log(r);
    if (s == ST_OK)
        s = pick_snapshot(r);
    if (s == ST_OK)
        s = tell(r, load);
    return s == ST_OK ? repair(r) : s;
}

enum status journal_open(struct disk *disk, const struct journal_config *c,
                         const struct log_load *load, struct journal **ret,
                         struct journal_report *ret_report, struct fault *why)
{
    require(c->segment_size >= JOURNAL_SEGMENT_MIN && c->segment_size <= JOURNAL_SEGMENT_MAX);
    struct journal *j = NEW(struct journal);
    j->disk = disk;
    j->segment_size = c->segment_size;
    memcpy(j->id.bytes, c->new_id, sizeof j->id.bytes);
    buf_init(&j->batch, JOURNAL_BATCH_MAX);

    struct recovery r = {.j = j, .why = why};
    reader_init(&r.reader, disk);
    enum status s = disk->sync_dir(disk, why); /* as sync_last(), for names */
    if (s == ST_OK)
        s = files_list(disk, &r.files, why);
    if (s == ST_OK)
        s = r.files.format ? open_old(&r, load) : create(&r);

    reader_done(&r.reader);
    files_done(&r.files);
    free(r.places);
    if (s != ST_OK) {
        journal_close(j);
        return s;
    }
    if (ret_report)
        *ret_report = r.report;
    *ret = j;
    return ST_OK;
}
