/* Any bytes as a key file; what is taken comes out again as it is written. */
#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key k, again;
    struct secret text;
    struct fault why;
    if (key_decode((struct str){(const char *)data, size}, &k, &why) != ST_OK)
        return 0;
    key_encode(&k, &text);
    require(key_decode(secret_view(&text), &again, &why) == ST_OK);
    require(str_eq(secret_view(&k.seed), secret_view(&again.seed)));
    secret_done(&text);
    key_done(&again);
    key_done(&k);
    return 0;
}
