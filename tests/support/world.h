/*
 * world: a cluster and the commands to bring it into any state, for tests.
 *
 * A kit is a command's message with its parts, wired together and filled with what works; a test
 * changes what it is about and runs it. Texts are lent to the messages, so a kit must not be moved.
 */
#pragma once

#include "core/cluster.h"

struct limits;

struct world {
    struct cluster *c;
    uint64_t index;
    uint64_t time_ns; /* of the next command */
    uint32_t level;
    uint8_t id[16];        /* of the last command; counts up */
    bool same_id;          /* the next command has the id of the last one */
    uint8_t request;       /* first byte of the commands' digest of what was asked; 0: none,
                              as of what nodes report */
    struct apply_result r; /* of the last command */
    uint64_t hash_before;  /* cluster_objects_hash() before it */
    struct buf packed;     /* the last command */
};

void world_init(struct world *w, const struct limits *l); /* an empty cluster; l NULL: default */
/* The same and a cluster "c", node 1 "n1", ready images "base" (initramfs) and "disk" (disk). */
void world_start(struct world *w);
void world_done(struct world *w);

/* Pack, apply at the next index, keep the result. A refusal that changed something fails the test.
 * What cmd leaves out of id, time, level and actor is filled in. */
enum status world_run(struct world *w, const Pb__Command *cmd);
enum status world_apply(struct world *w, struct str bytes);

/* 32 hex digits from a number; lives for many calls. And a digest. */
char *world_uid(uint64_t n);
char *world_digest(uint64_t n);
char *world_text(const char *text); /* for fields of generated types, which are not const */

#define WORLD_CLUSTER 1
#define WORLD_TENANT  2
#define WORLD_PROJECT 3
#define WORLD_NODE    4
#define WORLD_IMAGE   5                 /* "base" */
#define WORLD_DISK    6                 /* "disk" */
#define WORLD_FREE    100               /* uids from here on are free */
#define WORLD_OP(uid) ((uid) + 1000000) /* the operation a kit asks for with that uid */

struct kit_node {
    Pb__CmdNodeHello m;
    Pb__NodeFacts facts;
    char key[65];
};
/* Its key follows from the uid; its number is 1 for WORLD_NODE, else 2. */
void kit_node(struct kit_node *k, uint64_t uid, const char *name);
enum status world_node(struct world *w, struct kit_node *k);

struct kit_enroll {
    Pb__CmdNodeEnroll m;
    struct kit_node node; /* its facts and key are those sent */
    char id[11];
};
/* With the token of that uid, of kit_join(). */
void kit_enroll(struct kit_enroll *k, uint64_t uid, const char *name, uint64_t token);
enum status world_enroll(struct world *w, struct kit_enroll *k);

struct kit_image {
    Pb__CmdImageCreate m;
    Pb__Image image;
    Pb__Meta meta;
    Pb__ImageSource source;
};
void kit_image(struct kit_image *k, uint64_t uid, const char *name);
enum status world_image(struct world *w, struct kit_image *k);

/* What an image's node says: ready, with all parts, of the digest of that number. */
struct kit_ready {
    Pb__CmdImageReport m;
    Pb__Image image;
    Pb__Blob kernel, initrd, disk;
};
void kit_ready(struct kit_ready *k, uint64_t uid, Pb__ImageKind kind, uint64_t digest);
enum status world_ready(struct world *w, struct kit_ready *k);
enum status world_image_gone(struct world *w, uint64_t uid);

struct kit_vm {
    Pb__CmdVmCreate m;
    Pb__Vm vm;
    Pb__Meta meta;
    Pb__VmSpec spec;
    Pb__Label label[2], *labels[2];
    Pb__Volume volume[2], *volumes[2];
    Pb__PortForward port[2], *ports[2];
};
void kit_vm(struct kit_vm *k, uint64_t uid, const char *name); /* of image base; started */
void kit_vm_label(struct kit_vm *k, const char *key, const char *value);
void kit_vm_volume(struct kit_vm *k, const char *name, uint64_t size_mib);
void kit_vm_port(struct kit_vm *k, uint32_t host, uint32_t guest);
enum status world_vm(struct world *w, struct kit_vm *k);
/* The whole spec and labels of the kit become those of the VM. */
enum status world_update(struct world *w, struct kit_vm *k);
/* Make a VM and let its node report it running, or stopped before its first start. */
void world_vm_running(struct world *w, uint64_t uid, const char *name);
void world_vm_stopped(struct world *w, uint64_t uid, const char *name);

/* kind is "vm.start" and so on; the operation asked for is op. */
enum status world_power(struct world *w, uint64_t uid, const char *kind, uint64_t op);
enum status world_power_force(struct world *w, uint64_t uid, const char *kind, uint64_t op);

struct kit_report {
    Pb__CmdVmReport m;
    Pb__VmStatus status;
};
/* From its owner, of its present generation, epoch and incarnation. */
void kit_report(struct world *w, struct kit_report *k, uint64_t uid, Pb__VmPhase phase);
enum status world_report(struct world *w, struct kit_report *k);
/* A whole report in one call. later: of the next incarnation. */
enum status world_says(struct world *w, uint64_t uid, Pb__VmPhase phase, bool later);
enum status world_says_end(struct world *w, uint64_t uid, Pb__VmPhase phase, Pb__ExitCause cause,
                           const char *detail);
enum status world_gone(struct world *w, uint64_t uid);

enum status world_delete(struct world *w, const char *kind, uint64_t uid, uint64_t op);
enum status world_delete_force(struct world *w, const char *kind, uint64_t uid);
enum status world_cancel(struct world *w, uint64_t op);
enum status world_tenant(struct world *w, uint64_t uid, const char *name);
enum status world_project(struct world *w, uint64_t uid, const char *name, const char *tenant);

struct kit_token {
    Pb__CmdTokenCreate m;
    Pb__Token token;
    Pb__Meta meta;
    uint8_t hash[TOKEN_HASH_SIZE];
    char id[11];
};
/* Of a viewer, good for a day; its id follows from the uid, its hash is of zeros. */
void kit_token(struct world *w, struct kit_token *k, uint64_t uid, const char *name);
/* One to join with instead, for a node of any name; its key is of zeros. */
void kit_join(struct world *w, struct kit_token *k, uint64_t uid, const char *name);
enum status world_token(struct world *w, struct kit_token *k);

/* What is there; the test fails when it is not. */
const Pb__Vm *world_get_vm(const struct world *w, uint64_t uid);
const Pb__Image *world_get_image(const struct world *w, uint64_t uid);
const Pb__Operation *world_get_op(const struct world *w, uint64_t uid);
Pb__OperationPhase world_op_phase(const struct world *w, uint64_t uid);
/* "type: text" of the n-th event of the last command, or "". */
const char *world_event(const struct world *w, size_t n);
