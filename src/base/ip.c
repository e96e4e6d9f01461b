#include "base/ip.h"

#include <stdio.h>
#include <string.h>

enum { GROUPS = 8 }; /* of an IPv6 address, 16 bits each */

static bool small_number(struct str t, uint64_t max, uint64_t *ret)
{
    bool leading_zero = t.len > 1 && t.ptr[0] == '0'; /* octal to some readers, so to none */
    return !leading_zero && str_u64(t, 0, max, ret, NULL) == ST_OK;
}

static bool parse_v4(struct str text, uint8_t out[4])
{
    uint8_t byte[4];
    for (size_t i = 0; i < 4; i++) {
        struct str part;
        uint64_t v;
        bool more = str_cut(&text, '.', &part);
        if (more != (i < 3) || !small_number(part, 255, &v))
            return false;
        byte[i] = (uint8_t)v;
    }
    memcpy(out, byte, 4);
    return true;
}

static bool hex_group(struct str t, uint16_t *ret)
{
    uint8_t b[2];
    char padded[4] = {'0', '0', '0', '0'};
    if (t.len == 0 || t.len > 4)
        return false;
    memcpy(padded + 4 - t.len, t.ptr, t.len);
    if (str_unhex((struct str){padded, 4}, b, 2, NULL) != ST_OK)
        return false;
    *ret = (uint16_t)(b[0] << 8 | b[1]);
    return true;
}

/* Groups of hex digits up to the end, the last two perhaps as an IPv4 address. */
static bool parse_groups(struct str text, uint16_t group[GROUPS], size_t *ret_count)
{
    size_t n = 0;
    for (bool more = text.len > 0; more; n++) {
        struct str part;
        uint8_t v4[4];
        more = str_cut(&text, ':', &part);
        if (!more && n + 2 <= GROUPS && parse_v4(part, v4)) {
            group[n++] = (uint16_t)(v4[0] << 8 | v4[1]);
            group[n] = (uint16_t)(v4[2] << 8 | v4[3]);
        } else if (n == GROUPS || !hex_group(part, &group[n])) {
            return false;
        }
    }
    *ret_count = n;
    return true;
}

/* Where "::" begins, or the length of the text. */
static size_t find_gap(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.ptr[i] == ':' && text.ptr[i + 1] == ':')
            return i;
    return text.len;
}

static bool parse_v6(struct str text, uint8_t out[16])
{
    uint16_t head[GROUPS], tail[GROUPS], all[GROUPS] = {0};
    size_t head_count, tail_count;
    struct str left = {text.ptr, find_gap(text)};
    bool gap = left.len < text.len;
    if (gap && memchr(left.ptr, '.', left.len)) /* IPv4 is only at the end */
        return false;
    struct str right =
        gap ? (struct str){text.ptr + left.len + 2, text.len - left.len - 2} : STR("");
    if (!parse_groups(left, head, &head_count) || !parse_groups(right, tail, &tail_count))
        return false;
    if (gap ? head_count + tail_count >= GROUPS : head_count != GROUPS)
        return false;
    memcpy(all, head, head_count * sizeof *all);
    memcpy(all + GROUPS - tail_count, tail, tail_count * sizeof *all);
    for (size_t i = 0; i < GROUPS; i++) {
        out[2 * i] = (uint8_t)(all[i] >> 8);
        out[2 * i + 1] = (uint8_t)all[i];
    }
    return true;
}

bool ip_parse(struct str text, struct ip *ret)
{
    struct ip v = {0};
    if (parse_v4(text, v.byte))
        v.family = 4;
    else if (text.len > 0 && parse_v6(text, v.byte))
        v.family = 6;
    else
        return false;
    *ret = v;
    return true;
}

bool ip_net_parse(struct str text, struct ip_net *ret)
{
    struct str head;
    uint8_t b[4];
    uint64_t bits;
    if (!str_cut(&text, '/', &head) || !parse_v4(head, b) || !small_number(text, 32, &bits))
        return false;
    uint32_t addr = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    uint32_t beyond = (uint32_t)(UINT64_C(0xffffffff) >> bits);
    if (addr & beyond)
        return false;
    *ret = (struct ip_net){addr, (uint8_t)bits};
    return true;
}

bool ip_endpoint_parse(struct str text, struct ip_endpoint *ret)
{
    struct ip_endpoint v;
    memset(&v, 0, sizeof v); /* what it pads too: values are compared whole */
    struct str host = text, port;
    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    if (host.len == 0)
        return false;
    port = (struct str){text.ptr + host.len, text.len - host.len};
    host.len--;
    bool brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (brackets)
        host = (struct str){host.ptr + 1, host.len - 2};
    uint64_t number;
    if (!ip_parse(host, &v.ip) || (v.ip.family == 6) != brackets ||
        !small_number(port, UINT16_MAX, &number) || number == 0)
        return false;
    v.port = (uint16_t)number;
    *ret = v;
    return true;
}

/* The longest run of two or more zero groups, the first of equals; length 0 if there is none. */
static void longest_gap(const uint16_t group[GROUPS], size_t *ret_at, size_t *ret_len)
{
    *ret_at = *ret_len = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        size_t n = 0;
        while (i + n < GROUPS && group[i + n] == 0)
            n++;
        if (n >= 2 && n > *ret_len) {
            *ret_at = i;
            *ret_len = n;
        }
    }
}

static void format_v6(const uint8_t byte[16], char out[IP_TEXT_MAX])
{
    uint16_t group[GROUPS];
    size_t gap_at, gap_len, len = 0;
    for (size_t i = 0; i < GROUPS; i++)
        group[i] = (uint16_t)(byte[2 * i] << 8 | byte[2 * i + 1]);
    longest_gap(group, &gap_at, &gap_len);
    out[0] = 0;
    for (size_t i = 0; i < GROUPS; i++) {
        bool after_gap = gap_len > 0 && i == gap_at + gap_len;
        if (gap_len > 0 && i == gap_at) {
            len += (size_t)snprintf(out + len, IP_TEXT_MAX - len, "::");
            i += gap_len - 1;
        } else {
            len += (size_t)snprintf(out + len, IP_TEXT_MAX - len, "%s%x",
                                    i == 0 || after_gap ? "" : ":", group[i]);
        }
    }
}

void ip_format(const struct ip *ip, char out[IP_TEXT_MAX])
{
    const uint8_t *b = ip->byte;
    out[0] = 0;
    if (ip->family == 4)
        (void)snprintf(out, IP_TEXT_MAX, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    else if (ip->family == 6)
        format_v6(b, out);
}

void ip_endpoint_format(const struct ip_endpoint *e, char out[IP_ENDPOINT_TEXT_MAX])
{
    char text[IP_TEXT_MAX];
    ip_format(&e->ip, text);
    out[0] = 0;
    if (e->port)
        (void)snprintf(out, IP_ENDPOINT_TEXT_MAX, e->ip.family == 6 ? "[%s]:%u" : "%s:%u", text,
                       e->port);
}

void ip_net_format(const struct ip_net *n, char out[IP_TEXT_MAX])
{
    uint32_t a = n->addr;
    (void)snprintf(out, IP_TEXT_MAX, "%u.%u.%u.%u/%u", a >> 24, a >> 16 & 255, a >> 8 & 255,
                   a & 255, n->bits);
}

uint32_t ip_v4(const struct ip *ip)
{
    require(ip->family == 4);
    return (uint32_t)ip->byte[0] << 24 | (uint32_t)ip->byte[1] << 16 | (uint32_t)ip->byte[2] << 8 |
           ip->byte[3];
}
