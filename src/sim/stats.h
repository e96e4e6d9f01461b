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
    X(clock_jumps, "wall clock jumps")                     \
    X(elections, "elections won")                          \
    X(truncations, "logs cut back")                        \
    X(installs, "snapshots from peers")                    \
    X(changes, "changes of members seen")                  \
    X(transfers, "leaders that hand over")                 \
    X(transfer_conflicts, "second ones at once refused")   \
    X(splits, "cuts of the network")                       \
    X(one_way, "of them one way")                          \
    X(bridges, "of them with a bridge")                    \
    X(isolated, "of them a leader alone")                  \
    X(flaps, "cuts of links that flap")                    \
    X(slow_links, "links slow for a while")                \
    X(resets, "streams reset")                             \
    X(cut_frames, "messages cut in the middle")            \
    X(stale, "messages older than who got them")           \
    X(pauses, "members paused")                            \
    X(clock_stops, "clocks that stood")                    \
    X(clock_leaps, "clocks that leapt")                    \
    X(install_crashes, "crashes while a snapshot came in") \
    X(joint_crashes, "crashes while members change")       \
    X(undone, "changes of members undone")                 \
    X(undone_by_snapshot, "undone by a snapshot")          \
    X(gone_asks, "votes asked for by who is gone")         \
    X(lost, "disks lost for good")                         \
    X(replaced, "changes to put others in their place")    \
    X(damages, "journals damaged")                         \
    X(damage_refused, "of them refused")                   \
    X(damage_older, "of them with an older snapshot")      \
    X(liars, "disks that lied")                            \
    X(lies, "syncs that were none")                        \
    X(liars_cut, "liars that lost their power")            \
    X(liars_refused, "of them refused")                    \
    X(huge, "very large commands")                         \
    X(full, "commands refused for want of room")           \
    X(messages, "messages")                                \
    X(burst_entries, "entries in bursts")                  \
    X(burst_messages, "messages for them")                 \
    X(bad, "messages that cannot be")                      \
    X(bad_refused, "of them refused")                      \
    X(passed_over, "messages that nobody asked for")       \
    X(bad_bytes, "bytes that are no message")              \
    X(bad_snapshots, "snapshots that cannot be")

/* How long something took, each time. */
#define STATS_TIMES_TABLE(X)                                  \
    X(heal_ms, "all well until all have caught up")           \
    X(election_ms, "a leader dies until another one commits") \
    X(election_left_ms, "the same while late messages or slow disks are left of what went wrong")

enum { TIMES_BUCKETS = 4096, TIMES_BUCKET_MS = 5 };

struct times {
    uint32_t count, longest_ms;
    uint32_t bucket[TIMES_BUCKETS];
};

struct stats {
#define X(name, text) uint64_t name;
    STATS_TABLE(X)
#undef X
#define X(name, text) struct times name;
    STATS_TIMES_TABLE(X)
#undef X
};

void stats_take(struct times *t, uint64_t ms);
void stats_add(struct stats *sum, const struct stats *s);
void stats_print(const struct stats *s, uint64_t seeds);
