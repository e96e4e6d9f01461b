/*
 * filter: which objects of a list are shown.
 *
 *     phase==running && node!=1 && restarts>=3 && name=='web 1'
 *
 * Terms of a field, a comparison and a value, all of which must hold. Fields are those that tables
 * have columns for, by their path ("status.phase") or its last part alone; values are the words and
 * numbers of JSON, sizes also with a unit, in quotes if there are spaces or && in them. What is
 * not set counts as its default. Only numbers are more or less than others.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"
#include "wire/schema.h"

enum { FILTER_LEN_MAX = 400, FILTER_TERMS_MAX = 16 };

enum filter_comparison {
    FILTER_SAME,    /* == */
    FILTER_DIFFERS, /* != */
    FILTER_LEAST,   /* >= */
    FILTER_MOST,    /* <= */
    FILTER_MORE,    /* > */
    FILTER_LESS,    /* < */
};

struct filter_term {
    const ProtobufCFieldDescriptor *path[SCHEMA_DEPTH_MAX]; /* from the outermost message */
    size_t depth;
    enum filter_comparison comparison;
    uint64_t number;  /* numbers, booleans and enums */
    const char *text; /* texts; points into the filter */
};

struct filter {
    struct filter_term term[FILTER_TERMS_MAX];
    size_t count;
    char text[FILTER_LEN_MAX + 1]; /* values, unquoted */
    size_t used;
};

/*
 * f        filled; it may not be moved, as terms point into it. An empty text is a filter that
 *          everything passes.
 * desc     what the objects are: a noun of proto/.
 *
 * Returns  ST_OK, ST_INVALID for what is no filter of such objects, ST_TOO_BIG beyond the limits.
 */
MUST_USE enum status filter_parse(struct filter *f, const ProtobufCMessageDescriptor *desc,
                                  struct str text, struct fault *why);

/* m is of the descriptor given to filter_parse. */
bool filter_passes(const struct filter *f, const ProtobufCMessage *m);
