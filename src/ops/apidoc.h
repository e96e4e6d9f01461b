/*
 * apidoc: the table of operations as an OpenAPI 3.1 document and as a page for people.
 *
 * Paths come from ops/table.h, schemas from wire/openapi.h; nothing is said twice.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"

/* The document; the caller owns it. */
MUST_USE json_t *apidoc_openapi(const char *version);

/* The reference page docs/reference/api.md, from the same table. */
void apidoc_page(struct buf *out);
