#include "os/entropy_os.h"

#include <errno.h>
#include <sys/random.h>

static void fill(struct entropy *e, void *out, size_t len)
{
    (void)e;
    for (size_t have = 0; have < len;) {
        ssize_t n = getrandom((char *)out + have, len - have, 0);
        ensure(n > 0 || errno == EINTR); /* keys must never be made of anything else */
        have += n > 0 ? (size_t)n : 0;
    }
}

void entropy_os_init(struct entropy *e)
{
    *e = (struct entropy){.fill = fill};
}
