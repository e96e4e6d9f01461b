#include "base/str.h"

#include <string.h>

struct str str_from(const char *text)
{
    return (struct str){text ? text : "", text ? strlen(text) : 0};
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_from(text));
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && memcmp(s.ptr, prefix, n) == 0;
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.len >= n && memcmp(s.ptr + s.len - n, suffix, n) == 0;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.len, b.len);
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c)
        return c < 0 ? -1 : 1;
    return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_cut(struct str *rest, char sep, struct str *ret_head)
{
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    if (!at) {
        *ret_head = *rest;
        *rest = (struct str){rest->ptr + rest->len, 0};
        return false;
    }
    size_t n = (size_t)(at - rest->ptr);
    *ret_head = (struct str){rest->ptr, n};
    *rest = (struct str){at + 1, rest->len - n - 1};
    return true;
}

enum status str_copy(struct str s, char *out, size_t size, struct fault *why)
{
    if (s.len >= size)
        return fault_set(why, ST_TOO_BIG, "%zu bytes where %zu fit", s.len, size - 1);
    if (s.len && memchr(s.ptr, 0, s.len))
        return fault_set(why, ST_INVALID, "a zero byte in a text");
    if (s.len > 0) /* an empty view may be of nothing */
        memcpy(out, s.ptr, s.len);
    out[s.len] = 0;
    return ST_OK;
}

static bool digits(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

enum status str_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret, struct fault *why)
{
    uint64_t v = 0;
    if (!digits(s, &v) || v < min || v > max)
        return fault_set(why, ST_INVALID,
                         "\"" STR_FMT "\" is not a number from %" PRIu64 " to %" PRIu64,
                         (int)MIN(s.len, 40), s.ptr, min, max);
    *ret = v;
    return ST_OK;
}

void str_hex(const void *data, size_t len, char *out)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *b = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[b[i] >> 4];
        out[2 * i + 1] = hex[b[i] & 15];
    }
    out[2 * len] = 0;
}

bool str_is_hex(struct str s, size_t digits)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
            return false;
    return s.len == digits;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum status str_unhex(struct str s, void *out, size_t size, struct fault *why)
{
    if (s.len != 2 * size)
        return fault_set(why, ST_INVALID, "%zu hex digits where %zu are wanted", s.len, 2 * size);
    uint8_t *b = out;
    for (size_t i = 0; i < size; i++) {
        int hi = hex_value(s.ptr[2 * i]), lo = hex_value(s.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return fault_set(why, ST_INVALID, "not a hex digit at %zu", 2 * i);
        b[i] = (uint8_t)(hi << 4 | lo);
    }
    return ST_OK;
}

/* Length of the well-formed sequence at p, or 0. Ranges: Unicode 15, table 3-7. */
static size_t utf8_step(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
               : (p[0] & 0xf0) == 0xe0        ? 3
               : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                              : 0;
    if (n == 0 || n > left)
        return 0;
    uint8_t lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool str_utf8(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.ptr;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_step(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

void str_tidy(char *text)
{
    uint8_t *p = (uint8_t *)text;
    for (size_t left = strlen(text), n; left > 0; p += n, left -= n) {
        n = utf8_step(p, left);
        bool latin_control = n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
        if (n == 1 && (*p == '\n' || *p == '\r' || *p == '\t'))
            *p = ' ';
        else if (n == 0 || latin_control || *p < 0x20 || *p == 0x7f)
            memset(p, '?', MAX(n, 1));
        n = MAX(n, 1);
    }
}

enum { NEAREST_LEN_MAX = 32 };

/* Optimal string alignment distance: edits and swaps of neighbours. */
static size_t distance(struct str a, struct str b)
{
    size_t d[NEAREST_LEN_MAX + 1][NEAREST_LEN_MAX + 1];
    for (size_t i = 0; i <= a.len; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= b.len; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a.len; i++)
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = d[i - 1][j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            best = MIN(best, MIN(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                best = MIN(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    return d[a.len][b.len];
}

const char *str_nearest(struct str word, const char *const *list, size_t count)
{
    const char *best = NULL;
    size_t best_distance = 3;
    if (word.len == 0 || word.len > NEAREST_LEN_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct str other = str_from(list[i]);
        if (other.len > NEAREST_LEN_MAX)
            continue;
        size_t d = distance(word, other);
        if (d < best_distance && d < other.len) {
            best_distance = d;
            best = list[i];
        }
    }
    return best;
}
