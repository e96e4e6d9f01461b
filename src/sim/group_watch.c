/*
 * group_watch: tells a timeline how a group is.
 *
 * It only looks, after each event, so that nothing that happens in the group has to know of it.
 */
#include "sim/group_state.h"

static void watch_member(const struct group *g, const struct member *m)
{
    struct timeline_state s = {.up = m->up};
    if (m->up) {
        struct raft_view v = raft_view(m->raft);
        s.paused = !member_awake(m);
        s.installing = m->installing;
        s.role = v.role;
        s.term = v.term;
        s.commit = v.commit;
        s.snapshot = m->log->durable.snapshot.index;
    }
    timeline_member(g->options.timeline, g->sim->now_us, m->number, &s);
}

static void watch_cuts(const struct group *g)
{
    uint64_t cut[TIMELINE_MEMBERS_MAX] = {0};
    for (uint32_t i = 1; i <= g->number_last; i++)
        for (uint32_t j = 1; j <= g->number_last; j++)
            cut[i] |= (uint64_t)g->net.cut[i][j] << j;
    timeline_cuts(g->options.timeline, g->sim->now_us, cut);
}

void group_watch(const struct group *g)
{
    if (!g->options.timeline)
        return;
    for (uint32_t i = 1; i <= g->number_last; i++)
        watch_member(g, &g->member[i]);
    watch_cuts(g);
    if (g->calm)
        timeline_calm(g->options.timeline, g->sim->now_us);
}

void group_watch_message(void *group, const struct raft_message *m, uint64_t sent_us, bool lost)
{
    const struct group *g = group;
    timeline_message(g->options.timeline, sent_us, g->sim->now_us, m, lost);
}
