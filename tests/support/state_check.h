/*
 * state_check: is what the core derives from its objects what the objects say? Fails the test if not.
 */
#pragma once

struct cluster;

/* Indexes, sums, hashes and bounds against a recomputation from the objects. */
void state_check(const struct cluster *c);
/* Do two clusters hold the same: objects, command ids, counters? */
void state_check_equal(const struct cluster *a, const struct cluster *b);
