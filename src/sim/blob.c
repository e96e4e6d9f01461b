#include "sim/blob.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/proto.h"

enum { DIGEST_MAX = 72 };

struct blob_job {
    char uid[33];
    uint64_t number;
    unsigned content; /* some images have the same */
    uint8_t percent;
    bool cancelled;
};

/* A present digest; the map needs some value. */
static char present;

static void digest_of(unsigned content, unsigned part, char out[DIGEST_MAX])
{
    (void)snprintf(out, DIGEST_MAX, "sha256:%062x%02x", content, part);
}

static void tell(struct sim_blob *b, const struct blob_event *e)
{
    sim_trace(b->sim, "hear image %s %d", e->uid, (int)e->type);
    b->port.events->event(b->port.events->ctx, e);
}

static Pb__Blob *new_blob(const char *digest)
{
    Pb__Blob *blob = (Pb__Blob *)(void *)proto_new(&pb__blob__descriptor);
    proto_set(&blob->digest, digest);
    PROTO_SET(blob, size, 1000);
    return blob;
}

static void tell_ready(struct sim_blob *b, const struct blob_job *job)
{
    char digest[DIGEST_MAX], kernel[DIGEST_MAX], initrd[DIGEST_MAX];
    digest_of(job->content, 0, digest);
    digest_of(job->content, 1, kernel);
    digest_of(job->content, 2, initrd);
    (void)map_put(&b->digests, str_from(digest), &present);
    b->sim->stats.images++;
    AUTO(auto_proto_free) Pb__Image *image = (Pb__Image *)(void *)proto_new(&pb__image__descriptor);
    proto_set(&image->digest, digest);
    PROTO_SET(image, kind, PB__IMAGE_KIND__IMAGE_INITRAMFS);
    image->kernel = new_blob(kernel);
    image->initrd = new_blob(initrd);
    tell(b, &(struct blob_event){.type = BLOB_READY, .uid = job->uid, .image = image});
}

static void tell_failed(struct sim_blob *b, const struct blob_job *job, enum status s,
                        const char *text)
{
    struct blob_event e = {.type = BLOB_FAILED, .uid = job->uid};
    (void)fault_set(&e.why, s, "%s", text);
    tell(b, &e);
}

/* The job of this number, if it is still under way. */
static struct blob_job *by_number(const struct sim_blob *b, uint64_t number)
{
    MAP_EACH(&b->jobs, uid, value) {
        struct blob_job *job = value;
        if (job->number == number)
            return job;
    }
    return NULL;
}

static void job_ends(void *ctx, uint64_t number)
{
    struct sim_blob *b = ctx;
    struct blob_job *job = by_number(b, number);
    if (!job)
        return;
    (void)map_take(&b->jobs, str_from(job->uid));
    if (job->cancelled && rng_chance(&b->sim->world, 700)) {
        tell_failed(b, job, ST_CANCELLED, "cancelled");
    } else if (rng_chance(&b->sim->world, b->sim->faults.blob_fails)) {
        b->sim->stats.image_failures++;
        tell_failed(b, job, ST_FAILED, "the mirror is down");
    } else {
        tell_ready(b, job);
    }
    free(job);
}

static void job_goes_on(void *ctx, uint64_t number)
{
    struct sim_blob *b = ctx;
    struct blob_job *job = by_number(b, number);
    if (!job)
        return;
    if (job->percent >= 100 || job->cancelled) {
        sim_after(b->sim, sim_between(&b->sim->world, 100, 10000), job_ends, b, number);
        return;
    }
    tell(b, &(struct blob_event){
                .type = BLOB_PROGRESS, .uid = job->uid, .step = "unpack", .percent = job->percent});
    job->percent = (uint8_t)(job->percent + 25);
    sim_after(b->sim, sim_between(&b->sim->world, 1000, 400000), job_goes_on, b, number);
}

static void make(struct blob *port, const Pb__Image *image)
{
    struct sim_blob *b = CONTAINER_OF(port, struct sim_blob, port);
    const char *uid = image->meta->uid;
    if (!b->life || map_find(&b->jobs, str_from(uid)))
        return;
    sim_trace(b->sim, "ask image %s", uid);
    struct blob_job *job = NEW(struct blob_job);
    (void)snprintf(job->uid, sizeof job->uid, "%s", uid);
    job->number = ++b->numbers;
    uint32_t contents = b->sim->faults.blob_contents;
    job->content = (unsigned)(contents ? rng_below(&b->sim->world, contents) : job->number);
    (void)map_put(&b->jobs, str_from(job->uid), job);
    sim_after(b->sim, sim_between(&b->sim->world, 1000, 100000), job_goes_on, b, job->number);
}

static void cancel(struct blob *port, const char *uid)
{
    struct sim_blob *b = CONTAINER_OF(port, struct sim_blob, port);
    struct blob_job *job = b->life ? map_find(&b->jobs, str_from(uid)) : NULL;
    if (!job)
        return;
    sim_trace(b->sim, "ask cancel %s", uid);
    job->cancelled = true;
}

struct removal {
    struct sim_blob *store;
    char uid[33];
    uint64_t life;
};

static void is_removed(void *ctx, uint64_t arg)
{
    (void)arg;
    struct removal *r = ctx;
    struct sim_blob *b = r->store;
    if (r->life == b->life) {
        b->sim->stats.images_deleted++;
        tell(b, &(struct blob_event){.type = BLOB_REMOVED, .uid = r->uid});
    }
}

static bool keeps(const Pb__Image *const *keep, size_t count, struct str digest)
{
    for (size_t i = 0; i < count; i++)
        if (keep[i]->digest && str_is(digest, keep[i]->digest))
            return true;
    return false;
}

static void remove_image(struct blob *port, const Pb__Image *image, const Pb__Image *const *keep,
                         size_t keep_count)
{
    struct sim_blob *b = CONTAINER_OF(port, struct sim_blob, port);
    if (!b->life)
        return;
    const char *uid = image->meta->uid;
    sim_trace(b->sim, "ask remove image %s", uid);
    if (image->digest && !keeps(keep, keep_count, str_from(image->digest)))
        (void)map_take(&b->digests, str_from(image->digest));
    struct removal *r = NEW(struct removal);
    r->store = b;
    r->life = b->life;
    (void)snprintf(r->uid, sizeof r->uid, "%s", uid);
    sim_after_owned(b->sim, sim_between(&b->sim->world, 100, 50000), is_removed, r);
}

static void sweep(struct blob *port, const Pb__Image *const *keep, size_t keep_count)
{
    struct sim_blob *b = CONTAINER_OF(port, struct sim_blob, port);
    struct str digest = STR("");
    void *value;
    sim_trace(b->sim, "ask sweep of images");
    for (bool more = map_seek(&b->digests, digest, false, &digest, &value); more;) {
        char name[DIGEST_MAX]; /* outlives the entry */
        (void)snprintf(name, sizeof name, STR_FMT, STR_ARG(digest));
        if (!keeps(keep, keep_count, digest))
            (void)map_take(&b->digests, digest);
        more = map_seek(&b->digests, str_from(name), true, &digest, &value);
    }
}

void sim_blob_init(struct sim_blob *b, struct sim *s)
{
    *b = (struct sim_blob){
        .port = {.make = make, .cancel = cancel, .remove = remove_image, .sweep = sweep},
        .sim = s,
    };
    map_init(&b->digests);
    map_init(&b->jobs);
}

static void drop_jobs(struct sim_blob *b)
{
    MAP_EACH(&b->jobs, uid, value)
        free(value);
    map_done(&b->jobs);
}

void sim_blob_done(struct sim_blob *b)
{
    map_done(&b->digests);
    drop_jobs(b);
}

void sim_blob_daemon_up(struct sim_blob *b, uint64_t life)
{
    b->life = life;
}

void sim_blob_daemon_down(struct sim_blob *b)
{
    b->life = 0;
    drop_jobs(b);
}

bool sim_blob_has(const struct sim_blob *b, const char *digest)
{
    return map_find(&b->digests, str_from(digest)) != NULL;
}
