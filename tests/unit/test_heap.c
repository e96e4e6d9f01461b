#include "base/heap.h"
#include "support/prop.h"
#include "support/tap.h"

TEST(heap_gives_the_least_key_first_and_equals_in_the_order_put)
{
    struct heap h;
    struct heap_item a = {0}, b = {0}, c = {0}, d = {0};
    heap_init(&h);
    heap_put(&h, &a, 5);
    heap_put(&h, &b, 3);
    heap_put(&h, &c, 3);
    heap_put(&h, &d, 9);
    CHECK_EQ(3, heap_first_key(&h));
    CHECK(heap_first(&h) == &b);
    heap_cut(&h, &b);
    CHECK(heap_first(&h) == &c && !heap_holds(&b));
    heap_put(&h, &c, 20);
    heap_put(&h, &d, 1);
    CHECK(heap_first(&h) == &d);
    heap_cut(&h, &d);
    heap_cut(&h, &a);
    CHECK(heap_first(&h) == &c);
    heap_cut(&h, &c);
    heap_cut(&h, &c);
    CHECK(heap_first(&h) == NULL);
    CHECK(heap_first_key(&h) == UINT64_MAX);
    heap_done(&h);
}

/* Against the plainest model: an array that is searched. */
static void heap_like_array(struct tape *t)
{
    struct heap h;
    struct heap_item item[32] = {0};
    uint64_t key[32], order[32], puts = 0;
    bool in[32] = {false};
    heap_init(&h);
    for (int step = 0; step < 300; step++) {
        size_t i = draw_below(t, 32), least = 32;
        if (draw_below(t, 3)) {
            key[i] = draw_below(t, 10);
            order[i] = puts++;
            in[i] = true;
            heap_put(&h, &item[i], key[i]);
        } else {
            in[i] = false;
            heap_cut(&h, &item[i]);
        }
        for (size_t k = 0; k < 32; k++)
            if (in[k] && (least == 32 || key[k] < key[least] ||
                          (key[k] == key[least] && order[k] < order[least])))
                least = k;
        CHECK(heap_first(&h) == (least < 32 ? &item[least] : NULL));
    }
    heap_done(&h);
}

TEST(heap_behaves_as_its_model)
{
    prop_run(heap_like_array, 1, 100);
}
