/* Nodes, tenants, projects: made, changed, deleted. */
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

TEST(node_new_key_gets_the_number_it_says)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_FREE, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_STR("node.joined: number 2", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK(cluster_node(w.c, 2) == cluster_find(w.c, OBJECT_NODE, world_uid(WORLD_FREE)));
    CHECK(cluster_node_by_key(w.c, k.key) == cluster_node(w.c, 2));
    CHECK(cluster_node(w.c, 3) == NULL);
    CHECK_EQ(2, w.c->node_number_last);
    kit_node(&k, WORLD_FREE + 1, "n5");
    k.m.number = 5;
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_EQ(5, object_node(cluster_node(w.c, 5))->number);
    CHECK_EQ(5, w.c->node_number_last);
    kit_node(&k, WORLD_FREE + 2, "n3"); /* members that begin together come in any order */
    k.m.number = 3;
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_EQ(3, object_node(cluster_node(w.c, 3))->number);
    CHECK_EQ(5, w.c->node_number_last);
    world_done(&w);
}

TEST(node_refused_hello_uses_no_number)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_FREE, "n1");
    CHECK_EQ(ST_EXISTS, world_node(&w, &k));
    CHECK_STR("node n1 exists already", w.r.why.text);
    kit_node(&k, WORLD_FREE, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK(cluster_node(w.c, 2) != NULL);
    world_done(&w);
}

TEST(node_known_key_changes_facts_and_name_but_not_number_and_uid)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_NODE, "renamed");
    k.m.uid = world_uid(WORLD_FREE);
    k.facts.version = world_text("9.9");
    PROTO_SET(&k.facts, mem_mib, 77);
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_STR("node.renamed: it was n1", world_event(&w, 0));
    CHECK_STR("node.started: version 9.9", world_event(&w, 1));
    const Pb__Node *n = object_node(cluster_node(w.c, 1));
    CHECK_STR(world_uid(WORLD_NODE), n->meta->uid);
    CHECK_STR(n->meta->uid, w.r.uid);
    CHECK_STR("renamed", n->meta->name);
    CHECK_STR("9.9", n->facts->version);
    CHECK_EQ(77, n->facts->mem_mib);
    CHECK_EQ(1, cluster_count(w.c, OBJECT_NODE));
    CHECK(cluster_find_name(w.c, OBJECT_NODE, NULL, "n1") == NULL);
    kit_node(&k, WORLD_NODE, "renamed");
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_EQ(1, w.r.event_count);
    CHECK_STR("node.started: version unknown", world_event(&w, 0));
    world_done(&w);
}

/* It is let in as what it was called: its VMs must go on. */
TEST(node_that_wants_the_name_of_another_keeps_its_own)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_FREE, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &k));
    kit_node(&k, WORLD_NODE, "n2");
    k.facts.version = world_text("9.9");
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_STR("node.not-renamed: it wants to be n2, as another is", world_event(&w, 0));
    CHECK_STR("node.started: version 9.9", world_event(&w, 1));
    CHECK_EQ(2, w.r.event_count);
    CHECK_STR("n1", object_name(cluster_node(w.c, 1)));
    CHECK_STR("9.9", object_node(cluster_node(w.c, 1))->facts->version);
    world_done(&w);
}

TEST(node_number_and_key_belong_together)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_NODE, "n1");
    k.m.number = 2;
    CHECK_EQ(ST_CONFLICT, world_node(&w, &k));
    CHECK_STR("this key is that of node n1, which has number 1 and not 2", w.r.why.text);
    CHECK_STR("number", w.r.why.field);
    kit_node(&k, WORLD_FREE, "n2");
    k.m.number = 1;
    CHECK_EQ(ST_CONFLICT, world_node(&w, &k));
    CHECK_STR("node number 1 is taken", w.r.why.text);
    CHECK_EQ(1, w.c->node_number_last);
    world_done(&w);
}

TEST(node_addresses_have_one_spelling)
{
    static const char *const bad[] = {"10.0.0.1",   "10.0.0.1:0", "n1:7001",
                                      "[::0]:7001", "",           "10.0.0.1:07001"};
    static const char *const good[] = {"10.0.0.1:7001", "[fe80::1]:7001", "[::]:1", "0.0.0.0:2"};
    struct world w;
    struct kit_node k;
    char *addresses[5];
    world_start(&w);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        kit_node(&k, WORLD_NODE, "n1");
        addresses[0] = world_text(good[0]);
        addresses[1] = world_text(bad[i]);
        k.facts.addresses = addresses;
        k.facts.n_addresses = 2;
        CHECK_EQ(ST_INVALID, world_node(&w, &k));
        CHECK_STR("facts.addresses[1]", w.r.why.field);
    }
    for (size_t i = 0; i < 5; i++)
        addresses[i] = world_text(good[i % ARRAY_COUNT(good)]);
    k.facts.n_addresses = 5;
    CHECK_EQ(ST_TOO_BIG, world_node(&w, &k));
    k.facts.n_addresses = 4;
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_EQ(4, object_node(cluster_node(w.c, 1))->facts->n_addresses);
    CHECK_STR("[fe80::1]:7001", object_node(cluster_node(w.c, 1))->facts->addresses[1]);
    world_done(&w);
}

TEST(node_hello_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    for (int i = 0; i < 9; i++) {
        kit_node(&k, WORLD_FREE, "n2");
        switch (i) {
        case 8: k.m.has_number = false, k.m.number = 0; break;
        case 0: k.m.name = NULL; break;
        case 1: k.m.facts = NULL; break;
        case 2: k.facts.key = NULL; break;
        case 3: k.key[63] = 0; break;
        case 4: k.key[5] = 'x'; break;
        case 5: k.key[5] = 'A'; break; /* the same key must not have two spellings */
        case 6: k.m.uid = NULL; break;
        case 7: k.m.uid = world_text("short"); break;
        }
        CHECK_EQ(ST_INVALID, world_node(&w, &k));
    }
    kit_node(&k, WORLD_FREE, "n2");
    k.m.uid = world_uid(WORLD_IMAGE);
    CHECK_EQ(ST_EXISTS, world_node(&w, &k));
    CHECK_STR("uid", w.r.why.field);
    world_done(&w);
}

TEST(node_that_does_not_know_the_feature_level_is_refused)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, WORLD_FREE, "n2");
    PROTO_SET(&k.facts, feature_level_max, 0);
    CHECK_EQ(ST_UNSUPPORTED, world_node(&w, &k));
    CHECK_STR("the cluster is at feature level 1, the node knows up to 0", w.r.why.text);
    kit_node(&k, WORLD_NODE, "n1");
    PROTO_SET(&k.facts, feature_level_max, 0);
    CHECK_EQ(ST_UNSUPPORTED, world_node(&w, &k));
    world_done(&w);
}

/* --- tenants --- */

struct kit_tenant {
    Pb__CmdTenantPut m;
    Pb__Tenant tenant;
    Pb__Meta meta;
    Pb__Label label[2], *labels[2];
};

static void kit_tenant(struct kit_tenant *k, uint64_t uid, const char *name)
{
    pb__cmd_tenant_put__init(&k->m);
    pb__tenant__init(&k->tenant);
    pb__meta__init(&k->meta);
    for (int i = 0; i < 2; i++) {
        pb__label__init(&k->label[i]);
        k->labels[i] = &k->label[i];
    }
    k->meta.uid = world_uid(uid);
    k->meta.name = world_text(name);
    k->meta.labels = k->labels;
    k->tenant.meta = &k->meta;
    k->m.tenant = &k->tenant;
}

static enum status run_tenant(struct world *w, struct kit_tenant *k)
{
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &k->m;
    return world_run(w, &cmd);
}

static const Pb__Tenant *get_tenant(struct world *w, uint64_t uid)
{
    return object_tenant(cluster_find(w->c, OBJECT_TENANT, world_uid(uid)));
}

TEST(tenant_is_made_then_changed_by_its_uid)
{
    struct world w;
    struct kit_tenant k;
    world_start(&w);
    kit_tenant(&k, WORLD_FREE, "acme");
    k.tenant.title = world_text("Acme");
    CHECK_EQ(ST_OK, run_tenant(&w, &k));
    CHECK_STR("tenant.created: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR("Acme", get_tenant(&w, WORLD_FREE)->title);
    uint64_t created = get_tenant(&w, WORLD_FREE)->meta->created_ns;
    kit_tenant(&k, WORLD_FREE, "acme");
    k.tenant.title = world_text("Acme Inc");
    k.label[0].key = world_text("tier");
    k.meta.n_labels = 1;
    CHECK_EQ(ST_OK, run_tenant(&w, &k));
    CHECK_STR("tenant.updated: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    const Pb__Tenant *t = get_tenant(&w, WORLD_FREE);
    CHECK_STR("Acme Inc", t->title);
    CHECK_EQ(1, t->meta->n_labels);
    CHECK(t->meta->created_ns == created && t->meta->modified_ns > created);
    kit_tenant(&k, WORLD_FREE, "acme");
    k.meta.name = NULL; /* as it is */
    CHECK_EQ(ST_OK, run_tenant(&w, &k));
    CHECK_STR("acme", get_tenant(&w, WORLD_FREE)->meta->name);
    CHECK(get_tenant(&w, WORLD_FREE)->title == NULL);
    CHECK_EQ(0, get_tenant(&w, WORLD_FREE)->meta->n_labels);
    world_done(&w);
}

TEST(tenant_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_tenant k;
    world_start(&w);
    for (int i = 0; i < 7; i++) {
        kit_tenant(&k, WORLD_FREE, "acme");
        switch (i) {
        case 0: k.m.tenant = NULL; break;
        case 1: k.tenant.meta = NULL; break;
        case 2: k.meta.uid = NULL; break;
        case 3: k.meta.name = NULL; break;
        case 4: k.meta.n_labels = 1; break; /* without a key */
        case 5:
            k.meta.n_labels = 2;
            k.label[0].key = k.label[1].key = world_text("twice");
            break;
        case 6: k.label[0].key = world_text(""), k.meta.n_labels = 1; break;
        }
        CHECK_EQ(ST_INVALID, run_tenant(&w, &k));
    }
    kit_tenant(&k, WORLD_FREE, "default");
    CHECK_EQ(ST_EXISTS, run_tenant(&w, &k));
    CHECK_STR("tenant default exists already", w.r.why.text);
    CHECK_STR("name", w.r.why.field);
    kit_tenant(&k, WORLD_PROJECT, "acme");
    CHECK_EQ(ST_EXISTS, run_tenant(&w, &k));
    kit_tenant(&k, WORLD_TENANT, "other");
    CHECK_EQ(ST_INVALID, run_tenant(&w, &k));
    CHECK_STR("meta.name: it cannot be changed from default", w.r.why.text);
    kit_tenant(&k, WORLD_TENANT, "default");
    k.meta.n_labels = 1;
    CHECK_EQ(ST_INVALID, run_tenant(&w, &k));
    world_done(&w);
}

TEST(tenant_if_index_is_of_the_last_change_or_0_for_none)
{
    struct world w;
    struct kit_tenant k;
    world_start(&w);
    kit_tenant(&k, WORLD_FREE, "acme");
    PROTO_SET(&k.m, if_index, 5);
    CHECK_EQ(ST_PRECONDITION, run_tenant(&w, &k));
    PROTO_SET(&k.m, if_index, 0);
    CHECK_EQ(ST_OK, run_tenant(&w, &k));
    CHECK_EQ(ST_PRECONDITION, run_tenant(&w, &k));
    CHECK_STR("if_index", w.r.why.field);
    CHECK(w.r.why.hint[0]);
    uint64_t index = get_tenant(&w, WORLD_FREE)->meta->index;
    PROTO_SET(&k.m, if_index, index);
    CHECK_EQ(ST_OK, run_tenant(&w, &k));
    CHECK_EQ(ST_PRECONDITION, run_tenant(&w, &k));
    world_done(&w);
}

TEST(tenant_is_deleted_when_it_has_no_projects)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "acme"));
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE + 1, "shop", "acme"));
    CHECK_EQ(ST_IN_USE, world_delete(&w, "tenant", WORLD_FREE, 0));
    CHECK_STR("tenant acme is in use by project shop", w.r.why.text);
    CHECK_EQ(ST_OK, world_delete(&w, "project", WORLD_FREE + 1, 0));
    CHECK_STR("project.deleted: ", world_event(&w, 0));
    CHECK_EQ(ST_OK, world_delete(&w, "tenant", WORLD_FREE, 0));
    CHECK_STR("tenant.deleted: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR("", w.r.operation_id);
    CHECK(cluster_find(w.c, OBJECT_TENANT, world_uid(WORLD_FREE)) == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_TENANT, NULL, "acme") == NULL);
    CHECK_EQ(ST_NOT_FOUND, world_delete(&w, "tenant", WORLD_FREE, 0));
    /* The name is free again. */
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + 2, "acme"));
    world_done(&w);
}

TEST(tenant_and_project_default_stay)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_CONFLICT, world_delete(&w, "tenant", WORLD_TENANT, 0));
    CHECK_EQ(ST_CONFLICT, world_delete(&w, "project", WORLD_PROJECT, 0));
    world_done(&w);
}

/* --- projects --- */

struct kit_project {
    Pb__CmdProjectPut m;
    Pb__Project project;
    Pb__Meta meta;
    Pb__Label label, *labels[1];
};

static void kit_project(struct kit_project *k, uint64_t uid, const char *name)
{
    pb__cmd_project_put__init(&k->m);
    pb__project__init(&k->project);
    pb__meta__init(&k->meta);
    pb__label__init(&k->label);
    k->labels[0] = &k->label;
    k->meta.uid = world_uid(uid);
    k->meta.name = world_text(name);
    k->meta.labels = k->labels;
    k->project.meta = &k->meta;
    k->project.tenant = world_text("default");
    k->m.project = &k->project;
}

static enum status run_project(struct world *w, struct kit_project *k)
{
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_PROJECT_PUT;
    cmd.project_put = &k->m;
    return world_run(w, &cmd);
}

static const Pb__Project *get_project(struct world *w, uint64_t uid)
{
    return object_project(cluster_find(w->c, OBJECT_PROJECT, world_uid(uid)));
}

TEST(project_is_made_then_changed_by_its_uid)
{
    struct world w;
    struct kit_project k;
    world_start(&w);
    kit_project(&k, WORLD_FREE, "shop");
    k.project.title = world_text("A shop");
    CHECK_EQ(ST_OK, run_project(&w, &k));
    CHECK_STR("A shop", get_project(&w, WORLD_FREE)->title);
    CHECK_STR("project.created: tenant default", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    kit_project(&k, WORLD_FREE, "shop");
    k.project.title = world_text("The shop");
    k.project.tenant = NULL; /* as it is */
    k.label.key = world_text("k");
    k.meta.n_labels = 1;
    CHECK_EQ(ST_OK, run_project(&w, &k));
    CHECK_STR("project.updated: ", world_event(&w, 0));
    CHECK_STR("The shop", get_project(&w, WORLD_FREE)->title);
    CHECK_STR("default", get_project(&w, WORLD_FREE)->tenant);
    CHECK_EQ(1, get_project(&w, WORLD_FREE)->meta->n_labels);
    world_done(&w);
}

TEST(project_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_project k;
    world_start(&w);
    for (int i = 0; i < 6; i++) {
        kit_project(&k, WORLD_FREE, "shop");
        switch (i) {
        case 0: k.m.project = NULL; break;
        case 1: k.project.meta = NULL; break;
        case 2: k.meta.uid = NULL; break;
        case 3: k.meta.name = NULL; break;
        case 4: k.project.tenant = NULL; break;
        case 5: k.meta.n_labels = 1; break;
        }
        CHECK_EQ(ST_INVALID, run_project(&w, &k));
    }
    kit_project(&k, WORLD_FREE, "shop");
    k.project.tenant = world_text("nobody");
    CHECK_EQ(ST_NOT_FOUND, run_project(&w, &k));
    CHECK_STR("tenant", w.r.why.field);
    kit_project(&k, WORLD_FREE, "default");
    CHECK_EQ(ST_EXISTS, run_project(&w, &k));
    kit_project(&k, WORLD_NODE, "shop");
    CHECK_EQ(ST_EXISTS, run_project(&w, &k));
    kit_project(&k, WORLD_PROJECT, "other");
    CHECK_EQ(ST_INVALID, run_project(&w, &k));
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "acme"));
    kit_project(&k, WORLD_PROJECT, "default");
    k.project.tenant = world_text("acme");
    CHECK_EQ(ST_INVALID, run_project(&w, &k));
    CHECK_STR("tenant: it cannot be changed from default", w.r.why.text);
    kit_project(&k, WORLD_PROJECT, "default");
    k.meta.n_labels = 1;
    CHECK_EQ(ST_INVALID, run_project(&w, &k));
    kit_project(&k, WORLD_PROJECT, "default");
    PROTO_SET(&k.m, if_index, 99);
    CHECK_EQ(ST_PRECONDITION, run_project(&w, &k));
    world_done(&w);
}

/* A tenant or project belongs to no project, whatever a command says. */
TEST(project_of_a_tenant_or_project_is_left_out)
{
    struct world w;
    struct kit_tenant t;
    struct kit_project p;
    world_start(&w);
    kit_tenant(&t, WORLD_FREE, "acme");
    t.meta.project = world_text("default");
    CHECK_EQ(ST_OK, run_tenant(&w, &t));
    CHECK(get_tenant(&w, WORLD_FREE)->meta->project == NULL);
    kit_project(&p, WORLD_FREE + 1, "shop");
    p.meta.project = world_text("default");
    CHECK_EQ(ST_OK, run_project(&w, &p));
    CHECK(get_project(&w, WORLD_FREE + 1)->meta->project == NULL);
    world_done(&w);
}

TEST(project_is_deleted_when_nothing_is_in_it)
{
    struct world w;
    struct kit_image image;
    world_start(&w);
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE, "shop", "default"));
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE + 1, "shop2", "default"));
    kit_image(&image, WORLD_FREE + 2, "base");
    image.meta.project = world_text("shop2");
    CHECK_EQ(ST_OK, world_image(&w, &image));
    CHECK_EQ(ST_IN_USE, world_delete(&w, "project", WORLD_FREE + 1, 0));
    CHECK_STR("project shop2 is in use by image base", w.r.why.text);
    CHECK_EQ(ST_OK, world_delete(&w, "project", WORLD_FREE, 0));

    struct kit_ready ready;
    struct kit_vm vm;
    kit_ready(&ready, WORLD_FREE + 2, PB__IMAGE_KIND__IMAGE_INITRAMFS, 9);
    CHECK_EQ(ST_OK, world_ready(&w, &ready));
    kit_vm(&vm, WORLD_FREE + 3, "web");
    vm.meta.project = world_text("shop2");
    CHECK_EQ(ST_OK, world_vm(&w, &vm));
    CHECK_EQ(ST_IN_USE, world_delete(&w, "project", WORLD_FREE + 1, 0));
    CHECK_STR("project shop2 is in use by vm web", w.r.why.text);
    world_done(&w);
}

TEST(delete_knows_its_kinds)
{
    struct world w;
    world_start(&w);
    const char *bad[] = {"cluster", "operation", "event", "banana", ""};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        CHECK_EQ(ST_INVALID, world_delete(&w, bad[i], WORLD_NODE, 0));
        CHECK_STR("kind", w.r.why.field);
    }
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &m;
    CHECK_EQ(ST_INVALID, world_run(&w, &cmd));
    Pb__Command again = PB__COMMAND__INIT;
    again.body_case = PB__COMMAND__BODY_DELETE;
    again.delete_ = &m;
    m.kind = world_text("tenant");
    CHECK_EQ(ST_INVALID, world_run(&w, &again));
    CHECK_STR("uid", w.r.why.field);
    world_done(&w);
}

TEST(delete_asks_if_index)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "acme"));
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    m.kind = world_text("tenant");
    m.uid = world_uid(WORLD_FREE);
    PROTO_SET(&m, if_index, w.index - 1);
    Pb__Command cmd = PB__COMMAND__INIT, again = PB__COMMAND__INIT;
    cmd.body_case = again.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = again.delete_ = &m;
    CHECK_EQ(ST_PRECONDITION, world_run(&w, &cmd));
    m.if_index++;
    CHECK_EQ(ST_OK, world_run(&w, &again));
    world_done(&w);
}
