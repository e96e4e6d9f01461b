/*
 * member_log: the log of a simulated member, as its node and the checker see it.
 *
 * Two things are one: platter_log.h, which loses what was not durable and never fails, and journal_log.h, the
 * real journal on a disk where anything goes wrong.
 *
 * A process begins with open() and ends with close(), whatever ended it; what it asks for in between becomes durable
 * in its order, by run().
 */
#pragma once

#include "base/rng.h"
#include "sim/platter.h"

struct sim_disk;
struct member_log;

struct member_log_ops {
    /*
     * Afterwards `durable` is what the process begins with.
     * ST_CORRUPT, ST_UNSUPPORTED  only when it is damaged.
     * ST_INTERNAL  never, unless there is a bug: what is found is not what was there.
     * any other  the disk failed; close() as after a crash.
     */
    enum status (*open)(struct member_log *l, struct fault *why);
    /* As platter.h says. */
    void (*append)(struct member_log *l, const struct raft_ready *rd);
    void (*save)(struct member_log *l, uint64_t index, uint64_t term, const struct raft_members *m,
                 struct lists *state);
    void (*compact)(struct member_log *l, uint64_t first_kept);

    size_t (*waiting)(struct member_log *l); /* requests */
    /* Make at most so many requests durable. false: the disk failed or the machine died; close() now. */
    bool (*run)(struct member_log *l, size_t most, struct platter_done *out);
    /* The process is gone: what was asked for and is not durable may be lost. true: so is its whole machine. */
    bool (*close)(struct member_log *l, struct rng *r);
    void (*free)(struct member_log *l);
};

struct member_log {
    const struct member_log_ops *ops;
    struct platter durable; /* what anybody may rely on; behind it, what was asked for */
    struct sim_disk *disk;  /* NULL: it has none */
    bool damaged; /* since it was closed; open() may refuse it, or find an older snapshot */
};
