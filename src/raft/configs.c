/*
 * configs: the configurations that the log tells of, from the newest snapshot on.
 */
#include <stdlib.h>

#include "raft/state.h"

const struct raft_members *raft_members(const struct raft *r)
{
    return &r->configs[r->config_count - 1].members;
}

const struct raft_members *raft_members_at(const struct raft *r, uint64_t index)
{
    require(index >= r->configs[0].index);
    size_t i = r->config_count - 1;
    while (r->configs[i].index > index)
        i--;
    return &r->configs[i].members;
}

void raft_configs_add(struct raft *r, uint64_t index, const struct raft_members *m)
{
    require(r->config_count == 0 || index > r->configs[r->config_count - 1].index);
    if (r->config_count == r->config_room) {
        r->config_room = MAX(2 * r->config_room, (size_t)4);
        r->configs = mem_grow(r->configs, r->config_room, sizeof *r->configs);
    }
    r->configs[r->config_count++] = (struct raft_config_at){index, *m};
}

enum status raft_configs_decode(const struct raft_entry *e, struct raft_members *ret,
                                struct fault *why)
{
    enum status s = raft_members_decode((struct str){e->data->bytes, e->data->len}, ret, why);
    return s == ST_OK ? ST_OK : fault_wrap(why, s, "entry %" PRIu64, e->index);
}

enum status raft_configs_take(struct raft *r, const struct raft_entry *e, struct fault *why)
{
    struct raft_members m;
    enum status s = raft_configs_decode(e, &m, why);
    if (s == ST_OK)
        raft_configs_add(r, e->index, &m);
    return s;
}

void raft_configs_cut(struct raft *r, uint64_t last)
{
    while (r->config_count > 1 && r->configs[r->config_count - 1].index > last)
        r->config_count--;
}

void raft_configs_compact(struct raft *r, uint64_t index)
{
    size_t past = 0;
    while (past + 1 < r->config_count && r->configs[past + 1].index <= index)
        past++;
    if (past == 0)
        return;
    r->config_count -= past;
    for (size_t i = 0; i < r->config_count; i++)
        r->configs[i] = r->configs[past + i];
}

void raft_configs_restore(struct raft *r, uint64_t index, const struct raft_members *m)
{
    size_t past = 0;
    while (past < r->config_count && r->configs[past].index <= index)
        past++;
    size_t left = raft_log_last(&r->log) > index ? r->config_count - past : 0;
    ensure(past > 0); /* the first is of a snapshot before */
    for (size_t i = 0; i < left; i++)
        r->configs[1 + i] = r->configs[past + i];
    r->configs[0] = (struct raft_config_at){index, *m};
    r->config_count = 1 + left;
}
