#include "node/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/state.h"
#include "wire/check.h"
#include "wire/proto.h"

enum { PROGRESS_MS = 1000 /* between two reports of progress */, IMAGE_STEP_MAX = 64 };

/* --- one image --- */

static void look_later(struct node_image *i)
{
    if (list_empty(&i->dirty))
        list_push(&i->node->images.dirty, &i->dirty);
    i->node->busy = true;
}

static struct node_image *get(struct node *n, const char *uid)
{
    struct node_image *i = map_find(&n->images.all, str_from(uid));
    if (i)
        return i;
    i = NEW(struct node_image);
    i->node = n;
    (void)snprintf(i->uid, sizeof i->uid, "%s", uid);
    list_init(&i->dirty);
    (void)map_put(&n->images.all, str_from(i->uid), i);
    return i;
}

static void set_outcome(struct node_image *i, Pb__Image *outcome)
{
    proto_free(i->outcome ? &i->outcome->base : NULL);
    i->outcome = outcome;
}

/* Out of all lists; the map is the caller's. */
static void drop(struct node_image *i)
{
    list_cut(&i->dirty);
    heap_cut(&i->node->images.retries, &i->retry);
    object_unref(i->object);
    set_outcome(i, NULL);
    free(i);
}

static bool is_phase(const struct node_image *i, Pb__ImagePhase phase)
{
    return i->object && object_image(i->object)->phase == phase;
}

static bool has_ready_outcome(const struct node_image *i)
{
    return i->outcome && i->outcome->phase == PB__IMAGE_PHASE__IMAGE_READY;
}

/* Remove the files of `image`, but those that another image of this node needs: one that is ready,
 * or that is and the state has still to hear of it. */
static void remove_files(struct node_image *i, const Pb__Image *image)
{
    struct node *n = i->node;
    const struct map *table = cluster_table(n->cluster, OBJECT_IMAGE);
    const Pb__Image **keep = NEW_ARRAY(const Pb__Image *, table->count + n->images.all.count + 1);
    size_t count = 0;
    MAP_EACH(table, uid, value) {
        const Pb__Image *other = object_image(value);
        if (!str_is(uid, i->uid) && other->node == n->number &&
            other->phase == PB__IMAGE_PHASE__IMAGE_READY)
            keep[count++] = other;
    }
    MAP_EACH(&n->images.all, key, made) {
        const struct node_image *other = made;
        if (other != i && has_ready_outcome(other))
            keep[count++] = other->outcome;
    }
    i->job = IMAGE_JOB_REMOVING;
    n->ports.blob->remove(n->ports.blob, image, keep, count);
    free(keep);
}

static Pb__Image *failed_outcome(const struct fault *why)
{
    Pb__Image *image = (Pb__Image *)(void *)proto_new(&pb__image__descriptor);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_FAILED);
    proto_set(&image->error, why->text);
    return image;
}

/* Do what comes next for the files. */
static void work(struct node_image *i)
{
    struct blob *blob = i->node->ports.blob;
    switch (i->job) {
    case IMAGE_JOB_NONE:
        if (is_phase(i, PB__IMAGE_PHASE__IMAGE_PENDING) && !i->outcome) {
            i->job = IMAGE_JOB_MAKING;
            blob->make(blob, object_image(i->object));
        } else if (is_phase(i, PB__IMAGE_PHASE__IMAGE_DELETING) && !i->reporting) {
            remove_files(i, has_ready_outcome(i) ? i->outcome : object_image(i->object));
            set_outcome(i, NULL);
        } else if (has_ready_outcome(i) && is_phase(i, PB__IMAGE_PHASE__IMAGE_READY) &&
                   !i->reporting) { /* it was taken, though nobody told */
            set_outcome(i, NULL);
        } else if (has_ready_outcome(i) && !is_phase(i, PB__IMAGE_PHASE__IMAGE_PENDING) &&
                   !i->reporting) { /* it was given up at the last moment */
            remove_files(i, i->outcome);
            set_outcome(i, NULL);
        }
        return;
    case IMAGE_JOB_MAKING:
        if (is_phase(i, PB__IMAGE_PHASE__IMAGE_PENDING))
            return;
        i->job = IMAGE_JOB_CANCELLING;
        blob->cancel(blob, i->uid);
        return;
    case IMAGE_JOB_CANCELLING:
    case IMAGE_JOB_REMOVING:
    case IMAGE_JOB_GONE: return;
    }
    defs_unreachable("job of an image");
}

/* --- reports --- */

enum news { NEWS_NONE, NEWS_PROGRESS, NEWS_OUTCOME, NEWS_GONE };

static enum news news_of(const struct node_image *i)
{
    if (!i->object)
        return NEWS_NONE;
    if (i->job == IMAGE_JOB_GONE)
        return NEWS_GONE;
    if (!is_phase(i, PB__IMAGE_PHASE__IMAGE_PENDING))
        return NEWS_NONE;
    if (i->outcome)
        return NEWS_OUTCOME;
    return i->progressed ? NEWS_PROGRESS : NEWS_NONE;
}

static void retry_later(struct node_image *i, uint64_t ms)
{
    heap_put(&i->node->images.retries, &i->retry, node_now_ms(i->node) + ms);
}

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct node_image *i = ctx;
    (void)why;
    i->reporting = false;
    bool unfit = s == ST_OK && (r->status == ST_INVALID || r->status == ST_TOO_BIG);
    if (s == ST_OK && r->status == ST_OK) {
        i->refusals = 0;
        if (i->reporting_progress)
            retry_later(i, PROGRESS_MS);
        else
            set_outcome(i, NULL);
    } else if (unfit && !i->reporting_progress && has_ready_outcome(i)) {
        remove_files(i, i->outcome);
        set_outcome(i, failed_outcome(&r->why));
    } else if (s != ST_OK) { /* of the log or of consensus: the state did not see it */
        retry_later(i, i->node->config.backoff_min_ms);
        i->progressed |= i->reporting_progress;
    } else {
        retry_later(i, reconcile_backoff_ms(i->node, ++i->refusals));
    }
    look_later(i);
}

static void report(struct node_image *i)
{
    struct node *n = i->node;
    enum news news = news_of(i);
    bool too_soon = heap_holds(&i->retry) && (news == NEWS_PROGRESS || i->refusals > 0);
    if (i->reporting || news == NEWS_NONE || too_soon)
        return;
    Pb__Image pending = PB__IMAGE__INIT;
    PROTO_SET(&pending, phase, PB__IMAGE_PHASE__IMAGE_PENDING);
    Pb__CmdImageReport m = PB__CMD_IMAGE_REPORT__INIT;
    m.uid = i->uid;
    PROTO_SET(&m, node, n->number);
    if (news == NEWS_GONE)
        PROTO_SET(&m, gone, 1);
    else
        m.image = i->outcome ? i->outcome : &pending;
    if (news == NEWS_PROGRESS) {
        m.step = i->step[0] ? i->step : NULL;
        m.has_progress = i->percent <= 100;
        m.progress = i->percent;
    }
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = n->actor;
    cmd.body_case = PB__COMMAND__BODY_IMAGE_REPORT;
    cmd.image_report = &m;
    if (node_propose_own(n, &cmd, told, i, NULL) != ST_OK) {
        retry_later(i, n->config.backoff_min_ms);
        return;
    }
    i->reporting = true;
    i->reporting_progress = news == NEWS_PROGRESS;
    i->progressed = false;
}

static void look_at(struct node_image *i)
{
    work(i);
    report(i);
    bool idle = i->job == IMAGE_JOB_NONE || i->job == IMAGE_JOB_GONE;
    if (idle && !i->object && !i->reporting && !has_ready_outcome(i)) {
        (void)map_take(&i->node->images.all, str_from(i->uid));
        drop(i);
    }
}

/* --- what the port tells --- */

static Pb__Image *ready_outcome(const struct node_image *i, const Pb__Image *made)
{
    Pb__Image *image = (Pb__Image *)(void *)proto_copy(&made->base);
    if (!image->meta)
        image->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&image->meta->uid, i->uid);
    PROTO_SET(image, phase, PB__IMAGE_PHASE__IMAGE_READY);
    /* What a package made up must not make the image useless. */
    if (check_message(&image->base, CHECK_STORED, NULL) != ST_OK)
        proto_set(&image->kernel_release, NULL);
    return image;
}

static void ended(struct node_image *i, Pb__Image *outcome)
{
    bool wanted = i->job == IMAGE_JOB_MAKING;
    if (i->job != IMAGE_JOB_MAKING && i->job != IMAGE_JOB_CANCELLING) {
        proto_free(&outcome->base);
        return;
    }
    i->job = IMAGE_JOB_NONE;
    set_outcome(i, outcome);
    if (!wanted && !has_ready_outcome(i)) /* given up, as was asked */
        set_outcome(i, NULL);
}

static void event(void *ctx, const struct blob_event *e)
{
    struct node *n = ctx;
    struct node_image *i = n->dead ? NULL : map_find(&n->images.all, str_from(e->uid));
    if (!i)
        return;
    switch (e->type) {
    case BLOB_PROGRESS:
        (void)snprintf(i->step, sizeof i->step, "%s", e->step ? e->step : "");
        i->percent = e->percent;
        i->progressed = true;
        break;
    case BLOB_READY: ended(i, ready_outcome(i, e->image)); break;
    case BLOB_FAILED: ended(i, failed_outcome(&e->why)); break;
    case BLOB_REMOVED:
        if (i->job == IMAGE_JOB_REMOVING)
            i->job = is_phase(i, PB__IMAGE_PHASE__IMAGE_DELETING) ? IMAGE_JOB_GONE : IMAGE_JOB_NONE;
        break;
    }
    look_later(i);
}

/* --- all --- */

static void set_object(struct node_image *i, struct object *o)
{
    object_unref(i->object);
    i->object = o ? object_ref(o) : NULL;
    look_later(i);
}

static bool is_ours(const struct node *n, const struct object *o)
{
    return object_image(o)->node == n->number;
}

void images_init(struct node *n)
{
    map_init(&n->images.all);
    list_init(&n->images.dirty);
    heap_init(&n->images.retries);
    n->images.events = (struct blob_events){event, n};
    n->ports.blob->events = &n->images.events;
}

void images_done(struct node *n)
{
    MAP_EACH(&n->images.all, uid, value)
        drop(value);
    map_done(&n->images.all);
    heap_done(&n->images.retries);
}

/* What a job made just before a crash is in no image: nobody else would ever remove it. */
static void sweep(struct node *n)
{
    const struct map *table = cluster_table(n->cluster, OBJECT_IMAGE);
    const Pb__Image **keep = NEW_ARRAY(const Pb__Image *, table->count + 1);
    size_t count = 0;
    MAP_EACH(table, uid, value) {
        if (is_ours(n, value))
            keep[count++] = object_image(value);
    }
    n->ports.blob->sweep(n->ports.blob, keep, count);
    free(keep);
}

/* Nothing else is left to do but for these. */
static void follow_undone(struct node *n)
{
    MAP_EACH(cluster_table(n->cluster, OBJECT_IMAGE), uid, value) {
        const Pb__Image *image = object_image(value);
        bool undone = image->phase == PB__IMAGE_PHASE__IMAGE_PENDING ||
                      image->phase == PB__IMAGE_PHASE__IMAGE_DELETING;
        if (undone && is_ours(n, value))
            set_object(get(n, image->meta->uid), value);
    }
}

void images_begin(struct node *n)
{
    n->images.begun = true;
    sweep(n);
    follow_undone(n);
}

void images_applied(struct node *n, const struct apply_result *r)
{
    for (size_t k = 0; n->images.begun && k < r->change_count; k++) {
        const struct change *c = &r->changes[k];
        if (c->kind != OBJECT_IMAGE)
            continue;
        const char *uid = object_meta(c->after ? c->after : c->before)->uid;
        if (c->after && is_ours(n, c->after)) {
            set_object(get(n, uid), c->after);
        } else {
            struct node_image *i = map_find(&n->images.all, str_from(uid));
            if (i)
                set_object(i, NULL);
        }
    }
}

void images_restored(struct node *n)
{
    if (!n->images.begun)
        return;
    const struct map *table = cluster_table(n->cluster, OBJECT_IMAGE);
    MAP_EACH(&n->images.all, uid, made) {
        struct object *o = map_find(table, uid);
        set_object(made, o && is_ours(n, o) ? o : NULL);
    }
    follow_undone(n);
}

void images_step(struct node *n)
{
    struct images *x = &n->images;
    uint64_t now_ms = node_now_ms(n);
    for (struct heap_item *it; (it = heap_first(&x->retries)) && it->key <= now_ms;) {
        heap_cut(&x->retries, it);
        look_later(CONTAINER_OF(it, struct node_image, retry));
    }
    for (size_t k = 0; k < IMAGE_STEP_MAX && !list_empty(&x->dirty); k++) {
        struct node_image *i = CONTAINER_OF(x->dirty.next, struct node_image, dirty);
        list_cut(&i->dirty);
        look_at(i);
    }
    if (!list_empty(&x->dirty))
        n->busy = true;
}

uint64_t images_deadline_ms(const struct node *n)
{
    return heap_first_key(&n->images.retries);
}
