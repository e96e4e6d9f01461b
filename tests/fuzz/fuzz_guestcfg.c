/*
 * Any text into the reader of a guest's configuration; what it takes can be written and read again.
 */
#include "wire/guestcfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guestcfg c, again;
    struct buf out;
    if (guestcfg_decode((struct str){(const char *)data, size}, &c, NULL) != ST_OK)
        return 0;
    buf_init(&out, GUESTCFG_TEXT_MAX);
    if (guestcfg_encode(&c, &out, NULL) == ST_OK)
        require(guestcfg_decode(buf_view(&out), &again, NULL) == ST_OK);
    buf_done(&out);
    return 0;
}
