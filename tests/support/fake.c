#include "support/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "wire/proto.h"

/* --- clock, entropy --- */

static uint64_t real_ns(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * UNITS_NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t now_ms(struct clock *c)
{
    struct fake *f = CONTAINER_OF(c, struct fake, clock);
    return f->real ? real_ns(CLOCK_MONOTONIC) / UNITS_NS_PER_MS : f->now_ms;
}

static uint64_t wall_ns(struct clock *c)
{
    struct fake *f = CONTAINER_OF(c, struct fake, clock);
    return f->real ? real_ns(CLOCK_REALTIME) : f->wall_ns + f->now_ms * UNITS_NS_PER_MS;
}

static void fill(struct entropy *e, void *out, size_t len)
{
    struct fake *f = CONTAINER_OF(e, struct fake, entropy);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)rng_next(&f->rng);
}

/* --- log --- */

static enum status log_append(struct log *l, const struct log_hard *hard,
                              const struct log_entry *entries, size_t count, uint64_t token)
{
    (void)hard;
    (void)entries;
    (void)count;
    struct fake *f = CONTAINER_OF(l, struct fake, log);
    if (f->token_count == FAKE_TOKENS_MAX)
        return ST_LIMIT;
    f->token[f->token_count++] = token;
    return ST_OK;
}

static enum status log_snapshot(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                                struct str chunk, bool last)
{
    (void)term;
    (void)offset;
    (void)chunk;
    if (last)
        CONTAINER_OF(l, struct fake, log)->snapshot = index;
    return ST_OK;
}

static void log_compact(struct log *l, uint64_t first_kept)
{
    (void)l;
    (void)first_kept;
}

static bool log_turn(struct fake *f)
{
    if (f->log_held || (f->token_count == 0 && f->snapshot == 0))
        return false;
    size_t count = f->token_count;
    uint64_t snapshot = f->snapshot;
    uint64_t *token = mem_dup(f->token, count * sizeof *token + 1);
    f->token_count = 0;
    f->snapshot = 0;
    for (size_t i = 0; i < count; i++)
        f->log.events->appended(f->log.events->ctx, token[i]);
    if (snapshot)
        f->log.events->snapshotted(f->log.events->ctx, snapshot);
    free(token);
    return true;
}

/* --- vmm --- */

static struct fake_vm *find_vm(struct fake *f, const char *uid)
{
    for (size_t i = 0; i < FAKE_VMS_MAX; i++)
        if (f->vm[i].there && strcmp(f->vm[i].uid, uid) == 0)
            return &f->vm[i];
    return NULL;
}

static struct fake_vm *make_vm(struct fake *f, const char *uid)
{
    struct fake_vm *vm = find_vm(f, uid);
    for (size_t i = 0; !vm && i < FAKE_VMS_MAX; i++)
        if (!f->vm[i].there)
            vm = &f->vm[i];
    require(vm);
    vm->there = true;
    (void)snprintf(vm->uid, sizeof vm->uid, "%s", uid);
    return vm;
}

static void look(struct vmm *v)
{
    CONTAINER_OF(v, struct fake, vmm)->look_due = true;
}

static void start(struct vmm *v, const struct vmm_start *s)
{
    struct fake_vm *vm = make_vm(CONTAINER_OF(v, struct fake, vmm), s->vm->meta->uid);
    vm->epoch = s->epoch;
    vm->incarnation = s->incarnation;
    vm->generation = s->generation;
    vm->runs = true;
    vm->due = 1U << VMM_SPAWNED | 1U << VMM_READY;
}

static void power(struct vmm *v, const char *uid, uint64_t incarnation, enum vmm_power p)
{
    struct fake_vm *vm = find_vm(CONTAINER_OF(v, struct fake, vmm), uid);
    if (!vm || !vm->runs || vm->incarnation != incarnation)
        return;
    if (p == VMM_PAUSE || p == VMM_RESUME) {
        vm->due |= 1U << (p == VMM_PAUSE ? VMM_PAUSED : VMM_RESUMED);
        return;
    }
    vm->cause = p == VMM_KILL ? PB__EXIT_CAUSE__EXIT_KILLED : PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN;
    vm->due = 1U << VMM_EXITED;
}

static void vm_remove(struct vmm *v, const char *uid)
{
    make_vm(CONTAINER_OF(v, struct fake, vmm), uid)->due = 1U << VMM_REMOVED;
}

static enum status vm_stats(struct vmm *v, const char *uid, struct vmm_stats *ret)
{
    struct fake *f = CONTAINER_OF(v, struct fake, vmm);
    struct fake_vm *vm = find_vm(f, uid);
    if (!vm || !vm->runs)
        return ST_NOT_FOUND;
    *ret = f->stats;
    return ST_OK;
}

static void tell_vm(struct fake *f, struct fake_vm *vm, enum vmm_event_type type)
{
    struct vmm_event e = {.type = type,
                          .epoch = vm->epoch,
                          .incarnation = vm->incarnation,
                          .generation = vm->generation};
    memcpy(e.uid, vm->uid, sizeof e.uid);
    if (type == VMM_READY) {
        (void)snprintf(e.boot_id, sizeof e.boot_id, "%s", "6f1d8a30-0000-4000-8000-000000000001");
        e.started_ns = wall_ns(&f->clock);
        e.start_ms = 10;
    }
    if (type == VMM_EXITED) {
        vm->runs = false;
        e.cause = vm->cause;
        e.ended_ns = wall_ns(&f->clock);
    }
    if (type == VMM_REMOVED)
        vm->there = vm->runs = false;
    f->vmm.events->event(f->vmm.events->ctx, &e);
}

static bool vm_turn(struct fake *f, struct fake_vm *vm)
{
    if (f->vms_held || vm->due == 0)
        return false;
    for (unsigned type = 0; type <= VMM_REFUSED; type++) {
        if (!(vm->due & 1U << type))
            continue;
        vm->due &= ~(1U << type);
        tell_vm(f, vm, (enum vmm_event_type)type);
        return true;
    }
    return false;
}

/* --- streams --- */

static enum status open_stream(struct vmm *v, const char *uid, const struct vmm_stream_open *o,
                               const struct vmm_stream_events *ev, struct vmm_stream **ret,
                               struct fault *why)
{
    struct fake *f = CONTAINER_OF(v, struct fake, vmm);
    struct fake_vm *vm = find_vm(f, uid);
    if (!vm || !vm->runs)
        return fault_set(why, ST_CONFLICT, "it does not run");
    if (f->open_status != ST_OK)
        return fault_set(why, f->open_status, "it cannot be opened");
    require(f->stream_count < FAKE_STREAMS_MAX);
    struct vmm_stream *s = &f->stream[f->stream_count++];
    buf_done(&s->input); /* of one before, if the test counts anew */
    *s = (struct vmm_stream){.open = true,
                             .kind = o->kind,
                             .size = o->size,
                             .tail = o->tail,
                             .follow = o->follow,
                             .tty = o->tty,
                             .rows = o->rows,
                             .cols = o->cols,
                             .events = ev,
                             .input_max = SIZE_MAX};
    buf_init(&s->input, 64 << 20);
    AUTO(buf_done) struct buf text;
    buf_init(&text, sizeof s->text - 1);
    for (size_t i = 0; o->argv && o->argv[i]; i++)
        buf_fmt(&text, "%s%s", i ? " " : "", o->argv[i]);
    buf_text(&text, o->path ? o->path : "");
    (void)snprintf(s->text, sizeof s->text, "%s", buf_cstr(&text));
    *ret = s;
    return ST_OK;
}

static size_t stream_write(struct vmm *v, struct vmm_stream *s, struct str bytes)
{
    (void)v;
    require(s->open && !s->input_ended);
    size_t n = MIN(bytes.len, s->input_max - s->input.len);
    buf_add(&s->input, bytes.ptr, n);
    return n;
}

static void stream_write_end(struct vmm *v, struct vmm_stream *s)
{
    (void)v;
    require(s->open && !s->input_ended);
    s->input_ended = true;
}

static void stream_resize(struct vmm *v, struct vmm_stream *s, uint16_t rows, uint16_t cols)
{
    (void)v;
    s->rows = rows;
    s->cols = cols;
}

static void stream_grant(struct vmm *v, struct vmm_stream *s, size_t bytes)
{
    (void)v;
    s->granted += bytes;
}

static void stream_close(struct vmm *v, struct vmm_stream *s)
{
    (void)v;
    require(s->open);
    s->open = false;
}

/* --- blob --- */

static void image_make(struct blob *b, const Pb__Image *image)
{
    struct fake *f = CONTAINER_OF(b, struct fake, blob);
    (void)snprintf(f->image, sizeof f->image, "%s", image->meta->uid);
    f->image_gone = false;
}

static void image_cancel(struct blob *b, const char *uid)
{
    struct fake *f = CONTAINER_OF(b, struct fake, blob);
    (void)snprintf(f->image, sizeof f->image, "%s", uid);
    f->image_fails = true;
    f->images_held = false;
}

static void image_remove(struct blob *b, const Pb__Image *image, const Pb__Image *const *keep,
                         size_t keep_count)
{
    (void)keep;
    (void)keep_count;
    image_make(b, image);
    CONTAINER_OF(b, struct fake, blob)->image_gone = true;
}

/* Its images have no files. */
static void image_sweep(struct blob *b, const Pb__Image *const *keep, size_t keep_count)
{
    (void)b;
    (void)keep;
    (void)keep_count;
}

static bool image_turn(struct fake *f)
{
    static char digest[] = "sha256:"
                           "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    if (f->images_held || !f->image[0])
        return false;
    char uid[VMM_UID_MAX];
    memcpy(uid, f->image, sizeof uid);
    f->image[0] = 0;
    Pb__Blob part = PB__BLOB__INIT;
    part.digest = digest;
    PROTO_SET(&part, size, 1000);
    Pb__Image image = PB__IMAGE__INIT;
    image.digest = digest;
    image.kernel = &part;
    image.initrd = &part;
    PROTO_SET(&image, kind, PB__IMAGE_KIND__IMAGE_INITRAMFS);
    PROTO_SET(&image, size, 2000);
    struct blob_event e = {.type = BLOB_READY, .uid = uid, .step = "", .image = &image};
    if (f->image_gone)
        e = (struct blob_event){.type = BLOB_REMOVED, .uid = uid, .step = ""};
    else if (f->image_fails)
        e = (struct blob_event){.type = BLOB_FAILED, .uid = uid, .step = ""};
    if (e.type == BLOB_FAILED)
        (void)fault_set(&e.why, ST_IO, "there is no kernel");
    f->blob.events->event(f->blob.events->ctx, &e);
    return true;
}

/* --- all of it --- */

static bool look_turn(struct fake *f)
{
    if (!f->look_due)
        return false;
    f->look_due = false;
    struct vmm_event e = {.type = VMM_LOOKED};
    f->vmm.events->event(f->vmm.events->ctx, &e);
    return true;
}

bool fake_turn(struct fake *f)
{
    bool some = log_turn(f);
    some = look_turn(f) || some;
    some = image_turn(f) || some;
    for (size_t i = 0; i < FAKE_VMS_MAX; i++)
        some = (f->vm[i].there && vm_turn(f, &f->vm[i])) || some;
    if (node_deadline_ms(f->node) <= now_ms(&f->clock)) {
        node_step(f->node);
        some = true;
    }
    return some;
}

void fake_run(struct fake *f)
{
    for (int i = 0; fake_turn(f); i++)
        require(i < 10000);
}

static char own_key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

static void hello_done(void *ctx, enum status s, const struct fault *why,
                       const struct apply_result *r)
{
    (void)why;
    require(s == ST_OK && r->status == ST_OK);
    *(bool *)ctx = true;
}

void fake_hello(struct fake *f, uint32_t number, const char *address, const char *second)
{
    char *addresses[] = {(char *)(uintptr_t)address, (char *)(uintptr_t)second};
    char key[65], name[20], uid[33];
    bool done = false;
    (void)snprintf(key, sizeof key, "%064" PRIx32, number);
    (void)snprintf(name, sizeof name, "n%" PRIu32, number);
    (void)snprintf(uid, sizeof uid, "%032" PRIx32, number + 0xfa4e0000);
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    facts.key = number == 1 ? own_key : key;
    facts.addresses = addresses;
    facts.n_addresses = second ? 2 : 1;
    PROTO_SET(&facts, feature_level_max, CLUSTER_LEVEL_MAX);
    Pb__CmdNodeHello hello = PB__CMD_NODE_HELLO__INIT;
    hello.uid = uid;
    hello.name = name;
    hello.facts = &facts;
    PROTO_SET(&hello, number, number);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_NODE_HELLO;
    cmd.node_hello = &hello;
    enum status s = node_propose(f->node, &cmd, now_ms(&f->clock) + 1000, hello_done, &done, NULL);
    require(s == ST_OK);
    fake_run(f);
    require(done);
}

void fake_start(struct fake *f)
{
    f->clock = (struct clock){now_ms, now_ms, wall_ns};
    f->now_ms = 1000;
    f->wall_ns = UINT64_C(1764000000) * UNITS_NS_PER_S;
    f->entropy.fill = fill;
    f->rng.s = 1;
    f->log = (struct log){.append = log_append, .snapshot = log_snapshot, .compact = log_compact};
    f->vmm = (struct vmm){.look = look,
                          .start = start,
                          .power = power,
                          .remove = vm_remove,
                          .stats = vm_stats,
                          .open = open_stream,
                          .write = stream_write,
                          .write_end = stream_write_end,
                          .resize = stream_resize,
                          .grant = stream_grant,
                          .close = stream_close};
    f->blob = (struct blob){
        .make = image_make, .cancel = image_cancel, .remove = image_remove, .sweep = image_sweep};
    struct node_ports ports = {&f->clock, &f->entropy, &f->vmm, &f->blob, NULL};
    static char version[] = "0.1.0", host[] = "testhost";
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    facts.version = version;
    facts.hostname = host;
    facts.key = own_key;
    PROTO_SET(&facts, feature_level_max, CLUSTER_LEVEL_MAX);
    PROTO_SET(&facts, cpus, 8);
    PROTO_SET(&facts, mem_mib, 65536);
    struct node_config c;
    struct fault why = {0};
    node_config_default(&c);
    c.name = "n1";
    c.cluster_name = "c";
    c.facts = &facts;
    f->node = node_new(&c, &ports);
    enum status s = node_start(f->node, &f->log, &why);
    if (s != ST_OK)
        (void)fprintf(stderr, "%s\n", why.text);
    require(s == ST_OK);
    fake_run(f);
    if (node_dead(f->node))
        (void)fprintf(stderr, "%s\n", node_dead(f->node)->text);
    require(node_number(f->node) == 1);
}

void fake_stop(struct fake *f)
{
    node_free(f->node);
    for (size_t i = 0; i < f->stream_count; i++)
        buf_done(&f->stream[i].input);
}
