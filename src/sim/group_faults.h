/*
 * group_faults: what may go wrong in a run of a group of members, and its sizes. As faults.h, each seed
 * turns a random part of them on.
 */
#pragma once

#include "base/buf.h"
#include "sim/net.h"

enum group_profile {
    GROUP_QUICK,      /* three members, little goes wrong, short */
    GROUP_SWARM,      /* one to seven members, anything goes wrong */
    GROUP_MEMBERSHIP, /* and members come and go */
    GROUP_WITNESS,    /* three or five, one or two of them witnesses */
    GROUP_BYZANTINE,  /* and some say what cannot be */
    GROUP_SCALE,      /* fifty members */
    GROUP_DISK,       /* the log of each is the real journal, on a disk where anything goes wrong */
    GROUP_PROFILE_COUNT,
};

enum { GROUP_WINDOW_BYTES = 8 << 20, GROUP_UNCOMMITTED_BYTES = 16 << 20 }; /* as nodes have them */

/* All are numbers of 32 bits, with no gaps between them: two are the same if their bytes are. */
struct group_faults {
    /* Mean time between, in ms; 0: never. */
    uint32_t crash_every_ms;
    uint32_t crash_all_every_ms;
    uint32_t pause_every_ms;
    uint32_t split_every_ms;
    uint32_t transfer_every_ms;
    uint32_t change_every_ms;
    uint32_t bad_every_ms; /* messages that cannot be */
    uint32_t disk_dies_every_ms;
    uint32_t no_space_every_ms;
    uint32_t flap_every_ms;
    uint32_t slow_link_every_ms;
    uint32_t reset_every_ms;
    uint32_t clock_every_ms;
    uint32_t lose_every_ms; /* a disk, for good */
    uint32_t lie_every_ms;  /* of the profile with real journals, as is `damage` */

    uint32_t crash_in_install; /* per mille of snapshots from peers */
    uint32_t damage;           /* per mille of starts */
    uint32_t huge;             /* per mille of commands */
    uint32_t alike;            /* 1: the timeouts of all members are the same */

    /* Of the profile with real journals: as in struct faults. */
    uint32_t write_error, sync_error, read_error, crash_at_op_every, crash_in_recovery;

    uint32_t restart_ms, pause_ms, split_ms; /* how long, at most */
    struct net_faults net;

    uint32_t disk_us;              /* of a usual request */
    uint32_t slow_disk;            /* per mille of requests */
    uint32_t slow_disk_ms;         /* at most */
    uint32_t batch_max;            /* requests made durable at once; 0: all */
    uint32_t clock_min, clock_max; /* speed of the members' clocks, in thousandths */

    uint32_t voters, members_max;
    uint32_t witnesses; /* the last of the first voters, fewer than those */
    uint32_t snapshot_entries, trailing_entries;
    uint32_t batch_entries, batch_bytes, window_messages;
    uint32_t window_bytes, uncommitted_bytes;
    uint32_t election_ms, heartbeat_ms;
    uint32_t clients, think_ms, padding;
};

/*
 * What can be turned off by itself: X(id, name, ends, how, text). `how` makes it so in f; what `ends` is off in the
 * second phase. The names are those of --without.
 */
#define GROUP_FAULTS_TABLE(X)                                                                     \
    X(CRASH, "crash", true, f->crash_every_ms = 0, "members crash")                               \
    X(CRASH_ALL, "crash-all", true, f->crash_all_every_ms = 0, "all members crash at once")       \
    X(DISK_DIES, "disk-dies", true, f->disk_dies_every_ms = 0, "a write fails, its member stops") \
    X(NO_SPACE, "no-space", true, f->no_space_every_ms = 0, "disks are full for a while")         \
    X(WRITE_ERROR, "write-error", true, f->write_error = 0, "writes fail")                        \
    X(SYNC_ERROR, "sync-error", true, f->sync_error = 0, "syncs fail")                            \
    X(READ_ERROR, "read-error", true, f->read_error = 0, "reads fail")                            \
    X(AT_DISK, "at-disk", true, f->crash_at_op_every = 0, "members crash at a disk operation")    \
    X(RECOVERY, "recovery", true, f->crash_in_recovery = 0, "members crash while they recover")   \
    X(PAUSE, "pause", true, f->pause_every_ms = 0, "members stand still")                         \
    X(SPLIT, "split", true, f->split_every_ms = 0, "the network is cut")                          \
    X(TRANSFER, "transfer", true, f->transfer_every_ms = 0, "leaders hand over")                  \
    X(CHANGE, "change", true, f->change_every_ms = 0, "members come and go")                      \
    X(BAD, "bad", true, f->bad_every_ms = 0, "messages come that cannot be")                      \
    X(LOSS, "loss", true, f->net.loss = 0, "messages are lost")                                   \
    X(TWICE, "twice", true, f->net.twice = 0, "messages come twice")                              \
    X(LATE, "late", true, f->net.late = 0, "messages come up to 2 s late")                        \
    X(REORDER, "reorder", false, f->net.in_order = true, "messages overtake each other")          \
    X(DELAY, "delay", true, (f->net.us_min = 50, f->net.us_max = 1000), "messages take time")     \
    X(SLOW_DISK, "slow-disk", true, f->slow_disk = 0, "a disk takes up to 2 s")                   \
    X(DISK_TIME, "disk-time", true, f->disk_us = 500, "disks take time")                          \
    X(PARTS, "parts", false, f->batch_max = 0, "what waits for a disk is done in parts")          \
    X(CLOCKS, "clocks", false, f->clock_min = f->clock_max = 1000, "clocks are fast or slow")     \
    X(SNAPSHOTS, "snapshots", false, f->snapshot_entries = UINT32_MAX, "snapshots cut the logs")  \
    X(BATCHES, "batches", false,                                                                  \
      (f->batch_entries = MAX(f->batch_entries, 10u), f->batch_bytes = 1 << 20),                  \
      "few entries go together")                                                                  \
    X(WINDOW, "window", false, f->window_messages = MAX(f->window_messages, 2u),                  \
      "one message at a time is under way to a peer")                                             \
    X(PADDING, "padding", false, f->padding = 0, "commands are large")                            \
    X(FLAP, "flap", true, f->flap_every_ms = 0, "links come and go quickly")                      \
    X(SLOW_LINK, "slow-link", true, f->slow_link_every_ms = 0, "links are slow for a while")      \
    X(RESET, "reset", true, f->reset_every_ms = 0, "streams break in the middle of a message")    \
    X(STALE, "stale", true, f->net.stale = 0, "messages come again up to 20 s later")             \
    X(CLOCK, "clock", true, f->clock_every_ms = 0, "clocks stop or leap ahead")                   \
    X(INSTALL, "install", true, f->crash_in_install = 0, "members crash while they install")      \
    X(LOSE, "lose", true, f->lose_every_ms = 0, "disks fail for good, others are put in place")   \
    X(LIE, "lie", true, f->lie_every_ms = 0, "disks of a minority only say that they sync")       \
    X(DAMAGE, "damage", true, f->damage = 0, "files of journals are damaged")                     \
    X(HUGE, "huge", true, f->huge = 0, "some commands are very large")                            \
    X(ALIKE, "alike", false, f->alike = 0, "all members have the same timeouts")                  \
    X(FLOW, "flow", false,                                                                        \
      (f->window_bytes = GROUP_WINDOW_BYTES, f->uncommitted_bytes = GROUP_UNCOMMITTED_BYTES),     \
      "few bytes may be under way or wait to be committed")

enum group_fault {
#define X(id, name, ends, how, text) GROUP_FAULT_##id,
    GROUP_FAULTS_TABLE(X)
#undef X
        GROUP_FAULT_COUNT,
};

const char *group_fault_name(enum group_fault i);
const char *group_fault_text(enum group_fault i); /* what goes wrong, for people */

/* Sets of faults are bits, 1 << i. */
void group_faults_off(struct group_faults *f, uint64_t set);
/* Those which turning off would change something. */
uint64_t group_faults_on(const struct group_faults *f);
/* Names with commas between them. ST_INVALID: one is unknown. */
MUST_USE enum status group_faults_parse(struct str names, uint64_t *ret, struct fault *why);
void group_faults_names(uint64_t set, struct buf *out);

void group_faults_choose(struct group_faults *f, enum group_profile p, struct rng *r);
/* What came later, from a stream of its own: half of the seeds have none of it, and run as they did before. */
void group_faults_choose_more(struct group_faults *f, enum group_profile p, struct rng *r);
/* Nothing goes wrong any more, and the network and the disks are as in a room. */
void group_faults_stop(struct group_faults *f);
