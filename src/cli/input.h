/*
 * input: files that are named on the line.
 */
#pragma once

#include "base/buf.h"

/* Append all of a file, or of stdin for "-". ST_TOO_BIG when it does not fit. */
MUST_USE enum status input_read(const char *path, struct buf *out, struct fault *why);
