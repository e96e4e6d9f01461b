#include "support/node_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/tap.h"
#include "wire/proto.h"

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
        CHECK(entries[i].index < BENCH_LOG_MAX);
        b->entry[++b->last] = entries[i];
        b->entry[b->last].data.ptr =
            mem_dup(entries[i].data.ptr, entries[i].data.len + (entries[i].data.len == 0));
    }
    b->token = token;
    return ST_OK;
}

static enum status log_snapshot(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                                struct str chunk, bool last)
{
    struct bench *b = CONTAINER_OF(l, struct bench, log);
    if (b->log_full || b->chunks_full)
        return ST_LIMIT;
    if (offset == 0) {
        buf_reset(&b->snapshot);
        b->snapshot_index = index;
    }
    CHECK_EQ(b->snapshot_index, index);
    CHECK_EQ(b->snapshot.len, offset);
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
    CHECK(b->asked_count < BENCH_VMS_MAX);
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
    CHECK(s->image != NULL && b->started_count < BENCH_VMS_MAX);
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

void bench_blob_made(struct bench *b, const char *id, Pb__Blob *kernel, char *kernel_release)
{
    static char digest[] =
        "sha256:1111111111111111111111111111111111111111111111111111111111111111";
    Pb__Blob part = PB__BLOB__INIT;
    part.digest = digest;
    PROTO_SET(&part, size, 1);
    Pb__Image made = PB__IMAGE__INIT;
    made.digest = digest;
    PROTO_SET(&made, kind, PB__IMAGE_KIND__IMAGE_INITRAMFS);
    made.initrd = &part;
    made.kernel = kernel ? kernel : &part;
    made.kernel_release = kernel_release;
    b->blob.events->event(b->blob.events->ctx,
                          &(struct blob_event){.type = BLOB_READY, .uid = id, .image = &made});
}

void bench_blob_ready(struct bench *b, const char *id)
{
    bench_blob_made(b, id, NULL, NULL);
}

static void blob_make(struct blob *bl, const Pb__Image *image)
{
    struct bench *b = CONTAINER_OF(bl, struct bench, blob);
    if (!b->blob_slow)
        bench_blob_ready(b, image->meta->uid);
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
        .snapshot_log_max = 16 << 20,
    };
    buf_init(&b->snapshot, 64 << 20);
}

static void make(struct bench *b, const struct node_config *c)
{
    struct node_ports p = {&b->clock, &b->entropy, &b->vmm, &b->blob, &b->mark};
    b->n = node_new(c, &p);
}

void bench_sync(struct bench *b)
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

void bench_settle(struct bench *b)
{
    for (int i = 0; i < 2000; i++) {
        bench_sync(b);
        if (node_deadline_ms(b->n) > b->now_ms)
            return;
        node_step(b->n);
    }
    CHECK_STR("the node", "comes to rest");
}

void bench_start(struct bench *b)
{
    struct node_config c;
    Pb__NodeFacts facts;
    init(b);
    node_config(b, &c, &facts);
    make(b, &c);
    CHECK_EQ(ST_OK, node_start(b->n, &b->log, NULL));
    bench_settle(b);
    CHECK_EQ(1, node_number(b->n));
}

void bench_finish(struct bench *b)
{
    node_free(b->n);
    for (uint64_t i = 1; i <= b->last; i++)
        free((void *)(uintptr_t)b->entry[i].data.ptr);
    buf_done(&b->snapshot);
}

enum status bench_start_again(struct bench *b, struct fault *why)
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

enum status bench_put_tenant_as(struct bench *b, uint8_t id, unsigned number, struct answer *a)
{
    uint8_t bytes[16] = {id}, request[16] = {(uint8_t)number};
    char text[OBJECT_UID_MAX], name[20];
    bench_uid(text, 0x1000 + number);
    (void)snprintf(name, sizeof name, "tenant-%u", number % BENCH_SAME_NAME);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = text;
    meta.name = name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.has_id = cmd.has_request = id != 0;
    cmd.id = (ProtobufCBinaryData){sizeof bytes, bytes};
    cmd.request = (ProtobufCBinaryData){sizeof request, request};
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    *a = (struct answer){0};
    return node_propose(b->n, &cmd, b->now_ms + 1000, answer_told, a, NULL);
}

enum status bench_put_tenant(struct bench *b, unsigned number, struct answer *a)
{
    return bench_put_tenant_as(b, 0, number, a);
}

void bench_propose(struct bench *b, const Pb__Command *cmd)
{
    struct answer a = {0};
    CHECK_EQ(ST_OK, node_propose(b->n, cmd, UINT64_MAX, answer_told, &a, NULL));
    bench_settle(b);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.applied);
}
