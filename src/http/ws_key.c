#include "http/ws_key.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 16 bytes are 22 characters and "==". */
static bool is_key(struct str key)
{
    if (key.len != WS_KEY_LEN || !str_ends(key, "=="))
        return false;
    for (size_t i = 0; i < WS_KEY_LEN - 2; i++)
        if (key.ptr[i] == 0 || !strchr(digits, key.ptr[i]))
            return false;
    return true;
}

enum status ws_key_accept(struct str key, char out[WS_ACCEPT_MAX], struct fault *why)
{
    struct sha1_ctx sha1;
    uint8_t digest[SHA1_DIGEST_SIZE];
    if (!is_key(key))
        return fault_set(why, ST_INVALID, "Sec-WebSocket-Key is not the base64 of 16 bytes");
    /* What SHA-1 is used for here needs no strength: it proves that we speak WebSocket. */
    sha1_init(&sha1);
    sha1_update(&sha1, key.len, (const uint8_t *)key.ptr);
    sha1_update(&sha1, strlen(WS_GUID), (const uint8_t *)WS_GUID);
    sha1_digest(&sha1, sizeof digest, digest);
    base64_encode_raw(out, sizeof digest, digest);
    out[BASE64_ENCODE_RAW_LENGTH(sizeof digest)] = 0;
    return ST_OK;
}
