/*
 * check: does a message keep the limits of proto/?
 *
 * The whole tree is checked: lengths of texts and bytes, UTF-8, formats, ranges of numbers, counts
 * of items, enum values. The first failure is reported with its field:
 *
 *     spec.vcpus: 99 is more than 64
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/fault.h"
#include "base/str.h"

enum check_mode {
    CHECK_STORED,  /* what the log, a snapshot or a member of the cluster says */
    CHECK_REQUEST, /* what a user asks for: also, all that is required and nothing of `output` */
};

/*
 * Returns  ST_OK
 *          ST_INVALID   a value is not allowed, or is lacking.
 *          ST_TOO_BIG   a text, bytes or list is longer than its limit.
 */
MUST_USE enum status check_message(const ProtobufCMessage *m, enum check_mode mode,
                                   struct fault *why);

/*
 * May an object that was `was` be `now`? Both are of one type. Refuses with ST_INVALID a changed
 * `immutable` field that was set before; one that was unset may be set.
 */
MUST_USE enum status check_change(const ProtobufCMessage *was, const ProtobufCMessage *now,
                                  struct fault *why);

/* Is it a name: a DNS label of a-z, 0-9 and -, 1 to 63 bytes? For arguments that are no field. */
bool check_is_name(const char *text);
bool check_is_uid(const char *text);

/* Decode what a node wrote, and check it as CHECK_STORED. Returns as proto_unpack() and check_message() do. */
MUST_USE enum status check_unpack(const ProtobufCMessageDescriptor *desc, struct str bytes,
                                  size_t max, ProtobufCMessage **ret, struct fault *why);
