#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "support/scratch.h"
#include "support/tap.h"

#define UID "00000000000000000000000000000001"

/* A plain directory in place of a tree: enough for what is about names. */
static struct cgroups plain(void)
{
    struct cgroups g = {.version = 2, .dir = {-1, -1, -1}, .dir_count = 1};
    g.dir[0] = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(g.dir[0] >= 0);
    return g;
}

TEST(cgroup_clean_removes_a_group_and_takes_none_for_clean)
{
    struct fault why;
    struct cgroups g = plain();
    CHECK_EQ(ST_OK, cgroups_clean(&g, UID, &why));
    CHECK_EQ(0, mkdirat(g.dir[0], UID, 0755));
    CHECK_EQ(ST_OK, cgroups_clean(&g, UID, &why));
    CHECK(faccessat(g.dir[0], UID, F_OK, 0) != 0);
    cgroups_close(&g);
}

/* Not to know what is in a group is not to know that nothing is. */
TEST(cgroup_clean_fails_if_it_cannot_look)
{
    struct fault why;
    struct cgroups g = plain();
    CHECK_EQ(ST_OK, file_write(g.dir[0], UID, STR("no group"), 0644, &why));
    CHECK(cgroups_clean(&g, UID, &why) != ST_OK);
    CHECK(strstr(why.text, "open cgroup " UID) != NULL);
    cgroups_close(&g);
}

TEST(cgroup_clean_has_nothing_to_do_where_there_are_no_groups)
{
    struct fault why;
    struct cgroups g = {0};
    CHECK_EQ(ST_OK, cgroups_clean(&g, UID, &why));
}
