/*
 * index: what is derived from the objects, to find them and to sum them up.
 *
 * An entry is made when an object is added and goes when it is cut, so the whole is a function of
 * the objects alone: after a restore it is as it was. Entries borrow the objects.
 */
#pragma once

#include "core/cluster.h"
#include "core/ikey.h"

struct index {
    struct map name[OBJECT_KIND_COUNT]; /* project, name; operations and events have none */
    struct map node_by_number;          /* number */
    struct map node_by_key;             /* public key */
    struct map image_by_digest;         /* project, digest, uid; ready ones only */
    struct map vm_by_node;              /* node, uid */
    struct map vm_by_image;             /* project, digest, uid */
    struct map vm_by_mac;               /* mac */
    struct map port;                    /* node, protocol, port, address -> the VM */
    struct map token_by_id;             /* the id that tokens show */
    struct map operation_by_target;     /* uid; under way only: one a target */
    struct map operation_by_age;        /* log index, id; ended only */
    size_t ended_bytes;                 /* of those, packed */
    struct map usage_node;              /* node -> struct usage, owned */
    struct map usage_project;           /* project -> struct usage, owned */
};

void index_init(struct index *x);
void index_done(struct index *x);

/*
 * May o be added, perhaps in place of the object of its own uid?
 *
 * Returns  ST_OK
 *          ST_EXISTS    its name is taken.
 *          ST_CONFLICT  something else that only one may have is: number, key, address, port.
 */
MUST_USE enum status index_admits(const struct index *x, const struct object *o, struct fault *why);

void index_add(struct index *x, struct object *o); /* index_admits() it */
void index_cut(struct index *x, struct object *o); /* it was added */
/* The same as to cut `before` and add o, which has its uid; cheap when no key changes. */
void index_swap(struct index *x, struct object *before, struct object *o);

/* The key under which a kind's name index knows a name. */
void index_name_key(struct ikey *k, const char *project, const char *name);

/* What one VM holds. */
struct usage index_vm_usage(const Pb__Vm *vm);
