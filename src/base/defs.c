#include "base/defs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void defs_abort(const char *kind, const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s failed: %s\n", file, line, kind, what);
    abort();
}

void *mem_new(size_t size)
{
    require(size > 0);
    void *p = calloc(1, size);
    ensure(p != NULL);
    return p;
}

void *mem_dup(const void *data, size_t size)
{
    void *p = mem_new(size ? size : 1);
    if (size)
        memcpy(p, data, size);
    return p;
}

void *mem_grow(void *old, size_t count, size_t each)
{
    require(count > 0 && each > 0);
    void *p = reallocarray(old, count, each);
    ensure(p != NULL);
    return p;
}

char *mem_strdup(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}
