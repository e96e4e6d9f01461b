#include "journal/request.h"

#include <stdlib.h>
#include <string.h>

static struct request *from_item(struct list *item)
{
    return CONTAINER_OF(item, struct request, item);
}

size_t request_cost(const struct log_entry *entries, size_t count)
{
    size_t cost = LOG_REQUEST_COST;
    for (size_t i = 0; i < count; i++)
        cost += LOG_ENTRY_COST + entries[i].data.len;
    return cost;
}

bool request_chunk_fits(const struct request_load *l, size_t chunk_size)
{
    size_t cost = LOG_REQUEST_COST + chunk_size;
    return l->all + cost <= LOG_QUEUE_MAX && l->chunks + cost <= LOG_CHUNKS_MAX;
}

struct request *request_append(const struct log_hard *hard, const struct log_entry *entries,
                               size_t count, uint64_t token)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += entries[i].data.len;
    struct request *r = mem_new(sizeof *r + count * sizeof *entries + bytes);
    *r = (struct request){.kind = REQUEST_APPEND,
                          .cost = request_cost(entries, count),
                          .token = token,
                          .has_hard = hard != NULL,
                          .hard = hard ? *hard : (struct log_hard){0},
                          .count = count,
                          .entries = (struct log_entry *)(r + 1)};
    char *to = (char *)(r->entries + count);
    for (size_t i = 0; i < count; i++) {
        r->entries[i] = entries[i];
        r->entries[i].data.ptr = to;
        if (entries[i].data.len)
            memcpy(to, entries[i].data.ptr, entries[i].data.len);
        to += entries[i].data.len;
    }
    return r;
}

struct request *request_snapshot(uint64_t index, uint64_t term, uint64_t offset, struct str chunk,
                                 bool last)
{
    require(chunk.len <= LOG_CHUNK_MAX);
    struct request *r = mem_new(sizeof *r + chunk.len);
    *r = (struct request){.kind = REQUEST_SNAPSHOT,
                          .cost = LOG_REQUEST_COST + chunk.len,
                          .index = index,
                          .term = term,
                          .offset = offset,
                          .chunk = {(char *)(r + 1), chunk.len},
                          .last = last};
    if (chunk.len)
        memcpy(r + 1, chunk.ptr, chunk.len);
    return r;
}

struct request *request_compact(uint64_t first_kept)
{
    struct request *r = NEW(struct request);
    r->kind = REQUEST_COMPACT;
    r->cost = LOG_REQUEST_COST;
    r->index = first_kept;
    return r;
}

static void move(struct list *item, struct list *to)
{
    list_cut(item);
    list_push(to, item);
}

static enum status perform_appends(struct journal *j, struct list *queue, size_t count_max,
                                   struct list *done, struct fault *why)
{
    size_t count = 0;
    enum status s = ST_OK;
    LIST_EACH(it, queue) {
        struct request *r = from_item(it);
        if (r->kind != REQUEST_APPEND || count == count_max ||
            journal_unsynced(j) > JOURNAL_BATCH_BYTES)
            break;
        s = journal_append(j, r->has_hard ? &r->hard : NULL, r->entries, r->count, why);
        if (s != ST_OK)
            return s;
        count++;
    }
    s = journal_sync(j, why);
    for (; s == ST_OK && count > 0; count--)
        move(queue->next, done);
    return s;
}

enum status request_perform(struct journal *j, struct list *queue, size_t count_max,
                            struct list *done, struct fault *why)
{
    require(!list_empty(queue) && count_max > 0);
    struct request *r = from_item(queue->next);
    bool complete;
    enum status s;
    switch (r->kind) {
    case REQUEST_APPEND: return perform_appends(j, queue, count_max, done, why);
    case REQUEST_SNAPSHOT:
        s = journal_snapshot(j, r->index, r->term, r->offset, r->chunk, r->last, &complete, why);
        break;
    case REQUEST_COMPACT: s = journal_compact(j, r->index, why); break;
    default: defs_unreachable("request kind");
    }
    if (s == ST_OK)
        move(&r->item, done);
    return s;
}

static size_t chunk_cost(const struct request *r)
{
    return r->kind == REQUEST_SNAPSHOT ? r->cost : 0;
}

void request_load_add(struct request_load *l, const struct request *r)
{
    l->all += r->cost;
    l->chunks += chunk_cost(r);
}

void request_tell(struct list *done, const struct log_events *events, struct request_load *load)
{
    while (!list_empty(done)) {
        struct request *r = from_item(done->next);
        list_cut(&r->item);
        load->all -= r->cost;
        load->chunks -= chunk_cost(r);
        if (r->kind == REQUEST_APPEND)
            events->appended(events->ctx, r->token);
        else if (r->kind == REQUEST_SNAPSHOT && r->last)
            events->snapshotted(events->ctx, r->index);
        free(r);
    }
}

void request_drop(struct list *queue)
{
    while (!list_empty(queue)) {
        struct request *r = from_item(queue->next);
        list_cut(&r->item);
        free(r);
    }
}
