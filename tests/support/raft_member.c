#include "support/raft_member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/units.h"
#include "journal/journal_thread.h"
#include "os/clock_os.h"
#include "os/disk_os.h"
#include "raft/codec.h"
#include "support/bench.h"
#include "wire/cursor.h"

enum {
    READ_SIZE = 256 << 10,
    /* A message that finds no room is dropped, as a network would. */
    OUT_MAX = 16 << 20,
    FRAME_HEAD = 5, /* u32 length of what follows the kind, u8 kind */
    SNAPSHOT_MAX = RAFT_MEMBERS_BYTES_MAX + 64,
    /* As of node/snapshot.c: so much of the log at most stays behind a snapshot, in bytes. */
    TRAIL_BYTES = 4 << 20,
};
enum frame_kind { FRAME_MESSAGE, FRAME_SNAPSHOT };

struct peer {
    struct member *member;
    uint32_t number;
    int fd;
    struct loop_source *source;
    struct buf in, out;
    size_t sent; /* of out */
    bool wants_out;
};

struct state {
    uint64_t commands;
    uint32_t checksum;
};

struct snapshot {
    uint64_t index, term;
    size_t len;
    char bytes[SNAPSHOT_MAX];
};

struct member {
    const struct member_config *config;
    struct loop *loop;
    struct loop_source *control, *post, *timer;
    uint64_t armed_ms; /* when the timer comes; UINT64_MAX: never */
    struct disk *disk;
    struct journal_thread *journal;
    struct log *log;
    struct raft *raft;
    struct peer peer[MEMBER_COUNT + 1];
    struct state state;
    uint64_t state_term; /* of the last entry in it */

    struct snapshot durable, coming; /* coming is the own or a peer's, on its way to the disk */
    bool saving, installing;

    struct member_order order;
    bool ordered;
    uint64_t term; /* of the run */
    uint64_t from_ns, outstanding, proposed, done;
    bool over; /* for_ms has passed */
    struct member_report report;
};

/* --- frames --- */

/* The place of a frame's length, for end_frame(). */
static size_t begin_frame(struct buf *b, enum frame_kind kind)
{
    size_t at = b->len;
    cursor_put_u32(b, 0);
    cursor_put_u8(b, (uint8_t)kind);
    return at;
}

static void end_frame(struct buf *b, size_t at)
{
    cursor_store_u32(b->ptr + at, (uint32_t)(b->len - at - FRAME_HEAD));
}

static void send_snapshot(struct member *m, struct peer *p)
{
    const struct snapshot *s = &m->durable;
    if (s->index == 0 || p->out.max - p->out.len < FRAME_HEAD + 16 + s->len)
        return;
    size_t at = begin_frame(&p->out, FRAME_SNAPSHOT);
    cursor_put_u64(&p->out, s->index);
    cursor_put_u64(&p->out, s->term);
    buf_add(&p->out, s->bytes, s->len);
    end_frame(&p->out, at);
}

static void send_message(struct member *m, const struct raft_message *message)
{
    struct peer *p = &m->peer[message->to];
    struct fault why;
    if (p->out.max - p->out.len < RAFT_MESSAGE_BYTES_MAX + FRAME_HEAD)
        return;
    size_t at = begin_frame(&p->out, FRAME_MESSAGE);
    bench_check(raft_message_encode(message, &p->out, &why), &why);
    end_frame(&p->out, at);
    m->report.messages++;
    if (message->type == RAFT_OFFER)
        send_snapshot(m, p);
}

static void peer_want(struct peer *p)
{
    loop_io_want(p->source, (p->member->installing ? 0 : EPOLLIN) | (p->wants_out ? EPOLLOUT : 0));
}

static void flush(struct peer *p)
{
    if (p->sent == p->out.len)
        return;
    ssize_t n =
        send(p->fd, p->out.ptr + p->sent, p->out.len - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        exit(1); /* the others end, and so does the benchmark */
    p->sent += n > 0 ? (size_t)n : 0;
    bool rest = p->sent < p->out.len;
    if (!rest || p->sent > OUT_MAX / 2) {
        buf_eat(&p->out, p->sent);
        p->sent = 0;
    }
    if (rest == p->wants_out)
        return;
    p->wants_out = rest;
    peer_want(p);
}

/* --- snapshots --- */

static void pack(struct member *m, struct snapshot *s)
{
    AUTO(buf_done) struct buf b, members;
    buf_init(&b, SNAPSHOT_MAX);
    buf_init(&members, RAFT_MEMBERS_BYTES_MAX);
    raft_members_encode(raft_members_at(m->raft, s->index), &members);
    cursor_put_sized(&b, buf_view(&members));
    cursor_put_u64(&b, m->state.commands);
    cursor_put_u32(&b, m->state.checksum);
    ensure(!b.full);
    s->len = b.len;
    memcpy(s->bytes, b.ptr, b.len);
}

static void unpack(const struct snapshot *s, struct raft_members *ret_members, struct state *ret)
{
    struct cursor c;
    struct fault why;
    cursor_init(&c, (struct str){s->bytes, s->len});
    struct str members = cursor_sized(&c, RAFT_MEMBERS_BYTES_MAX);
    ret->commands = cursor_u64(&c);
    ret->checksum = cursor_u32(&c);
    bench_check(cursor_end(&c, ST_INVALID, &why), &why);
    bench_check(raft_members_decode(members, ret_members, &why), &why);
}

/* To the disk. false: not now, the next one will do. */
static bool save(struct member *m)
{
    const struct snapshot *s = &m->coming;
    enum status st =
        m->log->snapshot(m->log, s->index, s->term, 0, (struct str){s->bytes, s->len}, true);
    ensure(st == ST_OK || st == ST_LIMIT);
    return st == ST_OK;
}

/* The state is smaller than any log: how many entries there are decides. */
static void snapshot_step(struct member *m)
{
    uint64_t index = raft_view(m->raft).applied;
    if (m->saving || m->installing || index < m->durable.index + m->config->snapshot_entries)
        return;
    m->coming.index = index;
    m->coming.term = m->state_term;
    pack(m, &m->coming);
    m->saving = save(m);
}

static void on_snapshot(struct member *m, struct str bytes)
{
    struct cursor c;
    struct snapshot s;
    cursor_init(&c, bytes);
    s.index = cursor_u64(&c);
    s.term = cursor_u64(&c);
    struct str rest = cursor_rest(&c);
    s.len = rest.len;
    require(cursor_ok(&c) && s.len <= sizeof s.bytes);
    if (m->saving || m->installing || !raft_may_restore(m->raft, s.index, s.term))
        return; /* it is offered again */
    memcpy(s.bytes, rest.ptr, s.len);
    m->coming = s;
    m->installing = save(m);
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        if (m->peer[i].source)
            peer_want(&m->peer[i]);
}

/* --- what comes from peers --- */

static void on_message(struct member *m, struct str bytes)
{
    AUTO(raft_decoded_done) struct raft_decoded d = {0};
    struct fault why;
    bench_check(raft_message_decode(bytes, &d, &why), &why);
    bench_check(raft_step(m->raft, &d.message, &why), &why);
}

static void take_frames(struct peer *p)
{
    struct member *m = p->member;
    size_t at = 0;
    while (!m->installing && p->in.len - at >= FRAME_HEAD) {
        size_t len = cursor_load_u32(p->in.ptr + at);
        uint8_t kind = (uint8_t)p->in.ptr[at + 4];
        require(len <= RAFT_MESSAGE_BYTES_MAX);
        if (p->in.len - at < FRAME_HEAD + len)
            break;
        struct str body = {p->in.ptr + at + FRAME_HEAD, len};
        at += FRAME_HEAD + len;
        if (kind == FRAME_MESSAGE)
            on_message(m, body);
        else
            on_snapshot(m, body);
    }
    buf_eat(&p->in, at);
}

static void on_peer(void *ctx, uint32_t events)
{
    struct peer *p = ctx;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || p->member->installing)
        return; /* drive() comes after it, and sends */
    raft_tick(p->member->raft, clock_os_now_ms());
    char *to = buf_space(&p->in, READ_SIZE);
    ensure(to != NULL);
    ssize_t n = recv(p->fd, to, READ_SIZE, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        exit(1);
    if (n < 0)
        return;
    buf_wrote(&p->in, (size_t)n);
    take_frames(p);
}

/* --- what the log tells --- */

static void on_appended(void *ctx, uint64_t token)
{
    struct member *m = ctx;
    raft_persisted(m->raft, token);
}

static void on_snapshotted(void *ctx, uint64_t index)
{
    struct member *m = ctx;
    require(index == m->coming.index);
    m->durable = m->coming;
    if (m->saving) {
        m->saving = false;
        uint64_t first = raft_keep_from(m->raft, index, m->config->trailing_entries, TRAIL_BYTES);
        raft_compact(m->raft, index, first);
        m->log->compact(m->log, first);
        m->report.snapshots++;
        return;
    }
    struct raft_members members;
    unpack(&m->durable, &members, &m->state);
    m->state_term = m->durable.term;
    m->installing = false;
    raft_restore(m->raft, &(struct raft_snapshot){index, m->durable.term, &members});
    m->report.restores++;
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        if (m->peer[i].source) {
            take_frames(&m->peer[i]);
            peer_want(&m->peer[i]);
        }
}

static void on_failed(void *ctx, const struct fault *why)
{
    (void)ctx;
    bench_check(why->status, why);
}

/* --- the client --- */

static bool leads(const struct member *m)
{
    struct raft_view v = raft_view(m->raft);
    return v.role == RAFT_LEADER && v.term == m->term;
}

static void propose(struct member *m)
{
    static char bytes[MEMBER_COMMAND_BYTES];
    uint64_t index, term;
    struct fault why;
    cursor_store_u64(bytes, ++m->proposed);
    struct raft_data *data = raft_data_new(bytes, sizeof bytes);
    bench_check(raft_propose(m->raft, data, &index, &term, &why), &why);
    m->outstanding++;
}

static void answer(struct member *m)
{
    struct raft_view v = raft_view(m->raft);
    struct member_report *r = &m->report;
    r->leads = v.role == RAFT_LEADER && (m->order.kind != MEMBER_RUN || v.term == m->term);
    r->applied = v.applied;
    r->commands = m->state.commands;
    r->checksum = m->state.checksum;
    r->syncs = journal_thread_view(m->journal).syncs;
    r->elections = v.elections;
    m->ordered = false;
    if (send(m->config->control_fd, r, sizeof *r, MSG_NOSIGNAL) != (ssize_t)sizeof *r)
        exit(1);
}

/* What was answered makes room for others; when the time is over, what is under way is only waited for. */
static void run_step(struct member *m)
{
    uint64_t took_ns = clock_os_ns(CLOCK_MONOTONIC) - m->from_ns;
    if (!m->over && took_ns >= m->order.for_ms * UNITS_NS_PER_MS) {
        m->over = true;
        m->report.count = m->done;
        m->report.took_ns = took_ns;
    }
    if (!leads(m) || (m->over && m->outstanding == 0)) {
        answer(m);
        return;
    }
    while (!m->over && m->outstanding < m->order.outstanding)
        propose(m);
}

static void order_step(struct member *m)
{
    if (m->installing || !m->ordered)
        return;
    if (m->order.kind == MEMBER_RUN)
        run_step(m);
    else if (m->order.kind == MEMBER_LOOK || raft_view(m->raft).applied >= m->order.index)
        answer(m);
}

static void on_control(void *ctx, uint32_t events)
{
    struct member *m = ctx;
    (void)events;
    ssize_t n = recv(m->config->control_fd, &m->order, sizeof m->order, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n != (ssize_t)sizeof m->order)
        exit(0);
    m->ordered = true;
    m->over = false;
    m->term = raft_view(m->raft).term;
    m->outstanding = m->done = 0;
    m->from_ns = clock_os_ns(CLOCK_MONOTONIC);
}

/* --- what is ready --- */

static void append(struct member *m, const struct raft_ready *rd)
{
    static struct log_entry entry[RAFT_MESSAGE_ENTRIES_MAX];
    struct fault why = {.text = "the journal's queue is full"};
    struct log_hard hard = {rd->hard.term, rd->hard.vote};
    require(rd->append_count <= ARRAY_COUNT(entry));
    for (size_t i = 0; i < rd->append_count; i++) {
        const struct raft_entry *e = &rd->append[i];
        entry[i] = (struct log_entry){
            .index = e->index,
            .term = e->term,
            .type = (uint32_t)e->type,
            .data = {e->data ? e->data->bytes : "", e->data ? e->data->len : 0},
        };
    }
    bench_check(
        m->log->append(m->log, rd->hard_changed ? &hard : NULL, entry, rd->append_count, rd->token),
        &why);
}

static void apply(struct member *m, const struct raft_entry *e)
{
    m->state_term = e->term;
    if (e->type != RAFT_ENTRY_COMMAND)
        return;
    m->state.checksum = hash_crc32c(m->state.checksum, e->data->bytes, e->data->len);
    m->state.commands++;
    if (m->ordered && m->order.kind == MEMBER_RUN && e->term == m->term && m->outstanding > 0) {
        m->outstanding--;
        m->done++;
    }
}

static bool work(struct member *m)
{
    struct raft_ready rd;
    order_step(m);
    if (m->installing || !raft_ready(m->raft, &rd))
        return false;
    if (rd.token)
        append(m, &rd);
    for (size_t i = 0; i < rd.message_count; i++)
        send_message(m, &rd.messages[i]);
    for (size_t i = 0; i < rd.apply_count; i++)
        apply(m, &rd.apply[i]);
    if (rd.apply_count)
        raft_applied(m->raft, rd.apply[rd.apply_count - 1].index);
    return true;
}

/* A follower's deadline moves with every message: the timer is set anew only to come earlier. */
static void arm(struct member *m)
{
    uint64_t at = m->installing ? UINT64_MAX : raft_deadline_ms(m->raft);
    if (at >= m->armed_ms)
        return;
    m->armed_ms = at;
    loop_timer_at(m->timer, at);
}

static void on_timer(void *ctx)
{
    struct member *m = ctx;
    m->armed_ms = UINT64_MAX;
}

/* After every event: all that it led to, and one send to each peer. */
static void drive(void *ctx)
{
    struct member *m = ctx;
    if (!m->installing)
        raft_tick(m->raft, clock_os_now_ms());
    while (work(m))
        ;
    snapshot_step(m);
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        if (m->peer[i].source)
            flush(&m->peer[i]);
    arm(m);
}

/* --- life --- */

static void no_hard(void *ctx, const struct log_hard *h)
{
    (void)ctx, (void)h;
}

static void open_journal(struct member *m)
{
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_DEFAULT};
    struct log_load load = {.hard = no_hard}; /* the directory is empty */
    static struct log_events events;
    struct fault why;
    events = (struct log_events){on_appended, on_snapshotted, on_failed, m};
    c.new_id[0] = (uint8_t)m->config->self;
    bench_check(disk_os_open(m->config->dir, &m->disk, &why), &why);
    bench_check(journal_thread_open(m->loop, m->disk, &c, &load, NULL, &m->journal, NULL, &why),
                &why);
    m->log = journal_thread_log(m->journal);
    m->log->events = &events;
}

static void open_raft(struct member *m)
{
    static const struct raft_members all = {
        .count = MEMBER_COUNT, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES}}};
    const struct raft_snapshot none = {0};
    const struct raft_hard hard = {0};
    struct raft_config c;
    struct fault why;
    raft_config_default(&c, m->config->self);
    c.first = &all;
    c.seed = m->config->self;
    bench_check(raft_new(&c, clock_os_now_ms(), &hard, &none, NULL, 0, &m->raft, &why), &why);
}

static void open_peer(struct member *m, uint32_t number)
{
    struct peer *p = &m->peer[number];
    struct fault why;
    *p = (struct peer){.member = m, .number = number, .fd = m->config->peer_fd[number]};
    buf_init(&p->in, READ_SIZE + FRAME_HEAD + RAFT_MESSAGE_BYTES_MAX);
    buf_init(&p->out, OUT_MAX);
    bench_check(loop_io_open(m->loop, p->fd, EPOLLIN, on_peer, p, &p->source, &why), &why);
}

_Noreturn void member_run(const struct member_config *c)
{
    static struct member m;
    struct fault why;
    require(c->self >= 1 && c->self <= MEMBER_COUNT);
    m.config = c;
    m.armed_ms = UINT64_MAX;
    bench_check(loop_open(&m.loop, &why), &why);
    open_journal(&m);
    open_raft(&m);
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        if (i != c->self)
            open_peer(&m, i);
    bench_check(loop_io_open(m.loop, c->control_fd, EPOLLIN, on_control, &m, &m.control, &why),
                &why);
    bench_check(loop_timer_open(m.loop, LOOP_MONOTONIC, 0, on_timer, &m, &m.timer, &why), &why);
    bench_check(loop_post_open(m.loop, drive, &m, &m.post, &why), &why);
    arm(&m);
    bench_check(loop_run(m.loop, &why), &why);
    exit(0);
}
