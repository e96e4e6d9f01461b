/* Any bytes as the text of a ticket, and any bytes as what a text stands for. What is taken comes out
 * again as it was spelt. */
#include <string.h>

#include "base/hash.h"
#include "crypto/ticket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 256 };

static void try(struct str text)
{
    AUTO(secret_done) struct secret again = {0};
    AUTO(ticket_done) struct ticket t = {0};
    struct fault why;
    if (ticket_decode(text, &t, &why) != ST_OK)
        return;
    require(t.seed.len == KEY_SEED_SIZE && token_is_id(t.token_id));
    require(t.address_count > 0 && t.address_count <= TICKET_ADDRESSES_MAX);
    ticket_encode(&t, &again);
    require(str_eq(text, secret_view(&again)));
}

static size_t spell(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t len = 0;
    for (size_t bit = 0; bit < 8 * size; bit += 6) {
        unsigned v = 0;
        for (size_t i = bit; i < bit + 6; i++)
            v = v << 1 | (i < 8 * size ? (unsigned)bytes[i / 8] >> (7 - i % 8) & 1 : 0);
        out[len++] = digits[v];
    }
    return len;
}

/* With the check that fits, and the prefix: what else is wrong is found. */
static void try_bytes(const uint8_t *data, size_t size)
{
    uint8_t bytes[BYTES_MAX + 4];
    char text[sizeof TICKET_PREFIX + (sizeof bytes * 4 + 2) / 3];
    size = MIN(size, (size_t)BYTES_MAX);
    if (size > 0)
        memcpy(bytes, data, size);
    uint32_t crc = hash_crc32c(0, bytes, size);
    for (size_t i = 0; i < 4; i++)
        bytes[size + i] = (uint8_t)(crc >> (24 - 8 * i));
    memcpy(text, TICKET_PREFIX, sizeof TICKET_PREFIX);
    size_t len = sizeof TICKET_PREFIX - 1;
    try((struct str){text, len + spell(bytes, size + 4, text + len)});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try((struct str){(const char *)data, size});
    try_bytes(data, size);
    return 0;
}
