#include "sim/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "journal/journal.h"
#include "raft/raft.h"
#include "wire/proto.h"

enum { ID_SIZE = 16, ID_HEX = 33 };

static uint64_t hash_of(struct str data)
{
    return hash_fnv(HASH_FNV_START, data.ptr, data.len);
}

static struct checked_entry *at(struct check *c, uint64_t index)
{
    require(index >= 1 && index <= c->last);
    return &c->entries[index];
}

static void cut_back(struct check *c, uint64_t last)
{
    for (; c->last > last; c->last--) {
        free(at(c, c->last)->data);
        *at(c, c->last) = (struct checked_entry){0};
    }
}

/* --- the log, on its way down --- */

static void keep_entry(struct check *c, const struct log_entry *e)
{
    if (e->index <= c->last) {
        if (e->index <= MAX(c->applied, c->durable))
            sim_fail(c->sim,
                     "entry %" PRIu64 " is written again, though %" PRIu64
                     " is applied and %" PRIu64 " durable",
                     e->index, c->applied, c->durable);
        cut_back(c, e->index - 1);
    }
    if (e->index != c->last + 1) {
        sim_fail(c->sim, "entry %" PRIu64 " follows entry %" PRIu64, e->index, c->last);
        return;
    }
    if (e->index >= c->room) {
        c->room = MAX(2 * c->room, (uint64_t)1024);
        c->entries = mem_grow(c->entries, (size_t)c->room, sizeof *c->entries);
    }
    c->last = e->index;
    *at(c, e->index) = (struct checked_entry){
        .term = e->term,
        .type = e->type,
        .hash = hash_of(e->data),
        .data = mem_dup(e->data.ptr, e->data.len + (e->data.len == 0)),
        .len = e->data.len,
    };
}

static void push_flight(struct check *c, uint64_t token)
{
    if (c->flight_count == c->flight_room) {
        c->flight_room = MAX(2 * c->flight_room, (size_t)16);
        c->flight = mem_grow(c->flight, c->flight_room, sizeof *c->flight);
    }
    c->flight[c->flight_count++] = (struct check_flight){token, c->last, c->hard};
}

/* A run writes too little to fill the queue of a real log: it is full by chance. */
static bool is_full(struct check *c)
{
    return rng_chance(&c->sim->disk, c->sim->faults.log_full);
}

static enum status append(struct log *l, const struct log_hard *hard,
                          const struct log_entry *entries, size_t count, uint64_t token)
{
    struct check *c = CONTAINER_OF(l, struct check, log);
    if (is_full(c))
        return ST_LIMIT;
    enum status s = c->inner->append(c->inner, hard, entries, count, token);
    if (s != ST_OK)
        return s;
    if (hard) {
        if (hard->term < c->hard.term ||
            (hard->term == c->hard.term && c->hard.vote && hard->vote != c->hard.vote))
            sim_fail(c->sim,
                     "term %" PRIu64 " vote %" PRIu32 " after term %" PRIu64 " vote %" PRIu32,
                     hard->term, hard->vote, c->hard.term, c->hard.vote);
        c->hard = *hard;
    }
    for (size_t i = 0; i < count; i++)
        keep_entry(c, &entries[i]);
    push_flight(c, token);
    return ST_OK;
}

static enum status snapshot(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                            struct str chunk, bool last)
{
    struct check *c = CONTAINER_OF(l, struct check, log);
    if (is_full(c))
        return ST_LIMIT;
    enum status s = c->inner->snapshot(c->inner, index, term, offset, chunk, last);
    if (s != ST_OK)
        return s;
    if (index > c->durable || at(c, index)->term != term)
        sim_fail(c->sim, "snapshot of entry %" PRIu64 " in term %" PRIu64 " which is not durable",
                 index, term);
    if (last)
        c->snapshot_given = index;
    return ST_OK;
}

static void compact(struct log *l, uint64_t first_kept)
{
    struct check *c = CONTAINER_OF(l, struct check, log);
    if (first_kept > c->snapshot_durable + 1)
        sim_fail(c->sim, "the log is cut at entry %" PRIu64 ", the snapshot ends at %" PRIu64,
                 first_kept, c->snapshot_durable);
    c->inner->compact(c->inner, first_kept);
}

/* --- and up --- */

static void appended(void *ctx, uint64_t token)
{
    struct check *c = ctx;
    if (c->flight_count == 0 || c->flight[0].token != token) {
        sim_fail(c->sim, "append %" PRIu64 " is called durable out of turn", token);
        return;
    }
    c->durable = MAX(c->durable, c->flight[0].last);
    c->hard_durable = c->flight[0].hard;
    memmove(c->flight, c->flight + 1, --c->flight_count * sizeof *c->flight);
    c->log.events->appended(c->log.events->ctx, token);
}

static void snapshotted(void *ctx, uint64_t index)
{
    struct check *c = ctx;
    if (index != c->snapshot_given)
        sim_fail(c->sim, "snapshot %" PRIu64 " is called durable, %" PRIu64 " was given", index,
                 c->snapshot_given);
    c->snapshot_durable = index;
    c->sim->stats.snapshots++;
    c->log.events->snapshotted(c->log.events->ctx, index);
}

static void failed(void *ctx, const struct fault *why)
{
    struct check *c = ctx;
    c->log.events->failed(c->log.events->ctx, why);
}

struct log *check_log(struct check *c, struct log *inner)
{
    c->inner = inner;
    c->inner->events = &c->events;
    return &c->log;
}

void check_daemon_down(struct check *c)
{
    c->flight_count = 0;
    c->snapshot_given = 0;
    c->inner = NULL;
}

/* --- recovery --- */

static void load_hard(void *ctx, const struct log_hard *hard)
{
    struct check *c = ctx;
    c->load_hard = *hard;
    c->load.hard(c->load.ctx, hard);
}

/* Was this snapshot ever made? */
static void check_snapshot_is(struct check *c, uint64_t index, uint64_t term, const char *where)
{
    if (index > c->applied || at(c, index)->term != term)
        sim_fail(c->sim, "%s: a snapshot of entry %" PRIu64 ", term %" PRIu64 " was never made",
                 where, index, term);
}

/* Is this entry what was written, and does it come after entry `last`? */
static void check_entry_is(struct check *c, const struct log_entry *e, uint64_t last,
                           const char *where)
{
    if (e->index != last + 1) {
        sim_fail(c->sim, "%s: entry %" PRIu64 " comes after %" PRIu64, where, e->index, last);
    } else if (e->index > c->last) {
        sim_fail(c->sim, "%s: entry %" PRIu64 " was never written", where, e->index);
    } else {
        const struct checked_entry *was = at(c, e->index);
        if (was->term != e->term || was->type != e->type || was->hash != hash_of(e->data))
            sim_fail(c->sim, "%s: entry %" PRIu64 " is another", where, e->index);
    }
}

static enum status load_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                                 bool last, struct fault *why)
{
    struct check *c = ctx;
    check_snapshot_is(c, index, term, "recovery");
    c->load_first = index + 1;
    c->load_last = index;
    if (last)
        c->sim->stats.restored++;
    return c->load.snapshot(c->load.ctx, index, term, chunk, last, why);
}

static enum status load_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    struct check *c = ctx;
    check_entry_is(c, e, c->load_last, "recovery");
    c->load_last = e->index;
    return c->load.entry(c->load.ctx, e, why);
}

struct log_load check_loader(struct check *c, struct log_load node)
{
    c->load = node;
    c->load_first = 1;
    c->load_last = 0;
    c->load_hard = (struct log_hard){0};
    return (struct log_load){load_hard, load_snapshot, load_entry, c};
}

/* Is what a log holds at least what was called durable? */
static void check_enough(struct check *c, struct log_hard hard, uint64_t last, const char *where)
{
    if (last < c->durable)
        sim_fail(c->sim, "%s: the log ends at entry %" PRIu64 ", durable was %" PRIu64, where, last,
                 c->durable);
    if (last < c->applied)
        sim_fail(c->sim, "%s: the log ends at entry %" PRIu64 ", applied was %" PRIu64, where, last,
                 c->applied);
    if (hard.term < c->hard_durable.term ||
        (hard.term == c->hard_durable.term && hard.vote != c->hard_durable.vote))
        sim_fail(c->sim,
                 "%s: term %" PRIu64 " vote %" PRIu32 ", durable was term %" PRIu64
                 " vote %" PRIu32,
                 where, hard.term, hard.vote, c->hard_durable.term, c->hard_durable.vote);
}

void check_loaded(struct check *c)
{
    check_enough(c, c->load_hard, c->load_last, "recovery");
    cut_back(c, c->load_last); /* what was lost, nobody was told of */
    c->hard = c->hard_durable = c->load_hard;
    c->durable = c->load_last; /* the log says so, by opening */
    c->snapshot_durable = c->load_first - 1;
}

/* --- what a power cut would leave --- */

struct peek {
    struct check *check;
    struct log_hard hard;
    uint64_t last;
    struct cluster_restore *restore; /* of a snapshot that has begun */
};

static void peek_hard(void *ctx, const struct log_hard *hard)
{
    ((struct peek *)ctx)->hard = *hard;
}

/* Is the state of the snapshot that of the checker at the same entry? */
static enum status peek_restored(struct peek *p, struct fault *why)
{
    struct check *c = p->check;
    struct cluster *state = NULL;
    uint64_t term;
    enum status s = cluster_restore_end(p->restore, &state, &term, why);
    p->restore = NULL;
    if (s != ST_OK)
        return s;
    if (p->last <= c->applied && at(c, p->last)->state_hash != cluster_hash(state))
        sim_fail(c->sim, "platter: the snapshot of entry %" PRIu64 " is another state", p->last);
    cluster_free(state);
    return ST_OK;
}

static enum status peek_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                                 bool last, struct fault *why)
{
    struct peek *p = ctx;
    check_snapshot_is(p->check, index, term, "platter");
    p->last = index;
    if (!p->restore)
        p->restore = cluster_restore_new_limits(&p->check->sim->faults.limits);
    enum status s = cluster_restore_add(p->restore, chunk, why);
    return s == ST_OK && last ? peek_restored(p, why) : s;
}

static enum status peek_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    (void)why;
    struct peek *p = ctx;
    check_entry_is(p->check, e, p->last, "platter");
    p->last = e->index;
    return ST_OK;
}

/* The chance of it is not the run's: what happens next must not depend on who looks. */
void check_platter(struct check *c, const struct sim_disk *d)
{
    struct sim scratch; /* no faults, and no trace */
    sim_init(&scratch, c->sim->seed + c->sim->now_us, false);
    faults_stop(&scratch.faults);
    struct sim_disk copy;
    sim_disk_copy(d, &scratch, &copy);
    sim_disk_power_cut(&copy);
    struct peek p = {.check = c};
    struct log_load load = {peek_hard, peek_snapshot, peek_entry, &p};
    struct journal_config config = {.segment_size = c->sim->faults.segment_bytes};
    struct journal *j = NULL;
    struct fault why;
    if (journal_open(&copy.port, &config, &load, &j, NULL, &why) == ST_OK)
        check_enough(c, p.hard, p.last, "platter");
    else
        sim_fail(c->sim, "platter: %s", why.text);
    journal_close(j);
    cluster_restore_free(p.restore);
    sim_disk_done(&copy);
    sim_done(&scratch);
    c->sim->stats.peeks++;
}

/* --- commands and the state --- */

struct known *check_command(struct check *c, const uint8_t id[16])
{
    char hex[ID_HEX];
    str_hex(id, ID_SIZE, hex);
    struct known *k = map_find(&c->commands, str_from(hex));
    if (k)
        return k;
    k = NEW(struct known);
    (void)map_put(&c->commands, str_from(hex), k);
    return k;
}

/* The command of an entry, and what the checker knows of it. */
static struct known *command_of(struct check *c, const struct checked_entry *e)
{
    ProtobufCMessage *m = NULL;
    if (proto_unpack(&pb__command__descriptor, (struct str){e->data, e->len}, LOG_ENTRY_MAX, &m,
                     NULL) != ST_OK)
        return NULL;
    const Pb__Command *cmd = (const Pb__Command *)(const void *)m;
    struct known *k = cmd->id.len == ID_SIZE ? check_command(c, cmd->id.data) : NULL;
    proto_free(m);
    return k;
}

/* Is the entry this very command? An answer is given in the step that applies its entry, so the
 * entry's bytes are still here: apply_one() comes after the step. */
static bool holds_command(struct check *c, uint64_t index, const struct known *k)
{
    if (index == 0 || index > c->last || at(c, index)->applied)
        return false;
    return at(c, index)->type == RAFT_ENTRY_COMMAND && command_of(c, at(c, index)) == k;
}

void check_answer(struct check *c, struct known *k, const struct apply_result *r)
{
    if (r->index > c->durable)
        sim_fail(c->sim, "a command is answered at entry %" PRIu64 ", durable is %" PRIu64,
                 r->index, c->durable);
    else if (!holds_command(c, r->index, k))
        sim_fail(c->sim, "a command is answered at entry %" PRIu64 ", which is another", r->index);
    if (k->answered && (k->status != r->status || strcmp(k->uid, r->uid) != 0))
        sim_fail(c->sim, "a retry is answered with %s, before it was %s", status_code(r->status),
                 status_code(k->status));
    k->answered = true;
    k->status = r->status;
    memcpy(k->uid, r->uid, sizeof k->uid);
}

void check_end(struct check *c)
{
    MAP_EACH(&c->commands, id, value) {
        const struct known *k = value;
        if (k->answered && !k->index)
            sim_fail(c->sim, "command " STR_FMT " was answered and is not in the state",
                     STR_ARG(id));
    }
}

static void check_result(struct check *c, uint64_t index, struct known *k,
                         const struct apply_result *r, uint64_t objects_before)
{
    if (r->status != ST_OK && cluster_objects_hash(c->state) != objects_before)
        sim_fail(c->sim, "entry %" PRIu64 " is refused (%s) and changes the state", index,
                 r->why.text);
    if (!k)
        return;
    if (k->ours && !k->taken)
        sim_fail(c->sim, "entry %" PRIu64 " is a command that the node refused to take", index);
    /* An id is known at least until as many commands came after it as ids are kept. */
    bool again = k->index && !r->replay;
    if (again && index - k->index <= c->sim->faults.limits.done)
        sim_fail(c->sim, "entry %" PRIu64 " is applied a second time, first at %" PRIu64, index,
                 k->index);
    c->sim->stats.forgotten += again;
    if (!r->replay)
        k->index = index;
    if (!again && k->answered && (k->status != r->status || strcmp(k->uid, r->uid) != 0))
        sim_fail(c->sim, "entry %" PRIu64 " gives %s, its client was told %s", index,
                 status_code(r->status), status_code(k->status));
}

static void apply_one(struct check *c, uint64_t index)
{
    struct checked_entry *e = at(c, index);
    if (e->type == RAFT_ENTRY_COMMAND) {
        struct apply_result r;
        uint64_t before = cluster_objects_hash(c->state);
        struct known *k = command_of(c, e);
        cluster_apply(c->state, index, (struct str){e->data, e->len}, &r);
        check_result(c, index, k, &r, before);
        apply_result_done(&r);
        c->sim->stats.entries++;
    }
    free(e->data);
    e->data = NULL;
    e->applied = true;
    e->state_hash = cluster_hash(c->state);
}

void check_node(struct check *c, struct node *n)
{
    struct node_view v = node_view(n);
    if (v.raft.commit > c->durable)
        sim_fail(c->sim, "entry %" PRIu64 " is committed, durable is %" PRIu64, v.raft.commit,
                 c->durable);
    if (v.raft.applied > v.raft.commit || v.raft.applied > v.raft.persisted)
        sim_fail(c->sim, "applied %" PRIu64 ", committed %" PRIu64 ", persisted %" PRIu64,
                 v.raft.applied, v.raft.commit, v.raft.persisted);
    if (v.raft.applied > c->last || c->sim->failed)
        return;
    while (c->applied < v.raft.applied)
        apply_one(c, ++c->applied);
    if (v.raft.applied > 0 && at(c, v.raft.applied)->state_hash != v.applied_hash)
        sim_fail(c->sim, "the state at entry %" PRIu64 " is not what its log makes it",
                 v.raft.applied);
}

const struct cluster *check_state(const struct check *c)
{
    return c->state;
}

void check_init(struct check *c, struct sim *s)
{
    *c = (struct check){
        .sim = s,
        .log = {.append = append, .snapshot = snapshot, .compact = compact},
        .events = {appended, snapshotted, failed, c},
        .state = cluster_new_limits(&s->faults.limits),
    };
    map_init(&c->commands);
}

void check_done(struct check *c)
{
    cut_back(c, 0);
    free(c->entries);
    free(c->flight);
    MAP_EACH(&c->commands, id, value)
        free(value);
    map_done(&c->commands);
    cluster_free(c->state);
}
