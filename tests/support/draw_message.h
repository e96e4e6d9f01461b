/*
 * draw_message: any message of proto/ from a tape of bytes.
 *
 * What is drawn passes check_message(..., CHECK_STORED, ...). An empty tape gives an empty message.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "support/prop.h"

/* The caller frees it with proto_free(). */
MUST_USE ProtobufCMessage *draw_message(struct tape *t, const ProtobufCMessageDescriptor *desc);
/* One of the types of proto/. */
const ProtobufCMessageDescriptor *draw_type(struct tape *t);
