#include "sim/options.h"

#include <string.h>

#include "sim/lists.h"

enum { STEPS = 200, FAULT_MS = 25000, FAULT_MS_MAX = 24 * 3600 * 1000 };

typedef enum status take_fn(struct options *o, const char *value, struct fault *why);

static enum status number(const char *value, uint64_t min, uint64_t max, uint64_t *ret,
                          struct fault *why)
{
    return str_u64(str_from(value), min, max, ret, why);
}

static enum status small(const char *value, uint32_t max, uint32_t *ret, struct fault *why)
{
    uint64_t n = 0;
    enum status s = number(value, 1, max, &n, why);
    if (s == ST_OK)
        *ret = (uint32_t)n;
    return s;
}

/* --- one function for each flag --- */

static enum status take_seed(struct options *o, const char *value, struct fault *why)
{
    o->count = 1;
    return number(value, 0, UINT64_MAX - 1, &o->first, why);
}

static enum status take_seeds(struct options *o, const char *value, struct fault *why)
{
    return number(value, 0, UINT32_MAX, &o->count, why);
}

static enum status take_first(struct options *o, const char *value, struct fault *why)
{
    return number(value, 0, UINT64_MAX - UINT32_MAX, &o->first, why);
}

static enum status take_profile(struct options *o, const char *value, struct fault *why)
{
    o->group = group_profile_find(value, &o->many.profile);
    o->nodes = strcmp(value, "nodes") == 0;
    if (!o->group && !o->nodes && strcmp(value, "one-node") != 0)
        return fault_set(why, ST_INVALID, "no profile is called \"%s\"", value);
    return ST_OK;
}

static enum status take_steps(struct options *o, const char *value, struct fault *why)
{
    return number(value, 0, UINT32_MAX, &o->steps, why);
}

static enum status take_help(struct options *o, UNUSED const char *value, UNUSED struct fault *why)
{
    o->help = true;
    return ST_OK;
}

static enum status take_trace(struct options *o, UNUSED const char *value, UNUSED struct fault *why)
{
    o->trace = true;
    return ST_OK;
}

static enum status take_hashes(struct options *o, UNUSED const char *value,
                               UNUSED struct fault *why)
{
    o->hashes = true;
    return ST_OK;
}

static enum status take_without(struct options *o, const char *value, struct fault *why)
{
    return group_faults_parse(str_from(value), &o->many.without, why);
}

static enum status take_members(struct options *o, const char *value, struct fault *why)
{
    return small(value, NET_MEMBERS_MAX - 1, &o->many.members, why);
}

static enum status take_clients(struct options *o, const char *value, struct fault *why)
{
    return small(value, LISTS_CLIENTS_MAX, &o->many.clients, why);
}

static enum status take_fault_ms(struct options *o, const char *value, struct fault *why)
{
    return number(value, 0, FAULT_MS_MAX, &o->many.fault_ms, why);
}

static enum status take_shrink(struct options *o, UNUSED const char *value,
                               UNUSED struct fault *why)
{
    o->shrink = true;
    return ST_OK;
}

static enum status take_timeline(struct options *o, const char *value, UNUSED struct fault *why)
{
    o->timeline = value;
    return ST_OK;
}

enum { ALONE = 1, OF_GROUP = 2 }; /* takes no value; says something of a group */

static const struct flag {
    const char *name, *value;
    unsigned is;
    take_fn *take;
    const char *text;
} flags[] = {
    {"--seed", "N", 0, take_seed, "one seed"},
    {"--seeds", "N", 0, take_seeds, "so many seeds, from 1 or from --first"},
    {"--first", "N", 0, take_first, "the first of them"},
    {"--profile", "P", 0, take_profile,
     "one-node: a machine, its disk, its VMs, its users; nodes: some of them, one cluster;\n"
     "                   or a group of consensus cores:\n"
     "                   quick, swarm, membership, witness, byzantine, scale, disk"},
    {"--steps", "N", 0, take_steps, "ask at least so many commands of each seed (200)"},
    {"--trace", "", ALONE, take_trace, "print every event"},
    {"--hashes", "", ALONE, take_hashes, "print the trace hash of each seed"},
    {"--without", "A,B", OF_GROUP, take_without, "turn these faults off, whatever the seed says"},
    {"--members", "N", OF_GROUP, take_members, "begin with so many members"},
    {"--clients", "N", OF_GROUP, take_clients, "so many clients, up to 8"},
    {"--fault-ms", "N", OF_GROUP, take_fault_ms,
     "things go wrong for so long, in virtual time (25000)"},
    {"--shrink", "", ALONE | OF_GROUP, take_shrink,
     "when a seed fails, look for a smaller run that fails alike (for the first three)"},
    {"--timeline", "F", OF_GROUP, take_timeline,
     "draw the run of the one seed as SVG; with --shrink, the smaller one if it fails"},
    {"--help", "", ALONE, take_help, "this"},
};

static const struct flag *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        if (strcmp(flags[i].name, name) == 0)
            return &flags[i];
    return NULL;
}

enum status options_parse(int argc, char **argv, struct options *ret, struct fault *why)
{
    const char *of_group = NULL;
    *ret = (struct options){.first = 1, .count = 1, .steps = STEPS, .many = {.fault_ms = FAULT_MS}};
    one_node_defaults(&ret->one);
    nodes_defaults(&ret->many_nodes);
    for (int i = 1; i < argc; i++) {
        const struct flag *f = find(argv[i]);
        if (!f)
            return fault_set(why, ST_INVALID, "no flag is called %s", argv[i]);
        if (!(f->is & ALONE) && ++i == argc)
            return fault_set(why, ST_INVALID, "%s needs a value", f->name);
        enum status s = f->take(ret, argv[i], why);
        if (s != ST_OK)
            return fault_wrap(why, s, "%s %s", f->name, argv[i]);
        if (f->is & OF_GROUP)
            of_group = f->name;
    }
    if (of_group && !ret->group)
        return fault_set(why, ST_INVALID, "%s is for a group: give its --profile too", of_group);
    if (ret->timeline && ret->count != 1)
        return fault_set(why, ST_INVALID, "--timeline is for one seed");
    ret->one.commands_min = ret->many.commands_min = ret->steps;
    ret->many_nodes.commands_min = ret->steps;
    return ST_OK;
}

void options_usage(struct buf *out)
{
    buf_text(out, "usage: blixard-sim [FLAG...]\n\n"
                  "Runs the real node, or a group of real consensus cores, on simulated machines. "
                  "The same seed gives the same run.\n\n");
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        buf_fmt(out, "  %-10s %-5s %s\n", flags[i].name, flags[i].value, flags[i].text);
    buf_text(out, "\nThe faults of a group; each seed has some of them, with rates of its own:\n");
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++)
        buf_fmt(out, "  %-11s %s\n", group_fault_name(i), group_fault_text(i));
    buf_text(out, "\nExamples:\n"
                  "  blixard-sim --profile swarm --seeds 1000\n"
                  "  blixard-sim --profile swarm --seeds 1000 --shrink\n"
                  "  blixard-sim --profile swarm --seed 17 --without crash,split --clients 1 "
                  "--fault-ms 4000 --trace\n"
                  "  blixard-sim --profile swarm --seed 17 --shrink --timeline run.svg\n");
}

const char *options_profile(const struct options *o)
{
    if (o->group)
        return group_profile_name(o->many.profile);
    return o->nodes ? "nodes" : "one-node";
}

void options_replay(const struct options *o, uint64_t seed, const struct group_options *many,
                    struct buf *out)
{
    uint64_t steps = o->group ? many->commands_min : o->steps;
    buf_fmt(out, "blixard-sim --profile %s --seed %" PRIu64, options_profile(o), seed);
    if (o->group && many->without) {
        buf_text(out, " --without ");
        group_faults_names(many->without, out);
    }
    if (o->group && many->members)
        buf_fmt(out, " --members %u", many->members);
    if (o->group && many->clients)
        buf_fmt(out, " --clients %u", many->clients);
    if (steps != STEPS)
        buf_fmt(out, " --steps %" PRIu64, steps);
    if (o->group && many->fault_ms != FAULT_MS)
        buf_fmt(out, " --fault-ms %" PRIu64, many->fault_ms);
    buf_text(out, " --trace");
}
