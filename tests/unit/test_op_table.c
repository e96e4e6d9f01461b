#include "base/buf.h"
#include "ops/table.h"
#include "pb/operation.pb-c.h"
#include "support/tap.h"

/* The flag that says how the body of an answer comes; at most one holds. */
static int shapes(unsigned flags)
{
    return __builtin_popcount(flags & (OP_SLOW | OP_LIST | OP_STREAM | OP_SOCKET | OP_UPLOAD));
}

TEST(table_ids_are_the_places_of_rows)
{
    size_t count;
    const struct op *op = op_table(&count);
    CHECK_EQ(OP_COUNT, count);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(i, op[i].id);
        CHECK(op_find(op[i].name) == &op[i]);
        CHECK(op_get(op[i].id) == &op[i]);
    }
    CHECK(!op_find("vm.fly"));
}

TEST(table_names_and_routes_are_unique)
{
    size_t count;
    const struct op *op = op_table(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++) {
            CHECK(strcmp(op[i].name, op[k].name) != 0);
            CHECK(strcmp(op[i].method, op[k].method) != 0 || strcmp(op[i].path, op[k].path) != 0);
        }
}

TEST(table_rows_are_complete)
{
    size_t count;
    const struct op *op = op_table(&count);
    for (size_t i = 0; i < count; i++) {
        printf("# %s\n", op[i].name);
        CHECK(op[i].path[0] == '/' && op[i].args && op[i].request);
        CHECK(op[i].doc[0] >= 'A' && op[i].doc[0] <= 'Z' && !str_ends(str_from(op[i].doc), "."));
        CHECK(shapes(op[i].flags) <= 1);
        CHECK(!(op[i].flags & OP_SLOW) || op[i].response == &pb__operation__descriptor);
        CHECK(!(op[i].flags & OP_LIST) || op[i].request == &pb__list_query__descriptor);
        CHECK(!(op[i].flags & OP_PROJECT) || strstr(op[i].path, "{name}"));
        /* What destroys or stands for a name in the path has that name as an argument. */
        CHECK(!strstr(op[i].path, "{name}") || op[i].args[0]);
        CHECK(!(op[i].flags & OP_MUTATES) || strcmp(op[i].method, "GET") != 0);
    }
}

/* Who may look may change nothing, and only health is for everybody. */
TEST(table_roles_fit_what_rows_do)
{
    size_t count;
    const struct op *op = op_table(&count);
    for (size_t i = 0; i < count; i++) {
        printf("# %s\n", op[i].name);
        bool reads = strcmp(op[i].method, "GET") == 0 && !(op[i].flags & OP_SOCKET);
        CHECK((op[i].role == PB__ROLE__ROLE_NONE) == ((op[i].flags & OP_OPEN) != 0));
        CHECK(op[i].role != PB__ROLE__ROLE_VIEWER || reads);
        CHECK(!str_starts(str_from(op[i].name), "token.") || op[i].role == PB__ROLE__ROLE_ADMIN);
    }
    CHECK_EQ(PB__ROLE__ROLE_OPERATOR, op_get(OP_VM_PULL)->role);
    CHECK_EQ(PB__ROLE__ROLE_OPERATOR, op_get(OP_VM_EXEC)->role);
    CHECK_EQ(PB__ROLE__ROLE_ADMIN, op_get(OP_IMAGE_IMPORT)->role);
    CHECK_EQ(PB__ROLE__ROLE_ADMIN, op_get(OP_NODE_SHUTDOWN)->role);
    CHECK_EQ(PB__ROLE__ROLE_ADMIN, op_get(OP_NODE_TOKEN)->role);
    CHECK_EQ(PB__ROLE__ROLE_ADMIN, op_get(OP_NODE_REMOVE)->role);
    CHECK_EQ(PB__ROLE__ROLE_ADMIN, op_get(OP_CLUSTER_TRANSFER_LEADER)->role);
}

/* {name} is the only parameter and stands at most once. */
TEST(table_paths_have_one_parameter)
{
    size_t count;
    const struct op *op = op_table(&count);
    for (size_t i = 0; i < count; i++) {
        const char *open = strchr(op[i].path, '{');
        CHECK(!open || str_starts(str_from(open), "{name}"));
        CHECK(!open || !strchr(open + 1, '{'));
    }
}

TEST(table_examples_begin_with_their_command)
{
    size_t count;
    const struct op *op = op_table(&count);
    for (size_t i = 0; i < count; i++) {
        AUTO(buf_done) struct buf want;
        buf_init(&want, 200);
        if (op[i].flags & OP_RAW)
            buf_fmt(&want, "blixard api %s %s", op[i].method, op[i].path);
        else
            buf_fmt(&want, "blixard %s", op[i].name);
        for (char *dot = want.ptr; !(op[i].flags & OP_RAW) && (dot = strchr(dot, '.'));)
            *dot = ' ';
        CHECK(op[i].examples[0]);
        for (int k = 0; k < 2 && op[i].examples[k]; k++) {
            printf("# %s\n", op[i].examples[k]);
            CHECK(str_starts(str_from(op[i].examples[k]), buf_cstr(&want)));
        }
    }
}

TEST(table_route_finds_row_and_name)
{
    struct str name;
    char allowed[64] = "?";
    CHECK(op_route(STR("GET"), STR("/v1/vms"), &name, allowed) == op_get(OP_VM_LS));
    CHECK_EQ(0, name.len);
    CHECK(op_route(STR("POST"), STR("/v1/vms/web-1/stop"), &name, allowed) == op_get(OP_VM_STOP));
    CHECK(str_is(name, "web-1"));
    CHECK(op_route(STR("POST"), STR("/v1/images/import"), &name, allowed) ==
          op_get(OP_IMAGE_IMPORT));
    CHECK(op_route(STR("GET"), STR("/v1/images/import"), &name, allowed) == op_get(OP_IMAGE_SHOW));
    CHECK_STR("?", allowed);
}

TEST(table_route_says_which_methods_a_path_has)
{
    struct str name;
    char allowed[64] = "?";
    CHECK(!op_route(STR("PUT"), STR("/v1/vms/web-1"), &name, allowed));
    CHECK_STR("GET, PATCH, DELETE", allowed);
    CHECK(!op_route(STR("PATCH"), STR("/v1/vms"), &name, allowed));
    CHECK_STR("POST, GET", allowed);
    CHECK(!op_route(STR("get"), STR("/v1/cluster"), &name, allowed));
    CHECK_STR("GET", allowed);
}

TEST(table_route_knows_no_other_paths)
{
    static const char *const paths[] = {"",
                                        "/",
                                        "/v1",
                                        "/v1/vms/",
                                        "v1/vms",
                                        "//v1/vms",
                                        "/v1/vms/a/b",
                                        "/v1/vms/a/stop/",
                                        "/v1/vmss",
                                        "/v1/vms//stop"};
    struct str name;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        char allowed[64] = "?";
        printf("# %s\n", paths[i]);
        CHECK(!op_route(STR("GET"), str_from(paths[i]), &name, allowed));
        CHECK_STR("", allowed);
    }
}
