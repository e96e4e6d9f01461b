#include <stdlib.h>

#include "node/node.h"
#include "support/tap.h"
#include "wire/proto.h"

/*
 * A node on ports that are played by hand. The log holds what it gets in memory; it is durable when
 * the test says so.
 */
enum { LOG_MAX = 4000, VMS_MAX = 16 };

struct bench {
    struct clock clock;
    struct entropy entropy;
    struct log log;
    struct vmm vmm;
    struct blob blob;
    struct node_mark mark;
    uint64_t now_ms, wall_ns, draws;

    struct log_hard hard;
    struct log_entry entry[LOG_MAX]; /* by index; data is ours */
    uint64_t last, token, snapshot_index, snapshot_term, first_kept;
    struct buf snapshot;
    bool snapshot_whole, log_full;
    size_t chunk_max;
    uint64_t snapshot_entries, snapshot_log_max; /* of the next start */

    char asked[VMS_MAX][64]; /* "start NAME", "down NAME", ... of the monitor port */
    size_t asked_count;
    uint64_t incarnation[VMS_MAX]; /* of the starts, in their order */
    char started[VMS_MAX][OBJECT_UID_MAX];
    size_t started_count;
    bool looked, look_slowly;

    bool blob_slow; /* jobs end when the test says so */
    unsigned cancels, removals, sweeps;
    size_t kept; /* images, at the last removal or sweep */

    struct node *n;
};

static uint64_t now_ms(struct clock *c)
{
    return CONTAINER_OF(c, struct bench, clock)->now_ms;
}

static uint64_t wall_ns(struct clock *c)
{
    return CONTAINER_OF(c, struct bench, clock)->wall_ns;
}

static void fill(struct entropy *e, void *out, size_t len)
{
    struct bench *b = CONTAINER_OF(e, struct bench, entropy);
    memset(out, 0, len);
    b->draws++;
    memcpy(out, &b->draws, MIN(len, sizeof b->draws));
}

static enum status log_append(struct log *l, const struct log_hard *hard,
                              const struct log_entry *entries, size_t count, uint64_t token)
{
    struct bench *b = CONTAINER_OF(l, struct bench, log);
    if (b->log_full)
        return ST_LIMIT;
    if (hard)
        b->hard = *hard;
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(b->last + 1, entries[i].index);
        CHECK(entries[i].index < LOG_MAX);
        b->entry[++b->last] = entries[i];
        b->entry[b->last].data.ptr =
            mem_dup(entries[i].data.ptr, entries[i].data.len + (entries[i].data.len == 0));
    }
    b->token = token;
    return ST_OK;
}

static enum status log_snapshot(struct log *l, uint64_t index, uint64_t term, struct str chunk,
                                bool last)
{
    struct bench *b = CONTAINER_OF(l, struct bench, log);
    if (b->log_full)
        return ST_LIMIT;
    if (index != b->snapshot_index) {
        buf_reset(&b->snapshot);
        b->snapshot_index = index;
    }
    b->snapshot_term = term;
    b->chunk_max = MAX(b->chunk_max, chunk.len);
    buf_str(&b->snapshot, chunk);
    b->snapshot_whole = last;
    return ST_OK;
}

static void log_compact(struct log *l, uint64_t first_kept)
{
    CONTAINER_OF(l, struct bench, log)->first_kept = first_kept;
}

static void ask(struct bench *b, const char *what, const char *name)
{
    CHECK(b->asked_count < VMS_MAX);
    (void)snprintf(b->asked[b->asked_count++], sizeof b->asked[0], "%s %s", what, name);
}

static void vmm_look(struct vmm *v)
{
    struct bench *b = CONTAINER_OF(v, struct bench, vmm);
    b->looked = true;
    if (b->look_slowly)
        return;
    v->events->event(v->events->ctx, &(struct vmm_event){.type = VMM_LOOKED});
}

static void vmm_start(struct vmm *v, const struct vmm_start *s)
{
    struct bench *b = CONTAINER_OF(v, struct bench, vmm);
    CHECK(s->image != NULL && b->started_count < VMS_MAX);
    ask(b, "start", s->vm->meta->name);
    (void)snprintf(b->started[b->started_count], OBJECT_UID_MAX, "%s", s->vm->meta->uid);
    b->incarnation[b->started_count++] = s->incarnation;
}

static void vmm_power(struct vmm *v, const char *uid, uint64_t incarnation, enum vmm_power p)
{
    static const char *names[] = {"down", "kill", "pause", "resume"};
    (void)incarnation;
    ask(CONTAINER_OF(v, struct bench, vmm), names[p], uid);
}

static void vmm_remove(struct vmm *v, const char *uid)
{
    ask(CONTAINER_OF(v, struct bench, vmm), "remove", uid);
}

/* Every image has the same content here. */
static void blob_ready(struct bench *b, const char *id)
{
    static char digest[] =
        "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    Pb__Blob part = PB__BLOB__INIT;
    part.digest = digest;
    PROTO_SET(&part, size, 1);
    Pb__Image made = PB__IMAGE__INIT;
    made.digest = digest;
    PROTO_SET(&made, kind, PB__IMAGE_KIND__IMAGE_INITRAMFS);
    made.kernel = made.initrd = &part;
    b->blob.events->event(b->blob.events->ctx,
                          &(struct blob_event){.type = BLOB_READY, .uid = id, .image = &made});
}

static void blob_make(struct blob *bl, const Pb__Image *image)
{
    struct bench *b = CONTAINER_OF(bl, struct bench, blob);
    if (!b->blob_slow)
        blob_ready(b, image->meta->uid);
}

static void blob_cancel(struct blob *bl, const char *id)
{
    (void)id;
    CONTAINER_OF(bl, struct bench, blob)->cancels++;
}

static void blob_remove(struct blob *bl, const Pb__Image *image, const Pb__Image *const *keep,
                        size_t keep_count)
{
    struct bench *b = CONTAINER_OF(bl, struct bench, blob);
    (void)keep;
    b->removals++;
    b->kept = keep_count;
    bl->events->event(bl->events->ctx,
                      &(struct blob_event){.type = BLOB_REMOVED, .uid = image->meta->uid});
}

static void blob_sweep(struct blob *bl, const Pb__Image *const *keep, size_t keep_count)
{
    struct bench *b = CONTAINER_OF(bl, struct bench, blob);
    (void)keep;
    b->sweeps++;
    b->kept = keep_count;
}

static void node_config(const struct bench *b, struct node_config *c, Pb__NodeFacts *facts)
{
    static char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    node_config_default(c);
    *facts = (Pb__NodeFacts)PB__NODE_FACTS__INIT;
    facts->key = key;
    PROTO_SET(facts, cpus, 64);
    PROTO_SET(facts, mem_mib, 1 << 20);
    PROTO_SET(facts, feature_level_max, 1);
    c->name = "node-1";
    c->facts = facts;
    c->snapshot_entries = b->snapshot_entries;
    c->snapshot_log_max = b->snapshot_log_max;
    c->trailing_entries = 10;
    c->host_booted = true;
}

static void init(struct bench *b)
{
    *b = (struct bench){
        .clock = {now_ms, now_ms, wall_ns},
        .entropy = {fill},
        .log = {.append = log_append, .snapshot = log_snapshot, .compact = log_compact},
        .vmm = {.look = vmm_look, .start = vmm_start, .power = vmm_power, .remove = vmm_remove},
        .blob = {.make = blob_make,
                 .cancel = blob_cancel,
                 .remove = blob_remove,
                 .sweep = blob_sweep},
        .now_ms = 1000,
        .wall_ns = 5000000000,
        .snapshot_entries = 1000,
    };
    buf_init(&b->snapshot, 64 << 20);
}

static void make(struct bench *b, const struct node_config *c)
{
    struct node_ports p = {&b->clock, &b->entropy, &b->vmm, &b->blob, &b->mark};
    b->n = node_new(c, &p);
}

/* All that was appended is on the platter. */
static void sync_log(struct bench *b)
{
    uint64_t token = b->token;
    b->token = 0;
    if (token)
        b->log.events->appended(b->log.events->ctx, token);
    if (b->snapshot_whole) {
        b->snapshot_whole = false;
        b->log.events->snapshotted(b->log.events->ctx, b->snapshot_index);
    }
}

static void settle(struct bench *b)
{
    for (int i = 0; i < 2000; i++) {
        sync_log(b);
        if (node_deadline_ms(b->n) > b->now_ms)
            return;
        node_step(b->n);
    }
    CHECK_STR("the node", "comes to rest");
}

static void start(struct bench *b)
{
    struct node_config c;
    Pb__NodeFacts facts;
    init(b);
    node_config(b, &c, &facts);
    make(b, &c);
    CHECK_EQ(ST_OK, node_start(b->n, &b->log, NULL));
    settle(b);
    CHECK_EQ(1, node_number(b->n));
}

static void finish(struct bench *b)
{
    node_free(b->n);
    for (uint64_t i = 1; i <= b->last; i++)
        free((void *)(uintptr_t)b->entry[i].data.ptr);
    buf_done(&b->snapshot);
}

/* Play what the log holds to a node that starts. */
static enum status start_again(struct bench *b, struct fault *why)
{
    struct node_config c;
    Pb__NodeFacts facts;
    node_free(b->n);
    node_config(b, &c, &facts);
    make(b, &c);
    struct log_load load = node_loader(b->n);
    load.hard(load.ctx, &b->hard);
    uint64_t first = 1;
    if (b->snapshot_index) {
        struct str rest = buf_view(&b->snapshot);
        CHECK_EQ(ST_OK,
                 load.snapshot(load.ctx, b->snapshot_index, b->snapshot_term, STR(""), false, why));
        for (size_t n; rest.len; rest.ptr += n, rest.len -= n) {
            n = MIN(rest.len, 1000);
            CHECK_EQ(ST_OK, load.snapshot(load.ctx, b->snapshot_index, b->snapshot_term,
                                          (struct str){rest.ptr, n}, n == rest.len, why));
        }
        first = b->snapshot_index + 1;
    }
    for (uint64_t i = first; i <= b->last; i++)
        CHECK_EQ(ST_OK, load.entry(load.ctx, &b->entry[i], why));
    return node_start(b->n, &b->log, why);
}

struct answer {
    unsigned count;
    enum status s;
    enum status applied; /* of the command; ST_COUNT: it was not */
    uint64_t index;
};

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct answer *a = ctx;
    (void)why;
    a->count++;
    a->s = s;
    a->applied = r ? r->status : ST_COUNT;
    a->index = r ? r->index : 0;
}

static void uid(char out[OBJECT_UID_MAX], unsigned number)
{
    (void)snprintf(out, OBJECT_UID_MAX, "%032x", number);
}

/* number + SAME_NAME is another tenant that wants the same name. */
enum { SAME_NAME = 100000 };

static enum status put_tenant(struct bench *b, unsigned number, struct answer *a)
{
    char id[OBJECT_UID_MAX], name[20];
    uid(id, 0x1000 + number);
    (void)snprintf(name, sizeof name, "tenant-%u", number % SAME_NAME);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = id;
    meta.name = name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    *a = (struct answer){0};
    return node_propose(b->n, &cmd, b->now_ms + 1000, told, a, NULL);
}

static void propose_ok(struct bench *b, const Pb__Command *cmd)
{
    struct answer a = {0};
    CHECK_EQ(ST_OK, node_propose(b->n, cmd, UINT64_MAX, told, &a, NULL));
    settle(b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.applied);
}

/* number: 0 is "default", which VMs use. Its uid is number + 1, its operation's 0x10 more. */
static void ask_image(struct bench *b, unsigned number)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], name[20] = "default", project[] = "default";
    uid(id, number + 1);
    uid(op, number + 0x11);
    if (number)
        (void)snprintf(name, sizeof name, "image-%u", number);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = id;
    meta.name = name;
    meta.project = project;
    Pb__Image image = PB__IMAGE__INIT;
    image.meta = &meta;
    Pb__CmdImageCreate m = PB__CMD_IMAGE_CREATE__INIT;
    m.image = &image;
    m.operation_id = op;
    PROTO_SET(&m, node, 1);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_IMAGE_CREATE;
    cmd.image_create = &m;
    propose_ok(b, &cmd);
}

static const Pb__Image *image_of(struct bench *b, unsigned number) /* NULL: it is gone */
{
    char id[OBJECT_UID_MAX];
    uid(id, number + 1);
    struct object *o = cluster_find(node_cluster(b->n), OBJECT_IMAGE, id);
    return o ? object_image(o) : NULL;
}

static void create_image(struct bench *b)
{
    ask_image(b, 0);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, image_of(b, 0)->phase);
}

static void create_vm(struct bench *b, unsigned number, uint32_t priority)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], name[20], project[] = "default";
    static struct answer a;
    a = (struct answer){0};
    uid(id, 0x100 + number);
    uid(op, 0x200 + number);
    (void)snprintf(name, sizeof name, "vm-%u", number);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = id;
    meta.name = name;
    meta.project = project;
    Pb__VmSpec spec = PB__VM_SPEC__INIT;
    spec.image = project;
    PROTO_SET(&spec, priority, priority);
    Pb__Vm vm = PB__VM__INIT;
    vm.meta = &meta;
    vm.spec = &spec;
    Pb__CmdVmCreate m = PB__CMD_VM_CREATE__INIT;
    m.vm = &vm;
    m.operation_id = op;
    PROTO_SET(&m, node, 1);
    PROTO_SET(&m, start, 1);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd.vm_create = &m;
    CHECK_EQ(ST_OK, node_propose(b->n, &cmd, UINT64_MAX, told, &a, NULL));
}

static void tell_vm(struct bench *b, size_t which, enum vmm_event_type type, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = type, .incarnation = b->incarnation[which], .cause = cause};
    (void)snprintf(e.uid, sizeof e.uid, "%s", b->started[which]);
    b->vmm.events->event(b->vmm.events->ctx, &e);
}

static const Pb__Vm *vm_of(struct bench *b, unsigned number)
{
    char id[OBJECT_UID_MAX];
    uid(id, 0x100 + number);
    struct object *o = cluster_find(node_cluster(b->n), OBJECT_VM, id);
    CHECK(o != NULL);
    return object_vm(o);
}

TEST(node_makes_the_cluster_and_says_what_it_is_then_looks)
{
    struct bench b;
    start(&b);
    CHECK_EQ(1, cluster_level(node_cluster(b.n)));
    CHECK_EQ(1, cluster_count(node_cluster(b.n), OBJECT_NODE));
    CHECK(b.looked && node_view(b.n).reconciled);
    CHECK(node_deadline_ms(b.n) == UINT64_MAX); /* an idle node sleeps */
    finish(&b);
}

TEST(node_tells_a_proposal_when_it_is_applied_and_no_sooner)
{
    struct bench b;
    struct answer a, again;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    CHECK_EQ(0, a.count);
    CHECK(node_deadline_ms(b.n) <= b.now_ms);
    node_step(b.n);
    node_step(b.n);
    CHECK_EQ(0, a.count); /* written, not durable */
    settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.s);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(ST_OK, put_tenant(&b, 1 + SAME_NAME, &again));
    settle(&b);
    CHECK_EQ(ST_OK, again.s);
    CHECK_EQ(ST_EXISTS, again.applied);
    finish(&b);
}

TEST(node_many_proposals_go_into_one_append)
{
    struct bench b;
    struct answer a[20];
    start(&b);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(ST_OK, put_tenant(&b, i, &a[i]));
    uint64_t before = b.last;
    node_step(b.n);
    CHECK_EQ(before + 20, b.last);
    uint64_t token = b.token;
    settle(&b);
    CHECK(token != 0);
    for (unsigned i = 0; i < 20; i++)
        CHECK_EQ(1, a[i].count);
    finish(&b);
}

TEST(node_proposal_times_out_and_may_still_be_applied)
{
    struct bench b;
    struct answer a;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    node_step(b.n);
    CHECK_EQ(b.now_ms + 1000, node_deadline_ms(b.n));
    b.now_ms += 1000;
    node_step(b.n);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_TIMEOUT, a.s);
    settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(2, cluster_count(node_cluster(b.n), OBJECT_TENANT));
    finish(&b);
}

static enum status put_tenant_as(struct bench *b, uint8_t id, unsigned number, struct answer *a)
{
    uint8_t bytes[16] = {id};
    char text[OBJECT_UID_MAX], name[20];
    uid(text, 0x1000 + number);
    (void)snprintf(name, sizeof name, "tenant-%u", number);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = text;
    meta.name = name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.has_id = 1;
    cmd.id = (ProtobufCBinaryData){sizeof bytes, bytes};
    uint8_t request[16] = {(uint8_t)number};
    cmd.has_request = 1;
    cmd.request = (ProtobufCBinaryData){sizeof request, request};
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    *a = (struct answer){0};
    return node_propose(b->n, &cmd, b->now_ms + 1000, told, a, NULL);
}

/* A disk that is slower than its callers are patient must not be given a copy for each try. */
TEST(node_retry_waits_for_the_command_that_is_on_its_way)
{
    struct bench b;
    struct answer a, other, again;
    start(&b);
    uint64_t before = b.last;
    CHECK_EQ(ST_OK, put_tenant_as(&b, 1, 1, &a));
    CHECK_EQ(ST_OK, put_tenant_as(&b, 2, 2, &other));
    node_step(b.n);
    b.now_ms += 1000;
    node_step(b.n);
    CHECK_EQ(ST_TIMEOUT, a.s);
    CHECK_EQ(ST_TIMEOUT, other.s);
    CHECK_EQ(ST_OK, put_tenant_as(&b, 2, 2, &other));
    CHECK_EQ(ST_OK, put_tenant_as(&b, 1, 1, &again)); /* which is told first nevertheless */
    settle(&b);
    CHECK_EQ(before + 2, b.last);
    CHECK_EQ(2, node_view(b.n).commands_joined);
    CHECK_EQ(1, again.count);
    CHECK_EQ(ST_OK, again.applied);
    CHECK_EQ(before + 1, again.index);
    CHECK_EQ(1, other.count);
    CHECK_EQ(before + 2, other.index);
    finish(&b);
}

TEST(node_other_request_under_an_id_that_is_on_its_way_is_refused)
{
    struct bench b;
    struct answer a, other;
    start(&b);
    uint64_t before = b.last;
    CHECK_EQ(ST_OK, put_tenant_as(&b, 1, 1, &a));
    CHECK_EQ(ST_CONFLICT, put_tenant_as(&b, 1, 2, &other));
    settle(&b);
    CHECK_EQ(before + 1, b.last);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(0, other.count);
    finish(&b);
}

TEST(node_retry_of_what_was_applied_is_answered_from_the_state)
{
    struct bench b;
    struct answer a, again;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant_as(&b, 1, 1, &a));
    settle(&b);
    CHECK_EQ(ST_OK, put_tenant_as(&b, 1, 1, &again));
    settle(&b);
    CHECK_EQ(ST_OK, again.applied);
    CHECK_EQ(a.index + 1, again.index);
    CHECK_EQ(0, node_view(b.n).commands_joined);
    CHECK_EQ(1, node_view(b.n).commands_replayed);
    finish(&b);
}

TEST(node_forgets_a_waiter_and_ends_the_others_when_it_ends)
{
    struct bench b;
    struct answer gone, kept;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &gone));
    CHECK_EQ(ST_OK, put_tenant(&b, 2, &kept));
    node_forget(b.n, &gone);
    node_step(b.n);
    finish(&b);
    CHECK_EQ(0, gone.count);
    CHECK_EQ(1, kept.count);
    CHECK_EQ(ST_UNAVAILABLE, kept.s);
}

TEST(node_refuses_commands_that_are_too_big_untaken)
{
    struct bench b;
    struct answer a;
    start(&b);
    size_t len = 100000;
    char *text = mem_new(len + 1);
    memset(text, 'x', len);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = text;
    CHECK_EQ(ST_TOO_BIG, node_propose(b.n, &cmd, UINT64_MAX, told, &a, NULL));
    free(text);
    CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    finish(&b);
}

TEST(node_read_waits_for_what_was_committed_before)
{
    struct bench b;
    struct answer a = {0}, w;
    start(&b);
    CHECK_EQ(ST_OK, node_read(b.n, UINT64_MAX, told, &a, NULL));
    CHECK_EQ(1, a.count); /* nothing is ahead: at once */
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(ST_OK, put_tenant(&b, i, &w));
    node_step(b.n);
    sync_log(&b);
    node_step(b.n); /* some of them are applied */
    struct raft_view v = node_view(b.n).raft;
    CHECK(v.applied < v.commit);
    a = (struct answer){0};
    CHECK_EQ(ST_OK, node_read(b.n, UINT64_MAX, told, &a, NULL));
    CHECK_EQ(0, a.count);
    settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.s);
    finish(&b);
}

TEST(node_log_without_room_is_asked_again)
{
    struct bench b;
    struct answer a;
    start(&b);
    b.log_full = true;
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    node_step(b.n);
    CHECK(node_deadline_ms(b.n) > b.now_ms && node_deadline_ms(b.n) <= b.now_ms + 10);
    b.now_ms += 10;
    node_step(b.n);
    CHECK_EQ(0, a.count);
    b.log_full = false;
    b.now_ms += 10;
    settle(&b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.applied);
    finish(&b);
}

TEST(node_log_that_fails_ends_it)
{
    struct bench b;
    struct answer a;
    struct fault why;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    node_step(b.n);
    (void)fault_set(&why, ST_IO, "sync: Input/output error");
    b.log.events->failed(b.log.events->ctx, &why);
    CHECK(node_dead(b.n) != NULL);
    node_step(b.n);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_UNAVAILABLE, a.s);
    CHECK_STR("the log failed: sync: Input/output error", node_dead(b.n)->text);
    CHECK_EQ(ST_UNAVAILABLE, put_tenant(&b, 2, &a));
    CHECK_EQ(ST_UNAVAILABLE, node_read(b.n, UINT64_MAX, told, &a, NULL));
    CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    finish(&b);
}

TEST(node_takes_snapshots_in_pieces_and_starts_from_them)
{
    struct bench b;
    struct answer a;
    struct fault why;
    start(&b);
    for (unsigned i = 0; i < 2200; i++) {
        CHECK_EQ(ST_OK, put_tenant(&b, i, &a));
        if (i % 50 == 0)
            settle(&b);
    }
    settle(&b);
    struct node_view v = node_view(b.n);
    CHECK_EQ(2, v.snapshots);
    CHECK(v.snapshot_index > 2000 && v.snapshot_index == b.snapshot_index);
    CHECK_EQ(v.snapshot_index + 1 - 10, b.first_kept);
    CHECK_EQ(b.first_kept, v.raft.first);
    CHECK(b.chunk_max <= NODE_SNAPSHOT_CHUNK && b.snapshot.len > b.chunk_max);

    CHECK_EQ(ST_OK, start_again(&b, &why));
    settle(&b);
    struct node_view w = node_view(b.n);
    CHECK_EQ(v.raft.term + 1, w.raft.term);
    CHECK_EQ(1000, cluster_count(node_cluster(b.n), OBJECT_TENANT)); /* all that fit */
    finish(&b);
}

/* What a snapshot costs is bounded by what the log does: a large state is not saved for each small
 * change. */
TEST(node_saves_the_state_when_the_log_has_grown_by_as_much)
{
    struct bench b;
    struct answer a;
    unsigned tenants = 0;
    start(&b);
    b.snapshot_entries = 20;
    CHECK_EQ(ST_OK, start_again(&b, NULL));
    settle(&b);
    for (; node_view(b.n).snapshots == 0; settle(&b))
        CHECK_EQ(ST_OK, put_tenant(&b, tenants++, &a));
    CHECK(tenants <= 20);

    b.snapshot_log_max = UINT64_MAX;
    CHECK_EQ(ST_OK, start_again(&b, NULL));
    settle(&b);
    for (int more = 0; more < 2;
         more++) { /* its size is known from the log, then from its writing */
        uint64_t before = b.snapshot_index, size = b.snapshot.len, grown = 0;
        for (; node_view(b.n).snapshots == (unsigned)more; settle(&b))
            CHECK_EQ(ST_OK, put_tenant(&b, tenants++, &a));
        CHECK(b.snapshot_index > before + 20);
        for (uint64_t i = before + 1; i <= b.snapshot_index; i++)
            grown += b.entry[i].data.len;
        CHECK(grown >= size);
        CHECK(grown - b.entry[b.snapshot_index].data.len < size);
    }
    finish(&b);
}

struct asker {
    struct bench *b;
    unsigned asked, answered, more;
};

static void ask_next(struct asker *x);

static void told_asker(void *ctx, enum status s, const struct fault *why,
                       const struct apply_result *r)
{
    struct asker *x = ctx;
    (void)why;
    CHECK_EQ(ST_OK, s);
    CHECK_EQ(ST_OK, r->status);
    x->answered++;
    if (x->more) {
        x->more--;
        ask_next(x);
    }
}

static void ask_next(struct asker *x)
{
    Pb__Command cmd = PB__COMMAND__INIT;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    Pb__Tenant tenant = PB__TENANT__INIT;
    Pb__Meta meta = PB__META__INIT;
    char id[OBJECT_UID_MAX], name[20];
    uid(id, 0x1000 + x->asked);
    (void)snprintf(name, sizeof name, "tenant-%u", x->asked++);
    meta.uid = id;
    meta.name = name;
    tenant.meta = &meta;
    put.tenant = &tenant;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    CHECK_EQ(ST_OK, node_propose(x->b->n, &cmd, UINT64_MAX, told_asker, x, NULL));
}

/* Log and state work at the same time: else each would wait for the other with many commands under way. */
TEST(node_gives_the_log_what_answers_bring_while_others_wait_to_be_applied)
{
    struct bench b;
    struct asker x = {.b = &b, .more = 100};
    start(&b);
    for (int i = 0; i < 64; i++)
        ask_next(&x);
    node_step(b.n);
    uint64_t given = b.last;
    sync_log(&b);
    node_step(b.n);
    CHECK(x.answered > 0 && x.answered < 64);
    CHECK_EQ(given + x.answered, b.last);
    settle(&b);
    CHECK_EQ(164, x.answered);
    finish(&b);
}

TEST(node_rests_while_the_log_works)
{
    struct bench b;
    struct answer a;
    start(&b);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    CHECK_EQ(0, node_deadline_ms(b.n));
    node_step(b.n);
    CHECK_EQ(0, a.count);
    CHECK(node_deadline_ms(b.n) > b.now_ms);
    finish(&b);
}

TEST(node_that_died_twice_at_the_same_entry_stays_down)
{
    struct bench b;
    struct fault why;
    start(&b);
    b.mark.applying = 7; /* as a death in the middle of it leaves it */
    CHECK_EQ(ST_OK, start_again(&b, &why));
    b.mark.applying = 7;
    CHECK_EQ(ST_INTERNAL, start_again(&b, &why));
    CHECK_STR("this node died 2 times while it applied log entry 7; it stays down so as not to die "
              "again",
              why.text);
    CHECK_EQ(ST_INTERNAL, start_again(&b, &why));
    b.mark = (struct node_mark){0};
    CHECK_EQ(ST_OK, start_again(&b, &why));
    finish(&b);
}

TEST(node_death_at_an_entry_is_forgotten_once_it_was_applied)
{
    struct bench b;
    struct fault why;
    start(&b);
    b.mark.applying = 2;
    CHECK_EQ(ST_OK, start_again(&b, &why));
    CHECK_EQ(1, b.mark.deaths);
    settle(&b);
    CHECK_EQ(0, b.mark.deaths);
    finish(&b);
}

TEST(node_starts_some_vms_at_once_those_of_high_priority_first)
{
    struct bench b;
    start(&b);
    create_image(&b);
    for (unsigned i = 0; i < 8; i++)
        create_vm(&b, i, i < 4 ? 100 : 100 + i);
    settle(&b);
    CHECK_EQ(NODE_STARTS_MAX, b.started_count);
    for (size_t i = 0; i < 4; i++) { /* all asked in one step: 7, 6, 5, 4 */
        char want[20];
        (void)snprintf(want, sizeof want, "start vm-%zu", 7 - i);
        CHECK_STR(want, b.asked[i]);
    }
    tell_vm(&b, 0, VMM_READY, 0);
    settle(&b);
    CHECK_EQ(5, b.started_count);
    CHECK_STR("start vm-0", b.asked[4]);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, vm_of(&b, 7)->status->phase);
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, vm_of(&b, 0)->status->phase);
    CHECK_EQ(4, node_view(b.n).vms_starting);
    finish(&b);
}

TEST(node_start_is_committed_before_the_port_is_asked)
{
    struct bench b;
    start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    for (int i = 0; i < 3; i++) { /* the create is durable, the intent is not */
        if (i == 0) {
            node_step(b.n);
            sync_log(&b);
        }
        node_step(b.n);
    }
    CHECK_EQ(0, b.started_count);
    settle(&b);
    CHECK_EQ(1, b.started_count);
    finish(&b);
}

TEST(node_sees_what_happens_while_it_looks)
{
    struct bench b;
    struct fault why;
    start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    settle(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    settle(&b);
    b.look_slowly = true;
    CHECK_EQ(ST_OK, start_again(&b, &why));
    settle(&b);
    struct vmm_event e = {.type = VMM_FOUND, .epoch = 1, .incarnation = 1, .generation = 1};
    memcpy(e.uid, b.started[0], sizeof e.uid);
    e.phase = PB__VM_PHASE__VM_RUNNING;
    b.vmm.events->event(b.vmm.events->ctx, &e);
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    b.vmm.events->event(b.vmm.events->ctx, &(struct vmm_event){.type = VMM_LOOKED});
    settle(&b);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, vm_of(&b, 1)->status->phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_PANIC, vm_of(&b, 1)->status->cause);
    finish(&b);
}

TEST(node_reports_what_changed_while_a_report_was_on_its_way)
{
    struct bench b;
    start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    settle(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    node_step(b.n);
    node_step(b.n); /* "running" is in the log, not durable */
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    settle(&b);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, vm_of(&b, 1)->status->phase);
    finish(&b);
}

static void ask_delete_image(struct bench *b, unsigned number, struct answer *a)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], kind[] = "image";
    uid(id, number + 1);
    uid(op, number + 0x21);
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    m.kind = kind;
    m.uid = id;
    m.operation_id = op;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &m;
    *a = (struct answer){0};
    CHECK_EQ(ST_OK, node_propose(b->n, &cmd, UINT64_MAX, told, a, NULL));
}

TEST(node_removes_an_image_but_not_what_another_has_in_common)
{
    struct bench b;
    struct answer a;
    char id[OBJECT_UID_MAX];
    start(&b);
    create_image(&b);
    ask_delete_image(&b, 0, &a);
    settle(&b);
    CHECK_EQ(1, b.removals);
    CHECK_EQ(0, b.kept);
    CHECK(image_of(&b, 0) == NULL);

    ask_image(&b, 1);
    b.blob_slow = true;
    ask_image(&b, 2);
    uid(id, 3);
    ask_delete_image(&b, 1, &a);
    node_step(b.n);
    sync_log(&b);
    blob_ready(&b, id); /* the state does not know yet when the other is deleted */
    settle(&b);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(2, b.removals);
    CHECK_EQ(1, b.kept);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, image_of(&b, 2)->phase);
    finish(&b);
}

TEST(node_has_the_store_swept_once_it_knows_its_images)
{
    struct bench b;
    struct fault why;
    start(&b);
    CHECK_EQ(1, b.sweeps);
    CHECK_EQ(0, b.kept);
    create_image(&b);
    CHECK_EQ(ST_OK, start_again(&b, &why));
    CHECK_EQ(1, b.sweeps);
    settle(&b);
    CHECK_EQ(2, b.sweeps);
    CHECK_EQ(1, b.kept);
    finish(&b);
}

TEST(node_gives_up_an_image_that_was_cancelled_and_removes_what_came_too_late)
{
    struct bench b;
    char id[OBJECT_UID_MAX];
    start(&b);
    b.blob_slow = true;
    ask_image(&b, 1);
    Pb__CmdOperationCancel m = PB__CMD_OPERATION_CANCEL__INIT;
    char op[OBJECT_UID_MAX];
    uid(op, 0x12);
    m.id = op;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_OPERATION_CANCEL;
    cmd.operation_cancel = &m;
    propose_ok(&b, &cmd);
    CHECK_EQ(1, b.cancels);
    uid(id, 2);
    blob_ready(&b, id); /* it was done before it heard */
    settle(&b);
    CHECK_EQ(1, b.removals);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, image_of(&b, 1)->phase);
    finish(&b);
}

TEST(node_says_how_an_image_gets_on_and_why_it_failed)
{
    struct bench b;
    char id[OBJECT_UID_MAX];
    start(&b);
    b.blob_slow = true;
    ask_image(&b, 1);
    uid(id, 2);
    for (uint8_t percent = 10; percent < 50; percent = (uint8_t)(percent + 10)) {
        b.blob.events->event(b.blob.events->ctx, &(struct blob_event){.type = BLOB_PROGRESS,
                                                                      .uid = id,
                                                                      .step = "unpack",
                                                                      .percent = percent});
        settle(&b);
    }
    const Pb__Operation *op =
        object_operation(cluster_operation_on(node_cluster(b.n), id)); /* once a second at most */
    CHECK_STR("unpack", op->step);
    CHECK_EQ(10, op->progress);
    b.now_ms += 1000;
    settle(&b);
    CHECK_EQ(40, object_operation(cluster_operation_on(node_cluster(b.n), id))->progress);
    struct blob_event failed = {.type = BLOB_FAILED, .uid = id};
    (void)fault_set(&failed.why, ST_IO, "the mirror is down");
    b.blob.events->event(b.blob.events->ctx, &failed);
    settle(&b);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, image_of(&b, 1)->phase);
    CHECK_STR("the mirror is down", image_of(&b, 1)->error);
    finish(&b);
}

TEST(node_reports_again_later_what_the_state_refuses)
{
    struct bench b;
    struct answer a = {0};
    start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    settle(&b);
    Pb__VmStatus status = PB__VM_STATUS__INIT; /* somebody else knows better */
    PROTO_SET(&status, node, 1);
    PROTO_SET(&status, epoch, 1);
    PROTO_SET(&status, incarnation, 9);
    PROTO_SET(&status, phase, PB__VM_PHASE__VM_STARTING);
    Pb__CmdVmReport m = PB__CMD_VM_REPORT__INIT;
    m.uid = b.started[0];
    m.status = &status;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_REPORT;
    cmd.vm_report = &m;
    CHECK_EQ(ST_OK, node_propose(b.n, &cmd, UINT64_MAX, told, &a, NULL));
    settle(&b);
    CHECK_EQ(ST_OK, a.applied);
    tell_vm(&b, 0, VMM_READY, 0);
    for (uint64_t refused = 1; refused <= 3; refused++) {
        settle(&b);
        struct node_view v = node_view(b.n);
        CHECK_EQ(refused, v.reports_refused);
        CHECK_EQ(1, v.news);
        uint64_t wait_ms = node_deadline_ms(b.n) - b.now_ms;
        uint64_t most_ms = UINT64_C(1000) << (refused - 1);
        CHECK(wait_ms >= most_ms / 2 && wait_ms <= most_ms);
        b.now_ms += wait_ms;
    }
    finish(&b);
}

static void count_down(void *ctx)
{
    ++*(unsigned *)ctx;
}

TEST(node_shutdown_is_done_when_no_vm_runs_and_the_state_knows)
{
    struct bench b;
    unsigned done = 0;
    start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    create_vm(&b, 2, 500);
    settle(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    tell_vm(&b, 1, VMM_READY, 0);
    settle(&b);
    b.asked_count = 0;
    node_shutdown(b.n, b.now_ms + 5000, count_down, &done);
    settle(&b);
    CHECK_EQ(2, b.asked_count);
    CHECK(strncmp("down ", b.asked[0], 5) == 0);
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    settle(&b);
    CHECK_EQ(0, done);
    CHECK_EQ(b.now_ms + 5000, node_deadline_ms(b.n));
    b.now_ms += 5000;
    settle(&b);
    CHECK(strncmp("kill ", b.asked[2], 5) == 0);
    tell_vm(&b, 1, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    node_step(b.n);
    CHECK_EQ(0, done); /* the state does not know yet */
    settle(&b);
    CHECK_EQ(1, done);
    for (unsigned i = 1; i <= 2; i++) {
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, vm_of(&b, i)->status->cause);
        CHECK_EQ(PB__POWER__POWER_RUNNING, vm_of(&b, i)->power);
    }
    finish(&b);
}

TEST(node_shutdown_without_vms_is_done_at_once)
{
    struct bench b;
    unsigned done = 0;
    start(&b);
    node_shutdown(b.n, b.now_ms + 5000, count_down, &done);
    CHECK_EQ(0, done);
    settle(&b);
    CHECK_EQ(1, done);
    finish(&b);
}

struct watch {
    struct node_watch w;
    unsigned changes, events;
};

static void watched(struct node_watch *w, const struct apply_result *r)
{
    struct watch *x = CONTAINER_OF(w, struct watch, w);
    x->changes += (unsigned)r->change_count;
    x->events += (unsigned)r->event_count;
}

TEST(node_watches_see_what_changed_until_they_are_cut)
{
    struct bench b;
    struct answer a;
    struct watch x = {.w.applied = watched};
    start(&b);
    node_watch_add(b.n, &x.w);
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    settle(&b);
    CHECK_EQ(1, x.changes);
    CHECK_EQ(ST_OK, put_tenant(&b, 1 + SAME_NAME, &a)); /* refused: nothing changed */
    settle(&b);
    CHECK_EQ(1, x.changes);
    node_watch_cut(&x.w);
    CHECK_EQ(ST_OK, put_tenant(&b, 2, &a));
    settle(&b);
    CHECK_EQ(1, x.changes);
    finish(&b);
}

TEST(node_clock_that_leaps_is_followed_at_a_bounded_rate)
{
    struct bench b;
    struct answer a;
    start(&b);
    uint64_t hour_ns = UINT64_C(3600) * 1000000000;
    b.wall_ns += 1000 * hour_ns; /* years ahead */
    CHECK_EQ(ST_OK, put_tenant(&b, 1, &a));
    settle(&b);
    uint64_t t = cluster_time_ns(node_cluster(b.n));
    CHECK(t <= 5000000000 + hour_ns);
    b.now_ms += 10000;
    CHECK_EQ(ST_OK, put_tenant(&b, 2, &a));
    settle(&b);
    uint64_t more = cluster_time_ns(node_cluster(b.n)) - t;
    CHECK(more > 10 * UINT64_C(1000000000) && more <= 620 * UINT64_C(1000000000));
    b.wall_ns = 1; /* and back: the state's time never does */
    CHECK_EQ(ST_OK, put_tenant(&b, 3, &a));
    settle(&b);
    CHECK(cluster_time_ns(node_cluster(b.n)) == t + more);
    finish(&b);
}
