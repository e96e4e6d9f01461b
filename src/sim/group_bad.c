/*
 * group_bad: messages from an authenticated peer that no sound member sends. Nothing may come of them: what cannot be
 * is refused, what nobody asked for is passed over, and neither changes anything that can be seen.
 *
 * Not among them are lies that could be true, about a peer's own disk for example: Raft trusts its members.
 */
#include "raft/codec.h"
#include "sim/group_state.h"

enum { TRIES = 8, NOBODY = NET_MEMBERS_MAX - 1 };
#define FAR     (UINT64_C(1) << 40)
#define TOO_FAR (UINT64_C(1) << 62)

struct bad {
    struct raft_message m; /* begins as a fine append of the next term, of nothing */
    struct raft_entry e[2];
    struct raft_data *data; /* dropped afterwards */
    struct raft_view v;     /* of who gets it */
    struct member *to;
    struct rng *r;
};

/* false: not to this member now. */
typedef bool make_fn(struct bad *b);

static void give(struct bad *b, size_t count)
{
    b->m.entries = b->e;
    b->m.count = count;
}

/* --- what is refused --- */

static bool unknown_type(struct bad *b)
{
    b->m.type = (enum raft_message_type)(RAFT_MESSAGE_TYPE_COUNT + rng_below(b->r, 9));
    return true;
}

static bool from_itself(struct bad *b)
{
    b->m.from = rng_chance(b->r, 500) ? b->m.to : 0;
    return true;
}

static bool to_another(struct bad *b)
{
    b->m.to++;
    return true;
}

static bool no_term(struct bad *b)
{
    b->m.term = 0;
    return true;
}

static bool overflows(struct bad *b)
{
    struct raft_message *m = &b->m;
    uint64_t *const number[] = {&m->term, &m->index,   &m->log_term, &m->commit,
                                &m->read, &m->matched, &m->hint,     &m->kept};
    m->type = (enum raft_message_type)rng_below(b->r, RAFT_MESSAGE_TYPE_COUNT);
    *number[rng_below(b->r, ARRAY_COUNT(number))] =
        rng_chance(b->r, 500) ? UINT64_MAX - rng_below(b->r, 3) : TOO_FAR + rng_below(b->r, 3);
    return true;
}

static bool term_of_the_future(struct bad *b)
{
    b->m.index = 1;
    b->m.log_term = b->m.term + 1;
    return true;
}

static bool term_of_nothing(struct bad *b)
{
    b->m.index = rng_chance(b->r, 500);
    b->m.log_term = !b->m.index;
    return true;
}

static bool not_in_a_row(struct bad *b)
{
    give(b, 1 + (size_t)rng_below(b->r, 2));
    b->e[b->m.count - 1].index += 1 + rng_below(b->r, 2);
    return true;
}

static bool entry_of_a_later_term(struct bad *b)
{
    give(b, 1);
    b->e[0].term = b->m.term + 1;
    return true;
}

static bool terms_that_go_back(struct bad *b)
{
    give(b, 2);
    b->e[0].term = b->m.term;
    b->e[1].term = b->m.term - 1;
    return true;
}

static bool unknown_entry(struct bad *b)
{
    give(b, 1);
    b->e[0].type = (enum raft_entry_type)(RAFT_ENTRY_TYPE_COUNT + rng_below(b->r, 9));
    return true;
}

static bool command_without_data(struct bad *b)
{
    give(b, 1);
    b->e[0].type = rng_chance(b->r, 500) ? RAFT_ENTRY_COMMAND : RAFT_ENTRY_MEMBERS;
    return true;
}

static bool members_that_are_none(struct bad *b)
{
    static const char *const bytes[] = {"", "\0\0\0", "\2\0\0", "\0\1\0\1\0\0\0", "\0\377\377"};
    static const size_t len[] = {0, 3, 3, 7, 3};
    size_t i = (size_t)rng_below(b->r, ARRAY_COUNT(bytes));
    give(b, 1);
    b->data = raft_data_new(bytes[i], len[i]);
    b->e[0].type = RAFT_ENTRY_MEMBERS;
    b->e[0].data = b->data;
    return true;
}

static bool entries_in_a_vote(struct bad *b)
{
    give(b, 1);
    b->m.type = rng_chance(b->r, 500) ? RAFT_VOTE : RAFT_APPENDED;
    return true;
}

static bool second_leader(struct bad *b)
{
    b->m.type = rng_chance(b->r, 500) ? RAFT_APPEND : RAFT_OFFER;
    b->m.term = b->v.term;
    b->m.from = b->v.leader == 1 || b->m.to == 1 ? NOBODY : 1;
    return b->v.leader != 0 && b->m.from != b->v.leader;
}

static bool contradicts(struct bad *b)
{
    uint64_t term = raft_term_at(b->to->raft, b->v.commit);
    b->m.index = b->v.commit;
    b->m.log_term = term + 1;
    b->m.term += 1;
    return b->v.commit > b->v.first && term;
}

static bool never_sent(struct bad *b)
{
    b->m.type = RAFT_APPENDED;
    b->m.term = b->v.term;
    b->m.matched = b->v.last + 1 + rng_below(b->r, 1000);
    b->m.index = rng_below(b->r, b->m.matched + 1);
    return b->v.role == RAFT_LEADER;
}

static bool durable_and_not_equal(struct bad *b)
{
    b->m.type = RAFT_APPENDED;
    b->m.term = b->v.term;
    b->m.index = 1 + rng_below(b->r, MAX(b->v.last, 1u));
    b->m.matched = b->m.index - 1;
    return b->v.role == RAFT_LEADER;
}

static bool unasked_read(struct bad *b)
{
    b->m.type = RAFT_APPENDED;
    b->m.term = b->v.term;
    b->m.read = FAR;
    return b->v.role == RAFT_LEADER;
}

/* --- what is passed over --- */

static bool asks_with_a_commit_beyond_its_log(struct bad *b)
{
    b->m.type = RAFT_VOTE_ASK;
    b->m.pre = true;
    b->m.index = rng_below(b->r, b->v.last + 2);
    b->m.log_term = b->m.index != 0;
    b->m.commit = FAR;
    return true;
}

static bool unasked_vote(struct bad *b)
{
    b->m.type = RAFT_VOTE;
    b->m.term = b->v.term;
    b->m.refused = rng_chance(b->r, 500);
    b->m.pre = rng_chance(b->r, 500);
    return b->v.role == RAFT_LEADER || (b->v.role == RAFT_FOLLOWER && b->v.term > 0);
}

static bool unasked_acknowledgement(struct bad *b)
{
    b->m.type = RAFT_APPENDED;
    b->m.term = b->v.term;
    b->m.matched = b->m.index = b->v.last;
    b->m.refused = rng_chance(b->r, 500);
    if (b->v.role == RAFT_LEADER)
        b->m.from = NOBODY;
    return b->v.term > 0 && !raft_members_find(raft_members(b->to->raft), NOBODY);
}

static bool takes_over_from_nobody(struct bad *b)
{
    b->m.type = RAFT_TAKE_OVER;
    b->m.term = b->v.term;
    return b->v.term > 0 && b->m.from != b->v.leader;
}

static bool lends_to_who_has_a_leader(struct bad *b)
{
    b->m.type = RAFT_LEND;
    b->m.term = b->v.term;
    b->m.index = b->v.last;
    b->m.log_term = raft_term_at(b->to->raft, b->v.last);
    b->e[0] = (struct raft_entry){b->v.last + 1, b->v.term, RAFT_ENTRY_NOOP, NULL};
    give(b, 1);
    return b->v.leader && (b->m.index == 0) == (b->m.log_term == 0);
}

/* Of a term that is over; the answer says so. */
static bool comes_too_late(struct bad *b)
{
    static const int types[] = {RAFT_APPEND, RAFT_OFFER,    RAFT_VOTE_ASK,
                                RAFT_VOTE,   RAFT_APPENDED, RAFT_TAKE_OVER};
    b->m.type = (enum raft_message_type)types[rng_below(b->r, ARRAY_COUNT(types))];
    b->m.term = b->v.term - 1;
    b->m.commit = b->m.read = FAR;
    return b->v.term > 1;
}

/* --- all of them --- */

static make_fn *const refused[] = {
    unknown_type,
    from_itself,
    to_another,
    no_term,
    overflows,
    term_of_nothing,
    term_of_the_future,
    not_in_a_row,
    terms_that_go_back,
    unknown_entry,
    entry_of_a_later_term,
    command_without_data,
    entries_in_a_vote,
    second_leader,
    members_that_are_none,
    contradicts,
    never_sent,
    unasked_read,
    durable_and_not_equal,
};
static make_fn *const passed_over[] = {
    asks_with_a_commit_beyond_its_log,
    unasked_vote,
    unasked_acknowledgement,
    takes_over_from_nobody,
    comes_too_late,
    lends_to_who_has_a_leader,
};

static void begin(struct bad *b, struct member *m, struct rng *r)
{
    struct raft_view v = raft_view(m->raft);
    *b = (struct bad){.v = v, .to = m, .r = r};
    b->m = (struct raft_message){.type = RAFT_APPEND, .to = m->number, .term = v.term + 1};
    b->m.from = m->number == 1 ? 2 : 1;
    for (size_t i = 0; i < ARRAY_COUNT(b->e); i++)
        b->e[i] = (struct raft_entry){1 + i, 1, RAFT_ENTRY_NOOP, NULL};
}

static bool make(struct bad *b, struct member *m, struct rng *r, make_fn *const *kinds,
                 size_t count)
{
    for (unsigned i = 0; i < TRIES; i++) {
        begin(b, m, r);
        if (kinds[rng_below(r, count)](b))
            return true;
        raft_data_unref(b->data);
    }
    return false;
}

static bool same(const struct raft_view *a, const struct raft_view *b)
{
    return a->role == b->role && a->leader == b->leader && a->transfer == b->transfer &&
           a->term == b->term && a->first == b->first && a->last == b->last &&
           a->persisted == b->persisted && a->commit == b->commit && a->applied == b->applied &&
           a->kept == b->kept && a->members_index == b->members_index &&
           a->uncommitted_bytes == b->uncommitted_bytes && a->elections == b->elections &&
           a->truncations == b->truncations;
}

static void say(struct group *g, struct bad *b, enum status want)
{
    struct fault why = {0};
    enum status s = raft_step(b->to->raft, &b->m, &why);
    struct raft_view after = raft_view(b->to->raft);
    if (s != want)
        sim_fail(g->sim, "member %u %s a message of type %d that cannot be: %s", b->to->number,
                 s == ST_OK ? "takes" : "refuses", (int)b->m.type, why.text);
    if (!same(&b->v, &after) || after.refused != b->v.refused + (want != ST_OK))
        sim_fail(g->sim, "member %u is changed by a message of type %d that cannot be",
                 b->to->number, (int)b->m.type);
    raft_data_unref(b->data);
}

/* --- bytes that are no message --- */

static void say_bytes(struct group *g, struct member *m, struct rng *r)
{
    AUTO(buf_done) struct buf bytes;
    struct raft_decoded d;
    struct bad b;
    begin(&b, m, r);
    give(&b, 1 + (size_t)rng_below(r, 2));
    buf_init(&bytes, RAFT_MESSAGE_BYTES_MAX);
    enum status s = raft_message_encode(&b.m, &bytes, NULL);
    ensure(s == ST_OK);
    size_t len = bytes.len;
    switch (rng_below(r, 5)) {
    case 0: bytes.ptr[0]++; break;                                 /* a version to come */
    case 1: bytes.ptr[1] = (char)(RAFT_MESSAGE_TYPE_COUNT); break; /* a type to come */
    case 2: bytes.ptr[2] |= 0x40; break;                           /* a flag to come */
    case 3: cursor_put_u8(&bytes, 0), len++; break;                /* longer than it says */
    default: len = (size_t)rng_below(r, len); break;
    }
    g->sim->stats.bad_bytes++;
    if (raft_message_decode((struct str){bytes.ptr, len}, &d, NULL) == ST_OK) {
        sim_fail(g->sim, "bytes that are no message pass for one");
        raft_decoded_done(&d);
    }
}

/* --- snapshots that cannot be --- */

static void offer(struct group *g, struct member *m, struct rng *r)
{
    struct raft_view v = raft_view(m->raft);
    uint64_t index = v.last + 1 + rng_below(r, 100), term = v.term;
    switch (rng_below(r, 4)) {
    case 0: index = rng_below(r, v.commit + 1); break; /* nothing new */
    case 1: index = UINT64_MAX - rng_below(r, 3); break;
    case 2: term = 0; break;
    default: term = v.term + 1 + rng_below(r, 3); break; /* nobody can have led it */
    }
    g->sim->stats.bad_snapshots++;
    if (raft_may_restore(m->raft, index, term))
        sim_fail(g->sim, "member %u would take a snapshot of entry %" PRIu64 " of term %" PRIu64,
                 m->number, index, term);
}

void bad_strike(struct group *g)
{
    struct rng *r = &g->sim->extra;
    struct member *m = trouble_victim(g, r);
    struct bad b;
    if (!member_awake(m) || m->installing)
        return;
    if (make(&b, m, r, refused, ARRAY_COUNT(refused))) {
        g->sim->stats.bad++;
        say(g, &b, ST_INVALID);
    }
    if (make(&b, m, r, passed_over, ARRAY_COUNT(passed_over))) {
        g->sim->stats.passed_over++;
        say(g, &b, ST_OK);
    }
    say_bytes(g, m, r);
    offer(g, m, r);
    member_run(m); /* what it answers goes out */
}
