#include "sim/shrink.h"

#include <string.h>

enum { LENGTH_STEP_MS = 10 }; /* no shorter by less than that is looked for */

struct search {
    struct shrunk best;
    unsigned runs_max;
    shrink_run *run;
    void *ctx;
};

/* --- kinds of failures --- */

/* The name of an invariant before a colon; empty if there is none. */
static struct str invariant(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return (struct str){text, text[n] == ':' ? n : 0};
}

/* The next word without digits; empty at the end. */
static struct str next_word(const char **rest)
{
    struct str word = {*rest, 0};
    do {
        word.ptr += word.len + strspn(word.ptr + word.len, " ");
        word.len = strcspn(word.ptr, " ");
    } while (word.len > strcspn(word.ptr, "0123456789"));
    *rest = word.ptr + word.len;
    return word;
}

bool shrink_alike(const char *a, const char *b)
{
    struct str name = invariant(a), x, y;
    if (name.len)
        return str_eq(name, invariant(b));
    do {
        x = next_word(&a);
        y = next_word(&b);
    } while (x.len && str_eq(x, y));
    return !x.len && !y.len;
}

/* --- the search --- */

/* Does it fail like the best one? Then it is the best one. */
static bool try(struct search *x, struct group_options o)
{
    struct shrink_outcome end = {0};
    if (x->best.runs == x->runs_max)
        return false;
    x->best.runs++;
    x->run(x->ctx, &o, &end);
    if (!end.failed || !shrink_alike(end.why, x->best.outcome.why))
        return false;
    if (o.commands_min == 0 && end.report.fault_ms && end.report.fault_ms < o.fault_ms)
        o.fault_ms = end.report.fault_ms; /* it did not come further: the same run */
    x->best.options = o;
    x->best.outcome = end;
    return true;
}

static bool fewer_faults(struct search *x)
{
    bool any = false;
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++) {
        struct group_options o = x->best.options;
        o.without |= UINT64_C(1) << i;
        if (x->best.outcome.report.on >> i & 1)
            any |= try(x, o);
    }
    return any;
}

/* Few of many: dense where it matters. */
static uint32_t after(uint32_t count)
{
    return count < 7 ? count + 1 : count + count / 2;
}

static bool fewer_members(struct search *x)
{
    for (uint32_t n = 1; n < x->best.outcome.report.members; n = after(n)) {
        struct group_options o = x->best.options;
        o.members = n;
        if (try(x, o))
            return true;
    }
    return false;
}

static bool fewer_clients(struct search *x)
{
    for (uint32_t n = 1; n < x->best.outcome.report.clients; n = after(n)) {
        struct group_options o = x->best.options;
        o.clients = n;
        if (try(x, o))
            return true;
    }
    return false;
}

static bool shorter(struct search *x)
{
    bool any = false;
    struct group_options o = x->best.options;
    if (o.commands_min) {
        o.commands_min = 0;
        uint64_t went_ms = x->best.outcome.report.fault_ms;
        o.fault_ms = went_ms ? went_ms : GROUP_FAULT_TIMES * o.fault_ms;
        any = try(x, o);
    }
    uint64_t low = 0;
    while (x->best.options.commands_min == 0 && x->best.options.fault_ms - low > LENGTH_STEP_MS &&
           x->best.runs < x->runs_max) {
        o = x->best.options;
        o.fault_ms = low + (o.fault_ms - low) / 2;
        if (try(x, o))
            any = true;
        else
            low = o.fault_ms;
    }
    return any;
}

bool shrink(const struct group_options *from, unsigned runs_max, shrink_run *run, void *ctx,
            struct shrunk *ret)
{
    require(runs_max > 0);
    struct search x = {.runs_max = runs_max, .run = run, .ctx = ctx};
    x.best.options = *from;
    x.best.runs = 1;
    run(ctx, from, &x.best.outcome);
    if (!x.best.outcome.failed)
        return false;
    for (bool more = true; more;) {
        more = fewer_faults(&x);
        more |= fewer_members(&x);
        more |= fewer_clients(&x);
        more |= shorter(&x);
    }
    *ret = x.best;
    return true;
}
