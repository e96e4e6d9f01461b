/*
 * toml: reads TOML 1.0 into a tree that remembers where each thing stands.
 *
 *     struct toml *root;
 *     enum status s = toml_parse(text, &root, &why);
 *     const struct toml *log = toml_find(root, STR("log"));
 *     TOML_EACH(key, log)
 *         ... key->key, key->type, key->string, key->at.line ...
 *     toml_free(root);
 *
 * Pure, and bounded by the limits below. A text that is not TOML gives ST_INVALID, one beyond a
 * limit ST_TOO_BIG, both with the place in front: `line 3, column 9: expected a value, found "="`.
 */
#pragma once

#include "base/buf.h"

enum {
    TOML_SIZE_MAX = 256 * 1024, /* bytes of text */
    TOML_VALUES_MAX = 4096,     /* keys and array items in all */
    TOML_DEPTH_MAX = 32,        /* tables and arrays within one another */
};

enum toml_type {
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOL,
    TOML_OFFSET_DATETIME,
    TOML_LOCAL_DATETIME,
    TOML_LOCAL_DATE,
    TOML_LOCAL_TIME,
    TOML_ARRAY,
    TOML_TABLE,
};

/* Both count from 1; a column is one character, however many bytes it has. */
struct toml_place {
    uint32_t line, column;
};

/* The fields that a type lacks are 0: a local time has no day. second may be 60. */
struct toml_time {
    uint16_t year;
    uint8_t month, day, hour, minute, second;
    uint32_t ns;        /* further digits are cut off */
    int16_t offset_min; /* east of UTC */
};

struct toml {
    enum toml_type type;
    struct toml_place at;     /* where the value begins; for a [table], where its name does */
    struct toml_place key_at; /* where the key begins */
    struct str key;           /* "" in an array and at the root; NUL-terminated */
    union {
        struct str string; /* may hold NUL bytes; NUL-terminated besides */
        int64_t integer;
        double real;
        bool boolean;
        struct toml_time time;
    };
    /* What an array or table holds, in the order of the text. */
    struct toml *first, *last, *next;
    size_t count;
    uint8_t depth, made; /* for the parser */
};

/* On success the root table is the caller's, who frees it with toml_free(). text is borrowed. */
MUST_USE enum status toml_parse(struct str text, struct toml **ret_root, struct fault *why);
void toml_free(struct toml *root); /* NULL is fine */

/* The value of a key, or NULL. The table may be NULL, then so is the answer. */
const struct toml *toml_find(const struct toml *table, struct str key);

#define TOML_EACH(it, parent) \
    for (const struct toml *it = (parent) ? (parent)->first : NULL; it; it = it->next)

/* With its article, as errors want it: "a string", "an integer". */
const char *toml_type_name(enum toml_type type);

/* Append text, which is UTF-8, as a TOML string with its quotes. */
void toml_quote(struct buf *out, struct str text);

/* As much of a text as an error should repeat: its first 40 bytes, in whole characters. */
struct str toml_shown(struct str text);
