/*
 * fields: only some fields of each object, such as "meta.name,status.phase".
 */
#pragma once

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

enum { FIELDS_MAX = 32 };

struct fields {
    struct str path[FIELDS_MAX]; /* borrowed from the text */
    size_t count;                /* 0: all fields */
};

/* text     borrowed as long as f is used.
 * Returns  ST_OK; ST_INVALID for a path that desc does not have; ST_TOO_BIG for too many. */
MUST_USE enum status fields_parse(struct fields *f, const ProtobufCMessageDescriptor *desc,
                                  struct str text, struct fault *why);

/* The object with only these fields; v is taken. */
MUST_USE json_t *fields_pick(const struct fields *f, json_t *v);
