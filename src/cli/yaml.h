/*
 * yaml: a JSON value as YAML 1.2, in block style.
 *
 * A text stands plain only when it begins with a letter, holds nothing that has a meaning in YAML,
 * and is no word that some reader takes for something else (yes, null, ...); else it stands in
 * double quotes. So any reader gives back the very same value.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"

/* Append it, with a line end after it. */
void yaml_dump(const json_t *v, struct buf *out);
