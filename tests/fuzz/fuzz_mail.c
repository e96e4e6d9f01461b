/* Any bytes: refused, or decoded to the one mail that is written so. */
#include <string.h>

#include "node/mail.h"
#include "port/peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mail m;
    struct buf b;
    if (size > PEERS_MESSAGE_MAX ||
        mail_decode((struct str){(const char *)data, size}, &m, NULL) != ST_OK)
        return 0;
    buf_init(&b, PEERS_MESSAGE_MAX);
    mail_encode(&m, &b);
    ensure(b.len == size && memcmp(b.ptr, data, size) == 0);
    buf_done(&b);
    mail_done(&m);
    return 0;
}
