/*
 * journal_internal: what the files of the journal share.
 *
 * journal.c writes the log, snapshot.c the snapshots, recover.c reads both at start.
 */
#pragma once

#include "journal/files.h"
#include "journal/journal.h"
#include "journal/record.h"
#include "journal/shape.h"

enum {
    JOURNAL_ALLOCATE_STEP = 512 << 10, /* zeros are written ahead in such pieces */
    JOURNAL_KEEP_BYTES = 1 << 20,      /* a larger buffer is given back after its use */
    JOURNAL_BATCH_MAX = 512 << 20,     /* far more than a full queue encodes to */
    JOURNAL_SNAPSHOT_SYNC = 4 << 20,   /* a snapshot under way is synced that often, so that its
                                          last sync does not hold up the log for long */
};

struct segment {
    uint64_t seq;
    uint64_t max_index; /* of any entry that was ever written into it; 0 without */
};

struct snapshot_writer {
    struct disk_file *file; /* NULL: none under way */
    uint64_t index, term;
    uint32_t number; /* of the next chunk */
    uint64_t bytes;  /* of data so far */
    uint64_t end;    /* of the file */
    uint64_t synced;
};

struct journal {
    struct disk *disk;
    uint64_t segment_size;
    struct journal_id id;
    bool dead; /* a write or sync failed; `failed` says why */
    struct fault failed;

    struct segment *segments; /* ascending, without gaps; the last one is written to */
    size_t segment_count, segment_room;
    struct disk_file *file; /* of the last segment; NULL while that is only in the batch */
    uint32_t seed;
    uint64_t end;       /* of what was written to it */
    uint64_t durable;   /* end as of the last sync */
    uint64_t allocated; /* its size */
    uint32_t chain;     /* crc of the last record, the batch included */

    struct shape shape; /* the batch included */
    struct buf batch;   /* records that go to `end` */

    struct snapshot_writer snapshot;
    uint64_t snapshot_index, snapshot_term; /* the newest durable one */
    uint64_t syncs, written_bytes;
};

/* It failed: remember why, for all calls to come. Returns the status of `failure`. */
enum status journal_fail(struct journal *j, const struct fault *failure, struct fault *why);
/* ST_OK while it lives. */
MUST_USE enum status journal_alive(const struct journal *j, struct fault *why);

struct segment *journal_add_segment(struct journal *j, uint64_t seq);
/* Begin segment `seq`: its first record goes to the batch, its file is made by journal_sync(). */
void journal_begin_segment(struct journal *j, uint64_t seq);
/* Put a record into the batch. */
void journal_put(struct journal *j, struct record *r, struct str data);
/* All entries go: the snapshot of (index, term) replaces them. Durable after journal_sync(). */
void journal_restart(struct journal *j, uint64_t index, uint64_t term);

/* Does the log hold what the snapshot ends with, so that its later entries follow it? */
bool journal_holds(const struct shape *s, uint64_t index, uint64_t term);

void journal_snapshot_drop(struct journal *j); /* the one under way */
