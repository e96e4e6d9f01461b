#include "base/fault.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum status fault_set(struct fault *why, enum status s, const char *fmt, ...)
{
    require(s != ST_OK);
    if (!why)
        return s;
    va_list ap;
    va_start(ap, fmt);
    why->status = s;
    why->hint[0] = why->field[0] = 0;
    (void)vsnprintf(why->text, sizeof why->text, fmt, ap);
    va_end(ap);
    str_tidy(why->text);
    return s;
}

enum status fault_errno(struct fault *why, int err, const char *fmt, ...)
{
    enum status s = status_from_errno(err);
    if (s == ST_OK)
        s = ST_IO;
    if (!why)
        return s;
    va_list ap;
    va_start(ap, fmt);
    why->status = s;
    why->hint[0] = why->field[0] = 0;
    (void)vsnprintf(why->text, sizeof why->text, fmt, ap);
    va_end(ap);
    size_t len = strlen(why->text);
    const char *name = strerrordesc_np(err);
    (void)snprintf(why->text + len, sizeof why->text - len, ": %s", name ? name : "unknown error");
    str_tidy(why->text);
    return s;
}

enum status fault_wrap(struct fault *why, enum status s, const char *fmt, ...)
{
    require(s != ST_OK);
    if (!why)
        return s;
    char inner[FAULT_TEXT_MAX];
    memcpy(inner, why->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    why->status = s;
    (void)vsnprintf(why->text, sizeof why->text, fmt, ap);
    va_end(ap);
    size_t len = strlen(why->text), room = sizeof why->text - len;
    if (inner[0] && room > 3)
        (void)snprintf(why->text + len, room, ": %.*s", (int)(room - 3), inner);
    str_tidy(why->text);
    return s;
}

void fault_hint(struct fault *why, const char *fmt, ...)
{
    if (!why)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why->hint, sizeof why->hint, fmt, ap);
    va_end(ap);
    str_tidy(why->hint);
}

void fault_field(struct fault *why, const char *fmt, ...)
{
    if (!why)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why->field, sizeof why->field, fmt, ap);
    va_end(ap);
    str_tidy(why->field);
}
