/*
 * stats: what a run did, so that an empty run cannot pass for a clean one.
 */
#pragma once

#include "base/defs.h"

#define STATS_TABLE(X)                                     \
    X(virtual_s, "virtual seconds")                        \
    X(events, "events")                                    \
    X(commands, "commands")                                \
    X(acked, "acknowledged")                               \
    X(refused, "refused")                                  \
    X(conflicts, "of them by a conflict")                  \
    X(limited, "of them by a full table")                  \
    X(unknown, "of unknown end")                           \
    X(retries, "retries with the same id")                 \
    X(joined, "joined to what was on its way")             \
    X(replays, "answered as before")                       \
    X(forgotten, "carried out anew")                       \
    X(reads, "linearizable reads")                         \
    X(entries, "log entries applied")                      \
    X(kills, "daemon kills")                               \
    X(power_cuts, "power cuts")                            \
    X(at_disk, "crashes at a disk operation")              \
    X(in_recovery, "crashes in recovery")                  \
    X(shutdowns, "host shutdowns")                         \
    X(starts, "daemon starts")                             \
    X(refused_starts, "daemon starts refused by the disk") \
    X(lost_sectors, "sectors lost")                        \
    X(torn_writes, "torn writes")                          \
    X(lost_names, "names lost")                            \
    X(disk_errors, "disk errors")                          \
    X(no_space, "writes without space")                    \
    X(slow_syncs, "slow disks")                            \
    X(snapshots, "snapshots")                              \
    X(restored, "starts from a snapshot")                  \
    X(peeks, "looks at the platter")                       \
    X(vm_starts, "VMs started")                            \
    X(vm_start_failures, "VMs that failed to start")       \
    X(vm_deaths, "VMs that died by themselves")            \
    X(vm_kills, "VMs killed")                              \
    X(vm_pauses, "VMs paused")                             \
    X(vm_adopted, "VMs adopted")                           \
    X(failed_looks, "looks at VMs that failed")            \
    X(vm_orphans, "orphans removed")                       \
    X(vm_deleted, "VMs deleted")                           \
    X(images, "images made")                               \
    X(image_failures, "images that failed")                \
    X(images_deleted, "images deleted")                    \
    X(clock_jumps, "wall clock jumps")

struct stats {
#define X(name, text) uint64_t name;
    STATS_TABLE(X)
#undef X
};
