/*
 * blixard-sim: run seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/one_node.h"

struct options {
    uint64_t first, count;
    bool trace, hashes;
    struct one_node_options run;
};

static const char usage[] =
    "usage: blixard-sim [--seed N | --seeds N [--first K]] [--profile one-node] [--steps N]\n"
    "                   [--trace] [--hashes]\n"
    "\n"
    "Runs the real node on a simulated machine. The same seed gives the same run.\n"
    "  --seed N      one seed\n"
    "  --seeds N     so many seeds, from 1 or from --first\n"
    "  --profile P   one-node: a machine, its disk, its VMs, its users\n"
    "  --steps N     ask at least so many commands of each seed (200)\n"
    "  --trace       print every event\n"
    "  --hashes      print the trace hash of each seed\n";

static bool number(const char *text, uint64_t *ret)
{
    return text && str_u64(str_from(text), 0, UINT64_MAX, ret, NULL) == ST_OK;
}

/* 0 to go on, else the exit code. */
static int parse(int argc, char **argv, struct options *o)
{
    *o = (struct options){.first = 1, .count = 1};
    one_node_defaults(&o->run);
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
            good = number(value, &o->run.commands_min);
        else if (strcmp(flag, "--profile") == 0)
            good = value && strcmp(value, "one-node") == 0;
        else
            good = false;
        if (!good) {
            (void)fprintf(stderr, "error: %s %s\n%s", flag, value ? value : "", usage);
            return 2;
        }
    }
    return 0;
}

static void add(struct stats *sum, const struct stats *s)
{
#define X(name, text) sum->name += s->name;
    STATS_TABLE(X)
#undef X
}

static void print_stats(const struct stats *s, uint64_t seeds)
{
    (void)printf("%" PRIu64 " seeds:", seeds);
    const char *before = " ";
#define X(name, text) \
    if (s->name)      \
        (void)printf("%s%" PRIu64 " " text, before, s->name), before = ", ";
    STATS_TABLE(X)
#undef X
    (void)printf("\n");
}

int main(int argc, char **argv)
{
    struct options o;
    int code = parse(argc, argv, &o);
    if (code)
        return code;
    struct stats sum = {0};
    uint64_t failed = 0;
    for (uint64_t seed = o.first; seed < o.first + o.count; seed++) {
        static struct sim s;
        sim_init(&s, seed, o.trace);
        one_node_run(&s, &o.run);
        if (s.failed) {
            failed++;
            (void)printf("seed %" PRIu64 " FAILED at %" PRIu64 " us: %s\n", seed, s.now_us, s.why);
            (void)printf("replay: blixard-sim --profile one-node --seed %" PRIu64
                         " --steps %" PRIu64 " --trace\n",
                         seed, o.run.commands_min);
        } else if (o.hashes) {
            (void)printf("%" PRIu64 " %016" PRIx64 "\n", seed, s.hash);
        }
        add(&sum, &s.stats);
        sim_done(&s);
        (void)fflush(stdout);
    }
    if (!o.hashes)
        print_stats(&sum, o.count);
    if (failed)
        (void)printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", failed, o.count);
    return failed ? 1 : 0;
}
