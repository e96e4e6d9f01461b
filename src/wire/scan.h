/*
 * scan: is this the encoding of a message as we would write it?
 *
 * protobuf-c takes more than it writes: fields given twice are merged, numbers lose their upper
 * bits, texts end at a zero byte, and a field number 0 that it takes once it refuses after packing
 * it. What one node takes and stores, every node must be able to take again, to the same meaning; so
 * all of this is refused first. Fields that we do not know, from a newer peer, pass if they are
 * well-formed.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

/* desc is of proto/. ST_INVALID tells the field and what is wrong with it. */
MUST_USE enum status scan_message(const ProtobufCMessageDescriptor *desc, struct str bytes,
                                  struct fault *why);
