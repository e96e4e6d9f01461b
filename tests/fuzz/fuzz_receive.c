/*
 * A member of a group hears any mail: it is refused, or taken; nothing ends it, and it never sends what cannot be.
 *
 * The input is a row of mails, each with a byte for who sends it and two for its length; 0xff for time that goes by.
 */
#include <string.h>

#include "support/node_group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct node_group g;
    node_group_start(&g, 3, 0);
    g.snapshot_entries = 20;
    node_group_run(&g, 1500);
    while (size >= 3) {
        uint32_t from = data[0], to = 1 + data[0] / 4 % 3;
        size_t len = data[1] | (size_t)data[2] << 8;
        data += 3, size -= 3;
        if (from == 0xff) {
            node_group_run(&g, 50 + len % 500);
            continue;
        }
        len = MIN(len, size);
        node_receive(node_group_node(&g, to), from % 4, (struct str){(const char *)data, len});
        data += len, size -= len;
        node_group_run(&g, 5);
    }
    node_group_run(&g, 1000);
    for (uint32_t i = 1; i <= 3; i++) { /* a leader that lies of hashes or members may stop one */
        const struct fault *why = node_dead(node_group_node(&g, i));
        ensure(!why || why->status == ST_CORRUPT || why->status == ST_PRECONDITION);
    }
    node_group_finish(&g);
    return 0;
}
