/*
 * cmd: one function a command, each in a file of its own, and what they share.
 *
 * A command was unpacked and is within the limits of proto/ when it comes here; nothing else is
 * known of it. The function reads the state, stages what it changes, and refuses by returning a status:
 * then nothing of what it staged happens.
 */
#pragma once

#include "core/txn.h"

MUST_USE enum status cmd_cluster_init(struct txn *t, const Pb__CmdClusterInit *m, uint32_t level,
                                      struct fault *why);
MUST_USE enum status cmd_node_hello(struct txn *t, const Pb__CmdNodeHello *m, struct fault *why);
MUST_USE enum status cmd_node_enroll(struct txn *t, const Pb__CmdNodeEnroll *m, struct fault *why);
MUST_USE enum status cmd_tenant_put(struct txn *t, const Pb__CmdTenantPut *m, struct fault *why);
MUST_USE enum status cmd_project_put(struct txn *t, const Pb__CmdProjectPut *m, struct fault *why);
MUST_USE enum status cmd_delete(struct txn *t, const Pb__CmdDelete *m, struct fault *why);
MUST_USE enum status cmd_image_create(struct txn *t, const Pb__CmdImageCreate *m,
                                      struct fault *why);
MUST_USE enum status cmd_image_report(struct txn *t, const Pb__CmdImageReport *m,
                                      struct fault *why);
MUST_USE enum status cmd_vm_create(struct txn *t, const Pb__CmdVmCreate *m, struct fault *why);
MUST_USE enum status cmd_vm_update(struct txn *t, const Pb__CmdVmUpdate *m, struct fault *why);
MUST_USE enum status cmd_vm_power(struct txn *t, const Pb__CmdVmPower *m, struct fault *why);
MUST_USE enum status cmd_vm_report(struct txn *t, const Pb__CmdVmReport *m, struct fault *why);
MUST_USE enum status cmd_operation_cancel(struct txn *t, const Pb__CmdOperationCancel *m,
                                          struct fault *why);
MUST_USE enum status cmd_token_create(struct txn *t, const Pb__CmdTokenCreate *m,
                                      struct fault *why);

/* The parts of cmd_delete that have files of their own. */
MUST_USE enum status cmd_delete_image(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                                      struct fault *why);
MUST_USE enum status cmd_delete_vm(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                                   struct fault *why);
MUST_USE enum status cmd_delete_node(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                                     struct fault *why);

/* --- nodes --- */

/* What a node says of itself: ST_INVALID if that is not whole, ST_UNSUPPORTED if it does not know the
 * feature level. */
MUST_USE enum status cmd_node_check(const struct txn *t, const char *name,
                                    const Pb__NodeFacts *facts, struct fault *why);
/* Stage a new one of that number. ST_INVALID, ST_EXISTS for the uid; ST_LIMIT. */
MUST_USE enum status cmd_node_add(struct txn *t, const char *uid, const char *name,
                                  const Pb__NodeFacts *facts, uint32_t number, struct object **ret,
                                  struct fault *why);
/* Put a copy of the facts in place of those of `node`. */
void cmd_node_set_facts(Pb__Node *node, const Pb__NodeFacts *facts);

/* --- shared --- */

/* ST_INVALID: "<field> must be given", with the field. */
MUST_USE enum status cmd_need(bool given, const char *field, struct fault *why);
/* A uid for something new: ST_INVALID if it is none, ST_EXISTS if anything has it. */
MUST_USE enum status cmd_new_uid(const struct txn *t, const char *uid, const char *field,
                                 struct fault *why);
/* The object of that uid: ST_INVALID if none is given, ST_NOT_FOUND. */
MUST_USE enum status cmd_find(const struct txn *t, enum object_kind kind, const char *uid,
                              struct object **ret, struct fault *why);
/* ST_NOT_FOUND unless there is such a project. */
MUST_USE enum status cmd_find_project(const struct txn *t, const char *name, struct fault *why);
/* ST_INVALID, ST_NOT_FOUND. */
MUST_USE enum status cmd_find_node(const struct txn *t, uint32_t number, struct object **ret,
                                   struct fault *why);
/* ST_PRECONDITION unless o was last changed at if_index; o NULL stands for index 0. */
MUST_USE enum status cmd_if_index(const struct object *o, bool has_if_index, uint64_t if_index,
                                  struct fault *why);
/* Meta of something new: ST_INVALID if uid, name or, if `in_project`, project are lacking, or labels
 * are not right; ST_EXISTS if the uid is in use; ST_NOT_FOUND for the project. */
MUST_USE enum status cmd_new_meta(const struct txn *t, const Pb__Meta *meta, bool in_project,
                                  struct fault *why);
/* ST_INVALID: a label without a key, or two with the same. */
MUST_USE enum status cmd_check_labels(Pb__Label *const *labels, size_t count, struct fault *why);
/* A copy of what users may say of it: uid, name, project, labels. */
MUST_USE Pb__Meta *cmd_copy_meta(const Pb__Meta *from);
/* Put copies of `labels` in place of those of `meta`. */
void cmd_set_labels(Pb__Meta *meta, Pb__Label *const *labels, size_t count);
/* How people call the node of that number: its name, or its number if it is not known. */
const char *cmd_node_name(const struct txn *t, uint32_t number, char room[64]);
