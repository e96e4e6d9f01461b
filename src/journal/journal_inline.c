#include "journal/journal_inline.h"

#include <stdlib.h>

#include "journal/request.h"

struct journal_inline {
    struct log log;
    struct journal *journal;
    struct list queue;
    size_t count;
    struct request_load load;
    bool failed;
};

static struct journal_inline *self(struct log *l)
{
    return (struct journal_inline *)l; /* log is its first field */
}

static void push(struct journal_inline *i, struct request *r)
{
    list_push(&i->queue, &r->item);
    i->count++;
    request_load_add(&i->load, r);
}

static enum status append(struct log *l, const struct log_hard *hard,
                          const struct log_entry *entries, size_t count, uint64_t token)
{
    struct journal_inline *i = self(l);
    if (i->load.all + request_cost(entries, count) > LOG_QUEUE_MAX)
        return ST_LIMIT;
    push(i, request_append(hard, entries, count, token));
    return ST_OK;
}

static enum status snapshot(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                            struct str chunk, bool last)
{
    struct journal_inline *i = self(l);
    if (!request_chunk_fits(&i->load, chunk.len))
        return ST_LIMIT;
    push(i, request_snapshot(index, term, offset, chunk, last));
    return ST_OK;
}

static void compact(struct log *l, uint64_t first_kept)
{
    push(self(l), request_compact(first_kept));
}

enum status journal_inline_open(struct disk *disk, const struct journal_config *c,
                                const struct log_load *load, struct journal_inline **ret,
                                struct journal_report *ret_report, struct fault *why)
{
    struct journal *j;
    enum status s = journal_open(disk, c, load, &j, ret_report, why);
    if (s != ST_OK)
        return s;
    struct journal_inline *i = NEW(struct journal_inline);
    i->log = (struct log){.append = append, .snapshot = snapshot, .compact = compact};
    i->journal = j;
    list_init(&i->queue);
    *ret = i;
    return ST_OK;
}

void journal_inline_close(struct journal_inline *i)
{
    if (!i)
        return;
    request_drop(&i->queue);
    journal_close(i->journal);
    free(i);
}

struct log *journal_inline_log(struct journal_inline *i)
{
    return &i->log;
}

size_t journal_inline_waiting(const struct journal_inline *i)
{
    return i->failed ? 0 : i->count;
}

size_t journal_inline_run(struct journal_inline *i, size_t count_max)
{
    if (i->failed || list_empty(&i->queue))
        return 0;
    struct list done;
    struct fault why;
    list_init(&done);
    if (request_perform(i->journal, &i->queue, count_max, &done, &why) != ST_OK) {
        i->failed = true;
        i->log.events->failed(i->log.events->ctx, &why);
        return 0;
    }
    size_t count = 0;
    LIST_EACH(it, &done)
        count++;
    i->count -= count;
    request_tell(&done, i->log.events, &i->load); /* which may append */
    return count;
}

struct journal_view journal_inline_view(const struct journal_inline *i)
{
    return journal_view(i->journal);
}
