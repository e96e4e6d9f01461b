#include "node/entries.h"
#include "support/tap.h"

static void push(struct node_entries *x, uint64_t index)
{
    struct raft_entry e = {.index = index, .data = raft_data_new("x", 1)};
    node_entries_push(x, &e);
    raft_data_unref(e.data); /* the queue has a reference of its own */
}

static void take(struct node_entries *x, uint64_t index)
{
    struct raft_entry e = node_entries_take(x);
    CHECK_EQ(index, e.index);
    CHECK_EQ(1, e.data->len);
    raft_data_unref(e.data);
}

TEST(entries_come_out_as_they_went_in)
{
    struct node_entries x = {0};
    for (uint64_t i = 1; i <= 200; i++)
        push(&x, i);
    for (uint64_t i = 1; i <= 100; i++)
        take(&x, i);
    CHECK_EQ(100, node_entries_count(&x));
    node_entries_reset(&x);
    CHECK_EQ(0, node_entries_count(&x));
    push(&x, 201);
    take(&x, 201);
    push(&x, 202);
    node_entries_done(&x);
    CHECK_EQ(0, node_entries_count(&x));
}

/* Under load the queue is never empty: what is behind must be used again. */
TEST(entries_that_never_run_out_take_no_more_room)
{
    struct node_entries x = {0};
    uint64_t in = 0, out = 0;
    while (in < 32)
        push(&x, ++in);
    while (in < 50000) {
        push(&x, ++in);
        take(&x, ++out);
    }
    CHECK_EQ(32, node_entries_count(&x));
    CHECK(x.room <= 128);
    while (out < in)
        take(&x, ++out);
    node_entries_done(&x);
}
