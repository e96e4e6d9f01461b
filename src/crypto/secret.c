#include "crypto/secret.h"

#include <stdlib.h>
#include <string.h>

void secret_wipe(void *data, size_t len)
{
    if (len > 0)
        explicit_bzero(data, len);
}

void secret_init(struct secret *s, size_t len)
{
    *s = (struct secret){len ? mem_new(len) : NULL, len};
}

void secret_copy(struct secret *s, const void *data, size_t len)
{
    secret_init(s, len);
    if (len > 0)
        memcpy(s->ptr, data, len);
}

void secret_done(struct secret *s)
{
    secret_wipe(s->ptr, s->len);
    free(s->ptr);
    *s = (struct secret){0};
}

struct str secret_view(const struct secret *s)
{
    return (struct str){(const char *)s->ptr, s->len};
}
