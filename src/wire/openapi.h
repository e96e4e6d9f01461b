/*
 * openapi: JSON schemas of the messages and enums of proto/, as OpenAPI 3.1 components.
 *
 * They describe what wire/json.h writes and wire/check.h lets pass, but for three things: lengths of
 * texts are bytes to us and characters to them; numbers with a unit are taken as strings as well,
 * which the descriptions tell; and numbers above 2^63-1 are strings.
 */
#pragma once

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/defs.h"

enum openapi_mode {
    OPENAPI_OBJECT, /* what is read and made: `output` fields are readOnly */
    OPENAPI_PATCH,  /* a merge patch: nothing is required, null unsets, no `output` fields */
};

/* A reference to the component of a message: {"$ref": "#/components/schemas/VmPatch"}. */
MUST_USE json_t *openapi_ref(const ProtobufCMessageDescriptor *desc, enum openapi_mode mode);

/* The schema of a message; nested messages and enums are references. The caller owns it. */
MUST_USE json_t *openapi_schema(const ProtobufCMessageDescriptor *desc, enum openapi_mode mode);

/* Add the schema of a message, and of all that it refers to, to the object `schemas`, which becomes
 * `components.schemas`. What is there already is left alone. */
void openapi_add(json_t *schemas, const ProtobufCMessageDescriptor *desc, enum openapi_mode mode);
