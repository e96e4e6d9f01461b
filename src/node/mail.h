/*
 * mail: what members of a cluster say to each other, as bytes.
 *
 * u8 version (1), u8 kind, and then by the kind, numbers little-endian (wire/cursor.h):
 *
 *     RAFT       a message of consensus (raft/codec.h)
 *     ASK        u64 id, u64 offset
 *     CHUNK      u64 id, u64 index, u64 term, u64 offset, u8 last; the rest are bytes of a snapshot
 *     HASH       u64 index, u64 hash, u8 verdict
 *     FORWARD    u64 term, u64 life, u64 session, u64 number; the rest is a command, none in session 0
 *     FORWARDED  u64 term, u64 life, u64 session, u64 number, u64 index, u8 + code of a status; the rest
 *                is a text
 *
 * There is one encoding of each, and only that is decoded. What it means is judged by who gets it.
 */
#pragma once

#include "core/limits.h"
#include "raft/codec.h"

enum mail_kind {
    MAIL_RAFT = 1,
    MAIL_ASK,       /* for the next bytes of a snapshot: node/fetch.c */
    MAIL_CHUNK,     /* here they are: node/give.c */
    MAIL_HASH,      /* of the state after an entry: node/agree.h */
    MAIL_FORWARD,   /* a command for the leader's log: node/forward.c */
    MAIL_FORWARDED, /* what became of it */
    MAIL_KIND_END,
};

enum {
    MAIL_CHUNK_MAX = 160 << 10, /* bytes of a snapshot */
    MAIL_COMMAND_MAX = LIMIT_COMMAND_BYTES,
    MAIL_TEXT_MAX = FAULT_TEXT_MAX - 1,
};

struct mail_ask {
    uint64_t id; /* of the transfer, made up by who asks; > 0 */
    uint64_t offset;
};

struct mail_chunk {
    uint64_t id, index, term, offset;
    bool last;
    struct str bytes; /* at most MAIL_CHUNK_MAX; none only if it is the last */
};

struct mail_hash {
    uint64_t index, hash;
    bool verdict; /* this is what it should be */
};

struct mail_forward {
    uint64_t term;    /* of the leader that it is for */
    uint64_t life;    /* of the sender's process; > 0 */
    uint64_t session; /* 0: asks for one */
    uint64_t number;  /* within the session, from 1; 0 when it asks for one */
    struct str command;
};

struct mail_forwarded {
    uint64_t term, life, session,
        number;         /* those of the mail that it answers; number 0: a new session */
    uint64_t index;     /* where it was applied; 0: it was not, as far as is known */
    enum status status; /* of the command; or, at index 0, why it was not applied */
    struct str text;    /* why; at most MAIL_TEXT_MAX */
};

struct mail {
    enum mail_kind kind;
    struct raft_decoded raft;
    union {
        struct mail_ask ask;
        struct mail_chunk chunk;
        struct mail_hash hash;
        struct mail_forward forward;
        struct mail_forwarded forwarded;
    };
};

/* Append m to out, which has room for PEERS_MESSAGE_MAX bytes. Of raft, only raft.message is read. */
void mail_encode(const struct mail *m, struct buf *out);

/*
 * Decode what came.
 *
 * bytes  borrowed: views in ret point into it.
 * ret    to be given to mail_done().
 *
 * Returns  ST_UNSUPPORTED  another version; ST_INVALID, ST_TOO_BIG  mail_encode() does not write this.
 */
MUST_USE enum status mail_decode(struct str bytes, struct mail *ret, struct fault *why);
void mail_done(struct mail *m); /* also for AUTO() */
