/*
 * Bytes as a story that one member of a small cluster lives through: time, messages of any content and
 * from anybody, a disk that is slow or loses its queue in a crash, proposals, other members, snapshots.
 *
 * Whatever peers say, the core does not abort, asks its driver for nothing that contradicts what it asked
 * before, tells nothing before it is durable, and starts again from what it gave to the disk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raft/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 1500, QUEUE_MAX = 64, ENTRIES_MAX = 4 };

/* What one ready gave to the disk. */
struct write {
    uint64_t token;
    struct raft_hard hard;
    struct raft_entry *entry;
    size_t count;
};

/* What a crash leaves. */
struct platter {
    struct raft_hard hard;
    uint64_t snapshot_index, snapshot_term;
    struct raft_members members; /* as of the snapshot */
    bool has_members;
    struct raft_entry *entry; /* without gaps */
    size_t count;
};

struct story {
    const uint8_t *byte;
    size_t len, at;
    struct raft_config config;
    struct raft *r;
    uint64_t now_ms;
    struct raft_view was;
    struct raft_hard told; /* by the last ready */
    uint64_t applying;     /* entries up to here were given to be applied */
    struct raft_read read;
    struct platter platter;
    struct write queue[QUEUE_MAX];
    size_t queued;
    uint64_t written; /* token of what is on the platter; 0 once the core was told */
};

/* --- choices --- */

static uint8_t draw(struct story *s)
{
    return s->at < s->len ? s->byte[s->at++] : 0;
}

static const struct raft_members configs[] = {
    {.count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES}}},
    {.count = 1, .member = {{1, RAFT_VOTES}}},
    {.count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, 0}}},
    {.count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES | RAFT_WITNESS}}},
    {.count = 4,
     .member = {{1, RAFT_VOTES}, {2, RAFT_JOINS}, {3, RAFT_JOINS | RAFT_WITNESS}, {4, 0}}},
    {.joint = true,
     .count = 4,
     .member = {{1, RAFT_VOTES | RAFT_VOTED},
                {2, RAFT_VOTED | RAFT_LEAVES},
                {3, RAFT_VOTES},
                {4, RAFT_JOINS}}},
    {.joint = true,
     .count = 3,
     .member = {{1, RAFT_VOTED | RAFT_LEAVES}, {2, RAFT_VOTES}, {3, RAFT_VOTED | RAFT_WITNESS}}},
    {.count = 2, .member = {{2, RAFT_VOTES}, {3, RAFT_VOTES}}},
};
enum { CONFIG_COUNT = ARRAY_COUNT(configs) };

/* Near what the node knows, or where arithmetic goes wrong. */
static uint64_t draw_index(struct story *s)
{
    struct raft_view v = s->was;
    const uint64_t near[] = {v.last,      v.last,          v.commit, v.applied,
                             v.first - 1, v.members_index, 0,        UINT64_MAX >> 2};
    uint8_t b = draw(s);
    return near[b % 8] + (b >> 3) % 5 - (b >> 6) % 3;
}

static uint64_t draw_term(struct story *s)
{
    uint64_t term = s->was.term;
    const uint64_t near[] = {term,     term, term + 1,        raft_term_at(s->r, s->was.last),
                             term - 1, 0,    UINT64_MAX >> 2, UINT64_MAX};
    return near[draw(s) % 8];
}

static struct raft_data *draw_data(struct story *s, enum raft_entry_type type)
{
    uint8_t b = draw(s);
    if (b == 249)
        return NULL;
    if (type != RAFT_ENTRY_MEMBERS || b >= 250)
        return type == RAFT_ENTRY_NOOP && b < 250 ? NULL : raft_data_new("0123456789", b % 11);
    struct buf out;
    buf_init(&out, RAFT_MEMBERS_BYTES_MAX);
    raft_members_encode(&configs[b % CONFIG_COUNT], &out);
    struct raft_data *d = raft_data_new(out.ptr, out.len);
    buf_done(&out);
    return d;
}

/* --- what must hold --- */

static void check_view(struct story *s)
{
    struct raft_view v = raft_view(s->r), was = s->was;
    ensure(v.term >= was.term && v.commit >= was.commit && v.applied >= was.applied);
    ensure(v.applied <= v.commit && v.commit <= v.last && v.persisted <= v.last);
    ensure(v.first <= v.last + 1 && v.first >= 1);
    ensure((v.role == RAFT_LEADER) == (v.leader == s->config.self));
    s->was = v;
}

/* --- the disk --- */

static void drop_entries(struct raft_entry *e, size_t count)
{
    for (size_t i = 0; i < count; i++)
        raft_data_unref(e[i].data);
}

static uint64_t platter_first(const struct platter *p)
{
    return p->count ? p->entry[0].index : p->snapshot_index + 1;
}

static void platter_cut(struct platter *p, size_t keep)
{
    while (p->count > keep)
        raft_data_unref(p->entry[--p->count].data);
}

/* Drop the first ones. */
static void platter_forget(struct platter *p, size_t count)
{
    drop_entries(p->entry, count);
    p->count -= count;
    for (size_t i = 0; i < p->count; i++)
        p->entry[i] = p->entry[count + i];
}

static void platter_write(struct platter *p, const struct write *w)
{
    p->hard = w->hard;
    if (w->count == 0)
        return;
    uint64_t first = platter_first(p);
    ensure(w->entry[0].index >= first && w->entry[0].index <= first + p->count);
    platter_cut(p, (size_t)(w->entry[0].index - first));
    p->entry = mem_grow(p->entry, p->count + w->count, sizeof *p->entry);
    memcpy(p->entry + p->count, w->entry, w->count * sizeof *w->entry);
    p->count += w->count;
}

/* Make the oldest writes durable. */
static void platter_take(struct story *s, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        platter_write(&s->platter, &s->queue[i]);
        s->written = s->queue[i].token;
        free(s->queue[i].entry);
    }
    s->queued -= count;
    memmove(s->queue, s->queue + count, s->queued * sizeof *s->queue);
}

/* The disk tells, if it has anything to tell. */
static void do_persisted(struct story *s)
{
    if (s->written)
        raft_persisted(s->r, s->written);
    s->written = 0;
}

static void do_write(struct story *s)
{
    size_t wanted = 1 + draw(s) % 4U;
    platter_take(s, MIN(s->queued, wanted));
}

static void do_persist(struct story *s)
{
    do_write(s);
    do_persisted(s);
}

static void lose_queue(struct story *s)
{
    for (size_t i = 0; i < s->queued; i++) {
        drop_entries(s->queue[i].entry, s->queue[i].count);
        free(s->queue[i].entry);
    }
    s->queued = 0;
}

/* --- what the driver does --- */

static void take_write(struct story *s, const struct raft_ready *rd)
{
    struct write *w = &s->queue[s->queued++];
    ensure(rd->hard.term >= s->told.term);
    ensure(rd->hard.term > s->told.term || !s->told.vote || rd->hard.vote == s->told.vote);
    s->told = rd->hard;
    *w = (struct write){.token = rd->token, .hard = rd->hard, .count = rd->append_count};
    if (rd->append_count == 0)
        return;
    w->entry = NEW_ARRAY(struct raft_entry, rd->append_count);
    for (size_t i = 0; i < rd->append_count; i++) {
        w->entry[i] = rd->append[i];
        ensure(w->entry[i].index == rd->append[0].index + i && w->entry[i].index > s->applying);
        if (w->entry[i].data)
            (void)raft_data_ref(w->entry[i].data);
    }
}

/* A message can be written, and what it tells of this node is on the platter. */
static void check_message(const struct story *s, const struct raft_message *m)
{
    const struct platter *p = &s->platter;
    struct raft_decoded d;
    struct buf b;
    buf_init(&b, RAFT_MESSAGE_BYTES_MAX);
    enum status written = raft_message_encode(m, &b, NULL);
    ensure(written == ST_OK);
    enum status read = raft_message_decode(buf_view(&b), &d, NULL);
    ensure(read == ST_OK);
    raft_decoded_done(&d);
    buf_done(&b);

    ensure(m->from == s->config.self && m->to != m->from && m->to > 0);
    if (m->type == RAFT_VOTE && !m->refused && !m->pre)
        ensure(p->hard.term == m->term && p->hard.vote == m->to);
    if (m->type == RAFT_VOTE_ASK && !m->pre)
        ensure(p->hard.term == m->term && p->hard.vote == m->from);
    if (m->type == RAFT_APPENDED && !m->refused)
        ensure(p->hard.term == m->term && m->index < platter_first(p) + p->count);
}

/* What is to be applied is on the platter, the same. */
static void check_apply(const struct story *s, const struct raft_entry *e)
{
    const struct platter *p = &s->platter;
    uint64_t first = platter_first(p);
    ensure(e->index == s->applying + 1 && e->index >= first && e->index < first + p->count);
    const struct raft_entry *own = &p->entry[e->index - first];
    ensure(own->term == e->term && own->type == e->type && own->data == e->data);
}

static void do_ready(struct story *s)
{
    struct raft_ready rd;
    if (s->queued == QUEUE_MAX || !raft_ready(s->r, &rd))
        return;
    for (size_t i = 0; i < rd.message_count; i++)
        check_message(s, &rd.messages[i]);
    for (size_t i = 0; i < rd.apply_count; i++) {
        check_apply(s, &rd.apply[i]);
        s->applying++;
    }
    ensure(rd.token || (!rd.hard_changed && rd.append_count == 0));
    if (rd.token)
        take_write(s, &rd);
}

/* All that there is to make durable is. */
static void settle(struct story *s)
{
    for (do_ready(s); s->queued || s->written; do_ready(s)) {
        platter_take(s, s->queued);
        do_persisted(s);
        check_view(s);
    }
}

static void do_applied(struct story *s)
{
    uint64_t left = s->applying - s->was.applied;
    raft_applied(s->r, s->was.applied + (left ? 1 + draw(s) % left : 0));
}

static void do_tick(struct story *s)
{
    static const uint16_t ms[] = {0, 1, 10, 40, 100, 200, 400, 2000};
    s->now_ms += ms[draw(s) % 8];
    raft_tick(s->r, s->now_ms);
}

static void do_deadline(struct story *s)
{
    uint64_t at = raft_deadline_ms(s->r);
    if (at != UINT64_MAX)
        s->now_ms = MAX(s->now_ms, at);
    raft_tick(s->r, s->now_ms);
    ensure(raft_deadline_ms(s->r) > s->now_ms); /* or its driver would never sleep */
}

static void do_propose(struct story *s)
{
    uint64_t index, term;
    if (raft_propose(s->r, raft_data_new("0123456789", draw(s) % 11), &index, &term, NULL) == ST_OK)
        ensure(index == s->was.last + 1 && term == s->was.term);
}

static void do_change(struct story *s)
{
    uint64_t index;
    if (raft_change(s->r, &configs[draw(s) % CONFIG_COUNT], &index, NULL) == ST_OK)
        ensure(index <= s->was.last + 1);
}

static void do_transfer(struct story *s)
{
    (void)!raft_transfer(s->r, draw(s) % 6, NULL);
}

static void do_read(struct story *s)
{
    struct raft_read read;
    if (raft_read(s->r, &read, NULL) == ST_OK) {
        ensure(read.index == s->was.commit && read.term == s->was.term);
        s->read = read;
    }
    if (s->read.term)
        (void)raft_confirmed(s->r, &s->read);
}

static void do_compact(struct story *s)
{
    struct platter *p = &s->platter;
    uint64_t first = platter_first(p), index = s->was.applied;
    if (index <= p->snapshot_index)
        return;
    uint64_t keep = raft_keep_from(s->r, index, draw(s) % 4, UINT64_MAX / 2);
    ensure(keep <= index + 1);
    p->snapshot_index = index;
    p->snapshot_term = p->entry[index - first].term;
    p->members = *raft_members_at(s->r, index);
    p->has_members = p->members.count > 0;
    raft_compact(s->r, index, keep);
    if (keep <= first)
        return;
    platter_forget(p, (size_t)(keep - first));
}

/* The log that the platter has with a snapshot: all of it if it holds the snapshot's last entry. */
static void platter_restore(struct platter *p, const struct raft_snapshot *snapshot)
{
    uint64_t first = platter_first(p), index = snapshot->index;
    bool holds = index >= first && index < first + p->count &&
                 p->entry[index - first].term == snapshot->term;
    platter_forget(p, holds ? (size_t)(index + 1 - first) : p->count);
    p->snapshot_index = index;
    p->snapshot_term = snapshot->term;
    p->members = *snapshot->members;
    p->has_members = true;
}

/* A peer's snapshot came in; its numbers are what the peer says. */
static void do_restore(struct story *s)
{
    struct raft_snapshot snapshot = {.index = draw_index(s), .term = draw_term(s)};
    snapshot.members = &configs[draw(s) % CONFIG_COUNT];
    platter_take(s, s->queued);
    if (draw(s) % 2)
        settle(s);
    if (!raft_may_restore(s->r, snapshot.index, snapshot.term))
        return;
    platter_restore(&s->platter, &snapshot);
    raft_restore(s->r, &snapshot);
    s->applying = snapshot.index;
}

static void start(struct story *s)
{
    const struct platter *p = &s->platter;
    struct raft_snapshot snapshot = {p->snapshot_index, p->snapshot_term,
                                     p->has_members ? &p->members : NULL};
    struct fault why;
    enum status st =
        raft_new(&s->config, s->now_ms, &p->hard, &snapshot, p->entry, p->count, &s->r, &why);
    if (st != ST_OK)
        (void)fprintf(stderr, "%s\n", why.text);
    ensure(st == ST_OK); /* all of it is what the core gave */
    s->was = (struct raft_view){0};
    s->told = p->hard;
    s->applying = p->snapshot_index;
    s->read = (struct raft_read){0};
    s->written = 0;
    check_view(s);
    ensure(s->was.term == p->hard.term && s->was.commit == p->snapshot_index);
}

static void do_crash(struct story *s)
{
    size_t kept = draw(s) % 4U;
    platter_take(s, MIN(s->queued, kept));
    lose_queue(s);
    raft_free(s->r);
    start(s);
}

/* --- what peers say --- */

/* But for what it counts. */
static bool same_view(struct raft_view a, struct raft_view b)
{
    return a.role == b.role && a.leader == b.leader && a.transfer == b.transfer &&
           a.term == b.term && a.first == b.first && a.last == b.last &&
           a.persisted == b.persisted && a.commit == b.commit && a.applied == b.applied &&
           a.kept == b.kept && a.members_index == b.members_index &&
           a.uncommitted_bytes == b.uncommitted_bytes;
}

static void step(struct story *s, const struct raft_message *m)
{
    enum status st = raft_step(s->r, m, NULL);
    struct raft_view v = raft_view(s->r);
    ensure(st == ST_OK || (st == ST_INVALID && same_view(v, s->was)));
    ensure(v.refused == s->was.refused + (st != ST_OK));
}

static size_t draw_entries(struct story *s, struct raft_entry *e, uint64_t index, bool sound)
{
    size_t count = draw(s) % (ENTRIES_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        uint8_t b = draw(s);
        e[i].index = index + 1 + i + (!sound && b >= 240);
        e[i].type = (enum raft_entry_type)(b % (RAFT_ENTRY_TYPE_COUNT + (!sound && b >= 192)));
        e[i].term = sound ? s->was.term : draw_term(s);
        e[i].data = draw_data(s, e[i].type);
    }
    return count;
}

static void do_message(struct story *s)
{
    struct raft_entry e[ENTRIES_MAX];
    uint8_t type = draw(s), who = draw(s), flags = draw(s);
    struct raft_message m = {
        .type = (enum raft_message_type)(type % (RAFT_MESSAGE_TYPE_COUNT + (type >= 240))),
        .from = who % 6,
        .to = who >= 240 ? who : s->config.self,
        .term = draw_term(s),
        .index = draw_index(s),
        .log_term = draw_term(s),
        .pre = flags & 1,
        .force = flags & 2,
        .refused = flags & 4,
        .entries = e,
    };
    if (flags & 8) {
        m.commit = draw_index(s);
        m.kept = draw_index(s);
    }
    m.matched = flags & 16 ? draw_index(s) : m.index;
    m.hint = flags & 32 ? draw_index(s) : 0;
    m.read = flags & 64 ? draw(s) : 0;
    if (m.type == RAFT_APPEND || flags >= 192)
        m.count = draw_entries(s, e, m.index, false);
    step(s, &m);
    drop_entries(e, m.count);
}

/* Messages as a sound peer would send them, so that stories go on. */
static void do_sound_append(struct story *s)
{
    struct raft_entry e[ENTRIES_MAX];
    uint8_t b = draw(s);
    struct raft_message m = {
        .type = RAFT_APPEND,
        .from = s->was.leader ? s->was.leader : 1 + b % 4U,
        .to = s->config.self,
        .term = s->was.term + (s->was.role == RAFT_LEADER || b >= 224),
        .index = s->was.last,
        .log_term = raft_term_at(s->r, s->was.last),
        .entries = e,
    };
    if (m.from == s->config.self)
        m.from = m.from % 4 + 1;
    m.count = draw_entries(s, e, m.index, true);
    m.commit = s->was.commit + b / 8 % 8;
    m.kept = s->was.commit;
    step(s, &m);
    drop_entries(e, m.count);
}

/* A witness lends what it holds, to who campaigns. */
static void do_sound_lend(struct story *s)
{
    struct raft_entry e[ENTRIES_MAX];
    uint8_t b = draw(s);
    uint64_t from = b & 4 ? s->was.commit : s->was.last;
    struct raft_message m = {
        .type = RAFT_LEND,
        .from = 1 + b % 4U,
        .to = s->config.self,
        .term = s->was.term + b / 224,
        .index = from,
        .log_term = raft_term_at(s->r, from),
        .entries = e,
    };
    m.count = draw_entries(s, e, m.index, true);
    step(s, &m);
    drop_entries(e, m.count);
}

/* Somebody campaigns, perhaps as the second in a term, perhaps with a log that lags behind. */
static void do_sound_ask(struct story *s)
{
    uint8_t b = draw(s), c = draw(s);
    uint64_t last = b & 4 ? s->was.last : b & 8 ? s->was.first - 1 : b / 16 % 4U;
    uint64_t term = raft_term_at(s->r, last);
    step(s, &(struct raft_message){.type = RAFT_VOTE_ASK,
                                   .from = 1 + b % 4U,
                                   .to = s->config.self,
                                   .term = s->was.term + (c % 2 == 0),
                                   .index = last,
                                   .log_term = term || last == 0 ? term : 1,
                                   .commit = c / 32,
                                   .pre = c & 2,
                                   .force = c & 4});
}

static void do_sound_vote(struct story *s)
{
    bool pre = s->was.role == RAFT_PRECANDIDATE;
    uint8_t b = draw(s);
    step(s, &(struct raft_message){.type = RAFT_VOTE,
                                   .from = 1 + b % 4U,
                                   .to = s->config.self,
                                   .term = s->was.term + pre,
                                   .pre = pre});
}

static void do_sound_answer(struct story *s)
{
    uint8_t b = draw(s);
    uint64_t back = MIN(s->was.last, b / 4 % 4U);
    step(s, &(struct raft_message){.type = RAFT_APPENDED,
                                   .from = 1 + b % 4U,
                                   .to = s->config.self,
                                   .term = s->was.term,
                                   .index = s->was.last - back,
                                   .matched = s->was.last - back / 2,
                                   .read = b >= 128 ? s->read.number : 0});
}

/* --- the story --- */

static void live(struct story *s)
{
    static void (*const what[])(struct story *) = {
        do_ready,        do_ready,      do_ready,      do_persist,      do_persist,
        do_write,        do_persisted,  do_message,    do_message,      do_sound_append,
        do_sound_append, do_sound_vote, do_sound_vote, do_sound_answer, do_sound_answer,
        do_sound_lend,   do_sound_ask,  do_deadline,   do_tick,         do_propose,
        do_applied,      do_change,     do_read,       do_compact,      do_transfer,
        do_restore,      do_crash,
    };
    for (int i = 0; i < STEPS_MAX && s->at < s->len; i++) {
        what[draw(s) % ARRAY_COUNT(what)](s);
        check_view(s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story s = {.byte = data, .len = size};
    uint8_t who = draw(&s), knobs = draw(&s);
    raft_config_default(&s.config, 1 + who % 4U);
    s.config.seed = knobs;
    s.config.first = who >= 240 ? NULL : &configs[who / 4 % CONFIG_COUNT];
    s.config.uncommitted_bytes_max = knobs & 1 ? 20 : 1000;
    s.config.batch_entries_max = knobs & 2 ? 1 : 3;
    s.config.batch_bytes_max = knobs & 4 ? 5 : 100;
    s.config.window_messages = knobs & 8 ? 1 : 3;
    s.config.window_bytes = knobs & 16 ? 5 : 100;
    s.config.join_lag = knobs & 32 ? 0 : 2;
    start(&s);
    live(&s);
    lose_queue(&s);
    platter_cut(&s.platter, 0);
    free(s.platter.entry);
    raft_free(s.r);
    return 0;
}
