#include "node/reconcile.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/state.h"

enum {
    ASK_STEP_MAX = 256,
    LOOK_STEP_MAX = 256,
    LAST_WORD_MS = 5000, /* after the deadline of a shutdown, for the leader to hear of it */
};

/* Doubled with each failure in a row, which are 1 or more; with jitter. */
uint64_t reconcile_backoff_ms(struct node *n, uint32_t failures)
{
    const struct vm_policy *p = &n->reconcile.policy;
    uint64_t ms = p->backoff_min_ms;
    for (uint32_t i = 1; i < failures && ms < p->backoff_max_ms; i++)
        ms *= 2;
    ms = MIN(ms, p->backoff_max_ms);
    return ms / 2 + rng_range(&n->rng, 0, ms - ms / 2);
}

/* --- one VM --- */

static struct node_vm *find(struct node *n, const char *uid)
{
    return uid[0] ? map_find(&n->reconcile.vms, str_from(uid)) : NULL;
}

/* See how v stands in the sums and lists that are kept over all. */
static void account(struct node_vm *v)
{
    struct reconcile *r = &v->node->reconcile;
    bool starts = vm_machine_starts(&v->machine), runs = vm_machine_runs(&v->machine);
    r->starting = r->starting + starts - v->counted_start;
    r->running = r->running + runs - v->counted_run;
    v->counted_start = starts;
    v->counted_run = runs;
    report_want(v);
}

static void ask_later(struct node_vm *v)
{
    if (list_empty(&v->dirty))
        list_push(&v->node->reconcile.dirty, &v->dirty);
    v->node->busy = true;
}

void reconcile_touch(struct node_vm *v)
{
    account(v);
    ask_later(v);
}

static struct node_vm *get(struct node *n, const char *uid)
{
    struct node_vm *v = find(n, uid);
    if (v)
        return v;
    v = NEW(struct node_vm);
    v->node = n;
    (void)snprintf(v->uid, sizeof v->uid, "%s", uid);
    vm_machine_init(&v->machine);
    list_init(&v->dirty);
    list_init(&v->news);
    (void)map_put(&n->reconcile.vms, str_from(v->uid), v);
    account(v);
    return v;
}

/* Out of all lists; the map is the caller's. */
static void drop(struct node_vm *v)
{
    struct reconcile *r = &v->node->reconcile;
    list_cut(&v->dirty);
    list_cut(&v->news);
    heap_cut(&r->due, &v->due);
    heap_cut(&r->slots, &v->slot);
    heap_cut(&r->retries, &v->retry);
    r->starting -= v->counted_start;
    r->running -= v->counted_run;
    object_unref(v->object);
    free(v->found);
    free(v);
}

static struct vm_wish wish(const struct node_vm *v)
{
    struct node *n = v->node;
    return (struct vm_wish){
        .vm = v->object ? object_vm(v->object) : NULL,
        .host_down = n->reconcile.host_down,
        .host_deadline_ms = n->reconcile.host_deadline_ms,
        .now_ms = node_now_ms(n),
        .policy = &n->reconcile.policy,
        .rng = &n->rng,
    };
}

static void set_object(struct node_vm *v, struct object *o)
{
    object_unref(v->object);
    v->object = o ? object_ref(o) : NULL;
}

static void start(struct node_vm *v, const struct vm_wish *w)
{
    struct vmm *vmm = v->node->ports.vmm;
    struct object *image = cluster_image_on_node(v->node->cluster, w->vm->meta->project,
                                                 w->vm->image_digest, v->node->number);
    struct vmm_start s = {
        .vm = w->vm,
        .image = image ? object_image(image) : NULL,
        .epoch = v->machine.status.epoch,
        .incarnation = v->machine.running,
        .generation = v->machine.status.generation,
    };
    if (s.image)
        vmm->start(vmm, &s);
    else
        vm_machine_start_failed(&v->machine, w, "its image is not here");
}

static void carry_out(struct node_vm *v, const struct vm_wish *w, enum vm_action action)
{
    struct vmm *vmm = v->node->ports.vmm;
    uint64_t incarnation = v->machine.running;
    switch (action) {
    case VM_ACTION_NONE:
    case VM_ACTION_QUEUE: return;
    case VM_ACTION_START: start(v, w); return;
    case VM_ACTION_POWER_DOWN: vmm->power(vmm, v->uid, incarnation, VMM_POWER_DOWN); return;
    case VM_ACTION_KILL: vmm->power(vmm, v->uid, incarnation, VMM_KILL); return;
    case VM_ACTION_PAUSE: vmm->power(vmm, v->uid, incarnation, VMM_PAUSE); return;
    case VM_ACTION_RESUME: vmm->power(vmm, v->uid, incarnation, VMM_RESUME); return;
    case VM_ACTION_REMOVE: vmm->remove(vmm, v->uid); return;
    }
    defs_unreachable("action of a VM");
}

static uint64_t slot_key(const struct vm_wish *w)
{
    uint32_t priority = w->vm && w->vm->spec ? w->vm->spec->priority : 0;
    return UINT32_MAX - priority; /* higher first */
}

/* Ask v what to do, and do it. */
static void ask(struct node_vm *v, bool slot)
{
    struct reconcile *r = &v->node->reconcile;
    if (v->machine.state == VM_STATE_GONE && !v->object && !v->reporting) {
        (void)map_take(&r->vms, str_from(v->uid));
        drop(v);
        return;
    }
    struct vm_wish w = wish(v);
    w.slot = slot;
    enum vm_action action = vm_machine_step(&v->machine, &w);
    carry_out(v, &w, action);
    account(v);
    if (action != VM_ACTION_NONE && action != VM_ACTION_QUEUE)
        ask_later(v);

    if (action != VM_ACTION_QUEUE)
        heap_cut(&r->slots, &v->slot);
    else if (!heap_holds(&v->slot))
        heap_put(&r->slots, &v->slot, slot_key(&w));

    uint64_t due_ms = vm_machine_deadline_ms(&v->machine, &w);
    if (due_ms == UINT64_MAX)
        heap_cut(&r->due, &v->due);
    else if (!heap_holds(&v->due) || v->due.key != due_ms)
        heap_put(&r->due, &v->due, due_ms);
}

static void ask_due(struct node *n)
{
    uint64_t now_ms = node_now_ms(n);
    for (struct heap_item *it; (it = heap_first(&n->reconcile.due)) && it->key <= now_ms;) {
        struct node_vm *v = CONTAINER_OF(it, struct node_vm, due);
        heap_cut(&n->reconcile.due, it);
        ask_later(v);
    }
}

static void ask_dirty(struct node *n)
{
    struct list *dirty = &n->reconcile.dirty;
    for (size_t i = 0; i < ASK_STEP_MAX && !list_empty(dirty); i++) {
        struct node_vm *v = CONTAINER_OF(dirty->next, struct node_vm, dirty);
        list_cut(&v->dirty);
        ask(v, false);
    }
    if (!list_empty(dirty))
        n->busy = true;
}

/* Let those start that have waited, by priority, as many as there are slots. */
static void grant_slots(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    while (r->starting < NODE_STARTS_MAX && heap_first(&r->slots)) {
        struct node_vm *v = CONTAINER_OF(heap_first(&r->slots), struct node_vm, slot);
        heap_cut(&r->slots, &v->slot);
        ask(v, true);
    }
}

/* --- the first look --- */

static void ask_to_look(struct node *n)
{
    n->reconcile.look_retry_ms = UINT64_MAX;
    n->ports.vmm->look(n->ports.vmm);
}

static void look_at(struct node_vm *v)
{
    struct vm_wish w = wish(v);
    vm_machine_looked(&v->machine, &w, v->found, v->node->config.host_booted);
    free(v->found);
    v->found = NULL;
    reconcile_touch(v);
}

static bool is_ours(const struct node *n, struct object *o)
{
    const Pb__Vm *vm = object_vm(o);
    return vm->status && vm->status->node == n->number;
}

/* false at the end of them. */
static bool look_at_state(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    for (size_t i = 0; i < LOOK_STEP_MAX; i++) {
        struct object *o = cluster_vm_on_node(n->cluster, n->number, r->cursor);
        if (!o)
            return false;
        (void)snprintf(r->cursor, sizeof r->cursor, "%s", object_meta(o)->uid);
        struct node_vm *v = get(n, r->cursor);
        set_object(v, o);
        if (v->machine.state == VM_STATE_UNKNOWN)
            look_at(v);
    }
    return true;
}

static bool look_at_found(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    for (size_t i = 0; i < LOOK_STEP_MAX; i++) {
        struct str uid;
        void *value;
        if (!map_seek(&r->vms, str_from(r->cursor), r->cursor[0], &uid, &value))
            return false;
        (void)snprintf(r->cursor, sizeof r->cursor, STR_FMT, STR_ARG(uid));
        struct node_vm *v = value;
        if (v->machine.state == VM_STATE_UNKNOWN)
            look_at(v);
    }
    return true;
}

static void look_step(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    if (r->look == LOOK_ASKED && node_now_ms(n) >= r->look_retry_ms)
        ask_to_look(n);
    bool more = r->look == LOOK_STATE   ? look_at_state(n)
                : r->look == LOOK_FOUND ? look_at_found(n)
                                        : true;
    if (!more) {
        r->look++;
        r->cursor[0] = 0;
    }
    if (r->look == LOOK_STATE || r->look == LOOK_FOUND)
        n->busy = true;
}

/* --- what the port tells --- */

/* It was found, and something happened to it before the look was over: as if found so. */
static void amend(struct vmm_event *f, const struct vmm_event *e)
{
    if (!f || f->incarnation != e->incarnation)
        return;
    struct vmm_event was = *f;
    switch (e->type) {
    case VMM_READY:
        *f = *e;
        f->epoch = was.epoch;
        f->phase = PB__VM_PHASE__VM_RUNNING;
        break;
    case VMM_PAUSED: f->phase = PB__VM_PHASE__VM_PAUSED; break;
    case VMM_RESUMED: f->phase = PB__VM_PHASE__VM_RUNNING; break;
    case VMM_EXITED:
        *f = *e;
        f->epoch = was.epoch;
        f->phase = PB__VM_PHASE__VM_STOPPED;
        break;
    default: break;
    }
}

static void found(struct node *n, const struct vmm_event *e)
{
    if (n->reconcile.look != LOOK_ASKED || !e->uid[0])
        return;
    struct node_vm *v = get(n, e->uid);
    free(v->found);
    v->found = mem_dup(e, sizeof *e);
}

static void looked(struct node *n, const struct vmm_event *e)
{
    struct reconcile *r = &n->reconcile;
    if (r->look != LOOK_ASKED)
        return;
    n->busy = true;
    (void)snprintf(r->look_trouble, sizeof r->look_trouble, "%s", e->detail);
    if (e->type == VMM_LOOKED)
        r->look = LOOK_STATE;
    else
        r->look_retry_ms = node_now_ms(n) + reconcile_backoff_ms(n, ++r->look_failures);
}

static void event(void *ctx, const struct vmm_event *e)
{
    struct node *n = ctx;
    if (n->dead)
        return;
    if (e->type == VMM_FOUND) {
        found(n, e);
        return;
    }
    if (e->type == VMM_LOOKED || e->type == VMM_LOOK_FAILED) {
        looked(n, e);
        return;
    }
    struct node_vm *v = find(n, e->uid);
    if (!v)
        return;
    if (v->machine.state == VM_STATE_UNKNOWN) {
        amend(v->found, e);
        return;
    }
    struct vm_wish w = wish(v);
    vm_machine_event(&v->machine, &w, e);
    reconcile_touch(v);
}

/* --- what the state tells --- */

/* The VM of this uid is `o` now; NULL: it is none of this node's. */
static void follow(struct node *n, const char *uid, struct object *o)
{
    struct node_vm *v = o ? get(n, uid) : find(n, uid);
    if (!v)
        return;
    set_object(v, o);
    if (v->machine.state == VM_STATE_UNKNOWN && o)
        look_at(v);
    else
        reconcile_touch(v);
}

/* The look goes through all of the state. */
static bool looks_later(const struct node *n)
{
    return n->reconcile.look == LOOK_NOT_YET || n->reconcile.look == LOOK_ASKED;
}

void reconcile_applied(struct node *n, const struct apply_result *result)
{
    if (looks_later(n))
        return;
    for (size_t i = 0; i < result->change_count; i++) {
        const struct change *c = &result->changes[i];
        if (c->kind != OBJECT_VM)
            continue;
        const char *uid = object_meta(c->after ? c->after : c->before)->uid;
        follow(n, uid, c->after && is_ours(n, c->after) ? c->after : NULL);
    }
}

/* --- the state became another at once --- */

void reconcile_restored(struct node *n)
{
    if (looks_later(n))
        return;
    n->reconcile.renew = RENEW_STATE;
    n->reconcile.renewed[0] = 0;
    n->busy = true;
}

/* false at the end of them. */
static bool renew_state(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    for (size_t i = 0; i < LOOK_STEP_MAX; i++) {
        struct object *o = cluster_vm_on_node(n->cluster, n->number, r->renewed);
        if (!o)
            return false;
        (void)snprintf(r->renewed, sizeof r->renewed, "%s", object_meta(o)->uid);
        follow(n, r->renewed, o);
    }
    return true;
}

static bool renew_gone(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    for (size_t i = 0; i < LOOK_STEP_MAX; i++) {
        struct str uid;
        void *value;
        if (!map_seek(&r->vms, str_from(r->renewed), r->renewed[0], &uid, &value))
            return false;
        (void)snprintf(r->renewed, sizeof r->renewed, STR_FMT, STR_ARG(uid));
        struct object *o = cluster_find(n->cluster, OBJECT_VM, r->renewed);
        if (!o || !is_ours(n, o))
            follow(n, r->renewed, NULL);
    }
    return true;
}

/* true while it goes on. */
static bool renew_step(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    if (r->renew == RENEW_NONE)
        return false;
    bool more = r->renew == RENEW_STATE ? renew_state(n) : renew_gone(n);
    if (!more) {
        r->renew = r->renew == RENEW_STATE ? RENEW_GONE : RENEW_NONE;
        r->renewed[0] = 0;
    }
    n->busy = true;
    return r->renew != RENEW_NONE;
}

/* --- all --- */

void reconcile_init(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    map_init(&r->vms);
    list_init(&r->dirty);
    list_init(&r->news);
    heap_init(&r->due);
    heap_init(&r->slots);
    heap_init(&r->retries);
    r->policy = (struct vm_policy){
        .start_timeout_ms = n->config.start_timeout_ms,
        .backoff_min_ms = n->config.backoff_min_ms,
        .backoff_max_ms = n->config.backoff_max_ms,
        .backoff_reset_ms = n->config.backoff_reset_ms,
    };
    r->events = (struct vmm_events){event, n};
    n->ports.vmm->events = &r->events;
}

void reconcile_done(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    MAP_EACH(&r->vms, uid, value)
        drop(value);
    map_done(&r->vms);
    heap_done(&r->due);
    heap_done(&r->slots);
    heap_done(&r->retries);
}

void reconcile_begin(struct node *n)
{
    require(n->reconcile.look == LOOK_NOT_YET);
    n->reconcile.look = LOOK_ASKED;
    ask_to_look(n);
}

/* When a shutdown waits for no reports any more; UINT64_MAX: never. */
static uint64_t last_word_ms(const struct node *n)
{
    const struct reconcile *r = &n->reconcile;
    bool waits = n->ports.peers && r->host_done && r->host_deadline_ms < UINT64_MAX - LAST_WORD_MS;
    return waits ? r->host_deadline_ms + LAST_WORD_MS : UINT64_MAX;
}

static void host_step(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    bool quiet = r->look == LOOK_DONE && r->running == 0 && r->reporting == 0 &&
                 list_empty(&r->news) && !heap_first(&r->retries) && list_empty(&r->dirty);
    /* Without a quorum nobody hears of it, and the machine must go down all the same. */
    bool late = r->running == 0 && node_now_ms(n) >= last_word_ms(n);
    if (!r->host_done || (!quiet && !late))
        return;
    void (*done)(void *ctx) = r->host_done;
    r->host_done = NULL;
    done(r->host_ctx);
}

void reconcile_end(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    void (*done)(void *ctx) = r->host_done;
    r->host_done = NULL;
    if (done)
        done(r->host_ctx);
}

size_t reconcile_news(const struct node *n)
{
    size_t count = n->reconcile.reporting + n->reconcile.retries.count;
    LIST_EACH(it, &n->reconcile.news)
        count++;
    return count;
}

void reconcile_step(struct node *n)
{
    if (renew_step(n))
        return;
    look_step(n);
    ask_due(n);
    ask_dirty(n);
    grant_slots(n);
    report_step(n);
    host_step(n);
}

uint64_t reconcile_deadline_ms(const struct node *n)
{
    const struct reconcile *r = &n->reconcile;
    uint64_t look_ms = r->look == LOOK_ASKED ? r->look_retry_ms : UINT64_MAX;
    uint64_t last_ms = last_word_ms(n);
    if (last_ms != UINT64_MAX && last_ms <= node_now_ms(n))
        last_ms = UINT64_MAX; /* nothing more comes of it */
    return MIN(MIN(look_ms, last_ms), MIN(heap_first_key(&r->due), report_deadline_ms(n)));
}

void node_shutdown(struct node *n, uint64_t deadline_ms, void (*done)(void *ctx), void *ctx)
{
    struct reconcile *r = &n->reconcile;
    require(!r->host_done);
    r->host_down = true;
    r->host_deadline_ms = deadline_ms;
    r->host_done = done;
    r->host_ctx = ctx;
    n->busy = true;
    MAP_EACH(&r->vms, uid, value)
        reconcile_touch(value);
}
