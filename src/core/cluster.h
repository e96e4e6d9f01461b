/*
 * cluster: the replicated state, and the one way to change it.
 *
 * Tables of immutable, counted objects. Apply is a pure function of (state, index, command): every
 * replica that applies the same log holds the same state, byte for byte. It reads no clock: the
 * state's time is max(its own, the command's). Whatever a command says can only be refused.
 *
 * All tables are bounded (core/limits.h): a full table refuses, or drops its oldest (operations that
 * ended, events, command ids), by index.
 *
 * What apply does, its limits, the defaults it fills in and the texts it stores are the same for all
 * programs of one feature level. A change of any of them is made for a new level, and asks
 * cluster_level() first.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "core/command_key.h"
#include "core/object.h"
#include "pb/command.pb-c.h"
#include "pb/event.pb-c.h"

struct cluster;
struct limits;

/* The highest feature level that this program understands. */
enum { CLUSTER_LEVEL_MAX = 1 };

struct cluster *cluster_new(void);
/* With other limits, copied: for tests of what a full table does. All replicas must have the same. */
struct cluster *cluster_new_limits(const struct limits *l);
void cluster_free(struct cluster *c); /* NULL is fine */
/* The same a piece at a time, since it takes long when there is much: at most `count` objects are dropped. True when c
 * is gone. c is not to be used for anything else any more. */
bool cluster_free_some(struct cluster *c, size_t count);

/* --- apply --- */

enum { CHANGES_MAX = 16, EVENTS_PER_COMMAND_MAX = 16 };

/* An object that a command made (before NULL), changed, or removed (after NULL). References are
 * the result's. What falls off the end of a bounded table is not a change. */
struct change {
    enum object_kind kind;
    struct object *before, *after;
};

struct apply_result {
    enum status status; /* ST_OK, or why it was refused; then nothing changed but the index, and
                           that its id is known if it has a request */
    struct fault why;
    bool replay;              /* this id was applied before; status, why and uids are those of then,
                                 and nothing changed but the index */
    char uid[OBJECT_UID_MAX]; /* of the object made or changed, or "" */
    char
        operation_id[OBJECT_UID_MAX]; /* of the operation to wait for: the one that was made, or one
                                          under way that waits for the same; or "" */
    uint64_t index;
    struct change changes[CHANGES_MAX];
    size_t change_count;
    struct object *events[EVENTS_PER_COMMAND_MAX]; /* Pb__Event each */
    size_t event_count;
};
void apply_result_done(struct apply_result *r);

/* Apply a packed Command. index is the entry's, greater than that of any before.
 * Bytes that are not a command are refused like any other. Its id is kept for a retry if it says by
 * `request` what was asked; others, such as reports of nodes, must not push out those of users. */
void cluster_apply(struct cluster *c, uint64_t index, struct str command, struct apply_result *out);
/* This may be what is applied next: do what can be done before it is certain, so that less is left to do then. That
 * changes no state, and no answer. */
void cluster_foresee(struct cluster *c, uint64_t index, struct str command);
/* Was a command with this id applied before? Then say what applying another one would be answered: as
 * the first was, or ST_CONFLICT (and not `replay`) when it asks for something else. */
bool cluster_answered(const struct cluster *c, const struct command_key *key,
                      struct apply_result *out);
/* What applying it next would do, for dry runs: status, why, uid and changes, but nothing is changed.
 * Its id is not looked for among those applied. */
void cluster_try(const struct cluster *c, struct str command, struct apply_result *out);

/* --- read --- */

uint64_t cluster_index(const struct cluster *c); /* of the last applied entry */
uint64_t cluster_time_ns(const struct cluster *c);
uint32_t cluster_level(const struct cluster *c); /* feature level; 0 before CmdClusterInit */

/* Of the whole state: objects, command ids kept, counters and time, but not of the index nor of the
 * texts of kept refusals. Replicas of one level that applied the same log have equal hashes, however
 * they came to their state. O(1). */
uint64_t cluster_hash(const struct cluster *c);
/* Of the objects alone: a refused command leaves it as it was. O(1). */
uint64_t cluster_objects_hash(const struct cluster *c);

/* Borrowed until the next apply; take a reference to keep it. NULL when absent.
 * An event's uid is its key, object_event_key(). */
struct object *cluster_find(const struct cluster *c, enum object_kind kind, const char *uid);
/* `project` is read for kinds that belong to one. */
struct object *cluster_find_name(const struct cluster *c, enum object_kind kind,
                                 const char *project, const char *name);
/* By uid, by name, or by a unique prefix of at least 4 digits of the uid. `project` NULL: of any
 * project, and then not by name for kinds that belong to one; else nothing outside of it is found.
 * ST_NOT_FOUND (with "did you mean"), ST_CONFLICT when a prefix is not unique. */
MUST_USE enum status cluster_resolve(const struct cluster *c, enum object_kind kind,
                                     const char *project, const char *name_or_uid,
                                     struct object **ret, struct fault *why);
/* All of a kind: object_key() -> struct object, in the order of keys (events: oldest first). */
const struct map *cluster_table(const struct cluster *c, enum object_kind kind);
size_t cluster_count(const struct cluster *c, enum object_kind kind);

struct object *cluster_node(const struct cluster *c, uint32_t number);
struct object *cluster_node_by_key(const struct cluster *c, const char *key);
/* A ready image of that content in that project; of several, the one of the lowest uid. */
struct object *cluster_image_by_digest(const struct cluster *c, const char *project,
                                       const char *digest);
/* The same of those whose files are on `node`. Walks the images of that content. */
struct object *cluster_image_on_node(const struct cluster *c, const char *project,
                                     const char *digest, uint32_t node);
/* The VM placed on `node` whose uid comes next after `uid` ("": the first), or NULL. O(log n). */
struct object *cluster_vm_on_node(const struct cluster *c, uint32_t node, const char *uid);
/* The same for the VMs of `project` that were made from the image of that digest. */
struct object *cluster_vm_of_image(const struct cluster *c, const char *project, const char *digest,
                                   const char *uid);
/* The operation under way on an object, or NULL. There is never more than one. */
struct object *cluster_operation_on(const struct cluster *c, const char *target_uid);

/* The token that shows this id, or NULL. */
struct object *cluster_token_by_id(const struct cluster *c, const char *id);

/* The first event after (index, seq), or NULL when there is none yet. (0, 0) asks for the oldest
 * that is kept.
 * ST_PRECONDITION when events after that place were dropped already: the reader must start anew. */
MUST_USE enum status cluster_event_after(const struct cluster *c, uint64_t index, uint32_t seq,
                                         struct object **ret, struct fault *why);

/* Sums of what VMs hold, derived from the objects, never counted by deltas of commands. */
struct usage {
    uint32_t vms, vcpus;
    uint64_t mem_mib, disk_mib;
};
struct usage cluster_node_usage(const struct cluster *c, uint32_t node);
struct usage cluster_project_usage(const struct cluster *c, const char *project);

/* --- snapshot --- */

enum { SNAPSHOT_PIECE_MIN = 128 << 10 };

/* The state as of now: takes references to every object, O(objects), no packing. Later applies do
 * not change it. */
struct cluster_snapshot *cluster_snapshot_new(const struct cluster *c, uint64_t term);
uint64_t cluster_snapshot_index(const struct cluster_snapshot *s);
/* Append the next records to out, at most max_bytes, which is SNAPSHOT_PIECE_MIN or more and fits
 * into out. Returns whether more is to come: the last piece comes with false. */
bool cluster_snapshot_next(struct cluster_snapshot *s, size_t max_bytes, struct buf *out);
void cluster_snapshot_free(struct cluster_snapshot *s); /* NULL is fine */

/* Rebuild from a snapshot's bytes, in pieces of any size. */
struct cluster_restore *cluster_restore_new(void);
struct cluster_restore *cluster_restore_new_limits(const struct limits *l);
/* ST_CORRUPT, or ST_UNSUPPORTED for a newer format: then every later call says so too. */
MUST_USE enum status cluster_restore_add(struct cluster_restore *r, struct str bytes,
                                         struct fault *why);
/* ST_CORRUPT unless it was complete and its state hash is right. r is freed in any case. */
MUST_USE enum status cluster_restore_end(struct cluster_restore *r, struct cluster **ret,
                                         uint64_t *ret_term, struct fault *why);
/* Give it up instead. NULL is fine. */
void cluster_restore_free(struct cluster_restore *r);
/* Likewise, but what was built so far is the caller's, to free. */
MUST_USE struct cluster *cluster_restore_drop(struct cluster_restore *r);
