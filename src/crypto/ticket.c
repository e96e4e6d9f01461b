#include "crypto/ticket.h"

#include <string.h>

#include "base/hash.h"

enum {
    VERSION = 1,
    PREFIX_LEN = sizeof TICKET_PREFIX - 1,
    HEAD_SIZE = 1 + TICKET_CLUSTER_SIZE + TOKEN_ID_LEN + KEY_SEED_SIZE + 1,
    ADDRESS_SIZE_MAX = KEY_PUBLIC_SIZE + 1 + 16 + 2,
    CHECK_SIZE = 4,
    BYTES_MAX = HEAD_SIZE + TICKET_ADDRESSES_MAX * ADDRESS_SIZE_MAX + CHECK_SIZE,
};
_Static_assert(PREFIX_LEN + (BYTES_MAX * 4 + 2) / 3 < TICKET_TEXT_MAX, "the longest has room");

/* --- base64url, without padding (RFC 4648 section 5) --- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t write_text(const uint8_t *bytes, size_t size, char *out)
{
    size_t len = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < size; i++) {
        held = (held << 8 | bytes[i]) & 0xffff;
        for (bits += 8; bits >= 6; bits -= 6)
            out[len++] = digits[held >> (bits - 6) & 63];
    }
    if (bits > 0)
        out[len++] = digits[held << (6 - bits) & 63];
    return len;
}

/* How many bytes the text stands for; 0 if it is not one that write_text() writes, or for too many. */
static size_t read_text(struct str text, uint8_t out[BYTES_MAX])
{
    size_t size = 0;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] ? strchr(digits, text.ptr[i]) : NULL;
        if (!digit || (bits + 6 >= 8 && size == BYTES_MAX))
            return 0;
        held = (held << 6 | (unsigned)(digit - digits)) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[size++] = (uint8_t)(held >> bits);
        }
    }
    /* The bits that are left over are zero, and fewer than a digit's. */
    return bits < 6 && (held & ((1U << bits) - 1)) == 0 ? size : 0;
}

/* --- bytes --- */

static uint8_t *put(uint8_t *p, const void *data, size_t len)
{
    memcpy(p, data, len);
    return p + len;
}

static uint8_t *put_check(const uint8_t *bytes, uint8_t *p)
{
    uint32_t crc = hash_crc32c(0, bytes, (size_t)(p - bytes));
    for (unsigned i = 0; i < CHECK_SIZE; i++)
        *p++ = (uint8_t)(crc >> (24 - 8 * i));
    return p;
}

static size_t ip_size(uint8_t family)
{
    return family == 4 ? 4 : family == 6 ? 16 : 0;
}

static uint8_t *put_address(uint8_t *p, const struct ticket_address *a)
{
    require(ip_size(a->at.ip.family) > 0 && a->at.port > 0);
    p = put(p, a->key, sizeof a->key);
    *p++ = a->at.ip.family;
    p = put(p, a->at.ip.byte, ip_size(a->at.ip.family));
    *p++ = (uint8_t)(a->at.port >> 8);
    *p++ = (uint8_t)a->at.port;
    return p;
}

void ticket_encode(const struct ticket *t, struct secret *ret_text)
{
    require(t->address_count > 0 && t->address_count <= TICKET_ADDRESSES_MAX);
    require(t->seed.len == KEY_SEED_SIZE && token_is_id(t->token_id));
    uint8_t bytes[BYTES_MAX], *p = bytes;
    *p++ = VERSION;
    p = put(p, t->cluster, sizeof t->cluster);
    p = put(p, t->token_id, TOKEN_ID_LEN);
    p = put(p, t->seed.ptr, KEY_SEED_SIZE);
    *p++ = (uint8_t)t->address_count;
    for (size_t i = 0; i < t->address_count; i++)
        p = put_address(p, &t->address[i]);
    p = put_check(bytes, p);

    secret_init(ret_text, TICKET_TEXT_MAX);
    char *text = (char *)ret_text->ptr;
    memcpy(text, TICKET_PREFIX, PREFIX_LEN);
    ret_text->len = PREFIX_LEN + write_text(bytes, (size_t)(p - bytes), text + PREFIX_LEN);
    ensure(ret_text->len < TICKET_TEXT_MAX);
    secret_wipe(bytes, sizeof bytes);
}

/* --- and back --- */

/* Take len bytes off the front, or NULL. */
static const uint8_t *take(struct str *rest, size_t len)
{
    if (rest->len < len)
        return NULL;
    const uint8_t *p = (const uint8_t *)rest->ptr;
    *rest = (struct str){rest->ptr + len, rest->len - len};
    return p;
}

static bool take_address(struct str *rest, struct ticket_address *out)
{
    const uint8_t *key = take(rest, KEY_PUBLIC_SIZE + 1);
    if (!key)
        return false;
    uint8_t family = key[KEY_PUBLIC_SIZE];
    size_t size = ip_size(family);
    const uint8_t *at = size ? take(rest, size + 2) : NULL;
    if (!at)
        return false;
    memcpy(out->key, key, KEY_PUBLIC_SIZE);
    out->at.ip.family = family;
    memcpy(out->at.ip.byte, at, size);
    out->at.port = (uint16_t)(at[size] << 8 | at[size + 1]);
    return out->at.port > 0;
}

static bool take_ticket(struct str rest, struct ticket *out)
{
    const uint8_t *head = take(&rest, HEAD_SIZE);
    if (!head)
        return false;
    memcpy(out->cluster, head + 1, TICKET_CLUSTER_SIZE);
    memcpy(out->token_id, head + 1 + TICKET_CLUSTER_SIZE, TOKEN_ID_LEN);
    size_t count = head[HEAD_SIZE - 1];
    if (!token_is_id(out->token_id) || count == 0 || count > TICKET_ADDRESSES_MAX)
        return false;
    for (; out->address_count < count; out->address_count++)
        if (!take_address(&rest, &out->address[out->address_count]))
            return false;
    if (rest.len > 0)
        return false;
    secret_copy(&out->seed, head + HEAD_SIZE - 1 - KEY_SEED_SIZE, KEY_SEED_SIZE);
    return true;
}

static bool check_fits(const uint8_t *bytes, size_t size)
{
    uint8_t again[BYTES_MAX + CHECK_SIZE];
    if (size < CHECK_SIZE)
        return false;
    memcpy(again, bytes, size - CHECK_SIZE);
    (void)put_check(again, again + size - CHECK_SIZE);
    bool fits = memcmp(again + size - CHECK_SIZE, bytes + size - CHECK_SIZE, CHECK_SIZE) == 0;
    secret_wipe(again, sizeof again);
    return fits;
}

static enum status decode(const uint8_t *bytes, size_t size, struct ticket *ret, struct fault *why)
{
    struct ticket t = {0};
    if (!check_fits(bytes, size))
        return fault_set(why, ST_INVALID,
                         "the ticket is mistyped or was cut: its check does not fit");
    if (bytes[0] != VERSION)
        return fault_set(why, ST_INVALID, "the ticket is of version %d, this program knows %d",
                         bytes[0], VERSION);
    if (!take_ticket((struct str){(const char *)bytes, size - CHECK_SIZE}, &t))
        return fault_set(why, ST_INVALID, "the ticket does not hold what a ticket holds");
    *ret = t;
    return ST_OK;
}

enum status ticket_decode(struct str text, struct ticket *ret, struct fault *why)
{
    uint8_t bytes[BYTES_MAX];
    if (!str_starts(text, TICKET_PREFIX))
        return fault_set(why, ST_INVALID, "it does not look like a ticket: " TICKET_PREFIX "...");
    size_t size = read_text((struct str){text.ptr + PREFIX_LEN, text.len - PREFIX_LEN}, bytes);
    enum status s = decode(bytes, size, ret, why);
    secret_wipe(bytes, sizeof bytes);
    return s;
}

void ticket_done(struct ticket *t)
{
    secret_done(&t->seed);
}

/* --- the proof --- */

#define CLAIM_FOR "blixard-join-v1"
enum {
    CLAIM_MAX = sizeof CLAIM_FOR - 1 + TICKET_EXPORTER_SIZE + KEY_PUBLIC_SIZE + TICKET_NAME_MAX +
                TICKET_CLUSTER_SIZE,
};

/* Only the name has no fixed length: two claims never give the same bytes. */
static size_t write_claim(const struct ticket_claim *c, uint8_t out[CLAIM_MAX])
{
    uint8_t *p = put(out, CLAIM_FOR, sizeof CLAIM_FOR - 1);
    p = put(p, c->exporter, sizeof c->exporter);
    p = put(p, c->node_key, sizeof c->node_key);
    if (c->name.len > 0)
        p = put(p, c->name.ptr, c->name.len);
    p = put(p, c->cluster, sizeof c->cluster);
    return (size_t)(p - out);
}

void ticket_prove(const struct key *k, const struct ticket_claim *c,
                  uint8_t out[KEY_SIGNATURE_SIZE])
{
    uint8_t claim[CLAIM_MAX];
    require(c->name.len <= TICKET_NAME_MAX);
    key_sign(k, claim, write_claim(c, claim), out);
}

bool ticket_proven(const uint8_t public[KEY_PUBLIC_SIZE], const struct ticket_claim *c,
                   const uint8_t signature[KEY_SIGNATURE_SIZE])
{
    uint8_t claim[CLAIM_MAX];
    return c->name.len <= TICKET_NAME_MAX &&
           key_verify(public, claim, write_claim(c, claim), signature);
}
