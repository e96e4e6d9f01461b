#include "journal/shape.h"

#include <stdlib.h>
#include <string.h>

void shape_init(struct shape *s)
{
    *s = (struct shape){0};
}

void shape_done(struct shape *s)
{
    free(s->runs);
    shape_init(s);
}

uint64_t shape_term(const struct shape *s, uint64_t index)
{
    if (index == s->base_index)
        return s->base_term;
    if (index < s->base_index || index > s->last_index)
        return 0;
    size_t i = s->run_count;
    while (i > 0 && s->runs[i - 1].first > index)
        i--;
    ensure(i > 0);
    return s->runs[i - 1].term;
}

const char *shape_hard(struct shape *s, const struct log_hard *hard)
{
    if (hard->term < s->hard.term)
        return "the term goes back";
    if (hard->term == s->hard.term && s->hard.vote && hard->vote != s->hard.vote)
        return "a vote changes within its term";
    s->hard = *hard;
    return NULL;
}

/* Entries from `index` on go. */
static void cut(struct shape *s, uint64_t index)
{
    if (index <= s->base_index) {
        s->base_index = index - 1;
        s->base_term = 0;
        s->run_count = 0;
    }
    while (s->run_count > 0 && s->runs[s->run_count - 1].first >= index)
        s->run_count--;
    s->last_index = index - 1;
}

const char *shape_entry(struct shape *s, uint64_t index, uint64_t term)
{
    if (index == 0 || term == 0)
        return "an entry has no index or no term";
    if (index > SHAPE_INDEX_MAX)
        return "an index is too large";
    if (index > s->last_index && index - s->last_index > 1)
        return "entries are missing";
    if (index > s->base_index && term < shape_term(s, index - 1))
        return "the term of an entry is less than that of the one before";

    cut(s, index);
    s->last_index = index;
    if (s->run_count > 0 && s->runs[s->run_count - 1].term == term)
        return NULL;
    if (s->run_count == s->run_room) {
        s->run_room = s->run_room ? 2 * s->run_room : 8;
        s->runs = mem_grow(s->runs, s->run_room, sizeof *s->runs);
    }
    s->runs[s->run_count++] = (struct shape_run){index, term};
    ensure(s->base_index < s->last_index);
    return NULL;
}

const char *shape_restart(struct shape *s, uint64_t index, uint64_t term)
{
    if (index > SHAPE_INDEX_MAX)
        return "an index is too large";
    s->base_index = s->last_index = index;
    s->base_term = term;
    s->run_count = 0;
    return NULL;
}

void shape_forget(struct shape *s, uint64_t first_kept)
{
    require(first_kept <= s->last_index + 1);
    if (first_kept <= s->base_index + 1)
        return;
    uint64_t base_term = shape_term(s, first_kept - 1);
    size_t gone = 0; /* runs that end below first_kept */
    while (gone + 1 < s->run_count && s->runs[gone + 1].first <= first_kept)
        gone++;
    if (first_kept > s->last_index)
        gone = s->run_count;
    s->run_count -= gone;
    if (s->run_count > 0) {
        memmove(s->runs, s->runs + gone, s->run_count * sizeof *s->runs);
        s->runs[0].first = first_kept;
    }
    s->base_index = first_kept - 1;
    s->base_term = base_term;
}
