/*
 * check: what a message must be to be looked at. Peers are authenticated, and may still be wrong: of an
 * old version, of a state restored by hand, or broken. Nothing that they say ends this node or
 * makes it forget what is committed.
 */
#include "raft/state.h"

/* Far from where additions overflow. */
enum { LIMIT_SHIFT = 62 };

bool raft_number_fits(uint64_t n)
{
    return n >> LIMIT_SHIFT == 0;
}

static enum status bad(struct fault *why, const struct raft_message *m, const char *what)
{
    return fault_set(why, ST_INVALID, "message %d of member %" PRIu32 ": %s", (int)m->type, m->from,
                     what);
}

static bool numbers_fit(const struct raft_message *m)
{
    const uint64_t numbers[] = {m->term, m->index,   m->log_term, m->commit,
                                m->read, m->matched, m->hint,     m->kept};
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        if (!raft_number_fits(numbers[i]))
            return false;
    return m->count <= UINT32_MAX;
}

/* By itself, since so large a variable costs something where it is declared: it is cleared. */
static enum status check_members(const struct raft_message *m, const struct raft_entry *e,
                                 struct fault *why)
{
    struct raft_members members;
    if (raft_configs_decode(e, &members, why) != ST_OK)
        return fault_wrap(why, ST_INVALID, "message of member %" PRIu32, m->from);
    return ST_OK;
}

/* An entry as one after (index, term) must be. */
static enum status check_entry(const struct raft_message *m, const struct raft_entry *e,
                               uint64_t index, uint64_t term, struct fault *why)
{
    if (e->index != index)
        return bad(why, m, "its entries are not in a row");
    if (e->term < term || e->term > m->term || e->term == 0)
        return bad(why, m, "the terms of its entries cannot be");
    if ((unsigned)e->type >= RAFT_ENTRY_TYPE_COUNT)
        return bad(why, m, "an entry is of unknown type");
    if ((e->type != RAFT_ENTRY_NOOP) != (e->data != NULL))
        return bad(why, m, "an entry has data against its type");
    return e->type == RAFT_ENTRY_MEMBERS ? check_members(m, e, why) : ST_OK;
}

/* What is committed, or was seen in this leader's own log, it cannot have otherwise. */
static enum status check_agrees(const struct raft *r, const struct raft_message *m, uint64_t index,
                                uint64_t term, struct fault *why)
{
    uint64_t own = raft_log_term(&r->log, index);
    bool seen = m->term == r->hard.term && r->leader == m->from && index <= r->matched;
    if (own && own != term && (index <= r->commit || seen))
        return bad(why, m, "it contradicts what is committed");
    return ST_OK;
}

static enum status check_leader(const struct raft *r, const struct raft_message *m,
                                struct fault *why)
{
    if (m->term == r->hard.term && r->leader && r->leader != m->from)
        return bad(why, m, "its term has another leader");
    if (m->term == r->hard.term && r->role == RAFT_LEADER)
        return bad(why, m, "this node leads its term");
    if (m->log_term > m->term || (m->index == 0) != (m->log_term == 0))
        return bad(why, m, "its index and term do not go together");
    return ST_OK;
}

static enum status check_entries(const struct raft *r, const struct raft_message *m,
                                 struct fault *why)
{
    enum status s = ST_OK;
    /* What was lent long ago may be at odds with what was committed since: raft_on_lend() looks. */
    bool agrees = m->type == RAFT_APPEND && m->term >= r->hard.term;
    if (agrees)
        s = check_agrees(r, m, m->index, m->log_term, why);
    uint64_t index = m->index, term = m->log_term;
    for (size_t i = 0; s == ST_OK && i < m->count; i++) {
        const struct raft_entry *e = &m->entries[i];
        s = check_entry(m, e, ++index, term, why);
        if (s == ST_OK && agrees)
            s = check_agrees(r, m, index, e->term, why);
        term = e->term;
    }
    return s;
}

static enum status check_appended(const struct raft *r, const struct raft_message *m,
                                  struct fault *why)
{
    if (r->role != RAFT_LEADER || m->term != r->hard.term)
        return ST_OK;
    uint64_t last = raft_log_last(&r->log);
    if (!m->refused && (m->index > m->matched || m->matched > last))
        return bad(why, m, "it acknowledges what was never sent");
    if (m->read > r->read_number)
        return bad(why, m, "it confirms a read that nobody asked for");
    return ST_OK;
}

enum status raft_check(const struct raft *r, const struct raft_message *m, struct fault *why)
{
    if ((unsigned)m->type >= RAFT_MESSAGE_TYPE_COUNT)
        return bad(why, m, "its type is not known");
    if (m->from == 0 || m->from == r->config.self)
        return bad(why, m, "it is from nobody else");
    if (m->to != r->config.self)
        return bad(why, m, "it is to another member");
    if (m->term == 0 || !numbers_fit(m))
        return bad(why, m, "its numbers cannot be");
    if (m->count && m->type != RAFT_APPEND && m->type != RAFT_LEND)
        return bad(why, m, "it has entries against its type");
    switch (m->type) {
    case RAFT_APPEND: {
        enum status s = check_leader(r, m, why);
        return s == ST_OK ? check_entries(r, m, why) : s;
    }
    case RAFT_OFFER: return check_leader(r, m, why);
    case RAFT_APPENDED: return check_appended(r, m, why);
    case RAFT_VOTE_ASK:
    case RAFT_LEND:
        /* A log's terms are not above its node's; a pre-vote tells the next one. */
        if (m->log_term > m->term || (m->index == 0) != (m->log_term == 0))
            return bad(why, m, "its index and term do not go together");
        return m->type == RAFT_LEND ? check_entries(r, m, why) : ST_OK;
    case RAFT_VOTE:
    case RAFT_TAKE_OVER:
    case RAFT_MESSAGE_TYPE_COUNT: break;
    }
    return ST_OK;
}
