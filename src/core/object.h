/*
 * object: one immutable noun of the state, counted. A change makes a new one.
 */
#pragma once

#include "base/str.h"
#include "pb/cluster.pb-c.h"
#include "pb/event.pb-c.h"
#include "pb/image.pb-c.h"
#include "pb/node.pb-c.h"
#include "pb/operation.pb-c.h"
#include "pb/token.pb-c.h"
#include "pb/vm.pb-c.h"

enum object_kind {
    OBJECT_CLUSTER,
    OBJECT_TENANT,
    OBJECT_PROJECT,
    OBJECT_NODE,
    OBJECT_IMAGE,
    OBJECT_VM,
    OBJECT_OPERATION,
    OBJECT_EVENT,
    OBJECT_TOKEN,
    OBJECT_KIND_COUNT
};

enum {
    OBJECT_UID_MAX = 33,  /* 32 hex digits and the terminator */
    TOKEN_HASH_SIZE = 32, /* of a token's secret */
    TOKEN_KEY_SIZE = 32,  /* the public key of a token to join with */
};

struct object {
    uint32_t refs;
    uint32_t size; /* of its packed bytes */
    uint32_t slot; /* its place in the one table that holds it */
    enum object_kind kind;
    uint64_t hash;         /* of its kind and its packed bytes */
    ProtobufCMessage *msg; /* never changed */
};

/* msg is taken. One reference, the caller's. */
struct object *object_new(enum object_kind kind, ProtobufCMessage *msg);
struct object *object_ref(struct object *o);
void object_unref(struct object *o); /* NULL is fine */

/*
 * Is it fit to be stored: within the limits of proto/, without fields that are not known, and with
 * all that the core relies on? Asked of every object before it is put, and of every one that a
 * snapshot brings.
 *
 * Returns  ST_OK, or ST_INVALID or ST_TOO_BIG as check_message() does.
 */
MUST_USE enum status object_check(const struct object *o, struct fault *why);

/* Does m, or a message in it, hold a field that proto/ does not know? */
bool object_unknown(const ProtobufCMessage *m);

const char *object_kind_name(enum object_kind kind); /* "vm" */
bool object_kind_from(struct str name, enum object_kind *ret);
const ProtobufCMessageDescriptor *object_descriptor(enum object_kind kind);
const Pb__Meta *object_meta(const struct object *o); /* NULL for operations and events */
Pb__Meta *object_msg_meta(enum object_kind kind, ProtobufCMessage *msg); /* likewise */

/* What tells it from all others of its kind, and sorts it: uid or id; of an event "index.seq" in
 * hex of fixed width, so that events are sorted by age. Never NULL after object_check(). */
enum { OBJECT_KEY_MAX = 40 };
struct str object_key(const struct object *o, char room[OBJECT_KEY_MAX]);
struct str object_event_key(uint64_t index, uint32_t seq, char room[OBJECT_KEY_MAX]);

const char *object_uid(const struct object *o);          /* or id; "" for an event */
const char *object_name(const struct object *o);         /* "" for operations and events */
const char *object_project_name(const struct object *o); /* or "" */

/* The message as its type; the kind must be right. */
const Pb__Cluster *object_cluster(const struct object *o);
const Pb__Tenant *object_tenant(const struct object *o);
const Pb__Project *object_project(const struct object *o);
const Pb__Node *object_node(const struct object *o);
const Pb__Image *object_image(const struct object *o);
const Pb__Vm *object_vm(const struct object *o);
const Pb__Operation *object_operation(const struct object *o);
const Pb__Event *object_event(const struct object *o);
const Pb__Token *object_token(const struct object *o);
