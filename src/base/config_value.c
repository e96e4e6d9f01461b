#include <stdio.h>
#include <string.h>

#include "base/config_keys.h"
#include "base/units.h"

/* ---- reading ---- */

static bool in_range(const struct config_key *k, uint64_t v)
{
    return v >= k->min && v <= k->max;
}

static bool read_bool(struct str text, bool *field)
{
    if (!str_is(text, "true") && !str_is(text, "false"))
        return false;
    *field = str_is(text, "true");
    return true;
}

static bool read_integer(const struct config_key *k, struct str text, uint32_t *field)
{
    uint64_t v;
    if (str_u64(text, k->min, k->max, &v, NULL) != ST_OK)
        return false;
    *field = (uint32_t)v;
    return true;
}

static bool read_size(const struct config_key *k, struct str text, uint64_t *field)
{
    uint64_t v;
    if (units_size(text, &v, NULL) != ST_OK || !in_range(k, v))
        return false;
    *field = v;
    return true;
}

static bool read_duration(const struct config_key *k, struct str text, uint64_t *field)
{
    uint64_t v;
    if (units_duration(text, &v, NULL) != ST_OK || !in_range(k, v))
        return false;
    *field = v;
    return true;
}

static bool read_word(const struct config_key *k, struct str text, unsigned *field)
{
    for (unsigned i = 0; k->words[i]; i++)
        if (str_is(text, k->words[i])) {
            *field = i;
            return true;
        }
    return false;
}

static bool read_mode(struct str text, uint32_t *field)
{
    uint32_t v = 0;
    if (text.len < 3 || text.len > 4)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return false;
        v = v << 3 | (uint32_t)(text.ptr[i] - '0');
    }
    if (v > 0777)
        return false;
    *field = v;
    return true;
}

static bool read_text(const struct config_key *k, struct str text, char *field)
{
    if (text.len >= k->size)
        return false;
    memset(field, 0, k->size);
    memcpy(field, text.ptr, text.len);
    return true;
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_label(struct str t)
{
    if (t.len == 0 || t.len > 63 || t.ptr[0] == '-' || t.ptr[t.len - 1] == '-')
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!is_lower_or_digit(t.ptr[i]) && t.ptr[i] != '-')
            return false;
    return true;
}

static bool is_account(struct str t)
{
    if (t.len == 0 || t.len > 32 || t.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (!is_lower_or_digit(t.ptr[i]) && t.ptr[i] != '-' && t.ptr[i] != '_')
            return false;
    return true;
}

static bool is_path(struct str t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((uint8_t)t.ptr[i] < 0x20 || t.ptr[i] == 0x7f)
            return false;
    return str_starts(t, "/") && str_utf8(t);
}

static bool read_addresses(struct str text, struct config_addresses *field)
{
    struct config_addresses v;
    memset(&v, 0, sizeof v);
    for (bool more = true; more;) {
        struct str item;
        more = str_cut(&text, ',', &item);
        if (v.count == CONFIG_ADDRESSES_MAX || !ip_parse(str_trim(item), &v.item[v.count]) ||
            v.item[v.count++].family != 4)
            return false;
    }
    *field = v;
    return true;
}

/* Of addresses that a machine may have: not "this network", loopback, multicast or beyond. */
static bool read_subnet(const struct config_key *k, struct str text, struct ip_net *field)
{
    struct ip_net v;
    if (!ip_net_parse(text, &v) || !in_range(k, v.bits))
        return false;
    uint32_t first = v.addr >> 24;
    if (first == 0 || first == 127 || first >= 224)
        return false;
    *field = v;
    return true;
}

bool config_value_read(const struct config_key *k, struct str text, void *field)
{
    if (text.len == 0) {
        if (k->unset)
            memset(field, 0, k->size);
        return k->unset != NULL;
    }
    switch (k->type) {
    case CONFIG_BOOL: return read_bool(text, field);
    case CONFIG_INTEGER: return read_integer(k, text, field);
    case CONFIG_SIZE: return read_size(k, text, field);
    case CONFIG_DURATION: return read_duration(k, text, field);
    case CONFIG_WORD: return read_word(k, text, field);
    case CONFIG_MODE: return read_mode(text, field);
    case CONFIG_NAME: return is_label(text) && read_text(k, text, field);
    case CONFIG_ACCOUNT: return is_account(text) && read_text(k, text, field);
    case CONFIG_PATH: return is_path(text) && read_text(k, text, field);
    case CONFIG_ADDRESSES: return read_addresses(text, field);
    case CONFIG_ENDPOINT: return ip_endpoint_parse(text, field);
    case CONFIG_SUBNET: return read_subnet(k, text, field);
    }
    defs_unreachable("type of a configuration key");
}

/* ---- writing ---- */

static void write_addresses(const struct config_addresses *v, struct buf *out)
{
    for (size_t i = 0; i < v->count; i++) {
        char text[IP_TEXT_MAX];
        ip_format(&v->item[i], text);
        buf_fmt(out, "%s%s", i ? "," : "", text);
    }
}

void config_value_write(const struct config_key *k, const void *field, struct buf *out)
{
    char text[UNITS_TEXT_MAX + IP_TEXT_MAX] = ""; /* enough for either */
    switch (k->type) {
    case CONFIG_BOOL: buf_text(out, *(const bool *)field ? "true" : "false"); return;
    case CONFIG_INTEGER: buf_fmt(out, "%" PRIu32, *(const uint32_t *)field); return;
    case CONFIG_SIZE: units_size_exact(*(const uint64_t *)field, text); break;
    case CONFIG_DURATION: units_duration_exact(*(const uint64_t *)field, text); break;
    case CONFIG_WORD: buf_text(out, k->words[*(const unsigned *)field]); return;
    case CONFIG_MODE: buf_fmt(out, "%04" PRIo32, *(const uint32_t *)field); return;
    case CONFIG_NAME:
    case CONFIG_ACCOUNT:
    case CONFIG_PATH: buf_text(out, field); return;
    case CONFIG_ADDRESSES: write_addresses(field, out); return;
    case CONFIG_ENDPOINT: ip_endpoint_format(field, text); break;
    case CONFIG_SUBNET: ip_net_format(field, text); break;
    }
    buf_text(out, text);
}

/* ---- saying ---- */

static void expects_word(const struct config_key *k, struct buf *out)
{
    for (size_t i = 0; k->words[i]; i++)
        buf_fmt(out, "%s%s", i == 0 ? "" : k->words[i + 1] ? ", " : " or ", k->words[i]);
}

void config_value_expects(const struct config_key *k, struct buf *out)
{
    char lo[UNITS_TEXT_MAX], hi[UNITS_TEXT_MAX];
    switch (k->type) {
    case CONFIG_BOOL: buf_text(out, "true or false"); return;
    case CONFIG_INTEGER:
        buf_fmt(out, "a number from %" PRIu64 " to %" PRIu64, k->min, k->max);
        return;
    case CONFIG_SIZE:
        units_size_exact(k->min, lo);
        units_size_exact(k->max, hi);
        buf_fmt(out, "a size from %s to %s", lo, hi);
        return;
    case CONFIG_DURATION:
        units_duration_exact(k->min, lo);
        units_duration_exact(k->max, hi);
        buf_fmt(out, "a duration from %s to %s", lo, hi);
        return;
    case CONFIG_WORD: expects_word(k, out); return;
    case CONFIG_MODE: buf_text(out, "file permissions such as 0660"); return;
    case CONFIG_NAME:
        buf_text(out, "a name of at most 63 of a-z, 0-9 and -, with no - at its ends");
        return;
    case CONFIG_ACCOUNT: buf_text(out, "a name of at most 32 of a-z, 0-9, - and _"); return;
    case CONFIG_PATH: buf_fmt(out, "an absolute path of at most %zu bytes", k->size - 1); return;
    case CONFIG_ADDRESSES: buf_fmt(out, "at most %d IPv4 addresses", CONFIG_ADDRESSES_MAX); return;
    case CONFIG_ENDPOINT:
        buf_text(out, "an address and a port such as 0.0.0.0:7003 or [::]:7003");
        return;
    case CONFIG_SUBNET:
        buf_fmt(out, "an IPv4 network such as 10.83.0.0/16, of %" PRIu64 " to %" PRIu64 " bits",
                k->min, k->max);
        return;
    }
    defs_unreachable("type of a configuration key");
}
