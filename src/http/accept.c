#include "http/accept.h"

#include <string.h>
#include <strings.h>

enum fit { FIT_NONE, FIT_ANY, FIT_KIND, FIT_TYPE };

static enum fit fit_of(struct str range, const char *type)
{
    size_t len = strlen(type), kind = (size_t)(strchr(type, '/') - type) + 1;
    if (range.len == len && strncasecmp(range.ptr, type, len) == 0)
        return FIT_TYPE;
    if (str_is(range, "*/*"))
        return FIT_ANY;
    bool all = range.len == kind + 1 && range.ptr[kind] == '*';
    return all && strncasecmp(range.ptr, type, kind) == 0 ? FIT_KIND : FIT_NONE;
}

/* "0.5" is 500. What is none is as if it were not there. */
static unsigned weight(struct str q)
{
    if (q.len == 0 || q.len > 5 || (q.ptr[0] != '0' && q.ptr[0] != '1') ||
        (q.len > 1 && q.ptr[1] != '.'))
        return 1000;
    unsigned n = (unsigned)(q.ptr[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < q.len; i++, unit /= 10) {
        if (q.ptr[i] < '0' || q.ptr[i] > '9')
            return 1000;
        n += (unsigned)(q.ptr[i] - '0') * unit;
    }
    return MIN(n, 1000u);
}

unsigned accept_quality(struct str header, const char *type)
{
    enum fit best = FIT_NONE;
    unsigned quality = 0;
    struct str range, name, parameter;
    if (header.len == 0)
        return 1000;
    for (bool more = true; more;) {
        more = str_cut(&header, ',', &range);
        bool parameters = str_cut(&range, ';', &name);
        unsigned q = 1000;
        while (parameters) {
            parameters = str_cut(&range, ';', &parameter);
            parameter = str_trim(parameter);
            if (str_starts(parameter, "q=") || str_starts(parameter, "Q="))
                q = weight((struct str){parameter.ptr + 2, parameter.len - 2});
        }
        enum fit fit = fit_of(str_trim(name), type);
        if (fit == FIT_NONE || fit < best)
            continue;
        quality = fit > best ? q : MAX(quality, q);
        best = fit;
    }
    return quality;
}
