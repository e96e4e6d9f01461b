/*
 * schema: what the nouns of proto/ mean, beside their protobuf-c descriptors.
 *
 * The tables are made at build time by tools/gen_schema from the options and comments in proto/.
 * The generator promises: fields are of type uint32, uint64, bool, string, bytes, enum or message;
 * none is `required` in the sense of protobuf; texts and bytes have no default; no message holds
 * itself, so nesting is bounded by the types alone.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

/* Levels of messages, the outermost included, and fields of one message. Checked when the tables
 * are compiled. */
enum { SCHEMA_DEPTH_MAX = 8, SCHEMA_FIELDS_MAX = 64 };

/* proto/options.proto, enum Format. */
enum schema_format {
    SCHEMA_PLAIN,
    SCHEMA_NAME,
    SCHEMA_UID,
    SCHEMA_DIGEST,
    SCHEMA_TIME_NS,
    SCHEMA_MEBIBYTES,
    SCHEMA_BYTES,
    SCHEMA_DURATION_MS,
    SCHEMA_PATH,
    SCHEMA_IPV4,
    SCHEMA_MAC,
    SCHEMA_TEXT,
};

/* proto/options.proto, message Field. Texts are never NULL, but for `column`. */
struct schema_field {
    const char *doc;    /* a sentence without a full stop, or "" */
    const char *flag;   /* name on the command line, without dashes before it */
    const char *column; /* heading in tables; NULL: no column */
    uint64_t min, max;  /* of a number, inclusive; only if has_min, has_max */
    uint32_t max_len;   /* bytes of one text or bytes value */
    uint32_t max_items; /* of a repeated field */
    enum schema_format format;
    bool has_min, has_max;
    bool wide;      /* a column of -o wide only */
    bool output;    /* set by the system */
    bool immutable; /* fixed once the object exists */
    bool required;  /* must be given in requests */
    bool hidden;    /* of `output`: not shown to anybody */
};

struct schema_message {
    const ProtobufCMessageDescriptor *desc;
    const char *doc;
    const char *plural;               /* the collection of a noun, such as "vms"; NULL: no noun */
    const struct schema_field *field; /* as desc->fields */
};

struct schema_word {
    const char *word; /* FAILOVER_RESTART_ELSEWHERE is "restart-elsewhere" */
    const char *doc;
};

struct schema_enum {
    const ProtobufCEnumDescriptor *desc;
    const char *doc;
    const struct schema_word *word; /* as desc->values */
    const uint16_t *by_word;        /* indexes of `word`, sorted by its text */
};

/* What we know of a descriptor. NULL for descriptors that are not of proto/. O(log n). */
const struct schema_message *schema_message(const ProtobufCMessageDescriptor *desc);
const struct schema_enum *schema_enum(const ProtobufCEnumDescriptor *desc);

/* The same for a field, which must be one of desc, which must be of proto/. Never NULL. */
const struct schema_field *schema_field(const ProtobufCMessageDescriptor *desc,
                                        const ProtobufCFieldDescriptor *field);

/* All of proto/, sorted by full name. */
extern const struct schema_message schema_message_table[];
extern const size_t schema_message_count;
extern const struct schema_enum schema_enum_table[];
extern const size_t schema_enum_count;

/* The word of an enum value, or NULL if the value is not known. desc must be of proto/. */
const char *schema_word(const ProtobufCEnumDescriptor *desc, int value);
/* And back; false if the word is not known. */
bool schema_value(const ProtobufCEnumDescriptor *desc, struct str word, int *ret_value);
