#include "base/status.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *code;
    unsigned short http;
    unsigned char exit;
} table[ST_COUNT] = {
#define X(name, code, http, exit) {code, http, exit},
    STATUS_TABLE(X)
#undef X
};

const char *status_code(enum status s)
{
    require(s < ST_COUNT);
    return table[s].code;
}

unsigned status_http(enum status s)
{
    require(s < ST_COUNT);
    return table[s].http;
}

int status_exit(enum status s)
{
    require(s < ST_COUNT);
    return table[s].exit;
}

enum status status_from_code(const char *code)
{
    for (unsigned i = 0; i < ST_COUNT; i++)
        if (strcmp(table[i].code, code) == 0)
            return (enum status)i;
    return ST_INTERNAL;
}

enum status status_from_errno(int err)
{
    switch (err) {
    case 0: return ST_OK;
    case ENOENT:
    case ESRCH: return ST_NOT_FOUND;
    case EEXIST: return ST_EXISTS;
    case EACCES:
    case EPERM: return ST_DENIED;
    case ENOSPC:
    case EDQUOT: return ST_NO_SPACE;
    case EINVAL:
    case ENAMETOOLONG: return ST_INVALID;
    case EFBIG:
    case E2BIG: return ST_TOO_BIG;
    case EBUSY:
    case ETXTBSY: return ST_IN_USE;
    case ETIMEDOUT: return ST_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH: return ST_UNAVAILABLE;
    case ENOSYS:
    case EOPNOTSUPP: return ST_UNSUPPORTED;
    default: return ST_IO;
    }
}
