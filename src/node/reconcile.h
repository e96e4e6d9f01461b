/*
 * reconcile: makes the VMs of this machine what the state wants them to be.
 *
 * Each VM has a machine (node/vm_machine.h). A VM is asked what to do next when its object changed,
 * when the monitor port told something, when a report of it was applied, or when its deadline came;
 * never all of them at once, so that a step costs the same with one VM and with 100,000.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/cluster.h"
#include "node/vm_machine.h"

struct node;

struct node_vm {
    struct node *node;
    char uid[OBJECT_UID_MAX];
    struct vm_machine machine;
    struct object *object;   /* as last applied; NULL: not in the state, or not of this node */
    struct vmm_event *found; /* until all were found */
    struct list dirty;       /* to be asked */
    struct list news;        /* to be reported */
    struct heap_item due;    /* to be asked later */
    struct heap_item slot;   /* waits for a slot, by priority */
    struct heap_item retry;  /* to be reported again later */
    bool reporting;          /* a report is on its way */
    uint64_t reporting_version;
    uint32_t refusals; /* of reports, in a row */
    bool counted_start, counted_run;
};

enum look {
    LOOK_NOT_YET,
    LOOK_ASKED, /* the monitor port tells what it finds */
    LOOK_STATE, /* going through the VMs of the state */
    LOOK_FOUND, /* going through what was found and is not in it */
    LOOK_DONE,
};

/* The state became another at once: every VM gets its object anew, and until all have theirs none is asked
 * what to do. */
enum renew {
    RENEW_NONE,
    RENEW_STATE, /* going through the VMs of the state */
    RENEW_GONE,  /* going through those that may not be in it any more */
};

struct reconcile {
    struct map vms; /* uid -> struct node_vm */
    struct list dirty, news;
    struct heap due, slots, retries;
    struct vmm_events events;
    struct vm_policy policy;
    enum look look;
    char cursor[OBJECT_UID_MAX]; /* of the look */
    enum renew renew;
    char renewed[OBJECT_UID_MAX]; /* cursor of it */
    uint64_t look_retry_ms;       /* LOOK_ASKED: when to ask again; UINT64_MAX: it was asked */
    uint32_t look_failures;       /* in a row */
    char look_trouble[VMM_DETAIL_MAX];
    size_t starting, running, reporting;
    uint64_t reports, reports_refused;
    uint64_t report_retry_ms; /* the log took none; 0: it does */

    bool host_down;
    uint64_t host_deadline_ms;
    void (*host_done)(void *ctx);
    void *host_ctx;
};

void reconcile_init(struct node *n);
void reconcile_done(struct node *n);

void reconcile_begin(struct node *n); /* this node has its number: look at what runs */
void reconcile_applied(struct node *n, const struct apply_result *r);
void reconcile_restored(struct node *n); /* the whole state is another */
void reconcile_step(struct node *n);
void reconcile_end(struct node *n); /* the node is dead: nobody waits for VMs any more */
size_t reconcile_news(const struct node *n);
uint64_t reconcile_deadline_ms(const struct node *n);

/* v's machine changed: see whether there is something to report, and ask it again. */
void reconcile_touch(struct node_vm *v);

/* How long to wait after so many failures in a row, 1 or more. */
uint64_t reconcile_backoff_ms(struct node *n, uint32_t failures);

/* --- report.c --- */
void report_want(struct node_vm *v); /* there may be something to report of v */
void report_step(struct node *n);
uint64_t report_deadline_ms(const struct node *n);
