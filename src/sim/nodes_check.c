/*
 * nodes_check: what must hold after every event, over all nodes.
 */
#include <stdlib.h>
#include <string.h>

#include "sim/nodes_state.h"

static uint64_t *at(uint64_t **room, uint64_t *count, uint64_t index)
{
    if (index >= *count) {
        uint64_t was = *count;
        *count = MAX(2 * was, index + 256);
        *room = mem_grow(*room, (size_t)*count, sizeof **room);
        memset(*room + was, 0, (size_t)(*count - was) * sizeof **room);
    }
    return &(*room)[index];
}

void nodes_state_is(struct nodes *all, const struct nodes_member *m, uint64_t index, uint64_t hash)
{
    uint64_t *known = at(&all->hash, &all->hash_room, index);
    if (*known && *known != hash)
        sim_fail(all->sim,
                 "StateMachineSafety: after entry %" PRIu64 " the state of node %u is %016" PRIx64
                 ", that of another was %016" PRIx64,
                 index, m->number, hash, *known);
    *known = hash;
    all->applied = MAX(all->applied, index);
}

static void check_leader(struct nodes *all, const struct nodes_member *m, const struct raft_view *v)
{
    if (v->role != RAFT_LEADER)
        return;
    uint64_t *known = at(&all->leader, &all->leader_room, v->term);
    if (*known && *known != m->number)
        sim_fail(all->sim, "ElectionSafety: term %" PRIu64 " has the leaders %" PRIu64 " and %u",
                 v->term, *known, m->number);
    if (!*known)
        all->sim->stats.elections++;
    *known = m->number;
}

void nodes_look(struct nodes_member *m)
{
    struct nodes *all = m->all;
    if (!m->node || node_dead(m->node))
        return;
    struct node_view v = node_view(m->node);
    check_leader(all, m, &v.raft);
    if (v.raft.applied > v.raft.commit || v.raft.applied > v.raft.persisted)
        sim_fail(all->sim,
                 "node %u applied entry %" PRIu64 ", committed is %" PRIu64 ", durable %" PRIu64,
                 m->number, v.raft.applied, v.raft.commit, v.raft.persisted);
    if (m->witness) {
        if (cluster_index(node_cluster(m->node)))
            sim_fail(all->sim, "witness %u holds a state", m->number);
    } else if (v.raft.applied) {
        nodes_state_is(all, m, v.raft.applied, v.applied_hash);
    }
    if (v.restores > m->restores) {
        sim_trace(all->sim, "node %u got the state of entry %" PRIu64, m->number, v.snapshot_index);
        all->sim->stats.installs += v.restores - m->restores;
        m->restores = v.restores;
    }
}
