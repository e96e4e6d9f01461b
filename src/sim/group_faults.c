#include "sim/group_faults.h"

#include <string.h>

#include "sim/lists.h"

static void choose_net(struct net_faults *n, struct rng *r)
{
    n->loss = faults_maybe(r, 1, rng_chance(r, 300) ? 500 : 50);
    n->twice = faults_maybe(r, 1, 100);
    n->late = faults_maybe(r, 1, 100);
    n->us_min = faults_pick(r, 20, 500);
    n->us_max = n->us_min + faults_pick(r, 0, 20000);
    n->late_ms = faults_pick(r, 10, 2000);
    n->in_order = rng_chance(r, 500);
}

static void choose_sizes(struct group_faults *f, struct rng *r)
{
    f->disk_us = faults_pick(r, 50, 5000);
    f->slow_disk = faults_maybe(r, 5, 100);
    f->slow_disk_ms = faults_pick(r, 10, 2000);
    f->batch_max = faults_maybe(r, 1, 3);
    bool clocks = rng_chance(r, 300);
    f->clock_min = clocks ? 500 : 1000;
    f->clock_max = clocks ? 2000 : 1000;
    f->snapshot_entries = rng_chance(r, 300) ? faults_pick(r, 2, 10) : faults_pick(r, 20, 300);
    f->trailing_entries = faults_pick(r, 0, f->snapshot_entries);
    f->batch_entries = rng_chance(r, 300) ? faults_pick(r, 1, 3) : faults_pick(r, 10, 100);
    f->batch_bytes = rng_chance(r, 300) ? faults_pick(r, 1, 100) : 1 << 20;
    f->window_bytes = GROUP_WINDOW_BYTES;
    f->uncommitted_bytes = GROUP_UNCOMMITTED_BYTES;
    f->window_messages = rng_chance(r, 300) ? 1 : faults_pick(r, 2, 64);
    f->election_ms = faults_pick(r, 150, 400);
    f->heartbeat_ms = faults_pick(r, 20, f->election_ms / 3);
    f->clients = faults_pick(r, 1, LISTS_CLIENTS_MAX);
    f->think_ms = faults_pick(r, 20, 60) * f->clients;
    f->padding = faults_maybe(r, 1, 2000);
}

/* Many disks are at work at once, so that less goes wrong with each than under one node. */
static void choose_disk(struct group_faults *f, struct rng *r)
{
    f->write_error = faults_maybe(r, 1, 3);
    f->sync_error = faults_maybe(r, 1, 3);
    f->read_error = faults_maybe(r, 1, 20);
    f->crash_at_op_every = faults_maybe(r, 50, 2000);
}

void group_faults_choose(struct group_faults *f, enum group_profile p, struct rng *r)
{
    *f = (struct group_faults){.voters = faults_pick(r, 1, 3) * 2 + 1, .members_max = 7};
    f->crash_every_ms = faults_maybe(r, 200, 8000);
    f->crash_all_every_ms = faults_maybe(r, 4000, 20000);
    f->pause_every_ms = faults_maybe(r, 500, 8000);
    f->split_every_ms = faults_maybe(r, 300, 6000);
    f->transfer_every_ms = faults_maybe(r, 200, 5000);
    f->disk_dies_every_ms = faults_maybe(r, 2000, 20000);
    f->restart_ms = faults_pick(r, 1, 4000);
    f->pause_ms = faults_pick(r, 50, 3000);
    f->split_ms = faults_pick(r, 50, 4000);
    choose_net(&f->net, r);
    choose_sizes(f, r);
    if (p == GROUP_SWARM && rng_chance(r, 100))
        f->voters = faults_pick(r, 1, 2);
    if (p == GROUP_MEMBERSHIP) {
        f->voters = faults_pick(r, 1, 5);
        f->change_every_ms = faults_pick(r, 200, 3000);
        f->members_max = NET_MEMBERS_MAX - 1;
    }
    if (p == GROUP_WITNESS) {
        f->voters = rng_chance(r, 700) ? 3 : 5;
        f->witnesses = f->voters / 2;
    }
    if (p == GROUP_BYZANTINE)
        f->bad_every_ms = faults_pick(r, 5, 100);
    if (p == GROUP_SCALE) {
        f->voters = 5;
        f->members_max = 50;
    }
    if (p == GROUP_DISK) {
        f->no_space_every_ms = faults_maybe(r, 1000, 10000);
        f->change_every_ms = faults_maybe(r, 500, 5000);
        f->members_max = NET_MEMBERS_MAX - 1;
        choose_disk(f, r);
    }
    if (p == GROUP_QUICK)
        f->voters = 3;
}

void group_faults_choose_more(struct group_faults *f, enum group_profile p, struct rng *r)
{
    if (rng_chance(r, 500))
        return;
    f->flap_every_ms = faults_maybe(r, 1000, 10000);
    f->slow_link_every_ms = faults_maybe(r, 500, 8000);
    f->reset_every_ms = faults_maybe(r, 50, 3000);
    f->clock_every_ms = faults_maybe(r, 500, 8000);
    f->net.stale = faults_maybe(r, 1, 50);
    f->crash_in_install = faults_maybe(r, 100, 700);
    uint32_t lose = faults_maybe(r, 2000, 15000), lie = faults_maybe(r, 1000, 10000);
    uint32_t damage = faults_maybe(r, 20, 300);
    if (p == GROUP_MEMBERSHIP || p == GROUP_DISK)
        f->lose_every_ms = lose;
    if (p == GROUP_DISK) {
        f->lie_every_ms = lie;
        f->damage = damage;
    }
    f->huge = faults_maybe(r, 1, 20);
    f->alike = faults_maybe(r, 1, 1);
    bool flow = rng_chance(r, 500);
    uint32_t window = faults_pick(r, 1, 5000), uncommitted = faults_pick(r, 1, 20000);
    if (flow) {
        f->window_bytes = window;
        f->uncommitted_bytes = uncommitted;
    }
}

#define BIT(i) (UINT64_C(1) << (i))

static const char *const names[GROUP_FAULT_COUNT] = {
#define X(id, name, ends, how, text) name,
    GROUP_FAULTS_TABLE(X)
#undef X
};

const char *group_fault_name(enum group_fault i)
{
    return names[i];
}

const char *group_fault_text(enum group_fault i)
{
    static const char *const texts[GROUP_FAULT_COUNT] = {
#define X(id, name, ends, how, text) text,
        GROUP_FAULTS_TABLE(X)
#undef X
    };
    return texts[i];
}

void group_faults_off(struct group_faults *f, uint64_t set)
{
#define X(id, name, ends, how, text)   \
    if (set & BIT(GROUP_FAULT_##id)) { \
        how;                           \
    }
    GROUP_FAULTS_TABLE(X)
#undef X
}

uint64_t group_faults_on(const struct group_faults *f)
{
    uint64_t on = 0;
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++) {
        struct group_faults without = *f;
        group_faults_off(&without, BIT(i));
        if (memcmp(&without, f, sizeof without) != 0)
            on |= BIT(i);
    }
    return on;
}

enum status group_faults_parse(struct str list, uint64_t *ret, struct fault *why)
{
    uint64_t set = 0;
    struct str name;
    for (bool more = true; more;) {
        more = str_cut(&list, ',', &name);
        unsigned i = 0;
        while (i < GROUP_FAULT_COUNT && !str_is(name, names[i]))
            i++;
        if (i == GROUP_FAULT_COUNT) {
            const char *near = str_nearest(name, names, GROUP_FAULT_COUNT);
            return fault_set(why, ST_INVALID, "no fault is called \"" STR_FMT "\"%s%s%s",
                             STR_ARG(name), near ? ", did you mean " : "", near ? near : "",
                             near ? "?" : "");
        }
        set |= BIT(i);
    }
    *ret = set;
    return ST_OK;
}

void group_faults_names(uint64_t set, struct buf *out)
{
    const char *before = "";
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++)
        if (set & BIT(i)) {
            buf_fmt(out, "%s%s", before, names[i]);
            before = ",";
        }
}

void group_faults_stop(struct group_faults *f)
{
    uint64_t set = 0;
#define X(id, name, ends, how, text) set |= (ends) ? BIT(GROUP_FAULT_##id) : 0;
    GROUP_FAULTS_TABLE(X)
#undef X
    group_faults_off(f, set);
}
