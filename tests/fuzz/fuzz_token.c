/* Any bytes as a token: what is taken is long enough, and known by what stands in it. */
#include <string.h>

#include "crypto/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token t;
    struct fault why;
    if (token_parse((struct str){(const char *)data, size}, &t, &why) != ST_OK)
        return 0;
    require(size == TOKEN_LEN && strlen(t.id) == TOKEN_ID_LEN);
    require(memcmp(data + sizeof TOKEN_PREFIX - 1, t.id, TOKEN_ID_LEN) == 0);
    return 0;
}
