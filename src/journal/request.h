/*
 * request: what was asked of the log and is not done yet; what the threaded and the inline adapter
 * share.
 */
#pragma once

#include "base/list.h"
#include "journal/journal.h"

/* What waits takes so much of LOG_QUEUE_MAX, its chunks so much of LOG_CHUNKS_MAX. */
struct request_load {
    size_t all, chunks;
};

/* Is there room for a chunk of a snapshot? */
bool request_chunk_fits(const struct request_load *l, size_t chunk_size);

/* How much `count` entries take of LOG_QUEUE_MAX, in one request. */
size_t request_cost(const struct log_entry *entries, size_t count);

struct request {
    struct list item;
    size_t cost;
    uint64_t took_ns; /* of the last one of a batch: how long that took; for the thread's meter */
    enum request_kind { REQUEST_APPEND, REQUEST_SNAPSHOT, REQUEST_COMPACT } kind;
    /* APPEND */
    uint64_t token;
    bool has_hard;
    struct log_hard hard;
    size_t count;
    struct log_entry *entries; /* they, and their data, stand behind this struct */
    /* SNAPSHOT: of index, term. COMPACT: index is the first one kept. */
    uint64_t index, term, offset;
    struct str chunk;
    bool last;
};

/* All are copies; whoever has one frees it with free(3). */
MUST_USE struct request *request_append(const struct log_hard *hard,
                                        const struct log_entry *entries, size_t count,
                                        uint64_t token);
MUST_USE struct request *request_snapshot(uint64_t index, uint64_t term, uint64_t offset,
                                          struct str chunk, bool last);
MUST_USE struct request *request_compact(uint64_t first_kept);

/*
 * Carry out what stands first in `queue`: either appends, at most count_max of them and no more than
 * JOURNAL_BATCH_BYTES, with one sync; or one request of another kind. They move to `done`, once all
 * of them are durable; on failure they stay.
 */
MUST_USE enum status request_perform(struct journal *j, struct list *queue, size_t count_max,
                                     struct list *done, struct fault *why);

void request_load_add(struct request_load *l, const struct request *r);

/* Tell `events` of all in `done`, in order, and free them. Each is taken out of `load` before. */
void request_tell(struct list *done, const struct log_events *events, struct request_load *load);
void request_drop(struct list *queue); /* free all, telling nobody */
