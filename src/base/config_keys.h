/*
 * config_keys: the table of all keys, and how the value of one is read and written. For config*.c
 * and its test only; everyone else uses struct config.
 */
#pragma once

#include "base/config.h"

enum config_type {
    CONFIG_BOOL,      /* bool */
    CONFIG_INTEGER,   /* uint32_t, in [min, max] */
    CONFIG_SIZE,      /* uint64_t bytes, in [min, max] */
    CONFIG_DURATION,  /* uint64_t milliseconds, in [min, max] */
    CONFIG_WORD,      /* an enum: the index of one of `words` */
    CONFIG_MODE,      /* uint32_t, permissions of a file */
    CONFIG_NAME,      /* char[], a DNS label */
    CONFIG_ACCOUNT,   /* char[], a user or group */
    CONFIG_PATH,      /* char[], absolute */
    CONFIG_ADDRESSES, /* struct config_addresses */
    CONFIG_ENDPOINT,  /* struct ip_endpoint */
    CONFIG_SUBNET,    /* struct ip_net, IPv4, of [min, max] bits */
};

struct config_key {
    const char *name; /* "log.level"; the part before the dot is its section */
    enum config_type type;
    const char *initial; /* the default, as the environment would give it */
    const char *unset;   /* what "" means, or NULL: must be set */
    const char *doc;     /* a sentence or two */
    const char *const *words;
    uint64_t min, max;
    bool live;       /* may change while the node runs */
    size_t at, size; /* of the field in struct config */
};

/* Keys without section first, then section by section; one without a name ends it. */
extern const struct config_key config_keys[];

/* Read a value as the environment gives it into the field at `field`; false leaves it alone. */
bool config_value_read(const struct config_key *k, struct str text, void *field);
/* The text that gives this value when it is read. */
void config_value_write(const struct config_key *k, const void *field, struct buf *out);
/* What is read: "a duration from 1s to 1h". */
void config_value_expects(const struct config_key *k, struct buf *out);
