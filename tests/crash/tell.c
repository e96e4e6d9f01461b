#include "crash/tell.h"

#include <string.h>
#include <unistd.h>

void tell(uint32_t kind, const void *data, size_t len)
{
    static char bytes[sizeof(struct tell_head) + TELL_MAX];
    struct tell_head h = {kind, (uint32_t)len};
    require(len <= TELL_MAX);
    memcpy(bytes, &h, sizeof h);
    memcpy(bytes + sizeof h, data, len);
    for (size_t done = 0; done < sizeof h + len;) {
        ssize_t n = write(TELL_OUT, bytes + done, sizeof h + len - done);
        if (n < 0)
            _exit(1);
        done += (size_t)n;
    }
}

_Noreturn void tell_refused(const struct fault *why)
{
    tell(TELL_REFUSED, why->text, strlen(why->text));
    _exit(1);
}
