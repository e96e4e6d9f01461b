#include "wire/place.h"

#include <stdio.h>
#include <string.h>

static size_t append(const struct place *at, char *out, size_t len)
{
    if (!at)
        return 0;
    size_t used = append(at->above, out, len);
    int n =
        at->index == PLACE_NO_INDEX
            ? snprintf(out + used, len - used, "%s%s", used ? "." : "", at->name)
            : snprintf(out + used, len - used, "%s%s[%zu]", used ? "." : "", at->name, at->index);
    require(n >= 0);
    return MIN(used + (size_t)n, len - 1);
}

void place_text(const struct place *at, char out[FAULT_FIELD_MAX])
{
    out[0] = 0;
    (void)append(at, out, FAULT_FIELD_MAX);
}

enum status place_wrap(const struct place *at, struct fault *why, enum status s)
{
    char path[FAULT_FIELD_MAX];
    place_text(at, path);
    if (path[0])
        (void)fault_wrap(why, s, "%s", path);
    fault_field(why, "%s", path);
    return s;
}

enum status place_refuse(const struct place *at, struct fault *why, enum status s, const char *fmt,
                         ...)
{
    if (!why)
        return s;
    char text[FAULT_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)fault_set(why, s, "%s", text);
    return place_wrap(at, why, s);
}
