/*
 * units: sizes, durations and times as people write them.
 *
 * Sizes are bytes with a binary unit ("512MiB", "2GiB", "4096"), durations have a unit ("250ms",
 * "30s", "5m", "2h", "7d"), times are RFC 3339 in UTC.
 */
#pragma once

#include "base/buf.h"

#define UNITS_NS_PER_MS UINT64_C(1000000)
#define UNITS_NS_PER_S  UINT64_C(1000000000)

MUST_USE enum status units_size(struct str text, uint64_t *ret_bytes, struct fault *why);
MUST_USE enum status units_duration(struct str text, uint64_t *ret_ms, struct fault *why);

enum { UNITS_TEXT_MAX = 40 };

/* Shortest exact form for sizes ("512MiB"), and one rounded to a unit ("1.4GiB"). */
void units_size_exact(uint64_t bytes, char out[UNITS_TEXT_MAX]);
void units_size_short(uint64_t bytes, char out[UNITS_TEXT_MAX]);
void units_duration_exact(uint64_t ms, char out[UNITS_TEXT_MAX]);

/* Rounded to the two largest units at most: "3d4h", "12s", "80ms"; for tables. */
void units_age(uint64_t ms, char out[UNITS_TEXT_MAX]);

/* Nanoseconds since 1970 to "2026-11-24T05:47:08.123Z", and back (any fraction, Z or +hh:mm). */
void units_time(uint64_t unix_ns, char out[UNITS_TEXT_MAX]);
void units_time_exact(uint64_t unix_ns, char out[UNITS_TEXT_MAX]); /* 9 digits unless whole ms */
MUST_USE enum status units_parse_time(struct str text, uint64_t *ret_unix_ns, struct fault *why);
