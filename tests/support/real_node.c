#include "support/real_node.h"

#include <stdio.h>

#include "os/clock_os.h"
#include "os/disk_os.h"
#include "os/entropy_os.h"
#include "wire/proto.h"

enum { PATIENCE_MS = 60000 };

/* --- a machine without VMs and images: the node asks nothing of these ports but to look --- */

static void look(struct vmm *v)
{
    CONTAINER_OF(v, struct real_node, vmm)->look_asked = true;
}

/* It has no images. */
static void sweep(struct blob *b, const Pb__Image *const *keep, size_t keep_count)
{
    (void)b;
    (void)keep;
    (void)keep_count;
}

static void answer_look(struct real_node *r)
{
    struct vmm_event e = {.type = VMM_LOOKED};
    if (!r->look_asked)
        return;
    r->look_asked = false;
    r->vmm.events->event(r->vmm.events->ctx, &e);
}

/* --- what drives the node, as the daemon does --- */

static void drive(void *ctx)
{
    struct real_node *r = ctx;
    answer_look(r);
    if (node_deadline_ms(r->node) <= r->clock.now_ms(&r->clock))
        node_step(r->node);
    if (node_dead(r->node))
        r->check(node_dead(r->node)->status, node_dead(r->node));
    uint64_t at = node_deadline_ms(r->node);
    if (at <= r->clock.now_ms(&r->clock))
        loop_defer_arm(r->again);
    else
        loop_timer_at(r->timer, at);
}

static void wake(void *ctx)
{
    (void)ctx; /* drive() comes after it, as after every event */
}

void real_node_wake(struct real_node *r)
{
    loop_defer_arm(r->again);
}

void real_node_put_tenant(struct real_node *r, const char *uid, const char *title, node_done *done,
                          void *ctx)
{
    static char actor[] = "uid:0(root)";
    char id[OBJECT_UID_MAX], name[OBJECT_UID_MAX + 1], text[64];
    struct fault why;
    (void)snprintf(id, sizeof id, "%s", uid);
    (void)snprintf(name, sizeof name, "t%s", uid);
    (void)snprintf(text, sizeof text, "%s", title);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = id;
    meta.name = name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    tenant.title = text;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = actor;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    uint64_t deadline_ms = r->clock.now_ms(&r->clock) + PATIENCE_MS;
    r->check(node_propose(r->node, &cmd, deadline_ms, done, ctx, &why), &why);
}

/* --- life --- */

static void make_node(struct real_node *r, const struct real_node_config *c)
{
    static char version[] = "0", host[] = "bench",
                key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    facts.version = version;
    facts.hostname = host;
    facts.key = key;
    PROTO_SET(&facts, feature_level_max, CLUSTER_LEVEL_MAX);
    PROTO_SET(&facts, cpus, 2);
    PROTO_SET(&facts, mem_mib, 4096);
    struct node_config nc;
    node_config_default(&nc);
    nc.name = "bench";
    nc.facts = &facts;
    nc.snapshot_entries = c->snapshot_entries;
    nc.trailing_entries = c->trailing_entries;
    struct node_ports ports = {&r->clock, &r->entropy, &r->vmm, &r->blob, &r->mark};
    r->node = node_new(&nc, &ports);
    if (c->watch)
        node_watch_add(r->node, c->watch);
}

void real_node_open(struct real_node *r, const char *dir, const struct real_node_config *c)
{
    struct fault why;
    *r = (struct real_node){.check = c->check};
    clock_os_init(&r->clock);
    entropy_os_init(&r->entropy);
    r->vmm.look = look;
    r->blob.sweep = sweep;
    r->check(loop_open(&r->loop, &why), &why);
    r->check(loop_defer_open(r->loop, wake, r, &r->again, &why), &why);
    r->check(loop_timer_open(r->loop, LOOP_MONOTONIC, 1, wake, r, &r->timer, &why), &why);
    make_node(r, c);

    struct journal_config jc = {.segment_size = c->segment_size, .new_id = "bench"};
    struct log_load load = node_loader(r->node);
    r->check(disk_os_open(dir, &r->disk, &why), &why);
    r->check(journal_thread_open(r->loop, r->disk, &jc, &load, NULL, &r->journal, NULL, &why),
             &why);
    r->check(node_start(r->node, journal_thread_log(r->journal), &why), &why);
    r->check(loop_post_open(r->loop, drive, r, &r->post, &why), &why);

    real_node_wake(r);
    while (node_number(r->node) == 0 || !node_view(r->node).reconciled)
        r->check(loop_turn(r->loop, PATIENCE_MS, &why), &why);
}

void real_node_close(struct real_node *r)
{
    loop_source_close(r->post);
    journal_thread_close(r->journal);
    node_free(r->node);
    disk_os_close(r->disk);
    loop_source_close(r->timer);
    loop_source_close(r->again);
    loop_close(r->loop);
}
