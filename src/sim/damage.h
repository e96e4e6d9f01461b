/*
 * damage: what happens to the files of a journal behind its back, while nobody uses them: bits flip, sectors are lost or
 * overwritten by what was meant for others, files are cut short, gone, or another journal's.
 *
 * Only such that a journal must notice. What the last sync of the last segment wrote is left alone, since a journal
 * cannot tell damage there from a write that a crash cut off; so is the being of that segment, which could as well not
 * have come to be; and if it was never synced, so that it need not, likewise the one before it
 * (docs/explanation/journal.md, "Torn or damaged?").
 */
#pragma once

#include "base/rng.h"
#include "sim/disk.h"

enum { DAMAGE_TEXT_MAX = 160 };

/*
 * Damage something of d, of which the power was cut.
 *
 * other   another journal's disk; NULL: there is none.
 * false: nothing could be done. `ret_text` says what was.
 */
bool damage_strike(struct sim_disk *d, struct sim_disk *other, struct rng *r,
                   char ret_text[DAMAGE_TEXT_MAX]);
