#include <stdlib.h>

#include "journal/journal_internal.h"

void journal_snapshot_drop(struct journal *j)
{
    if (j->snapshot.file)
        j->disk->close(j->disk, j->snapshot.file);
    j->snapshot = (struct snapshot_writer){0};
}

bool journal_holds(const struct shape *s, uint64_t index, uint64_t term)
{
    return index >= s->base_index && index <= s->last_index && shape_term(s, index) == term;
}

static enum status begin(struct journal *j, uint64_t index, uint64_t term, struct fault *why)
{
    struct disk *d = j->disk;
    struct disk_file *f;
    journal_snapshot_drop(j);
    enum status s = d->open(d, FILES_SNAPSHOT_TMP, true, &f, why);
    if (s != ST_OK)
        return s;
    j->snapshot = (struct snapshot_writer){.file = f, .index = index, .term = term};
    return d->truncate(d, f, 0, why);
}

static enum status write_chunk(struct journal *j, enum chunk_kind kind, struct str data,
                               struct fault *why)
{
    struct snapshot_writer *w = &j->snapshot;
    struct disk *d = j->disk;
    AUTO(buf_done) struct buf b;
    buf_init(&b, LOG_CHUNK_MAX + CHUNK_HEAD_SIZE + RECORD_ALIGN);
    struct chunk c = {.kind = kind, .number = w->number, .before = w->bytes};
    chunk_encode(&b, chunk_seed(&j->id, w->index, w->term), &c, data);
    enum status s = d->write(d, w->file, w->end, b.ptr, b.len, why);
    w->number++;
    w->bytes += data.len;
    w->end += b.len;
    if (s == ST_OK && w->end - w->synced >= JOURNAL_SNAPSHOT_SYNC) {
        s = d->sync(d, w->file, why);
        w->synced = w->end;
    }
    return s;
}

static enum status publish(struct journal *j, struct fault *why)
{
    struct snapshot_writer *w = &j->snapshot;
    struct disk *d = j->disk;
    char name[DISK_NAME_MAX + 1];
    files_snapshot_name(w->index, w->term, name);
    enum status s = d->sync(d, w->file, why);
    if (s == ST_OK)
        s = d->rename(d, FILES_SNAPSHOT_TMP, name, why);
    if (s == ST_OK)
        s = d->sync_dir(d, why);
    if (s == ST_OK) {
        j->snapshot_index = w->index;
        j->snapshot_term = w->term;
    }
    return s;
}

/* A crash may bring them back: then the newest one wins again. */
static enum status remove_older(struct journal *j, struct fault *why)
{
    struct disk *d = j->disk;
    AUTO(files_done) struct files f;
    enum status s = files_list(d, &f, why);
    for (size_t i = 0; s == ST_OK && i < f.snapshot_count; i++) {
        char name[DISK_NAME_MAX + 1];
        if (f.snapshots[i].index == j->snapshot_index && f.snapshots[i].term == j->snapshot_term)
            continue;
        files_snapshot_name(f.snapshots[i].index, f.snapshots[i].term, name);
        s = d->remove(d, name, why);
    }
    return s;
}

static enum status complete(struct journal *j, struct fault *why)
{
    enum status s = write_chunk(j, CHUNK_END, STR(""), why);
    if (s == ST_OK)
        s = publish(j, why);
    if (s != ST_OK)
        return s;
    journal_snapshot_drop(j);
    if (!journal_holds(&j->shape, j->snapshot_index, j->snapshot_term))
        journal_restart(j, j->snapshot_index, j->snapshot_term);
    s = journal_sync(j, why);
    return s == ST_OK ? remove_older(j, why) : s;
}

enum status journal_snapshot(struct journal *j, uint64_t index, uint64_t term, uint64_t offset,
                             struct str chunk, bool last, bool *ret_complete, struct fault *why)
{
    require(chunk.len <= LOG_CHUNK_MAX);
    require(index >= j->snapshot_index && index <= SHAPE_INDEX_MAX);
    enum status s = journal_alive(j, why);
    if (s == ST_OK)
        s = journal_sync(j, why);
    if (s != ST_OK)
        return s;

    struct snapshot_writer *w = &j->snapshot;
    struct fault failure;
    if (offset == 0)
        s = begin(j, index, term, &failure);
    else
        require(w->file && w->index == index && w->term == term && w->bytes == offset);
    if (s == ST_OK && chunk.len > 0)
        s = write_chunk(j, CHUNK_DATA, chunk, &failure);
    if (s == ST_OK && last)
        s = complete(j, &failure);
    if (s != ST_OK)
        return j->dead ? journal_alive(j, why) : journal_fail(j, &failure, why);
    *ret_complete = last;
    return ST_OK;
}
