#include <stdlib.h>
#include <sys/stat.h>

#include "base/str.h"
#include "os/program.h"
#include "support/scratch.h"
#include "support/tap.h"

static void put(const char *path, mode_t mode)
{
    char whole[512], dir[512];
    (void)snprintf(whole, sizeof whole, "%s%s", scratch_dir(), path);
    (void)snprintf(dir, sizeof dir, "%s", whole);
    *strrchr(dir, '/') = 0;
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, dir, 0755, NULL));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, whole, STR("x"), mode, NULL));
}

static void put_libexec(const char *dir)
{
    static const char *const names[] = {"blixard-helper", "blixard-shim", "blixard-guest"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        put(path, 0755);
    }
}

TEST(program_is_the_first_in_the_path_that_can_be_run)
{
    char out[PROGRAM_PATH_MAX];
    put("/a/tool", 0644);
    put("/b/tool", 0755);
    put("/c/tool", 0755);
    CHECK(program_find(scratch_dir(), "/none::/a:/b:/c", "tool", out));
    CHECK_STR("/b/tool", out);
    CHECK(!program_find(scratch_dir(), "/a", "tool", out));
    CHECK(!program_find(scratch_dir(), "", "tool", out));
    char much[2 * PROGRAM_PATH_MAX];
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 1] = 0;
    CHECK(!program_find(scratch_dir(), much, "tool", out));
}

TEST(program_qemu_is_the_one_that_is_set_and_no_other)
{
    char out[PROGRAM_PATH_MAX];
    CHECK(!program_find_qemu(scratch_dir(), "/usr/bin", "", out));
    CHECK_STR("qemu-system-x86_64", out);
    put("/usr/bin/qemu-system-x86_64", 0755);
    CHECK(program_find_qemu(scratch_dir(), "/usr/bin", "", out));
    CHECK_STR("/usr/bin/qemu-system-x86_64", out);
    CHECK(!program_find_qemu(scratch_dir(), "/usr/bin", "/opt/qemu", out));
    CHECK_STR("/opt/qemu", out);
    put("/opt/qemu", 0755);
    CHECK(program_find_qemu(scratch_dir(), "/usr/bin", "/opt/qemu", out));
}

TEST(program_libexec_is_beside_the_program_or_its_directory)
{
    char out[PROGRAM_PATH_MAX];
    CHECK(!program_find_libexec(scratch_dir(), "", "/usr/bin", out));
    CHECK_STR("/usr/libexec/blixard", out);
    put_libexec("/usr/libexec/blixard");
    CHECK(program_find_libexec(scratch_dir(), "", "/usr/bin", out));
    CHECK_STR("/usr/libexec/blixard", out);
    put_libexec("/usr/bin");
    CHECK(program_find_libexec(scratch_dir(), "", "/usr/bin", out));
    CHECK_STR("/usr/bin", out);
    CHECK(!program_find_libexec(scratch_dir(), "/set", "/usr/bin", out));
    CHECK_STR("/set", out);
}
