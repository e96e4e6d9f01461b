/*
 * blixard-sim: run seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/group.h"
#include "sim/one_node.h"

struct options {
    uint64_t first, count;
    bool trace, hashes;
    bool group; /* not the profile of one node */
    struct one_node_options one;
    struct group_options many;
    uint64_t steps;
};

static const char usage[] =
    "usage: blixard-sim [--seed N | --seeds N [--first K]] [--profile P] [--steps N]\n"
    "                   [--trace] [--hashes]\n"
    "\n"
    "Runs the real node on a simulated machine. The same seed gives the same run.\n"
    "  --seed N      one seed\n"
    "  --seeds N     so many seeds, from 1 or from --first\n"
    "  --profile P   one-node: a machine, its disk, its VMs, its users; or a group of consensus cores:\n"
    "                quick, swarm, membership, byzantine, scale, disk\n"
    "  --steps N     ask at least so many commands of each seed (200)\n"
    "  --trace       print every event\n"
    "  --hashes      print the trace hash of each seed\n";

static bool number(const char *text, uint64_t *ret)
{
    return text && str_u64(str_from(text), 0, UINT64_MAX, ret, NULL) == ST_OK;
}

static bool profile(struct options *o, const char *name)
{
    o->group = name && group_profile_find(name, &o->many.profile);
    return o->group || (name && strcmp(name, "one-node") == 0);
}

static const char *profile_of(const struct options *o)
{
    return o->group ? group_profile_name(o->many.profile) : "one-node";
}

static void run(struct options *o, struct sim *s)
{
    o->one.commands_min = o->many.commands_min = o->steps;
    o->many.fault_ms = 25000;
    if (o->group)
        group_run(s, &o->many);
    else
        one_node_run(s, &o->one);
}

/* 0 to go on, else the exit code. */
static int parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.first = 1, .count = 1, .steps = 200};
    one_node_defaults(&o->one);
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool good = true;
        if (strcmp(flag, "--help") == 0) {
            (void)fputs(usage, stdout);
            exit(0);
        }
        if (strcmp(flag, "--trace") == 0) {
            o->trace = true;
            continue;
        }
        if (strcmp(flag, "--hashes") == 0) {
            o->hashes = true;
            continue;
        }
        i++;
        if (strcmp(flag, "--seed") == 0)
            good = number(value, &o->first), o->count = 1;
        else if (strcmp(flag, "--seeds") == 0)
            good = number(value, &o->count);
        else if (strcmp(flag, "--first") == 0)
            good = number(value, &o->first);
        else if (strcmp(flag, "--steps") == 0)
            good = number(value, &o->steps);
        else if (strcmp(flag, "--profile") == 0)
            good = profile(o, value);
        else
            good = false;
        if (!good) {
            (void)fprintf(stderr, "error: %s %s\n%s", flag, value ? value : "", usage);
            return 2;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o;
    int code = parse(argc, argv, &o);
    if (code)
        return code;
    static struct stats sum;
    uint64_t failed = 0;
    for (uint64_t seed = o.first; seed < o.first + o.count; seed++) {
        static struct sim s;
        sim_init(&s, seed, o.trace);
        run(&o, &s);
        if (s.failed) {
            failed++;
            (void)printf("seed %" PRIu64 " FAILED at %" PRIu64 " us: %s\n", seed, s.now_us, s.why);
            (void)printf("replay: blixard-sim --profile %s --seed %" PRIu64 " --steps %" PRIu64
                         " --trace\n",
                         profile_of(&o), seed, o.steps);
        } else if (o.hashes) {
            (void)printf("%" PRIu64 " %016" PRIx64 "\n", seed, s.hash);
        }
        stats_add(&sum, &s.stats);
        sim_done(&s);
        (void)fflush(stdout);
    }
    if (!o.hashes)
        stats_print(&sum, o.count);
    if (failed)
        (void)printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", failed, o.count);
    return failed ? 1 : 0;
}
