/*
 * output: what a node answers, in the form that is wanted.
 *
 * table and wide are for people: sizes are rounded, times are ages, nothing steers a terminal. The
 * other forms have whole values. Tables and csv have the columns of proto/; json, jsonl and yaml
 * everything, as it came.
 */
#pragma once

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

enum output_form {
    OUTPUT_TABLE,
    OUTPUT_WIDE,
    OUTPUT_JSON,
    OUTPUT_JSONL,
    OUTPUT_YAML,
    OUTPUT_CSV,
    OUTPUT_NAME,
};

enum { OUTPUT_MAX = 512 << 20 }; /* bytes of one output */

struct output {
    enum output_form form;
    const char *columns; /* "name,phase", or NULL: those of the form */
    const char *sort;    /* a column, with - before it for the largest first; or NULL */
    bool no_header;
    bool ids;         /* ids alone, whatever the form */
    const char *noun; /* "vm": before names, with OUTPUT_NAME */
    uint64_t now_ns;  /* since 1970: what ages are counted to */
};

/* ST_INVALID for a word that is no form. */
MUST_USE enum status output_parse(const char *word, enum output_form *ret, struct fault *why);

/*
 * Append objects.
 *
 * desc     what they are: a noun of proto/.
 * items    a list of them. Fields that we do not know are only in json, jsonl and yaml.
 *
 * Returns  ST_OK; ST_INVALID for a column that there is none of; ST_CORRUPT for what is no such
 *          object.
 */
MUST_USE enum status output_list(const struct output *o, const ProtobufCMessageDescriptor *desc,
                                 const json_t *items, struct buf *out, struct fault *why);

/*
 * Append one object. In a table it is a line for each field that is set, named as --filter and the API
 * name them.
 *
 * desc     of proto/; with OUTPUT_NAME or ids, a noun.
 */
MUST_USE enum status output_object(const struct output *o, const ProtobufCMessageDescriptor *desc,
                                   const json_t *object, struct buf *out, struct fault *why);

/* One object of a list that comes bit by bit: a line, padded to widths that mostly fit. For a first
 * one with headings, output_stream_head() before. */
MUST_USE enum status output_stream(const struct output *o, const ProtobufCMessageDescriptor *desc,
                                   const json_t *object, struct buf *out, struct fault *why);
MUST_USE enum status output_stream_head(const struct output *o,
                                        const ProtobufCMessageDescriptor *desc, struct buf *out,
                                        struct fault *why);

/* The id of an object: its uid; of an operation its id, of an event its place. "" if it has none. */
void output_id(const json_t *object, char out[64]);

/* What an answer says, as a message; what is not known of it is left out. To proto_free(). */
MUST_USE enum status output_message(const ProtobufCMessageDescriptor *desc, const json_t *object,
                                    ProtobufCMessage **ret, struct fault *why);

/* The text under a heading such as "PHASE", as a table shows it; nothing when there is none. */
void output_cell(const ProtobufCMessage *m, const char *heading, uint64_t now_ns, struct buf *out);
