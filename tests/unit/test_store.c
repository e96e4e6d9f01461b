#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "image/job.h"
#include "image/store.h"
#include "os/file.h"
#include "support/tap.h"
#include "wire/proto.h"

/*
 * The store runs a program for each job. Here that is a script of the test's own, so that every way
 * a job may end is seen; the real job is run by the end-to-end tests.
 */
struct rig {
    struct loop *loop;
    struct store *store;
    char dir[64], program[96];
    struct blob_events events;
    int progress, ready, failed, removed;
    uint8_t percent;
    char step[BLOB_STEP_MAX], kernel[80];
    struct fault why;
};

static void on_event(void *ctx, const struct blob_event *e)
{
    struct rig *r = ctx;
    switch (e->type) {
    case BLOB_PROGRESS:
        r->progress++;
        r->percent = e->percent;
        (void)snprintf(r->step, sizeof r->step, "%s", e->step);
        return;
    case BLOB_READY:
        r->ready++;
        (void)snprintf(r->kernel, sizeof r->kernel, "%s", e->image->kernel->digest);
        return;
    case BLOB_FAILED:
        r->failed++;
        r->why = e->why;
        return;
    case BLOB_REMOVED: r->removed++; return;
    }
}

static void rig_open(struct rig *r)
{
    struct fault why;
    char images[96], cache[96];
    (void)snprintf(images, sizeof images, "%s/images", r->dir);
    (void)snprintf(cache, sizeof cache, "%s/cache", r->dir);
    struct store_config c = {images, r->program, cache, "/guest", ""};
    CHECK_EQ(ST_OK, loop_open(&r->loop, &why));
    CHECK_EQ(ST_OK, store_open(r->loop, &c, &r->store, &why));
    r->events = (struct blob_events){on_event, r};
    store_blob(r->store)->events = &r->events;
}

static void rig_init(struct rig *r, const char *script)
{
    *r = (struct rig){.dir = "/tmp/blixard-store-XXXXXX"};
    CHECK(mkdtemp(r->dir) != NULL);
    (void)snprintf(r->program, sizeof r->program, "%s/job", r->dir);
    struct fault why;
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, r->program, str_from(script), 0755, &why));
    rig_open(r);
}

static void rig_done(struct rig *r)
{
    store_close(r->store);
    loop_close(r->loop);
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, r->dir, NULL));
}

static void turn_until(struct rig *r, const int *count, int want)
{
    struct fault why;
    for (int i = 0; i < 2000 && *count < want; i++)
        CHECK_EQ(ST_OK, loop_turn(r->loop, 10, &why));
    CHECK_EQ(want, *count);
}

static Pb__Image *image(const char *uid)
{
    Pb__Image *i = (Pb__Image *)proto_new(&pb__image__descriptor);
    i->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&i->meta->uid, uid);
    proto_set(&i->meta->name, "tiny");
    return i;
}

#define UID "00000000000000000000000000000001"

static bool exists(const struct rig *r, const char *path)
{
    char full[200];
    (void)snprintf(full, sizeof full, "%s/%s", r->dir, path);
    return access(full, F_OK) == 0;
}

TEST(store_tells_how_a_job_goes_and_what_it_said_last)
{
    struct rig r;
    rig_init(&r, "#!/bin/sh\necho 'step 30 unpacking the kernel'\necho noise\n"
                 "printf 'fault no_space\\twrite kernel\\tfree some\\n'\nexit 1\n");
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    store_blob(r.store)->make(store_blob(r.store), i);
    CHECK(exists(&r, "images/staging/" UID "/request"));
    turn_until(&r, &r.failed, 1);
    CHECK_EQ(1, r.progress);
    CHECK_EQ(30, r.percent);
    CHECK_STR("unpacking the kernel", r.step);
    CHECK_EQ(ST_NO_SPACE, r.why.status);
    CHECK_STR("write kernel", r.why.text);
    CHECK_STR("free some", r.why.hint);
    CHECK(!exists(&r, "images/staging/" UID));
    rig_done(&r);
}

TEST(store_of_a_job_that_dies_without_a_word)
{
    struct rig r;
    rig_init(&r, "#!/bin/sh\nkill -9 $$\n");
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    store_blob(r.store)->make(store_blob(r.store), i);
    turn_until(&r, &r.failed, 1);
    CHECK_STR("the image's job ended without a word (signal 9)", r.why.text);
    rig_done(&r);
}

TEST(store_cancel_ends_the_job_and_its_children)
{
    struct rig r;
    rig_init(&r, "#!/bin/sh\necho 'step 1 waiting'\nsleep 1000 &\nwait\n");
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    store_blob(r.store)->make(store_blob(r.store), i);
    turn_until(&r, &r.progress, 1);
    store_blob(r.store)->make(store_blob(r.store), i); /* asked again: nothing new */
    store_blob(r.store)->cancel(store_blob(r.store), UID);
    turn_until(&r, &r.failed, 1);
    CHECK_EQ(ST_CANCELLED, r.why.status);
    CHECK(!exists(&r, "images/staging/" UID));
    rig_done(&r);
}

/* A result as the real job writes it, made by the test beside the script. */
static void write_result(const struct rig *r, const char *digits)
{
    char digest[80], path[96];
    AUTO(auto_proto_free) Pb__Image *i = (Pb__Image *)proto_new(&pb__image__descriptor);
    i->kernel = (Pb__Blob *)proto_new(&pb__blob__descriptor);
    (void)snprintf(digest, sizeof digest, "sha256:%s", digits);
    proto_set(&i->kernel->digest, digest);
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1000);
    proto_pack(&i->base, &b);
    (void)snprintf(path, sizeof path, "%s/result", r->dir);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, buf_view(&b), 0600, NULL));
}

#define DIGITS "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

TEST(store_takes_parts_in_by_digest_and_gives_up_only_what_no_image_has)
{
    struct rig r;
    struct stat st;
    char path[STORE_PATH_MAX], dir[96];
    rig_init(&r, "#!/bin/sh\nprintf abc >kernel\ncp ../../../result result\n");
    write_result(&r, DIGITS);
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    struct blob *b = store_blob(r.store);
    b->make(b, i);
    turn_until(&r, &r.ready, 1);
    CHECK_STR("sha256:" DIGITS, r.kernel);
    (void)snprintf(dir, sizeof dir, "%s/images", r.dir);
    i->kernel = (Pb__Blob *)proto_new(&pb__blob__descriptor);
    proto_set(&i->kernel->digest, "sha256:" DIGITS);
    store_path(dir, i->kernel, path);
    CHECK_EQ(0, stat(path, &st));
    CHECK_EQ(0444, st.st_mode & 0777);

    const Pb__Image *keep[] = {i};
    b->remove(b, i, keep, 1);
    turn_until(&r, &r.removed, 1);
    CHECK_EQ(0, stat(path, &st));
    b->remove(b, i, NULL, 0);
    turn_until(&r, &r.removed, 2);
    CHECK(stat(path, &st) != 0);
    rig_done(&r);
}

TEST(store_sweep_leaves_what_an_image_names)
{
    struct rig r;
    rig_init(&r, "");
    struct blob *b = store_blob(r.store);
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    i->kernel = (Pb__Blob *)proto_new(&pb__blob__descriptor);
    proto_set(&i->kernel->digest, "sha256:" DIGITS);
    static const char *const names[] = {DIGITS, "0" DIGITS};
    for (size_t k = 0; k < ARRAY_COUNT(names); k++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/images/blobs/%s", r.dir, names[k]);
        CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("abc"), 0444, NULL));
    }
    const Pb__Image *keep[] = {i};
    b->sweep(b, keep, 1);
    CHECK(exists(&r, "images/blobs/" DIGITS));
    CHECK(!exists(&r, "images/blobs/0" DIGITS));
    b->sweep(b, NULL, 0);
    CHECK(!exists(&r, "images/blobs/" DIGITS));
    CHECK(exists(&r, "images/blobs"));
    rig_done(&r);
}

TEST(store_removes_at_its_start_what_was_half_made)
{
    struct rig r;
    rig_init(&r, "#!/bin/sh\necho 'step 1 waiting'\nsleep 1000\n");
    AUTO(auto_proto_free) Pb__Image *i = image(UID);
    store_blob(r.store)->make(store_blob(r.store), i);
    turn_until(&r, &r.progress, 1);
    store_close(r.store);
    loop_close(r.loop);
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, "/tmp", 0755, NULL));
    rig_open(&r);
    CHECK(!exists(&r, "images/staging/" UID));
    rig_done(&r);
}
