/*
 * journal: the durable log of a node, in the files of one directory (port/disk.h): hard state,
 * entries, snapshots.
 *
 * Synchronous and without any system call of its own; journal_thread.h runs it on a thread for the
 * daemon, journal_inline.h step by step for the simulator, both as port/log.h. The bytes and the
 * reasons are in docs/explanation/journal.md.
 *
 * Any failed write or sync is final: the journal does nothing any more, and every later call fails
 * with the same status. What calls of journal_append() put in is durable when journal_sync()
 * returned ST_OK: it makes one write and one sync, however much it was.
 */
#pragma once

#include "port/disk.h"
#include "port/log.h"

enum {
    JOURNAL_SEGMENT_DEFAULT = 16 << 20,
    JOURNAL_SEGMENT_MIN = 4 << 10,
    JOURNAL_SEGMENT_MAX = 1 << 30,
    JOURNAL_BATCH_BYTES = 4 << 20, /* appends beyond this go into the next sync */
};

struct journal_config {
    uint64_t segment_size; /* a new file is begun when one has so many bytes */
    uint8_t new_id[16];    /* random: the identity of the log, if this call makes it */
};

/* What opening found and did, for the caller to log. */
struct journal_report {
    bool created;
    uint64_t entries; /* told to log_load */
    /* The end of a write that a crash cut off, and that nobody was told of, was dropped. */
    uint64_t torn_bytes;
    uint64_t torn_offset;
    char torn_file[DISK_NAME_MAX + 1];
    /* This snapshot is damaged; the one before it and the log replaced it. */
    char bad_snapshot[DISK_NAME_MAX + 1];
};

struct journal;

/*
 * Open the log in `disk`, or make one in an empty directory, and tell `load` what it holds.
 *
 * disk     kept until journal_close.
 * ret_report   may be NULL.
 *
 * Returns  ST_CORRUPT       something that was durable is damaged: the text names file, offset and
 *                           index, the hint says what to do. Nothing was changed.
 *          ST_UNSUPPORTED   a newer program wrote it.
 *          ST_NO_SPACE, ST_IO   the disk failed.
 *          or what a function of `load` returned.
 */
MUST_USE enum status journal_open(struct disk *disk, const struct journal_config *c,
                                  const struct log_load *load, struct journal **ret,
                                  struct journal_report *ret_report, struct fault *why);
/* Writes nothing: what was not synced is lost. NULL is fine. */
void journal_close(struct journal *j);

/* As port/log.h says of append, without a token; in memory until journal_sync(). */
MUST_USE enum status journal_append(struct journal *j, const struct log_hard *hard,
                                    const struct log_entry *entries, size_t count,
                                    struct fault *why);
size_t journal_unsynced(const struct journal *j); /* bytes that the next journal_sync() writes */
MUST_USE enum status journal_sync(struct journal *j, struct fault *why);

/* As port/log.h says; everything appended is synced first. *ret_complete: the snapshot is durable. */
MUST_USE enum status journal_snapshot(struct journal *j, uint64_t index, uint64_t term,
                                      uint64_t offset, struct str chunk, bool last,
                                      bool *ret_complete, struct fault *why);

MUST_USE enum status journal_compact(struct journal *j, uint64_t first_kept, struct fault *why);

struct journal_view {
    struct log_hard hard;
    uint64_t base_index; /* entries after it are there */
    uint64_t last_index; /* appended, perhaps not synced */
    uint64_t snapshot_index, snapshot_term;
    uint64_t segment_count;
    uint64_t syncs, written_bytes; /* of the log itself, since it was opened */
};
struct journal_view journal_view(const struct journal *j);
