#include "base/units.h"

#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit sizes[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static enum status parse(struct str text, const struct unit *units, size_t count, uint64_t *ret)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9')
        n++;
    struct str number = {text.ptr, n}, name = {text.ptr + n, text.len - n};
    uint64_t v;
    if (str_u64(number, 0, UINT64_MAX, &v, NULL) != ST_OK)
        return ST_INVALID;
    for (size_t i = 0; i < count; i++)
        if (str_is(name, units[i].name))
            return __builtin_mul_overflow(v, units[i].factor, ret) ? ST_INVALID : ST_OK;
    return ST_INVALID;
}

enum status units_size(struct str text, uint64_t *ret_bytes, struct fault *why)
{
    uint64_t v;
    if (str_u64(text, 0, UINT64_MAX, &v, NULL) != ST_OK &&
        parse(text, sizes, ARRAY_COUNT(sizes), &v) != ST_OK)
        return fault_set(why, ST_INVALID,
                         "\"" STR_FMT "\" is not a size such as 4096, 512MiB or 2GiB",
                         (int)MIN(text.len, 40), text.ptr);
    *ret_bytes = v;
    return ST_OK;
}

enum status units_duration(struct str text, uint64_t *ret_ms, struct fault *why)
{
    uint64_t v = 0;
    bool zero = str_is(text, "0");
    if (!zero && parse(text, durations, ARRAY_COUNT(durations), &v) != ST_OK)
        return fault_set(why, ST_INVALID,
                         "\"" STR_FMT "\" is not a duration such as 250ms, 30s, 5m or 2h",
                         (int)MIN(text.len, 40), text.ptr);
    *ret_ms = v;
    return ST_OK;
}

static void exact(uint64_t v, const struct unit *units, size_t count, char *out)
{
    size_t i = 0;
    while (i + 1 < count && (v == 0 || v % units[i].factor != 0))
        i++;
    (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
}

void units_size_exact(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    exact(bytes, sizes, ARRAY_COUNT(sizes), out);
}

void units_duration_exact(uint64_t ms, char out[UNITS_TEXT_MAX])
{
    exact(ms, durations, ARRAY_COUNT(durations), out);
}

void units_size_short(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(sizes) && bytes < sizes[i].factor)
        i++;
    uint64_t f = sizes[i].factor, whole = bytes / f, tenth = (bytes % f) * 10 / f;
    if (f == 1 || tenth == 0)
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", whole, sizes[i].name);
    else
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%s", whole, tenth,
                       sizes[i].name);
}

void units_age(uint64_t ms, char out[UNITS_TEXT_MAX])
{
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(durations) && ms < durations[i].factor)
        i++;
    uint64_t first = ms / durations[i].factor;
    (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", first, durations[i].name);
    if (i >= 3) /* seconds and less stand alone */
        return;
    uint64_t second = ms % durations[i].factor / durations[i + 1].factor;
    size_t len = strlen(out);
    if (second)
        (void)snprintf(out + len, UNITS_TEXT_MAX - len, "%" PRIu64 "%s", second,
                       durations[i + 1].name);
}

/* Days since 1970-01-01 of a civil date and back: Howard Hinnant, "chrono-Compatible Low-Level
 * Date Algorithms". */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static void time_text(uint64_t s, unsigned fraction, int digits, char out[UNITS_TEXT_MAX])
{
    int64_t y;
    unsigned m, d, day_s = (unsigned)(s % 86400);
    civil_from_days((int64_t)(s / 86400), &y, &m, &d);
    (void)snprintf(out, UNITS_TEXT_MAX, "%04d-%02u-%02uT%02u:%02u:%02u.%0*uZ", (int)y, m, d,
                   day_s / 3600, day_s / 60 % 60, day_s % 60, digits, fraction);
}

void units_time(uint64_t unix_ns, char out[UNITS_TEXT_MAX])
{
    uint64_t s = unix_ns / UNITS_NS_PER_S, ms = unix_ns % UNITS_NS_PER_S / UNITS_NS_PER_MS;
    time_text(s, (unsigned)ms, 3, out);
}

void units_time_exact(uint64_t unix_ns, char out[UNITS_TEXT_MAX])
{
    uint64_t s = unix_ns / UNITS_NS_PER_S, ns = unix_ns % UNITS_NS_PER_S;
    if (ns % UNITS_NS_PER_MS == 0)
        units_time(unix_ns, out);
    else
        time_text(s, (unsigned)ns, 9, out);
}

static bool number(struct str *s, size_t count, unsigned *ret)
{
    uint64_t v;
    if (s->len < count || str_u64((struct str){s->ptr, count}, 0, 9999, &v, NULL) != ST_OK)
        return false;
    *ret = (unsigned)v;
    s->ptr += count, s->len -= count;
    return true;
}

static bool letter(struct str *s, const char *any)
{
    if (s->len == 0 || s->ptr[0] == 0 || !strchr(any, s->ptr[0]))
        return false;
    s->ptr++, s->len--;
    return true;
}

static bool fraction(struct str *s, uint64_t *ret_ns)
{
    uint64_t scale = 100000000, ns = 0;
    size_t n = 0;
    for (; s->len && s->ptr[0] >= '0' && s->ptr[0] <= '9'; s->ptr++, s->len--, n++) {
        ns += (uint64_t)(s->ptr[0] - '0') * scale;
        scale /= 10;
    }
    *ret_ns = ns;
    return n > 0 && n <= 9;
}

static bool offset(struct str *s, int64_t *ret_s)
{
    unsigned h, m;
    *ret_s = 0;
    if (letter(s, "Zz"))
        return s->len == 0;
    bool neg = s->len && s->ptr[0] == '-';
    if (!letter(s, "+-") || !number(s, 2, &h) || !letter(s, ":") || !number(s, 2, &m))
        return false;
    *ret_s = (int64_t)(h * 3600 + m * 60) * (neg ? -1 : 1);
    return s->len == 0 && h < 24 && m < 60;
}

static unsigned month_days(unsigned y, unsigned m)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return m == 2 && leap ? 29 : days[m - 1];
}

static bool parse_time(struct str s, uint64_t *ret)
{
    unsigned y, mo, d, h, mi, sec;
    uint64_t ns = 0;
    int64_t off;
    if (!number(&s, 4, &y) || !letter(&s, "-") || !number(&s, 2, &mo) || !letter(&s, "-") ||
        !number(&s, 2, &d) || !letter(&s, "Tt ") || !number(&s, 2, &h) || !letter(&s, ":") ||
        !number(&s, 2, &mi) || !letter(&s, ":") || !number(&s, 2, &sec))
        return false;
    if (letter(&s, ".") && !fraction(&s, &ns))
        return false;
    if (!offset(&s, &off) || y < 1970 || mo < 1 || mo > 12 || d < 1 || d > month_days(y, mo) ||
        h > 23 || mi > 59 || sec > 59)
        return false;
    int64_t total = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - off;
    return total >= 0 && !__builtin_mul_overflow((uint64_t)total, UNITS_NS_PER_S, ret) &&
           !__builtin_add_overflow(*ret, ns, ret);
}

enum status units_parse_time(struct str text, uint64_t *ret_unix_ns, struct fault *why)
{
    uint64_t v;
    if (!parse_time(text, &v))
        return fault_set(why, ST_INVALID,
                         "\"" STR_FMT "\" is not a time such as 2026-11-24T05:47:08Z",
                         (int)MIN(text.len, 40), text.ptr);
    *ret_unix_ns = v;
    return ST_OK;
}
