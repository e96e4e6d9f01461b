#include "base/toml_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool scan_fail(struct scan *s, enum status status, struct toml_place at, const char *fmt, ...)
{
    char text[FAULT_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *c = text; *c; c++) /* a decoded key may hold anything */
        if ((uint8_t)*c < 0x20 || *c == 0x7f)
            *c = '?';
    s->status = fault_set(s->why, status, "line %" PRIu32 ", column %" PRIu32 ": %s", at.line,
                          at.column, text);
    return false;
}

static size_t utf8_size(char lead)
{
    uint8_t c = (uint8_t)lead;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void step(struct scan *s)
{
    char c = s->rest.ptr[0];
    if (c == '\n') {
        s->at.line++;
        s->at.column = 1;
    } else if (((uint8_t)c & 0xc0) != 0x80) {
        s->at.column++;
    }
    s->rest.ptr++;
    s->rest.len--;
}

static void steps(struct scan *s, size_t count)
{
    while (count-- > 0)
        step(s);
}

/* Checked once for the whole text, so that nothing after this meets half a character. */
static bool check_utf8(struct scan *s)
{
    if (str_utf8(s->rest))
        return true;
    for (;;) { /* find the place */
        size_t n = MIN(utf8_size(*s->rest.ptr), s->rest.len);
        if (!str_utf8((struct str){s->rest.ptr, n}))
            return scan_fail(s, ST_INVALID, s->at, "byte 0x%02x is not UTF-8",
                             (uint8_t)*s->rest.ptr);
        steps(s, n);
    }
}

bool scan_init(struct scan *s, struct str source, char *text, struct fault *why)
{
    *s = (struct scan){
        .rest = source,
        .at = {1, 1},
        .text = text,
        .text_end = text + source.len + 1,
        .why = why,
    };
    if (str_starts(s->rest, "\xef\xbb\xbf")) { /* a byte order mark is no character of line 1 */
        s->rest.ptr += 3;
        s->rest.len -= 3;
    }
    return check_utf8(s);
}

bool scan_end(const struct scan *s)
{
    return s->rest.len == 0;
}

bool scan_sees(const struct scan *s, const char *word)
{
    return str_starts(s->rest, word);
}

bool scan_skip(struct scan *s, const char *word)
{
    if (!scan_sees(s, word))
        return false;
    steps(s, strlen(word));
    return true;
}

static bool sees_newline(const struct scan *s)
{
    return scan_sees(s, "\n") || scan_sees(s, "\r\n");
}

/* Not to be written as such, neither in a string nor in a comment. */
static bool sees_control(const struct scan *s)
{
    uint8_t c = (uint8_t)s->rest.ptr[0];
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

bool scan_expected(struct scan *s, const char *what)
{
    if (scan_end(s))
        return scan_fail(s, ST_INVALID, s->at, "expected %s, found the end of the text", what);
    if (sees_newline(s))
        return scan_fail(s, ST_INVALID, s->at, "expected %s, found the end of the line", what);
    if (sees_control(s))
        return scan_fail(s, ST_INVALID, s->at, "expected %s, found the control character 0x%02x",
                         what, (uint8_t)*s->rest.ptr);
    char quote = *s->rest.ptr == '"' ? '\'' : '"';
    return scan_fail(s, ST_INVALID, s->at, "expected %s, found %c%.*s%c", what, quote,
                     (int)utf8_size(*s->rest.ptr), s->rest.ptr, quote);
}

void scan_blanks(struct scan *s)
{
    while (scan_sees(s, " ") || scan_sees(s, "\t"))
        step(s);
}

static bool skip_newline(struct scan *s)
{
    return scan_skip(s, "\n") || scan_skip(s, "\r\n");
}

static bool comment(struct scan *s)
{
    if (!scan_sees(s, "#"))
        return true;
    while (!scan_end(s) && !sees_newline(s)) {
        if (sees_control(s))
            return scan_expected(s, "the text of a comment");
        step(s);
    }
    return true;
}

bool scan_lines(struct scan *s)
{
    do {
        scan_blanks(s);
        if (!comment(s))
            return false;
    } while (skip_newline(s));
    return true;
}

bool scan_line_end(struct scan *s)
{
    scan_blanks(s);
    if (!comment(s))
        return false;
    return skip_newline(s) || scan_end(s) || scan_expected(s, "the end of the line");
}

/* ---- strings ---- */

static void put(struct scan *s, char c)
{
    ensure(s->text < s->text_end);
    *s->text++ = c;
}

static void put_utf8(struct scan *s, uint32_t c)
{
    if (c < 0x80) {
        put(s, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    put(s, (char)((0xff00u >> (more + 1) & 0xffu) | c >> 6 * more));
    while (more-- > 0)
        put(s, (char)(0x80 | (c >> 6 * more & 0x3f)));
}

static struct str finish_text(struct scan *s, const char *start)
{
    struct str v = {start, (size_t)(s->text - start)};
    put(s, 0);
    return v;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

static bool unicode_escape(struct scan *s, struct toml_place at, unsigned digits)
{
    uint32_t c = 0;
    for (unsigned i = 0; i < digits; i++) {
        int d = scan_end(s) ? 99 : digit_value(*s->rest.ptr);
        if (d > 15)
            return scan_expected(s,
                                 digits == 4 ? "4 hex digits after \\u" : "8 hex digits after \\U");
        c = c << 4 | (uint32_t)d;
        step(s);
    }
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return scan_fail(s, ST_INVALID, at, "U+%04" PRIX32 " is not a character", c);
    put_utf8(s, c);
    return true;
}

/* A backslash at the end of a line: it, and all blanks and line ends after it, are left out. */
static bool folded_line(struct scan *s)
{
    struct scan ahead = *s;
    scan_blanks(&ahead);
    if (!sees_newline(&ahead))
        return false;
    *s = ahead;
    while (skip_newline(s))
        scan_blanks(s);
    return true;
}

static bool escape(struct scan *s, bool multi)
{
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    struct toml_place at = s->at;
    step(s);
    if (multi && folded_line(s))
        return true;
    if (scan_skip(s, "u"))
        return unicode_escape(s, at, 4);
    if (scan_skip(s, "U"))
        return unicode_escape(s, at, 8);
    const char *found = scan_end(s) || *s->rest.ptr == 0 ? NULL : strchr(from, *s->rest.ptr);
    if (!found)
        return scan_expected(s, "one of b t n f r u U \" \\ after a backslash");
    put(s, to[found - from]);
    step(s);
    return true;
}

/* At most two quotes stand next to the three that close: five in a row are two and the end. */
static bool closes(struct scan *s, char quote, bool multi)
{
    size_t close = multi ? 3 : 1, run_max = multi ? 5 : 1, run = 0;
    while (run < run_max && run < s->rest.len && s->rest.ptr[run] == quote)
        run++;
    steps(s, run);
    bool closed = run >= close;
    for (size_t i = closed ? close : 0; i < run; i++)
        put(s, quote);
    return closed;
}

/* A character, an escape or the end of a line within a string. */
static bool string_part(struct scan *s, char quote, bool multi)
{
    if (*s->rest.ptr == '\\' && quote == '"')
        return escape(s, multi);
    bool newline = multi && sees_newline(s);
    if (sees_control(s) && !newline)
        return scan_expected(s, "the text of a string");
    do {
        put(s, *s->rest.ptr);
        step(s);
    } while (newline && s->text[-1] == '\r');
    return true;
}

static bool string(struct scan *s, bool may_be_multi, struct str *ret)
{
    struct toml_place at = s->at;
    char quote = *s->rest.ptr;
    const char *triple = quote == '"' ? "\"\"\"" : "'''";
    bool multi = may_be_multi && scan_sees(s, triple);
    steps(s, multi ? 3 : 1);
    if (multi)
        (void)skip_newline(s);
    const char *start = s->text;
    do {
        while (!scan_end(s) && *s->rest.ptr != quote && (multi || !sees_newline(s)))
            if (!string_part(s, quote, multi))
                return false;
        if (scan_end(s) || *s->rest.ptr != quote)
            return scan_fail(s, ST_INVALID, at, "a string without its closing %.*s", multi ? 3 : 1,
                             triple);
    } while (!closes(s, quote, multi));
    *ret = finish_text(s, start);
    return true;
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool scan_name(struct scan *s, struct scan_name *ret)
{
    struct scan_name n = {.at = s->at};
    if (scan_sees(s, "\"") || scan_sees(s, "'")) {
        if (!string(s, false, &n.text))
            return false;
    } else {
        const char *start = s->text;
        for (; !scan_end(s) && is_bare(*s->rest.ptr); step(s))
            put(s, *s->rest.ptr);
        n.text = finish_text(s, start);
        if (n.text.len == 0)
            return scan_expected(s, "a key");
    }
    *ret = n;
    return true;
}

/* ---- numbers ---- */

static bool take(struct str *t, char c)
{
    if (t->len == 0 || t->ptr[0] != c)
        return false;
    t->ptr++, t->len--;
    return true;
}

static bool take_sign(struct str *t)
{
    return take(t, '+') || take(t, '-');
}

/* Take digits of the base, with single underscores between them; none is an empty result. */
static struct str take_digits(struct str *t, int base)
{
    size_t n = 0;
    while (n < t->len) {
        size_t under = n > 0 && t->ptr[n] == '_';
        if (n + under >= t->len || digit_value(t->ptr[n + under]) >= base)
            break;
        n += under + 1;
    }
    struct str taken = {t->ptr, n};
    t->ptr += n, t->len -= n;
    return taken;
}

static bool has_leading_zero(struct str digits)
{
    return digits.len > 1 && digits.ptr[0] == '0';
}

static bool magnitude(struct str digits, int base, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < digits.len; i++)
        if (digits.ptr[i] != '_' &&
            (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
             __builtin_add_overflow(v, (uint64_t)digit_value(digits.ptr[i]), &v)))
            return false;
    *ret = v;
    return true;
}

static bool out_of_range(struct scan *s, struct toml_place at, struct str word)
{
    return scan_fail(s, ST_INVALID, at, "\"" STR_FMT "\" is out of range",
                     STR_ARG(toml_shown(word)));
}

static bool not_a(struct scan *s, struct toml_place at, struct str word, const char *what)
{
    return scan_fail(s, ST_INVALID, at, "\"" STR_FMT "\" is not a %s", STR_ARG(toml_shown(word)),
                     what);
}

static bool integer(struct scan *s, struct toml_place at, struct str word, struct toml *ret)
{
    struct str t = word;
    int base = str_starts(t, "0x") ? 16 : str_starts(t, "0o") ? 8 : str_starts(t, "0b") ? 2 : 10;
    bool negative = str_starts(t, "-");
    if (base != 10)
        t.ptr += 2, t.len -= 2;
    else
        (void)take_sign(&t);
    struct str digits = take_digits(&t, base);
    if (digits.len == 0 || t.len > 0)
        return not_a(s, at, word, "number");
    if (base == 10 && has_leading_zero(digits))
        return scan_fail(s, ST_INVALID, at, "a number must not begin with 0");
    uint64_t v;
    if (!magnitude(digits, base, &v) || v > (uint64_t)INT64_MAX + negative)
        return out_of_range(s, at, word);
    ret->type = TOML_INTEGER;
    ret->integer = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* strtod reads what remains without underscores; it rounds right, in the C locale, which stays. */
static double real_value(struct scan *s, struct str word)
{
    char *start = s->text;
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] != '_')
            put(s, word.ptr[i]);
    put(s, 0);
    s->text = start;
    return strtod(start, NULL);
}

static bool real(struct scan *s, struct toml_place at, struct str word, struct toml *ret)
{
    struct str t = word;
    (void)take_sign(&t);
    struct str whole = take_digits(&t, 10);
    bool ok = whole.len > 0;
    if (take(&t, '.'))
        ok = ok && take_digits(&t, 10).len > 0;
    if (take(&t, 'e') || take(&t, 'E')) {
        (void)take_sign(&t);
        ok = ok && take_digits(&t, 10).len > 0;
    }
    if (!ok || t.len > 0)
        return not_a(s, at, word, "number");
    if (has_leading_zero(whole))
        return scan_fail(s, ST_INVALID, at, "a number must not begin with 0");
    double v = real_value(s, word);
    if (__builtin_isinf(v))
        return out_of_range(s, at, word);
    ret->type = TOML_FLOAT;
    ret->real = v;
    return true;
}

/* ---- dates and times ---- */

/* Exactly `count` digits, in [min, max]. */
static bool number(struct str *t, size_t count, unsigned min, unsigned max, unsigned *ret)
{
    uint64_t v;
    if (t->len < count || str_u64((struct str){t->ptr, count}, min, max, &v, NULL) != ST_OK)
        return false;
    t->ptr += count, t->len -= count;
    *ret = (unsigned)v;
    return true;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct str *t, struct toml_time *ret)
{
    unsigned y, m, d;
    if (!number(t, 4, 0, 9999, &y) || !take(t, '-') || !number(t, 2, 1, 12, &m) || !take(t, '-') ||
        !number(t, 2, 1, month_days(y, m), &d))
        return false;
    ret->year = (uint16_t)y;
    ret->month = (uint8_t)m;
    ret->day = (uint8_t)d;
    return true;
}

static bool take_fraction(struct str *t, uint32_t *ret_ns)
{
    size_t n = 0;
    uint32_t ns = 0;
    for (uint32_t scale = 100000000; n < t->len && digit_value(t->ptr[n]) < 10; n++, scale /= 10)
        ns += (uint32_t)digit_value(t->ptr[n]) * scale;
    t->ptr += n, t->len -= n;
    *ret_ns = ns;
    return n > 0;
}

static bool take_time(struct str *t, struct toml_time *ret)
{
    unsigned h, m, sec;
    if (!number(t, 2, 0, 23, &h) || !take(t, ':') || !number(t, 2, 0, 59, &m) || !take(t, ':') ||
        !number(t, 2, 0, 60, &sec))
        return false;
    ret->hour = (uint8_t)h;
    ret->minute = (uint8_t)m;
    ret->second = (uint8_t)sec;
    return !take(t, '.') || take_fraction(t, &ret->ns);
}

static bool take_offset(struct str *t, int16_t *ret_min)
{
    if (take(t, 'Z') || take(t, 'z'))
        return true;
    unsigned h, m;
    bool west = t->len > 0 && t->ptr[0] == '-';
    if (!take_sign(t) || !number(t, 2, 0, 23, &h) || !take(t, ':') || !number(t, 2, 0, 59, &m))
        return false;
    int min = (int)(h * 60 + m);
    *ret_min = (int16_t)(west ? -min : min);
    return true;
}

static bool read_time(struct str t, bool has_date, struct toml *ret)
{
    struct toml_time v = {0};
    ret->type = has_date ? TOML_LOCAL_DATE : TOML_LOCAL_TIME;
    if (has_date && !take_date(&t, &v))
        return false;
    if (has_date && (take(&t, 'T') || take(&t, 't') || take(&t, ' '))) {
        if (!take_time(&t, &v))
            return false;
        ret->type = t.len > 0 ? TOML_OFFSET_DATETIME : TOML_LOCAL_DATETIME;
        if (t.len > 0 && !take_offset(&t, &v.offset_min))
            return false;
    } else if (!has_date && !take_time(&t, &v)) {
        return false;
    }
    ret->time = v;
    return t.len == 0;
}

/* ---- any scalar ---- */

static bool starts_with_digits(struct str t, size_t count, char then)
{
    if (t.len <= count || t.ptr[count] != then)
        return false;
    for (size_t i = 0; i < count; i++)
        if (digit_value(t.ptr[i]) >= 10)
            return false;
    return true;
}

static bool is_word(char c)
{
    return is_bare(c) || c == '+' || c == '.' || c == ':';
}

/* The word ahead; a date and a time with one space between them are one word. */
static struct str take_word(struct scan *s)
{
    struct str w = {s->rest.ptr, 0};
    for (; !scan_end(s) && is_word(*s->rest.ptr); step(s))
        w.len++;
    bool date_only = w.len == 10 && starts_with_digits(w, 4, '-');
    if (date_only && s->rest.len > 1 && s->rest.ptr[0] == ' ' && digit_value(s->rest.ptr[1]) < 10) {
        do {
            step(s);
            w.len++;
        } while (!scan_end(s) && is_word(*s->rest.ptr));
    }
    return w;
}

static bool unquoted(struct scan *s, struct toml_place at, struct str word)
{
    (void)scan_fail(s, ST_INVALID, at, "expected a value, found \"" STR_FMT "\"",
                    STR_ARG(toml_shown(word)));
    fault_hint(s->why, "true and false are written in small letters, text in quotes");
    return false;
}

static bool special(struct str word, struct toml *ret)
{
    if (str_is(word, "true") || str_is(word, "false")) {
        ret->type = TOML_BOOL;
        ret->boolean = str_is(word, "true");
        return true;
    }
    struct str t = word;
    (void)take_sign(&t);
    double v = str_is(t, "inf") ? __builtin_inf() : __builtin_nan("");
    if (!str_is(t, "inf") && !str_is(t, "nan"))
        return false;
    ret->type = TOML_FLOAT;
    ret->real = str_starts(word, "-") ? -v : v;
    return true;
}

bool scan_scalar(struct scan *s, struct toml *ret)
{
    struct toml_place at = s->at;
    if (scan_sees(s, "\"") || scan_sees(s, "'")) {
        ret->type = TOML_STRING;
        return string(s, true, &ret->string);
    }
    if (scan_end(s) || !(is_bare(*s->rest.ptr) || strchr("+.", *s->rest.ptr)))
        return scan_expected(s, "a value");
    struct str w = take_word(s);
    if (special(w, ret))
        return true;
    bool date = starts_with_digits(w, 4, '-');
    if (date || starts_with_digits(w, 2, ':'))
        return read_time(w, date, ret) || not_a(s, at, w, date ? "date" : "time");
    if (digit_value(w.ptr[0]) >= 10 && !strchr("+-.", w.ptr[0]))
        return unquoted(s, at, w);
    bool based = str_starts(w, "0x") || str_starts(w, "0o") || str_starts(w, "0b");
    if (!based &&
        (memchr(w.ptr, '.', w.len) || memchr(w.ptr, 'e', w.len) || memchr(w.ptr, 'E', w.len)))
        return real(s, at, w, ret);
    return integer(s, at, w, ret);
}
