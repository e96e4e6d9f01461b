/*
 * place: where in a tree of messages one is, for texts such as "spec.ports[2].host_port".
 *
 * A walk keeps one place for each level on its stack; the text is made only when it is wanted.
 */
#pragma once

#include "base/fault.h"

struct place {
    const struct place *above; /* borrowed; NULL at the root */
    const char *name;          /* of the field */
    size_t index;              /* of an item; PLACE_NO_INDEX for a field as a whole */
};

#define PLACE_NO_INDEX SIZE_MAX

/* Write the path, cut at its end if it is too long. `at` may be NULL: the root, "". */
void place_text(const struct place *at, char out[FAULT_FIELD_MAX]);

/* Set a fault that begins with the path, and its field. Returns s. */
enum status place_refuse(const struct place *at, struct fault *why, enum status s, const char *fmt,
                         ...) PRINTF_LIKE(4, 5);
/* Put the path before a fault that is there, and set its field. Returns s. */
enum status place_wrap(const struct place *at, struct fault *why, enum status s);
