#include "sim/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "sim/group_state.h"

void ledger_init(struct ledger *l, struct sim *s)
{
    *l = (struct ledger){.sim = s};
}

void ledger_done(struct ledger *l)
{
    for (size_t i = 0; i < l->room; i++)
        free(l->slot[i].made);
    free(l->slot);
    free(l->leader);
    free(l->open);
    free(l->position);
}

/* The array, grown by zeros if it does not reach to index. */
static void *reach(void *array, size_t *room, uint64_t index, size_t each)
{
    if (index < *room)
        return array;
    size_t before = *room;
    *room = MAX(2 * before, (size_t)index + 256);
    array = mem_grow(array, *room, each);
    memset((char *)array + before * each, 0, (*room - before) * each);
    return array;
}

static struct ledger_slot *slot(struct ledger *l, uint64_t index)
{
    l->slot = reach(l->slot, &l->room, index, sizeof *l->slot);
    return &l->slot[index];
}

static uint32_t *leader_of(struct ledger *l, uint64_t term)
{
    l->leader = reach(l->leader, &l->leader_room, term, sizeof *l->leader);
    return &l->leader[term];
}

static uint64_t *position_of(struct ledger *l, uint64_t value)
{
    l->position = reach(l->position, &l->position_room, value, sizeof *l->position);
    return &l->position[value];
}

uint64_t ledger_position(const struct ledger *l, uint64_t value)
{
    return value < l->position_room ? l->position[value] : 0;
}

bool ledger_committed(const struct ledger *l, uint64_t index, uint64_t term)
{
    return index <= l->commit && (term == 0 || l->slot[index].commit_term == term);
}

/* Is the entry on the platter, or in its snapshot? */
static bool holds(const struct member *m, uint64_t index, uint64_t term)
{
    return m->log->durable.snapshot.index >= index || platter_term(&m->log->durable, index) == term;
}

static uint64_t hash_of(const struct raft_entry *e)
{
    uint64_t h = HASH_FNV_START + (uint64_t)e->type;
    return e->data ? hash_fnv(h, e->data->bytes, e->data->len) : h;
}

/* --- members: one change at a time, of which each quorum meets those before it --- */

static bool same_with(const struct raft_members *a, uint32_t flag_a, const struct raft_members *b,
                      uint32_t flag_b)
{
    for (uint32_t number = 1; number < NET_MEMBERS_MAX; number++) {
        const struct raft_member *x = raft_members_find(a, number);
        const struct raft_member *y = raft_members_find(b, number);
        if ((x && x->flags & flag_a) != (y && y->flags & flag_b))
            return false;
    }
    return true;
}

static bool quorums_meet(const struct raft_members *before, const struct raft_members *after)
{
    if (before->joint && after->joint)
        return false;
    return same_with(before, RAFT_VOTES, after, after->joint ? RAFT_VOTED : RAFT_VOTES);
}

static void add_open(struct ledger *l, uint64_t index, const struct raft_members *members)
{
    size_t left = 0;
    for (size_t i = 0; i < l->open_count; i++)
        if (l->open[i].index > l->commit)
            l->open[left++] = l->open[i];
    l->open_count = left;
    if (l->open_count == l->open_room) {
        l->open_room = MAX(2 * l->open_room, (size_t)4);
        l->open = mem_grow(l->open, l->open_room, sizeof *l->open);
    }
    l->open[l->open_count++] = (struct ledger_members){index, *members};
}

/* A leader has made this configuration. */
static void made_members(struct ledger *l, const struct member *m, const struct raft_entry *e)
{
    struct raft_members after;
    struct str bytes = {e->data->bytes, e->data->len};
    if (raft_members_decode(bytes, &after, NULL) != ST_OK) {
        sim_fail(l->sim, "member %u makes configuration %" PRIu64 ", which is none", m->number,
                 e->index);
        return;
    }
    for (uint64_t i = l->commit + 1; i < e->index; i++)
        if (raft_entry_at(m->raft, i)->type == RAFT_ENTRY_MEMBERS)
            sim_fail(l->sim,
                     "OneChange: member %u makes configuration %" PRIu64 ", and %" PRIu64
                     " is not committed",
                     m->number, e->index, i);
    if (!quorums_meet(raft_members_at(m->raft, e->index - 1), &after))
        sim_fail(l->sim,
                 "QuorumsMeet: configuration %" PRIu64 " of member %u could do without a quorum of "
                 "the one before it",
                 e->index, m->number);
    add_open(l, e->index, &after);
}

/* NumbersAreNew: who is gone does not come back under its number. */
static void committed_members(struct ledger *l, const struct raft_members *now)
{
    for (uint32_t i = 0; i < l->members.count; i++)
        if (!raft_members_find(now, l->members.member[i].number))
            l->gone |= UINT64_C(1) << l->members.member[i].number;
    for (uint32_t i = 0; i < now->count; i++)
        if (l->gone >> now->member[i].number & 1)
            sim_fail(l->sim, "NumbersAreNew: member %u was gone and is back",
                     now->member[i].number);
    l->members = *now;
}

/* --- LogMatching: (index, term) has one content and one entry before it --- */

static void made(struct ledger *l, const struct member *m, const struct raft_entry *e,
                 uint64_t term_before)
{
    struct ledger_slot *s = slot(l, e->index);
    uint64_t hash = hash_of(e);
    for (uint32_t i = 0; i < s->made_count; i++) {
        if (s->made[i].term != e->term)
            continue;
        if (s->made[i].hash != hash || s->made[i].term_before != term_before)
            sim_fail(l->sim,
                     "LogMatching: member %u has another entry %" PRIu64 " of term %" PRIu64,
                     m->number, e->index, e->term);
        return;
    }
    if (*leader_of(l, e->term) != m->number)
        sim_fail(l->sim, "member %u makes entry %" PRIu64 " of term %" PRIu64 " and leads it not",
                 m->number, e->index, e->term);
    if (s->made_count == s->made_room) {
        s->made_room = MAX(2 * s->made_room, 2u);
        s->made = mem_grow(s->made, s->made_room, sizeof *s->made);
    }
    s->made[s->made_count++] = (struct ledger_entry){e->term, term_before, hash};
    if (e->type == RAFT_ENTRY_MEMBERS)
        made_members(l, m, e);
}

void ledger_made(struct ledger *l, const struct member *m, const struct raft_ready *rd)
{
    for (size_t i = 0; i < rd->append_count; i++) {
        const struct raft_entry *e = &rd->append[i];
        uint64_t before = i ? e[-1].term : raft_term_at(m->raft, e->index - 1);
        made(l, m, e, before);
    }
}

/* --- nothing is told before it is durable; one vote a term --- */

static void told_vote(struct ledger *l, const struct member *m, uint64_t term, uint32_t to)
{
    struct ledger_member *x = &l->member[m->number];
    const struct raft_hard *h = &m->log->durable.hard;
    if (h->term != term || h->vote != to)
        sim_fail(l->sim,
                 "member %u tells of a vote for %u in term %" PRIu64 ", which is not durable",
                 m->number, to, term);
    if (x->told.term > term || (x->told.term == term && x->told.vote != to))
        sim_fail(l->sim, "member %u votes twice in term %" PRIu64, m->number, term);
    x->told = (struct raft_hard){term, to};
}

void ledger_sent(struct ledger *l, const struct member *m, const struct raft_message *message)
{
    if (message->type == RAFT_VOTE_ASK)
        l->sim->stats.gone_asks += l->gone >> m->number & 1;
    if (message->type == RAFT_VOTE_ASK && !message->pre) {
        told_vote(l, m, message->term, m->number);
        if (!holds(m, message->index, message->log_term))
            sim_fail(l->sim, "member %u campaigns with entry %" PRIu64 ", which is not durable",
                     m->number, message->index);
    }
    if (message->type == RAFT_VOTE && !message->pre && !message->refused)
        told_vote(l, m, message->term, message->to);
    if (message->type != RAFT_APPENDED || message->refused)
        return;
    if (m->log->durable.hard.term != message->term)
        sim_fail(l->sim, "member %u acknowledges in term %" PRIu64 ", which is not durable",
                 m->number, message->term);
    if (!holds(m, message->index, raft_term_at(m->raft, message->index)))
        sim_fail(l->sim, "member %u acknowledges entry %" PRIu64 ", which is not durable",
                 m->number, message->index);
}

/* --- what lost its true end --- */

static bool was_made(struct ledger *l, const struct raft_entry *e)
{
    const struct ledger_slot *s = slot(l, e->index);
    for (uint32_t i = 0; i < s->made_count; i++)
        if (s->made[i].term == e->term)
            return s->made[i].hash == hash_of(e);
    return false;
}

void ledger_found(struct ledger *l, const struct member *m, const struct platter *found)
{
    const struct platter_snapshot *s = &found->snapshot;
    if (found->hard.term > l->member[m->number].term)
        sim_fail(l->sim, "OnceThere: member %u finds term %" PRIu64 ", in which it never was",
                 m->number, found->hard.term);
    if (s->index && (!ledger_committed(l, s->index, s->term) ||
                     (s->state && slot(l, s->index)->state_hash != s->state->hash)))
        sim_fail(l->sim,
                 "OnceThere: member %u finds a snapshot of entry %" PRIu64 " that never was",
                 m->number, s->index);
    for (size_t i = 0; i < found->count; i++)
        if (!was_made(l, &found->entry[i]))
            sim_fail(l->sim, "OnceThere: member %u finds an entry %" PRIu64 " that never was",
                     m->number, found->entry[i].index);
}

/* --- StateMachineSafety --- */

void ledger_started(struct ledger *l, const struct member *m)
{
    struct ledger_member *x = &l->member[m->number];
    const struct platter_snapshot *s = &m->log->durable.snapshot;
    x->applied = x->commit_seen = s->index;
    x->members_index = 0;
    if (s->state && slot(l, s->index)->state_hash &&
        slot(l, s->index)->state_hash != s->state->hash)
        sim_fail(l->sim,
                 "StateMachineSafety: member %u begins with another state at entry %" PRIu64,
                 m->number, s->index);
}

void ledger_applied(struct ledger *l, const struct member *m, const struct raft_entry *e,
                    uint64_t state_hash, uint64_t value)
{
    struct ledger_member *x = &l->member[m->number];
    struct ledger_slot *s = slot(l, e->index);
    if (e->index != x->applied + 1 || e->index > l->commit)
        sim_fail(l->sim,
                 "member %u applies entry %" PRIu64 " after %" PRIu64 ", committed is %" PRIu64,
                 m->number, e->index, x->applied, l->commit);
    x->applied = e->index;
    if (s->commit_term != e->term)
        sim_fail(l->sim,
                 "StateMachineSafety: member %u applies entry %" PRIu64 " of term %" PRIu64
                 ", committed is that of term %" PRIu64,
                 m->number, e->index, e->term, s->commit_term);
    if (state_hash && s->state_hash && s->state_hash != state_hash)
        sim_fail(l->sim, "StateMachineSafety: member %u has another state at entry %" PRIu64,
                 m->number, e->index);
    if (state_hash)
        s->state_hash = state_hash;
    if (value && *position_of(l, value) == 0)
        *position_of(l, value) = e->index;
    l->sim->stats.entries++;
}

void ledger_restored(struct ledger *l, const struct member *m, uint64_t index, uint64_t term,
                     uint64_t state_hash)
{
    struct ledger_member *x = &l->member[m->number];
    struct ledger_slot *s = slot(l, index);
    if (index > l->commit || s->commit_term != term ||
        (state_hash && s->state_hash && s->state_hash != state_hash))
        sim_fail(l->sim,
                 "StateMachineSafety: member %u takes a snapshot of entry %" PRIu64
                 ", which is not that",
                 m->number, index);
    x->applied = x->commit_seen = index;
    x->members_index = 0;
}

/* --- after each event --- */

/* LeaderCompleteness. */
static void look_at_new_leader(struct ledger *l, const struct member *m, const struct raft_view *v)
{
    uint32_t *leader = leader_of(l, v->term);
    if (*leader && *leader != m->number)
        sim_fail(l->sim, "ElectionSafety: members %u and %u lead term %" PRIu64, *leader, m->number,
                 v->term);
    *leader = m->number;
    l->sim->stats.elections++;
    for (uint64_t i = v->first; i <= l->commit; i++)
        if (slot(l, i)->commit_by < v->term &&
            raft_term_at(m->raft, i) != slot(l, i)->commit_term) {
            sim_fail(l->sim,
                     "LeaderCompleteness: member %u leads term %" PRIu64
                     " without committed entry %" PRIu64,
                     m->number, v->term, i);
            return;
        }
}

/* On the platters of a majority of these? */
static bool quorum_holds(const struct member *m, const struct raft_members *all, uint64_t index,
                         uint64_t term)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < all->count; i++)
        value[i] = holds(&m->group->member[all->member[i].number], index, term);
    return raft_members_quorum(all, value) == 1;
}

/* MoreUpToDateCorrect: a log whose last entry is of a later term than the one that committed has what that did: it
 * may win votes. Terms of entries alone do not tell: an old entry may be committed by a new one that is not here
 * yet (figure 3.7 of the thesis). */
static void look_at_log(struct ledger *l, const struct member *m, const struct raft_view *v)
{
    const struct ledger_slot *s = slot(l, l->commit);
    uint64_t term = raft_term_at(m->raft, v->last);
    if (!s->commit_term || term < s->commit_by || (term == s->commit_by && v->last < l->commit))
        return;
    if (l->commit >= v->first && raft_term_at(m->raft, l->commit) != s->commit_term)
        sim_fail(l->sim,
                 "MoreUpToDateCorrect: member %u has entry %" PRIu64 " of term %" PRIu64
                 " and lacks entry %" PRIu64 ", committed in term %" PRIu64,
                 m->number, v->last, term, l->commit, s->commit_by);
}

/* CommittedIsDurable. What was in force when it counted is either still so, or was committed by that and led to
 * the next at once. */
static void look_at_commit(struct ledger *l, const struct member *m, uint64_t index)
{
    uint64_t term = raft_term_at(m->raft, index);
    if (!quorum_holds(m, raft_members(m->raft), index, term) &&
        !quorum_holds(m, raft_members_at(m->raft, index), index, term))
        sim_fail(l->sim,
                 "CommittedIsDurable: member %u commits entry %" PRIu64 ", which no quorum holds",
                 m->number, index);
}

/* QuorumLog: and it stays there, whatever is cut off a log. */
static void look_at_cut(struct ledger *l, const struct member *m)
{
    struct ledger_member *x = &l->member[m->number];
    uint64_t last = platter_last(&m->log->durable), term = slot(l, l->commit)->commit_term;
    if (last < x->last_durable && l->commit && !quorum_holds(m, &l->counted, l->commit, term) &&
        !quorum_holds(m, &l->members, l->commit, term))
        sim_fail(l->sim,
                 "QuorumLog: member %u cuts its log to entry %" PRIu64
                 ", and no quorum holds committed entry %" PRIu64,
                 m->number, last, l->commit);
    x->last_durable = last;
}

static void look_at_commits(struct ledger *l, const struct member *m, const struct raft_view *v)
{
    struct ledger_member *x = &l->member[m->number];
    if (v->commit < x->commit_seen)
        sim_fail(l->sim, "member %u takes back a commit", m->number);
    /* Who committed the end of its own membership leads no more. */
    if (v->commit > l->commit && *leader_of(l, v->term) == m->number) {
        look_at_commit(l, m, v->commit);
        for (uint64_t i = l->commit + 1; i <= v->commit; i++) {
            slot(l, i)->commit_term = raft_term_at(m->raft, i);
            slot(l, i)->commit_by = v->term;
            if (raft_entry_at(m->raft, i)->type == RAFT_ENTRY_MEMBERS)
                committed_members(l, raft_members_at(m->raft, i));
        }
        l->commit = v->commit;
        l->counted = *raft_members(m->raft);
    }
    if (v->commit > l->commit) {
        sim_fail(l->sim, "member %u takes entry %" PRIu64 " for committed", m->number, v->commit);
        return;
    }
    for (uint64_t i = MAX(x->commit_seen + 1, v->first); i <= v->commit; i++)
        if (raft_term_at(m->raft, i) != slot(l, i)->commit_term)
            sim_fail(l->sim, "member %u takes another entry %" PRIu64 " for committed", m->number,
                     i);
    x->commit_seen = v->commit;
}

/* WitnessKeeps: what a witness drops, all hold who could lead, or a quorum without it. Those that count are the
 * members as committed; a witness may hear of what they hold before it hears of them. */
void ledger_saved(struct ledger *l, const struct member *m, uint64_t index)
{
    const struct raft_members *all = &l->members;
    uint64_t term = raft_term_at(m->raft, index), value[RAFT_MEMBERS_MAX];
    const struct raft_member *self = raft_members_find(raft_members(m->raft), m->number);
    if (!self || !(self->flags & RAFT_WITNESS))
        return;
    bool everybody = true;
    for (uint32_t i = 0; i < all->count; i++) {
        value[i] = !(all->member[i].flags & RAFT_WITNESS) &&
                   holds(&m->group->member[all->member[i].number], index, term);
        everybody &= value[i] || !raft_members_leads(all, all->member[i].number);
    }
    if (!everybody && raft_members_quorum(all, value) == 0)
        sim_fail(l->sim,
                 "WitnessKeeps: member %u saves what is up to entry %" PRIu64
                 ", which no quorum holds without it",
                 m->number, index);
}

/* What a leader takes for durable at a peer is, as long as that has heard of no later one. */
static void look_at_match(struct ledger *l, const struct member *m, const struct raft_view *v)
{
    const struct raft_members *all = raft_members(m->raft);
    struct raft_peer_view p;
    for (uint32_t i = 0; i < all->count; i++) {
        const struct member *peer = &m->group->member[all->member[i].number];
        if (!raft_peer_view(m->raft, peer->number, &p))
            continue;
        if (p.next <= p.match)
            sim_fail(l->sim, "member %u: next is not above match", m->number);
        if (p.window_messages > m->group->faults.window_messages)
            sim_fail(l->sim, "member %u has %u messages under way to %u, more than the window",
                     m->number, p.window_messages, peer->number);
        bool later = peer->log->durable.hard.term > v->term ||
                     (peer->up && raft_view(peer->raft).term > v->term);
        uint64_t term = raft_term_at(m->raft, p.match);
        if (!term)
            term = slot(l, p.match)->commit_term; /* compacted */
        if (!later && !holds(peer, p.match, term))
            sim_fail(l->sim, "member %u believes that %u holds entry %" PRIu64, m->number,
                     peer->number, p.match);
    }
}

static void look_at_platter(struct ledger *l, const struct member *m, const struct raft_view *v)
{
    struct ledger_member *x = &l->member[m->number];
    const struct raft_hard *h = &m->log->durable.hard;
    bool back = h->term < x->hard.term;
    bool other = h->term == x->hard.term && x->hard.vote && h->vote != x->hard.vote;
    if (back || other)
        sim_fail(l->sim, "member %u: term or vote went back on its platter", m->number);
    x->hard = *h;
    if (v->applied > MIN(v->commit, v->persisted))
        sim_fail(l->sim, "member %u applies what is not committed or not durable", m->number);
    if (!holds(m, v->persisted, raft_term_at(m->raft, v->persisted)))
        sim_fail(l->sim, "member %u takes entry %" PRIu64 " for durable", m->number, v->persisted);
}

void ledger_look(struct ledger *l, const struct member *m)
{
    struct ledger_member *x = &l->member[m->number];
    struct raft_view v = raft_view(m->raft);
    look_at_platter(l, m, &v);
    x->term = MAX(x->term, v.term);
    l->sim->stats.undone += v.members_index < x->members_index;
    x->members_index = v.members_index;
    if (v.role == RAFT_LEADER && x->led != v.term) {
        x->led = v.term;
        look_at_new_leader(l, m, &v);
    }
    look_at_commits(l, m, &v);
    look_at_cut(l, m);
    look_at_log(l, m, &v);
    if (v.role == RAFT_LEADER)
        look_at_match(l, m, &v);
}
