/*
 * request: what the daemon asks of its helper, and the answers. One message a packet of a SOCK_SEQPACKET
 * pair; descriptors travel beside it. Pure.
 *
 * The two are the same program, so that there is one version of this. The helper still trusts nothing
 * in it: a daemon that was broken into must not gain by it.
 */
#pragma once

#include "base/buf.h"
#include "port/host.h"

enum {
    REQUEST_SIZE_MAX = 128 * 1024,
    REQUEST_PATH_MAX = 1024,
    REQUEST_TAG_MAX = 5, /* with the terminator */
    REQUEST_FDS_MAX = HOST_FDS_MAX + 2,
};

enum request_type {
    REQUEST_INIT = 1,  /* once, first: while the one who asks still has the rights of the helper */
    REQUEST_SPAWN = 2, /* descriptors: dir, listen, the monitor's */
    REQUEST_CLEAN = 3,
    REQUEST_LIST = 4,
    REQUEST_TYPE_COUNT
};

/* What the helper is told once, and holds all requests against. */
struct request_init {
    char
        tag[REQUEST_TAG_MAX]; /* of this daemon among those of the machine: 1 to 4 of a-z and 0-9 */
    char qemu[REQUEST_PATH_MAX]; /* the only program that is ever run for a VM */
    char shim[REQUEST_PATH_MAX];
    char nft[REQUEST_PATH_MAX];         /* or "" */
    char cgroup_root[REQUEST_PATH_MAX]; /* where hierarchies are mounted: /sys/fs/cgroup */
    uint32_t id_first, id_count;        /* a VM in slot n runs as user and group id_first + n */
    uint32_t own_id, own_group;         /* of the daemon, once it gave up root: the shims' */
    uint32_t subnet;                    /* host order */
    uint8_t subnet_bits;
    uint32_t gateway;
    bool forward; /* turn IPv4 forwarding of the machine on */
};

struct request {
    enum request_type type;
    uint32_t id;
    struct request_init init; /* INIT */
    char uid[HOST_UID_MAX];   /* SPAWN, CLEAN */
    struct host_spawn spawn;  /* SPAWN; dir, listen, fd and argv are not in the message */
    size_t argc;              /* SPAWN: views into the message, each followed by a NUL */
    struct str argv[HOST_ARGS_MAX];
};

/* ST_INVALID, ST_TOO_BIG: a limit is broken, nothing was appended. */
MUST_USE enum status request_put(struct buf *out, const struct request *r, struct fault *why);
MUST_USE enum status request_get(struct str message, struct request *ret, struct fault *why);

struct answer {
    uint32_t id;
    enum status status; /* not ST_OK: `why` says the rest, nothing else is set */
    struct fault why;
    struct host_facts facts;     /* INIT */
    struct host_spawned spawned; /* SPAWN; its descriptor is beside the message */
    size_t count;                /* LIST */
    char (
        *uid)[HOST_UID_MAX]; /* LIST: HOST_LIST_MAX places, the caller's; NULL: do not want them */
};

void answer_put(struct buf *out, enum request_type type, const struct answer *a);
/* type: of the request that has this id. The text of `why` is made safe to print. */
MUST_USE enum status answer_get(struct str message, enum request_type type, struct answer *ret,
                                struct fault *why);
/* The id alone, to find out what type it answers; 0 when there is none. */
uint32_t answer_id(struct str message);

/* Checks that both ends share: 32 lower-case hex digits. */
bool request_is_uid(struct str s);
