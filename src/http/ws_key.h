/*
 * ws_key: the answer to a WebSocket handshake (RFC 6455, 4.2.2).
 */
#pragma once

#include "base/str.h"

enum { WS_KEY_LEN = 24, WS_ACCEPT_MAX = 29 };

/* ST_INVALID when key is not the base64 of 16 bytes. */
MUST_USE enum status ws_key_accept(struct str key, char out[WS_ACCEPT_MAX], struct fault *why);
