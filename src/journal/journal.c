#include "journal/journal.h"

#include <stdlib.h>

#include "journal/journal_internal.h"

enum status journal_alive(const struct journal *j, struct fault *why)
{
    if (!j->dead)
        return ST_OK;
    if (why)
        *why = j->failed;
    return j->failed.status;
}

enum status journal_fail(struct journal *j, const struct fault *failure, struct fault *why)
{
    require(!j->dead && failure->status != ST_OK);
    j->dead = true;
    j->failed = *failure;
    return journal_alive(j, why);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    journal_snapshot_drop(j);
    if (j->file)
        j->disk->close(j->disk, j->file);
    shape_done(&j->shape);
    buf_done(&j->batch);
    free(j->segments);
    free(j);
}

struct segment *journal_add_segment(struct journal *j, uint64_t seq)
{
    if (j->segment_count == j->segment_room) {
        j->segment_room = j->segment_room ? 2 * j->segment_room : 8;
        j->segments = mem_grow(j->segments, j->segment_room, sizeof *j->segments);
    }
    struct segment *s = &j->segments[j->segment_count++];
    *s = (struct segment){.seq = seq};
    return s;
}

static struct segment *current(struct journal *j)
{
    return &j->segments[j->segment_count - 1];
}

void journal_put(struct journal *j, struct record *r, struct str data)
{
    uint64_t offset = j->end + j->batch.len;
    ensure(offset + record_size(data.len) <= UINT32_MAX);
    r->offset = (uint32_t)offset;
    r->durable = (uint32_t)j->durable;
    r->prev = j->chain;
    record_encode(&j->batch, j->seed, r, data.ptr, data.len);
    ensure(!j->batch.full);
    j->chain = r->crc;
}

void journal_begin_segment(struct journal *j, uint64_t seq)
{
    require(j->batch.len == 0 && !j->file);
    (void)journal_add_segment(j, seq);
    j->seed = record_seed(&j->id, seq);
    j->end = j->durable = j->allocated = 0;

    uint8_t payload[RECORD_START_SIZE];
    struct record_start start = {
        .last_index = j->shape.last_index,
        .last_term = shape_term(&j->shape, j->shape.last_index),
        .hard = j->shape.hard,
    };
    record_start_encode(&start, payload);
    struct record r = {.kind = RECORD_START, .index = seq};
    journal_put(j, &r, (struct str){(const char *)payload, sizeof payload});
}

/* A segment that is full is left as it is: everything in it was synced. */
static void roll_when_full(struct journal *j)
{
    if (j->batch.len > 0 || j->end < j->segment_size)
        return;
    j->disk->close(j->disk, j->file);
    j->file = NULL;
    journal_begin_segment(j, current(j)->seq + 1);
}

void journal_restart(struct journal *j, uint64_t index, uint64_t term)
{
    roll_when_full(j);
    struct record r = {.kind = RECORD_RESTART, .index = index, .term = term};
    require(!shape_restart(&j->shape, index, term));
    journal_put(j, &r, STR(""));
}

enum status journal_append(struct journal *j, const struct log_hard *hard,
                           const struct log_entry *entries, size_t count, struct fault *why)
{
    enum status s = journal_alive(j, why);
    if (s != ST_OK)
        return s;
    if (hard || count > 0)
        roll_when_full(j);
    if (hard) {
        struct record r = {.kind = RECORD_HARD, .term = hard->term, .arg = hard->vote};
        require(!shape_hard(&j->shape, hard));
        journal_put(j, &r, STR(""));
    }
    for (size_t i = 0; i < count; i++) {
        const struct log_entry *e = &entries[i];
        require(e->index > j->snapshot_index && e->data.len <= LOG_ENTRY_MAX);
        require(i == 0 || e->index == entries[i - 1].index + 1);
        require(!shape_entry(&j->shape, e->index, e->term));
        struct record r = {
            .kind = RECORD_ENTRY, .index = e->index, .term = e->term, .arg = e->type};
        journal_put(j, &r, e->data);
        current(j)->max_index = MAX(current(j)->max_index, e->index);
    }
    return ST_OK;
}

size_t journal_unsynced(const struct journal *j)
{
    return j->batch.len;
}

static enum status write_batch(struct journal *j, struct fault *why)
{
    struct disk *d = j->disk;
    char name[DISK_NAME_MAX + 1];
    bool new_file = !j->file;
    enum status s = ST_OK;
    if (new_file) {
        files_segment_name(current(j)->seq, name);
        s = d->open(d, name, true, &j->file, why);
    }
    uint64_t end = j->end + j->batch.len, step = JOURNAL_ALLOCATE_STEP;
    if (s == ST_OK && end > j->allocated) {
        uint64_t up = (end + step - 1) / step * step;
        uint64_t size = MAX(end, MIN(up, j->segment_size));
        s = d->allocate(d, j->file, size, why);
        j->allocated = size;
    }
    if (s == ST_OK)
        s = d->write(d, j->file, j->end, j->batch.ptr, j->batch.len, why);
    if (s == ST_OK)
        s = d->sync(d, j->file, why);
    if (s == ST_OK && new_file)
        s = d->sync_dir(d, why);
    return s;
}

enum status journal_sync(struct journal *j, struct fault *why)
{
    enum status s = journal_alive(j, why);
    if (s != ST_OK || j->batch.len == 0)
        return s;
    struct fault failure;
    if (write_batch(j, &failure) != ST_OK)
        return journal_fail(j, &failure, why);
    j->syncs++;
    j->written_bytes += j->batch.len;
    j->end += j->batch.len;
    j->durable = j->end;
    if (j->batch.room > JOURNAL_KEEP_BYTES)
        buf_done(&j->batch);
    buf_reset(&j->batch);
    return ST_OK;
}

enum status journal_compact(struct journal *j, uint64_t first_kept, struct fault *why)
{
    enum status s = journal_alive(j, why);
    if (s == ST_OK)
        s = journal_sync(j, why);
    if (s != ST_OK)
        return s;
    require(first_kept <= j->snapshot_index + 1);
    struct disk *d = j->disk;
    struct fault failure;
    size_t gone = 0;
    /* In order, each certain before the next: so that a crash leaves no gap. */
    while (s == ST_OK && gone + 1 < j->segment_count && j->segments[gone].max_index < first_kept) {
        char name[DISK_NAME_MAX + 1];
        files_segment_name(j->segments[gone].seq, name);
        s = d->remove(d, name, &failure);
        if (s == ST_OK)
            s = d->sync_dir(d, &failure);
        gone++;
    }
    if (s != ST_OK)
        return journal_fail(j, &failure, why);
    j->segment_count -= gone;
    for (size_t i = 0; i < j->segment_count; i++)
        j->segments[i] = j->segments[i + gone];
    if (first_kept <= j->shape.last_index + 1)
        shape_forget(&j->shape, first_kept);
    return ST_OK;
}

struct journal_view journal_view(const struct journal *j)
{
    return (struct journal_view){
        .hard = j->shape.hard,
        .base_index = j->shape.base_index,
        .last_index = j->shape.last_index,
        .snapshot_index = j->snapshot_index,
        .snapshot_term = j->snapshot_term,
        .segment_count = j->segment_count,
        .syncs = j->syncs,
        .written_bytes = j->written_bytes,
    };
}
