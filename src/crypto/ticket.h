/*
 * ticket: what a machine needs to become a node of a cluster: which cluster, where its nodes are and
 * by which keys they are known, and a secret that is good once. And the proof that one has the secret.
 *
 *     blxjoin_<base64url of the bytes below, without padding>
 *
 *     version 1 | cluster uid 16 | id of the token 10 | seed 32 | count 1 |
 *     count times: node key 32, family 1 (4 or 6), address 4 or 16, port 2 | CRC32C 4
 *
 * Numbers are big-endian. One ticket has one spelling. The seed is that of an Ed25519 key, of which the
 * cluster keeps the public part alone; it is never sent. Pure, but for the memory of secrets.
 */
#pragma once

#include "base/ip.h"
#include "crypto/key.h"
#include "crypto/token.h"

#define TICKET_PREFIX "blxjoin_"

enum {
    TICKET_CLUSTER_SIZE = 16,
    TICKET_ADDRESSES_MAX = 3,
    TICKET_EXPORTER_SIZE = 32, /* of TLS, under TICKET_EXPORTER_LABEL, without a context */
    TICKET_NAME_MAX = 63,
    TICKET_TEXT_MAX = 300, /* the longest, and NUL */
};
#define TICKET_EXPORTER_LABEL "EXPORTER-blixard-join"

struct ticket_address {
    uint8_t key[KEY_PUBLIC_SIZE]; /* of the node that answers there */
    struct ip_endpoint at;
};

struct ticket {
    uint8_t cluster[TICKET_CLUSTER_SIZE];
    char token_id[TOKEN_ID_LEN + 1];
    struct secret seed; /* KEY_SEED_SIZE bytes */
    struct ticket_address address[TICKET_ADDRESSES_MAX];
    size_t address_count; /* 1 or more */
};

/* The text with a NUL behind it (len tells without), the caller's, to secret_done(). What t holds must
 * be what ticket_decode() could have given. */
void ticket_encode(const struct ticket *t, struct secret *ret_text);

/* ST_INVALID for anything but what ticket_encode() writes. The text is not quoted in `why`.
 * ret: the caller's, to ticket_done(). */
MUST_USE enum status ticket_decode(struct str text, struct ticket *ret, struct fault *why);

void ticket_done(struct ticket *t); /* also for AUTO(ticket_done), and of one that is all zero */

/* --- the proof --- */

/* What is claimed over one TLS session: this key wants to be the node of this name in this cluster. The
 * exporter binds it to that session, so that nobody in between can pass it on. */
struct ticket_claim {
    uint8_t exporter[TICKET_EXPORTER_SIZE];
    uint8_t node_key[KEY_PUBLIC_SIZE];
    struct str name; /* borrowed; at most TICKET_NAME_MAX bytes */
    uint8_t cluster[TICKET_CLUSTER_SIZE];
};

/* Sign the claim: with the ticket's key, and with the node's own. */
void ticket_prove(const struct key *k, const struct ticket_claim *c,
                  uint8_t out[KEY_SIGNATURE_SIZE]);
/* Did the owner of that key sign it? A name that is too long is signed by nobody. */
bool ticket_proven(const uint8_t public[KEY_PUBLIC_SIZE], const struct ticket_claim *c,
                   const uint8_t signature[KEY_SIGNATURE_SIZE]);
