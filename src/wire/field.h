/*
 * field: read and set the fields of a protobuf-c message through its descriptor.
 *
 * For code that treats every noun alike; what knows its noun uses the struct. Messages are those of
 * proto/, with the promises of wire/schema.h. A field is set when its `has_` flag says so (numbers,
 * booleans, enums, bytes), when it is not NULL (texts, messages), when it is chosen (of a oneof) or
 * when it has items (repeated).
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

/* How many values are set: 0 or 1, or the items of a repeated field. */
size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* Where value `index` lies, index < field_count(). Borrowed; its C type is that of the field. */
const void *field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t index);

/* The value that lies at `at`, by the type of the field. */
uint64_t field_number(const ProtobufCFieldDescriptor *f, const void *at); /* numbers and booleans */
int field_enum(const void *at);
const char *field_text(const void *at);
struct str field_bytes(const void *at);
const ProtobufCMessage *field_message(const void *at);

/* Is it a number, uint32 or uint64? */
bool field_is_number(const ProtobufCFieldDescriptor *f);
bool field_is_repeated(const ProtobufCFieldDescriptor *f);

/* What an unset field counts as: its default from proto/. False if there is none. */
bool field_default(const ProtobufCFieldDescriptor *f, const void **ret_at);

/*
 * Set a field, or add an item to a repeated one, and return where its value lies, zeroed, for the
 * caller to fill (a text or message must be filled: NULL is no item). An unrepeated field must not be set, nor another of its oneof.
 */
void *field_add(ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* Fill a place that field_add() gave, of a text or a message: it becomes the message's own. */
void field_put(void *at, void *value);
/* The field of the same oneof that is set, or NULL: for an unrepeated field of a oneof. */
const ProtobufCFieldDescriptor *field_rival(const ProtobufCMessage *m,
                                            const ProtobufCFieldDescriptor *f);

/* The size in memory of one value of the field. */
size_t field_size(const ProtobufCFieldDescriptor *f);
