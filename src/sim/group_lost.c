/*
 * group_lost: disks that fail for good, are damaged, or lie, and the operator who puts another member in the place of
 * who had one.
 *
 * What is lost or may be is never more than what the rest can do without: by each configuration that is in force or
 * may come to be, a majority of voters is sound. Who may be lost counts for lost here. A member whose disk failed a
 * start, or lied and then lost its power, never speaks again under its number: it may have voted.
 */
#include "sim/damage.h"
#include "sim/disk.h"
#include "sim/group_state.h"
#include "sim/journal_log.h"

enum { REPLACE_US = 150000, LIE_US_MAX = 5000000, LIE_ENDS_BADLY = 700 /* per mille */ };

static bool is_sound(const struct member *m)
{
    return !m->lost && !m->log->damaged && !(m->log->disk && m->log->disk->lies);
}

/* Of those with one of the flags: more sound ones than others. Who joins may come to vote at any time, and is counted
 * only if it would be a burden. */
static bool majority_is_sound(const struct group *g, const struct raft_members *all, uint32_t flag,
                              uint32_t but)
{
    int more = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct raft_member *x = &all->member[i];
        bool sound = x->number != but && is_sound(&g->member[x->number]);
        if (x->flags & flag)
            more += sound ? 1 : -1;
        else if (flag == RAFT_VOTES && x->flags & RAFT_JOINS && !sound)
            more--;
    }
    return more > 0;
}

static bool somebody_leads(const struct group *g, const struct raft_members *all, uint32_t but)
{
    for (uint32_t i = 0; i < all->count; i++) {
        const struct raft_member *x = &all->member[i];
        if (x->flags & RAFT_VOTES && !(x->flags & RAFT_WITNESS) && x->number != but &&
            is_sound(&g->member[x->number]))
            return true;
    }
    return false;
}

bool lost_bearable(const struct group *g, const struct raft_members *all, uint32_t but)
{
    return majority_is_sound(g, all, RAFT_VOTES, but) &&
           (!all->joint || majority_is_sound(g, all, RAFT_VOTED, but)) &&
           somebody_leads(g, all, but);
}

bool lost_any(const struct group *g)
{
    for (uint32_t i = 1; i <= g->number_last; i++)
        if (!is_sound(&g->member[i]))
            return true;
    return false;
}

/* Can the group do without it, however things go? */
static bool may_lose(const struct group *g, const struct member *m)
{
    const struct ledger *l = &g->ledger;
    if (!is_sound(m) || !lost_bearable(g, &l->members, m->number) ||
        !lost_bearable(g, &l->counted, m->number))
        return false;
    for (size_t i = 0; i < l->open_count; i++)
        if (l->open[i].index > l->commit && !lost_bearable(g, &l->open[i].members, m->number))
            return false;
    return true;
}

void lost_for_good(struct member *m)
{
    struct group *g = m->group;
    sim_trace(g->sim, "member %u is lost", m->number);
    g->sim->stats.lost++;
    m->log->damaged = false;
    m->lost = true;
    if (!g->replacing) {
        g->replacing = true;
        sim_after(g->sim, REPLACE_US, lost_replace, g, 0);
    }
}

void lost_disk(struct group *g)
{
    struct member *m = trouble_victim(g, &g->sim->extra);
    if (!may_lose(g, m))
        return;
    member_stop(m);
    if (!m->lost)
        lost_for_good(m);
}

/* --- damage --- */

void lost_damage(struct member *m)
{
    struct group *g = m->group;
    struct rng *r = &g->sim->extra;
    char text[DAMAGE_TEXT_MAX];
    if (m->up || !m->log->disk || !rng_chance(r, g->faults.damage) || !may_lose(g, m))
        return;
    struct member *other = &g->member[rng_range(r, 1, g->number_last)];
    if (!damage_strike(m->log->disk, other == m ? NULL : other->log->disk, r, text))
        return;
    sim_trace(g->sim, "member %u: %s", m->number, text);
    g->sim->stats.damages++;
    m->log->damaged = true;
}

/* --- lies --- */

/* It goes down, perhaps with its power, or lies no more. */
static void lie_ends(void *ctx, uint64_t arg)
{
    struct member *m = ctx;
    struct group *g = m->group;
    (void)arg;
    if (m->lost || !m->log->disk->lies)
        return;
    if (rng_chance(&g->sim->extra, LIE_ENDS_BADLY)) {
        trouble_crash(m);
        sim_after(g->sim, sim_between(&g->sim->extra, 1000, LIE_US_MAX), lie_ends, m, 0);
    } else {
        sim_disk_honest(m->log->disk);
    }
}

void lost_lie(struct group *g)
{
    struct rng *r = &g->sim->extra;
    struct member *m = trouble_victim(g, r);
    if (!m->log->disk || !may_lose(g, m))
        return;
    sim_trace(g->sim, "the disk of member %u lies", m->number);
    g->sim->stats.liars++;
    m->log->disk->lies = true;
    sim_after(g->sim, sim_between(r, 1000, LIE_US_MAX), lie_ends, m, 0);
}

/* What it called durable may be gone: then nothing can be promised but that all that is found was once there. */
void lost_liar(struct member *m)
{
    struct group *g = m->group;
    struct platter found;
    struct fault why;
    if (m->lost || !m->log->disk || !m->log->disk->lies)
        return;
    m->log->disk->lies = false;
    enum status s = journal_log_look(m->log, &found, &why);
    if (s == ST_OK)
        ledger_found(&g->ledger, m, &found);
    else
        sim_trace(g->sim, "member %u, whose disk lied, would not start: %s", m->number, why.text);
    platter_done(&found);
    g->sim->stats.liars_cut++;
    g->sim->stats.liars_refused += s != ST_OK;
    lost_for_good(m);
}

/* --- in their place --- */

/* Another member of the same kind; NULL: there are no numbers left. */
static struct member *heir_of(struct group *g, struct member *m)
{
    struct member *heir = &g->member[m->heir];
    if (m->heir && !heir->lost)
        return heir;
    if (g->number_last + 1 >= NET_MEMBERS_MAX)
        return NULL;
    heir = member_new(g);
    heir->witness = m->witness;
    m->heir = heir->number;
    member_start(heir);
    return heir;
}

static void replace(struct group *g, struct member *leader, struct member *m)
{
    struct raft_members wanted = *raft_members(leader->raft);
    uint64_t index;
    struct fault why;
    struct member *heir = heir_of(g, m);
    raft_members_cut(&wanted, m->number);
    if (heir)
        raft_members_put(&wanted, heir->number, RAFT_JOINS | (heir->witness ? RAFT_WITNESS : 0));
    enum status s = lost_bearable(g, &wanted, 0) ? raft_change(leader->raft, &wanted, &index, &why)
                                                 : ST_UNAVAILABLE;
    sim_trace(g->sim, "member %u puts %u in the place of %u: %s", leader->number,
              heir ? heir->number : 0, m->number, status_code(s));
    g->sim->stats.replaced += s == ST_OK;
    member_run(leader);
}

void lost_replace(void *group, uint64_t arg)
{
    struct group *g = group;
    struct member *leader = group_leader(g);
    (void)arg;
    sim_after(g->sim, REPLACE_US, lost_replace, g, 0);
    if (!leader || leader->installing || raft_members(leader->raft)->joint)
        return;
    for (uint32_t i = 1; i <= g->number_last; i++)
        if (g->member[i].lost && raft_members_find(raft_members(leader->raft), i)) {
            replace(g, leader, &g->member[i]);
            return;
        }
}
