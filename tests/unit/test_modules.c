#include <elf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/deb.h"
#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/modules.h"
#include "image/tree.h"
#include "support/scratch.h"
#include "support/tap.h"

/* A module of nothing but its .modinfo. */
static void put_module(const char *path, const char *depends)
{
    static const char names[] = "\0.shstrtab\0.modinfo";
    struct buf b, info;
    char full[512];
    buf_init(&b, 1 << 16);
    buf_init(&info, 1 << 10);
    buf_add(&info, "license=GPL", 12);
    buf_fmt(&info, "depends=%s", depends);
    buf_char(&info, 0);
    Elf64_Ehdr h = {.e_machine = EM_X86_64,
                    .e_shoff = sizeof h,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = 3,
                    .e_shstrndx = 1};
    memcpy(h.e_ident,
           "\x7f"
           "ELF\2\1\1",
           7);
    size_t at = sizeof h + 3 * sizeof(Elf64_Shdr);
    Elf64_Shdr s[3] = {
        {.sh_type = SHT_NULL},
        {.sh_type = SHT_STRTAB, .sh_name = 1, .sh_offset = at, .sh_size = sizeof names},
        {.sh_type = SHT_PROGBITS,
         .sh_name = 11,
         .sh_offset = at + sizeof names,
         .sh_size = info.len}};
    buf_add(&b, &h, sizeof h);
    buf_add(&b, s, sizeof s);
    buf_add(&b, names, sizeof names);
    buf_str(&b, buf_view(&info));
    (void)snprintf(full, sizeof full, "%s", scratch_file(path));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, full, buf_view(&b), 0644, NULL));
    buf_done(&b);
    buf_done(&info);
}

/* A tree where c needs b-1, which needs a; "in" is built in. */
static int make_tree(void)
{
    int tree;
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file("kernel/sub"), 0755, NULL));
    put_module("kernel/c.ko", "b_1");
    put_module("kernel/sub/b-1.ko", "a,in");
    put_module("kernel/a.ko", "");
    put_module("kernel/loop1.ko", "loop2");
    put_module("kernel/loop2.ko", "loop1");
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("modules.builtin"), STR("kernel/x/in.ko\n"),
                               0644, NULL));
    CHECK_EQ(ST_OK, tree_open(scratch_dir(), &tree, NULL));
    return tree;
}

TEST(modules_come_after_what_they_need)
{
    static const char *const names[] = {"c", "in", "a"};
    static struct modules m;
    struct fault why;
    int tree = make_tree();
    if (modules_find(tree, names, 3, &m, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    CHECK_EQ(3, m.count);
    CHECK_STR("a", m.item[0].name);
    CHECK_STR("b_1", m.item[1].name);
    CHECK_STR("kernel/sub/b-1.ko", m.item[1].path);
    CHECK_STR("c", m.item[2].name);
    (void)close(tree);
}

TEST(modules_that_cannot_be_had_are_named)
{
    static struct modules m;
    struct fault why;
    int tree = make_tree();
    CHECK_EQ(ST_NOT_FOUND, modules_find(tree, (const char *const[]){"none"}, 1, &m, &why));
    CHECK_STR("the kernel has no module none", why.text);
    CHECK_EQ(ST_INVALID, modules_find(tree, (const char *const[]){"loop1"}, 1, &m, &why));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("kernel/bad.ko"), STR("no ELF"), 0644, NULL));
    CHECK_EQ(ST_INVALID, modules_find(tree, (const char *const[]){"bad"}, 1, &m, &why));
    CHECK_STR("module kernel/bad.ko: this is no kernel module", why.text);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("kernel/z.ko.xz"), STR("x"), 0644, NULL));
    CHECK_EQ(ST_UNSUPPORTED, modules_find(tree, (const char *const[]){"z"}, 1, &m, &why));
    (void)close(tree);
}

/* An unpacked package may hold links that lead to this machine's own files. */
TEST(tree_does_not_follow_links)
{
    struct fault why;
    struct buf b;
    int tree, fd;
    buf_init(&b, 1000);
    CHECK_EQ(ST_OK, tree_open(scratch_dir(), &tree, NULL));
    CHECK(symlink("/etc/passwd", scratch_file("file")) == 0);
    CHECK(symlink("/etc", scratch_file("folder")) == 0);
    CHECK(tree_open_below(tree, "file", false, &fd, &why) != ST_OK);
    CHECK(tree_open_below(tree, "folder/passwd", false, &fd, &why) != ST_OK);
    CHECK(tree_open_below(tree, "../../etc/passwd", false, &fd, &why) != ST_OK);
    CHECK(tree_open_below(tree, "/etc/passwd", false, &fd, &why) != ST_OK);
    CHECK(tree_read(tree, "file", &b, &why) != ST_OK);
    CHECK(mkfifo(scratch_file("fifo"), 0600) == 0);
    CHECK_EQ(ST_INVALID, tree_open_below(tree, "fifo", false, &fd, &why));
    (void)close(tree);
    buf_done(&b);
}

TEST(kernel_newest_that_has_modules_is_taken)
{
    static const char *const files[] = {
        "boot/vmlinuz-6.1.0-9-cloud-amd64", "boot/vmlinuz-6.1.0-10-cloud-amd64",
        "boot/vmlinuz-6.1.0-11-cloud-amd64", "boot/vmlinuz-6.2.0-1-amd64"};
    static const char *const folders[] = {"boot", "usr/lib/modules/6.1.0-9-cloud-amd64",
                                          "usr/lib/modules/6.1.0-10-cloud-amd64",
                                          "usr/lib/modules/6.2.0-1-amd64"};
    struct kernel k;
    struct fault why;
    int root;
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file(folders[i]), 0755, NULL));
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file(files[i]), STR("x"), 0644, NULL));
    CHECK_EQ(ST_OK, tree_open(scratch_dir(), &root, NULL));
    CHECK_EQ(ST_OK, kernel_in(root, "-cloud-amd64", &k, &why));
    CHECK_STR("6.1.0-10-cloud-amd64", k.release);
    CHECK_STR("boot/vmlinuz-6.1.0-10-cloud-amd64", k.image);
    CHECK_STR("usr/lib/modules/6.1.0-10-cloud-amd64", k.modules);
    kernel_done(&k);

    CHECK_EQ(ST_OK, tree_open("/usr", &root, NULL));
    CHECK_EQ(ST_NOT_FOUND, kernel_in(root, "", &k, &why));
}

TEST(deb_newest_is_found)
{
    static const char *const files[] = {"linux-image-6.1.0-9-cloud-amd64_6.1.2-1_amd64.deb",
                                        "linux-image-6.1.0-10-cloud-amd64_6.1.2-1_amd64.deb",
                                        "linux-image-6.1.0-99-amd64_6.1.2-1_amd64.deb",
                                        "linux-image-6.1.0-99-cloud-amd64_6.1.2-1_amd64.deb.part"};
    char path[512];
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file(files[i]), STR("x"), 0644, NULL));
    CHECK_EQ(ST_OK,
             deb_find(scratch_dir(), "linux-image-", "-cloud-amd64", path, sizeof path, &why));
    CHECK_STR(scratch_file(files[1]), path);
    CHECK_EQ(ST_NOT_FOUND, deb_find(scratch_dir(), "x", "", path, sizeof path, &why));
    CHECK_EQ(ST_TOO_BIG, deb_find(scratch_dir(), "linux-image-", "-amd64", path, 10, &why));
}

TEST(initramfs_holds_what_a_guest_needs)
{
    struct fault why;
    char to[256];
    (void)snprintf(to, sizeof to, "%s", scratch_file("initrd"));
    struct initramfs spec = {.guest = "/bin/true", .busybox = NULL, .modules = -1};
    CHECK_EQ(ST_OK, initramfs_build(&spec, AT_FDCWD, to, &why));
    struct buf out;
    buf_init(&out, 1 << 16);
    const char *argv[] = {"cpio", "-t", "--quiet", "-F", to, NULL};
    struct child_run run = {.argv = argv, .timeout_ms = 20000, .out = &out};
    if (child_run(&run, NULL, NULL) == ST_NOT_FOUND)
        tap_skip("there is no cpio program");
    CHECK(strstr(buf_cstr(&out), "\ninit\n") && strstr(buf_cstr(&out), "\ndev/console\n"));
    buf_done(&out);

    spec.guest = "/no/such/program";
    CHECK_EQ(ST_NOT_FOUND, initramfs_build(&spec, AT_FDCWD, scratch_file("none"), &why));
    CHECK(access(scratch_file("none"), F_OK) != 0);
}
