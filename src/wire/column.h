/*
 * column: the columns of a noun in tables, and their cells as text.
 *
 * A column is a field that has a heading in proto/. Those of nested messages (meta, spec, status)
 * stand where these stand, so columns come in the order of the fields.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "wire/schema.h"

enum { COLUMN_COUNT_MAX = 32 };

struct column {
    const char *heading; /* such as "VCPUS" */
    bool wide;           /* for -o wide only */
    const struct schema_field *about;
    size_t depth; /* how many of path are used */
    const ProtobufCFieldDescriptor *path[SCHEMA_DEPTH_MAX];
};

struct columns {
    size_t count;
    struct column at[COLUMN_COUNT_MAX];
};

/* All columns of a noun (a type that has a plural), the wide ones included. */
void column_list(const ProtobufCMessageDescriptor *desc, struct columns *out);

enum column_form {
    COLUMN_TABLE, /* for people: rounded sizes, ages, short digests, no control characters */
    COLUMN_EXACT, /* for programs: whole values */
};

/*
 * Append the text of one cell. Nothing is appended for a field that is not set and has no default.
 *
 * m        of the type that the column was listed for.
 * now_ns   since 1970: what the ages of a table are counted to.
 *
 * Enums are their words, booleans "yes" or "no", lists joined by commas. A time is RFC 3339; in a
 * table, under the headings AGE and UPTIME, it is how long ago that was. UPTIME is empty when the
 * `ended_ns` beside it is not before it. Sizes that users set are exact ("1536MiB"), measured ones
 * are rounded in a table ("1.4GiB"). A digest shows its first 12 digits in a table.
 */
void column_cell(const struct column *c, const ProtobufCMessage *m, enum column_form form,
                 uint64_t now_ns, struct buf *out);
