/* Any bytes: refused, or decoded to the one message that is written so. */
#include <string.h>

#include "raft/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_decoded d;
    struct buf b;
    if (raft_message_decode((struct str){(const char *)data, size}, &d, NULL) != ST_OK)
        return 0;
    buf_init(&b, RAFT_MESSAGE_BYTES_MAX);
    enum status s = raft_message_encode(&d.message, &b, NULL);
    ensure(s == ST_OK);
    ensure(b.len == size && memcmp(b.ptr, data, size) == 0);
    buf_done(&b);
    raft_decoded_done(&d);
    return 0;
}
