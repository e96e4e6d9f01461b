#include <stdlib.h>
#include <string.h>

#include "raft/raft.h"

struct raft_data *raft_data_new(const void *bytes, size_t len)
{
    require(len <= UINT32_MAX);
    struct raft_data *d = mem_new(sizeof *d + len);
    d->refs = 1;
    d->len = (uint32_t)len;
    if (len)
        memcpy(d->bytes, bytes, len);
    return d;
}

struct raft_data *raft_data_ref(struct raft_data *d)
{
    d->refs++;
    ensure(d->refs != 0);
    return d;
}

void raft_data_unref(struct raft_data *d)
{
    if (!d)
        return;
    require(d->refs > 0);
    if (--d->refs == 0)
        free(d);
}
