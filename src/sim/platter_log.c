#include "sim/platter_log.h"

#include <stdlib.h>

static enum status log_open(struct member_log *l, struct fault *why)
{
    (void)l, (void)why;
    return ST_OK;
}

static void log_append(struct member_log *l, const struct raft_ready *rd)
{
    platter_append(&l->durable, rd);
}

static void log_save(struct member_log *l, uint64_t index, uint64_t term,
                     const struct raft_members *m, struct lists *state)
{
    platter_save(&l->durable, index, term, m, state);
}

static void log_compact(struct member_log *l, uint64_t first_kept)
{
    platter_compact(&l->durable, first_kept);
}

static size_t log_waiting(struct member_log *l)
{
    return l->durable.queued;
}

static bool log_run(struct member_log *l, size_t most, struct platter_done *out)
{
    *out = platter_run(&l->durable, most);
    return true;
}

static bool log_close(struct member_log *l, struct rng *r)
{
    platter_crash(&l->durable, r);
    return false;
}

static void log_free(struct member_log *l)
{
    platter_done(&l->durable);
    free(l);
}

struct member_log *platter_log_new(void)
{
    static const struct member_log_ops ops = {log_open,    log_append, log_save,  log_compact,
                                              log_waiting, log_run,    log_close, log_free};
    struct member_log *l = NEW(struct member_log);
    l->ops = &ops;
    platter_init(&l->durable);
    return l;
}
