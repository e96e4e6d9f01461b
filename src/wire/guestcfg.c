#include "wire/guestcfg.h"

#include <string.h>

#include "base/ip.h"

static const char first_line[] = "blixard=1";

/* ---- values ---- */

void guestcfg_ipv4_text(uint32_t address, char out[GUESTCFG_IPV4_TEXT])
{
    char text[IP_TEXT_MAX];
    struct ip ip = {.family = 4};
    for (int i = 0; i < 4; i++)
        ip.byte[i] = (uint8_t)(address >> (24 - 8 * i));
    ip_format(&ip, text);
    ensure(strlen(text) < GUESTCFG_IPV4_TEXT);
    memcpy(out, text, strlen(text) + 1);
}

enum status guestcfg_ipv4_parse(struct str text, uint32_t *ret_address, struct fault *why)
{
    struct ip ip;
    if (!ip_parse(text, &ip) || ip.family != 4)
        return fault_set(why, ST_INVALID, "\"" STR_FMT "\" is not an IPv4 address", STR_ARG(text));
    *ret_address = (uint32_t)ip.byte[0] << 24 | (uint32_t)ip.byte[1] << 16 |
                   (uint32_t)ip.byte[2] << 8 | ip.byte[3];
    return ST_OK;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
}

/* Letters, digits, '-', '_' and '.', and not only dots: also safe as one part of a path. */
static bool is_word(struct str s)
{
    bool more = false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_word_char(s.ptr[i]))
            return false;
        more |= s.ptr[i] != '.';
    }
    return more;
}

static bool is_mac(struct str s)
{
    if (s.len != 17)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (i % 3 == 2 ? s.ptr[i] != ':' : !is_hex(s.ptr[i]))
            return false;
    return true;
}

static bool is_machine_id(struct str s)
{
    return str_is_hex(s, 32);
}

/* Absolute, printable, without spaces or a ".." that would lead out of the root. */
static bool is_path(struct str s)
{
    if (s.len == 0 || s.ptr[0] != '/')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    struct str rest = s, part;
    for (bool more = true; more;) {
        more = str_cut(&rest, '/', &part);
        if (str_is(part, ".."))
            return false;
    }
    return true;
}

/* ---- one line each ---- */

enum { OK = 0, BAD = 1 };

static int get_word(struct str v, char *out, size_t size, bool (*good)(struct str))
{
    return good(v) && str_copy(v, out, size, NULL) == ST_OK ? OK : BAD;
}

static int get_address(struct str v, struct guestcfg *c)
{
    struct str ip;
    uint64_t prefix;
    uint32_t address;
    if (!str_cut(&v, '/', &ip) || guestcfg_ipv4_parse(ip, &address, NULL) != ST_OK ||
        str_u64(v, 0, 32, &prefix, NULL) != ST_OK)
        return BAD;
    c->address = address;
    c->prefix = (uint8_t)prefix;
    return OK;
}

static int get_ipv4(struct str v, uint32_t *ret)
{
    return guestcfg_ipv4_parse(v, ret, NULL) == ST_OK ? OK : BAD;
}

static int get_dns(struct str v, struct guestcfg *c)
{
    if (c->dns_count == GUESTCFG_DNS_MAX || get_ipv4(v, &c->dns[c->dns_count]) != OK)
        return BAD;
    c->dns_count++;
    return OK;
}

static int get_seed(struct str v, struct guestcfg *c)
{
    c->has_seed = str_unhex(v, c->seed, sizeof c->seed, NULL) == ST_OK;
    return c->has_seed ? OK : BAD;
}

/* "vda ext4 rw /mnt/x", the path being the root's own when it is left out. */
static int get_disk(struct str v, struct guestcfg_disk *d)
{
    struct str device, fs, mode, path = v;
    if (!str_cut(&path, ' ', &device) || !str_cut(&path, ' ', &fs))
        return BAD;
    bool has_path = str_cut(&path, ' ', &mode);
    d->read_only = str_is(mode, "ro");
    if ((!d->read_only && !str_is(mode, "rw")) ||
        get_word(device, d->device, sizeof d->device, is_word) != OK ||
        get_word(fs, d->fs, sizeof d->fs, is_word) != OK)
        return BAD;
    if (!has_path)
        path = STR("/");
    return get_word(path, d->path, sizeof d->path, is_path);
}

static int get_volume(struct str v, struct guestcfg *c)
{
    if (c->volume_count == GUESTCFG_VOLUMES_MAX)
        return BAD;
    struct guestcfg_disk *d = &c->volume[c->volume_count];
    if (get_disk(v, d) != OK || strcmp(d->path, "/") == 0)
        return BAD;
    c->volume_count++;
    return OK;
}

/* Keys in the order in which they are written; a key that may repeat counts for itself. */
enum key {
    KEY_HOSTNAME,
    KEY_MACHINE_ID,
    KEY_MAC,
    KEY_ADDRESS,
    KEY_GATEWAY,
    KEY_DNS,
    KEY_TIME_NS,
    KEY_SEED,
    KEY_ROOT,
    KEY_VOLUME,
    KEY_COUNT
};

static const char *const key_name[KEY_COUNT] = {
    [KEY_HOSTNAME] = "hostname", [KEY_MACHINE_ID] = "machine_id",
    [KEY_MAC] = "mac",           [KEY_ADDRESS] = "address",
    [KEY_GATEWAY] = "gateway",   [KEY_DNS] = "dns",
    [KEY_TIME_NS] = "time_ns",   [KEY_SEED] = "seed",
    [KEY_ROOT] = "root",         [KEY_VOLUME] = "volume",
};

static int get_value(enum key key, struct str v, struct guestcfg *c)
{
    switch (key) {
    case KEY_HOSTNAME: return get_word(v, c->hostname, sizeof c->hostname, is_word);
    case KEY_MACHINE_ID: return get_word(v, c->machine_id, sizeof c->machine_id, is_machine_id);
    case KEY_MAC: return get_word(v, c->mac, sizeof c->mac, is_mac);
    case KEY_ADDRESS: return get_address(v, c);
    case KEY_GATEWAY: return get_ipv4(v, &c->gateway);
    case KEY_DNS: return get_dns(v, c);
    case KEY_TIME_NS: return str_u64(v, 0, UINT64_MAX, &c->time_ns, NULL) == ST_OK ? OK : BAD;
    case KEY_SEED: return get_seed(v, c);
    case KEY_ROOT: return get_disk(v, &c->root);
    case KEY_VOLUME: return get_volume(v, c);
    case KEY_COUNT: break;
    }
    defs_unreachable("key of a guest configuration");
}

static enum key find_key(struct str name)
{
    unsigned k = 0;
    while (k < KEY_COUNT && !str_is(name, key_name[k]))
        k++;
    return (enum key)k;
}

enum status guestcfg_decode(struct str text, struct guestcfg *ret, struct fault *why)
{
    if (text.len > GUESTCFG_TEXT_MAX)
        return fault_set(why, ST_TOO_BIG, "a guest configuration of %zu bytes, the limit is %d",
                         text.len, GUESTCFG_TEXT_MAX);
    struct guestcfg c = {0};
    struct str rest = text, line;
    (void)str_cut(&rest, '\n', &line);
    if (!str_is(line, first_line))
        return fault_set(why, ST_INVALID, "a guest configuration begins with %s", first_line);

    bool seen[KEY_COUNT] = {0};
    for (unsigned number = 2; rest.len > 0; number++) {
        (void)str_cut(&rest, '\n', &line);
        if (line.len == 0) {
            c.user_data = rest;
            break;
        }
        struct str value = line, name;
        if (!str_cut(&value, '=', &name))
            return fault_set(why, ST_INVALID, "line %u: key=value is expected", number);
        enum key key = find_key(name);
        if (key == KEY_COUNT)
            continue;
        bool again = seen[key] && key != KEY_DNS && key != KEY_VOLUME;
        if (again || get_value(key, value, &c) != OK)
            return fault_set(why, ST_INVALID, "line %u: %s %s", number, key_name[key],
                             again ? "is given twice" : "has a value that is not allowed");
        seen[key] = true;
    }
    if (c.user_data.len > GUESTCFG_USER_DATA_MAX)
        return fault_set(why, ST_TOO_BIG, "user data of %zu bytes, the limit is %d",
                         c.user_data.len, GUESTCFG_USER_DATA_MAX);
    *ret = c;
    return ST_OK;
}

/* ---- writing ---- */

static void put_text(struct buf *out, enum key key, const char *value)
{
    if (value[0])
        buf_fmt(out, "%s=%s\n", key_name[key], value);
}

static void put_ipv4(struct buf *out, enum key key, uint32_t address)
{
    char text[GUESTCFG_IPV4_TEXT];
    guestcfg_ipv4_text(address, text);
    buf_fmt(out, "%s=%s\n", key_name[key], text);
}

static void put_disk(struct buf *out, enum key key, const struct guestcfg_disk *d)
{
    if (d->device[0])
        buf_fmt(out, "%s=%s %s %s %s\n", key_name[key], d->device, d->fs,
                d->read_only ? "ro" : "rw", d->path);
}

static void put_lines(struct buf *out, const struct guestcfg *c)
{
    buf_fmt(out, "%s\n", first_line);
    put_text(out, KEY_HOSTNAME, c->hostname);
    put_text(out, KEY_MACHINE_ID, c->machine_id);
    put_text(out, KEY_MAC, c->mac);
    if (c->address) {
        char ip[GUESTCFG_IPV4_TEXT];
        guestcfg_ipv4_text(c->address, ip);
        buf_fmt(out, "%s=%s/%u\n", key_name[KEY_ADDRESS], ip, c->prefix);
    }
    if (c->gateway)
        put_ipv4(out, KEY_GATEWAY, c->gateway);
    for (size_t i = 0; i < c->dns_count; i++)
        put_ipv4(out, KEY_DNS, c->dns[i]);
    if (c->time_ns)
        buf_fmt(out, "%s=%" PRIu64 "\n", key_name[KEY_TIME_NS], c->time_ns);
    if (c->has_seed) {
        char hex[2 * GUESTCFG_SEED + 1];
        str_hex(c->seed, sizeof c->seed, hex);
        put_text(out, KEY_SEED, hex);
    }
    put_disk(out, KEY_ROOT, &c->root);
    for (size_t i = 0; i < c->volume_count; i++)
        put_disk(out, KEY_VOLUME, &c->volume[i]);
    if (c->user_data.len) {
        buf_char(out, '\n');
        buf_str(out, c->user_data);
    }
}

/* No value may bring a line or a column of its own. */
static enum status check_text(const char *text, const char *field, struct fault *why)
{
    for (const char *p = text; *p; p++) {
        if (*p > ' ' && *p <= '~')
            continue;
        enum status s =
            fault_set(why, ST_INVALID, "%s holds a space or a control character", field);
        fault_field(why, "%s", field);
        return s;
    }
    return ST_OK;
}

static enum status check_disk(const struct guestcfg_disk *d, const char *field, struct fault *why)
{
    enum status s = check_text(d->device, field, why);
    if (s == ST_OK)
        s = check_text(d->fs, field, why);
    return s == ST_OK ? check_text(d->path, field, why) : s;
}

static enum status check(const struct guestcfg *c, struct fault *why)
{
    enum status s = check_text(c->hostname, key_name[KEY_HOSTNAME], why);
    if (s == ST_OK)
        s = check_text(c->machine_id, key_name[KEY_MACHINE_ID], why);
    if (s == ST_OK)
        s = check_text(c->mac, key_name[KEY_MAC], why);
    if (s == ST_OK)
        s = check_disk(&c->root, key_name[KEY_ROOT], why);
    for (size_t i = 0; s == ST_OK && i < c->volume_count; i++)
        s = check_disk(&c->volume[i], key_name[KEY_VOLUME], why);
    return s;
}

/* What is written is read back at once: so the guest will not refuse what the host wrote, and the
 * rules stand in one place. */
enum status guestcfg_encode(const struct guestcfg *c, struct buf *out, struct fault *why)
{
    require(c->dns_count <= GUESTCFG_DNS_MAX && c->volume_count <= GUESTCFG_VOLUMES_MAX);
    enum status s = check(c, why);
    if (s != ST_OK)
        return s;
    AUTO(buf_done) struct buf text;
    buf_init(&text, GUESTCFG_TEXT_MAX);
    put_lines(&text, c);
    s = buf_status(&text, why);
    struct guestcfg back;
    if (s == ST_OK)
        s = guestcfg_decode(buf_view(&text), &back, why);
    if (s == ST_OK) {
        buf_str(out, buf_view(&text));
        s = buf_status(out, why);
    }
    return s;
}
