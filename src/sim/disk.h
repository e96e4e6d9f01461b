/*
 * sim/disk: a disk with a page cache, in memory.
 *
 * It keeps the promise of port/disk.h and no stronger one. What was written and not synced may be on
 * the platter after a power cut or not, each sector of 512 bytes and each name by itself. When only
 * the daemon dies the cache stays, so that the next one reads what is not durable. A failed sync
 * loses what it should have written from the dirty pages, as Linux does: they read as written, and
 * no later sync will write them.
 *
 * A disk that lies says that it has synced and has not; what it was told is lost with the power like anything that was
 * not synced, however long ago it was.
 *
 * Operations are counted; at a given one the disk freezes: it is carried out in part or not at all,
 * and from then on everything fails. So a crash can be put at every position.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "port/disk.h"
#include "sim/sim.h"

enum { SECTOR = 512 };

struct sim_disk {
    struct disk port;
    struct sim *sim;
    struct map names;    /* as seen: name -> struct inode */
    struct map platter;  /* as a power cut would leave them, but for `pending` */
    struct list inodes;  /* all */
    struct list pending; /* changes of names that no sync_dir followed */
    uint64_t ops;
    uint64_t crash_at_op; /* UINT64_MAX: never */
    bool frozen;
    bool full;       /* no space */
    bool recovering; /* reads may fail only then: a running node does not read */
    bool lies;
};

void sim_disk_init(struct sim_disk *d, struct sim *s);
void sim_disk_done(struct sim_disk *d);

/* Freeze at the n-th operation from now (1 is the next). */
void sim_disk_crash_after(struct sim_disk *d, uint64_t ops);
/* The daemon died: files it had open are closed, the cache stays. */
void sim_disk_thaw(struct sim_disk *d);
/* The machine lost power. */
void sim_disk_power_cut(struct sim_disk *d);
/* It lies no more, and does what it said that it had done. */
void sim_disk_honest(struct sim_disk *d);
/* An orderly shutdown writes everything out. */
void sim_disk_flush(struct sim_disk *d);

/* A file as it is, of a disk that nobody uses. Bytes are to be changed in `seen` and `platter` alike. */
struct sim_disk_view {
    uint8_t *seen, *platter;
    uint64_t size;
    uint64_t last_from,
        last_to; /* what the last sync of it wrote lies between these; both 0: it was never synced */
};
bool sim_disk_look(struct sim_disk *d, const char *name, struct sim_disk_view *ret);
void sim_disk_cut(struct sim_disk *d, const char *name, uint64_t size); /* to no more than that */
void sim_disk_lose(struct sim_disk *d, const char *name);               /* the whole file */

/* The same disk once more, platter and cache, with the chance and the faults of `s`. */
void sim_disk_copy(const struct sim_disk *d, struct sim *s, struct sim_disk *out);
