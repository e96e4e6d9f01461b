/*
 * timeline: a picture of one run of a group, in SVG: a lane for each member, time from left to right.
 *
 * It is told how things are, after every event, and keeps what has changed. It draws nothing at random and leaves no
 * trace, so that a run that is watched is the same run. What is too much for a picture is left out, and the picture
 * says so.
 */
#pragma once

#include "base/buf.h"
#include "raft/raft.h"

enum { TIMELINE_MEMBERS_MAX = 64, TIMELINE_MESSAGES_MAX = 2000 };

struct timeline;

struct timeline *timeline_new(uint64_t now_us);
void timeline_free(struct timeline *t);

struct timeline_state {
    bool up, paused, installing; /* a peer's snapshot */
    enum raft_role role;
    uint64_t term, commit;
    uint64_t snapshot; /* entry of its snapshot */
};

/* A member is so now. 0 < number < TIMELINE_MEMBERS_MAX; now_us never goes back. */
void timeline_member(struct timeline *t, uint64_t now_us, uint32_t number,
                     const struct timeline_state *s);
/* Links are cut so now: bit j of cut[i] is set if nothing gets from i to j. */
void timeline_cuts(struct timeline *t, uint64_t now_us,
                   const uint64_t cut[static TIMELINE_MEMBERS_MAX]);
/* A message came, or was lost on its way. */
void timeline_message(struct timeline *t, uint64_t sent_us, uint64_t now_us,
                      const struct raft_message *m, bool lost);
/* All is well from now on. */
void timeline_calm(struct timeline *t, uint64_t now_us);

/* The picture. `why` is the failure that ended the run, or NULL; of `out`, mind `full`. */
void timeline_svg(const struct timeline *t, uint64_t end_us, const char *title, const char *why,
                  struct buf *out);
