/*
 * files: the names of a journal's files, and which of them a directory holds.
 */
#pragma once

#include "port/disk.h"

#define FILES_FORMAT       "format"
#define FILES_FORMAT_TMP   "format.tmp"
#define FILES_SNAPSHOT_TMP "snapshot.tmp"

struct files_snapshot {
    uint64_t index, term;
};

struct files {
    bool format, format_tmp, snapshot_tmp;
    uint64_t *segments; /* their numbers, ascending */
    size_t segment_count, segment_room;
    struct files_snapshot *snapshots; /* ascending by index, then term */
    size_t snapshot_count, snapshot_room;
};

/* f is filled, and is the caller's to files_done() even on failure. Other names are ignored. */
MUST_USE enum status files_list(struct disk *d, struct files *f, struct fault *why);
void files_done(struct files *f); /* also for AUTO(files_done) */

void files_segment_name(uint64_t seq, char out[DISK_NAME_MAX + 1]);
void files_snapshot_name(uint64_t index, uint64_t term, char out[DISK_NAME_MAX + 1]);
