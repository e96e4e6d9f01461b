/*
 * real_node: a whole node as a daemon has it, with the real journal, disk and clock, on a machine
 * without VMs and images. All on the loop's thread.
 */
#pragma once

#include "journal/journal_thread.h"
#include "node/node.h"

struct real_node {
    struct loop *loop;
    struct loop_source *post, *again, *timer;
    struct clock clock;
    struct entropy entropy;
    struct vmm vmm;
    bool look_asked;
    struct blob blob;
    struct node_mark mark;
    struct node *node;
    struct disk *disk;
    struct journal_thread *journal;
    void (*check)(enum status s, const struct fault *why);
};

struct real_node_config {
    uint64_t segment_size;
    uint64_t snapshot_entries, trailing_entries;
    struct node_watch *watch; /* from the first entry on, those of the log included; may be NULL */
    /* Ends the process unless s is ST_OK: so fails whatever can fail here. */
    void (*check)(enum status s, const struct fault *why);
};

/* Until it serves. dir: of the journal, exists. */
void real_node_open(struct real_node *r, const char *dir, const struct real_node_config *c);
void real_node_close(struct real_node *r);

/* Something was asked of the node outside of its events: drive it once the loop turns. */
void real_node_wake(struct real_node *r);

/* Make the tenant of this uid, or give it another title. */
void real_node_put_tenant(struct real_node *r, const char *uid, const char *title, node_done *done,
                          void *ctx);
