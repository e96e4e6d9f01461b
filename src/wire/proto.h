/*
 * proto: make, copy, compare, pack and unpack the messages of proto/.
 *
 * All memory of a message comes from malloc: it is freed by proto_free(), whoever made it, and its
 * texts and arrays may be replaced by ones of mem_strdup() and mem_grow().
 *
 * Our generated types have no default texts (wire/schema.h), so a `char *` field is NULL or ours.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

/* A message with nothing set; numbers hold their defaults. */
MUST_USE ProtobufCMessage *proto_new(const ProtobufCMessageDescriptor *desc);
void proto_free(ProtobufCMessage *m); /* NULL is fine */

/* For AUTO() on a pointer to any message type: AUTO(auto_proto_free) Pb__Vm *vm = ... */
static inline void auto_proto_free(void *variable)
{
    proto_free(*(void **)variable);
}

/* A deep copy, the fields we do not know included. The caller owns it. */
MUST_USE ProtobufCMessage *proto_copy(const ProtobufCMessage *m);
/* Are the same fields set, to the same values? Of the same type only. */
bool proto_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);
/* The same for one field of both. */
bool proto_equal_field(const ProtobufCMessage *a, const ProtobufCMessage *b,
                       const ProtobufCFieldDescriptor *f);

/* Append the encoding; a buffer that is full takes nothing. Equal messages have equal encodings. */
void proto_pack(const ProtobufCMessage *m, struct buf *b);

/* Memory that unpacking may take: this many times the input, and a base. */
enum { PROTO_MEMORY_FACTOR = 16, PROTO_MEMORY_BASE = 65536 };

/*
 * Decode what a peer or a file says.
 *
 * desc     of proto/, so that nesting is bounded.
 * max      largest input taken, in bytes.
 * ret      the caller's, to proto_free(). Limits of the fields are not yet checked: wire/check.h.
 *          Fields we do not know are kept, and packed again.
 *
 * Returns  ST_OK
 *          ST_TOO_BIG   more than max bytes, or it would take too much memory.
 *          ST_INVALID   not an encoding of such a message, or not as proto_pack() would write it:
 *                       wire/scan.h.
 */
MUST_USE enum status proto_unpack(const ProtobufCMessageDescriptor *desc, struct str bytes,
                                  size_t max, ProtobufCMessage **ret, struct fault *why);

/* Replace a text field by a copy of `text`; NULL unsets it. `text` may be the old value. */
void proto_set(char **field, const char *text);

/* Set an optional number, boolean or enum: PROTO_SET(vm->status, node, 3). */
#define PROTO_SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))
