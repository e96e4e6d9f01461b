#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/disk.h"
#include "image/root.h"
#include "support/prop.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { TIMEOUT_MS = 60000, MIB = 1 << 20 };

static const struct work work;

/* Run a line of shell in the scratch directory. */
static void sh(const char *line)
{
    struct fault why;
    const char *argv[] = {"sh", "-ec", line, NULL};
    struct child_run run = {.argv = argv, .cwd = scratch_dir(), .timeout_ms = TIMEOUT_MS};
    if (child_run(&run, NULL, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s: %s", line, why.text);
}

static void need(const char *program)
{
    const char *argv[] = {program, "--version", NULL};
    if (child_run(&(struct child_run){.argv = argv, .timeout_ms = TIMEOUT_MS}, NULL, NULL) ==
        ST_NOT_FOUND)
        tap_skip("a program that the test needs is not installed");
}

/* Import the file; the copy is "copy.img". */
static enum status import(const char *name, struct disk_info *info, struct fault *why)
{
    char from[256];
    (void)snprintf(from, sizeof from, "%s", scratch_file(name));
    (void)unlink(scratch_file("copy.img"));
    enum status s = disk_import(from, scratch_file("copy.img"), &work, info, why);
    CHECK_EQ(s == ST_OK, access(scratch_file("copy.img"), F_OK) == 0);
    CHECK(access(scratch_file("copy.img.qcow2"), F_OK) != 0);
    return s;
}

TEST(disk_raw_is_copied_sparse_and_filled_up)
{
    struct disk_info info;
    struct fault why;
    struct stat st;
    sh("dd if=/dev/urandom of=a bs=1000 count=1 status=none; truncate -s 20M a; "
       "dd if=/dev/urandom of=a bs=1000 count=1 seek=12345 conv=notrunc status=none; "
       "dd if=/dev/zero of=a bs=1M count=4 seek=2 conv=notrunc status=none; "
       "truncate -s 20971521 a");
    CHECK_EQ(ST_OK, import("a", &info, &why));
    CHECK(info.format == DISK_FORMAT_RAW && info.size == 20971521 + 511);
    CHECK(stat(scratch_file("copy.img"), &st) == 0);
    CHECK_EQ(20971521 + 511, st.st_size);
    CHECK(st.st_blocks * 512 < 3 * MIB);
    sh("cmp -n 20971521 a copy.img");
}

TEST(disk_qcow2_is_converted)
{
    struct disk_info info;
    struct fault why;
    struct stat st;
    need("qemu-img");
    sh("dd if=/dev/urandom of=a bs=1M count=2 status=none; truncate -s 64M a; "
       "qemu-img convert -c -O qcow2 a b");
    if (import("b", &info, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    CHECK(info.format == DISK_FORMAT_QCOW2 && info.size == 64 * MIB);
    sh("cmp a copy.img");
    CHECK(stat(scratch_file("copy.img"), &st) == 0 && st.st_blocks * 512 < 4 * MIB);
}

/* The attack: an image whose other half is a file of this machine. */
TEST(disk_that_leads_to_other_files_is_refused)
{
    struct disk_info info;
    struct fault why;
    need("qemu-img");
    sh("echo secret >secret; truncate -s 1M secret; "
       "qemu-img create -q -f qcow2 -F raw -b secret backed; "
       "qemu-img create -q -f qcow2 -o data_file=secret,data_file_raw=on,size=1M external");
    CHECK_EQ(ST_UNSUPPORTED, import("backed", &info, &why));
    CHECK(strstr(why.text, "the image has a backing file") != NULL);
    CHECK_EQ(ST_UNSUPPORTED, import("external", &info, &why));
    CHECK(strstr(why.text, "the image has an external data file") != NULL);
}

TEST(disk_encrypted_or_foreign_is_refused)
{
    struct disk_info info;
    struct fault why;
    need("qemu-img");
    sh("qemu-img create -q -f qcow2 enc 1M; "
       "printf '\\2' | dd of=enc bs=1 seek=35 conv=notrunc status=none; "
       "qemu-img create -q -f vmdk vmdk 1M; qemu-img create -q -f vdi vdi 1M; "
       "qemu-img create -q -f vhdx vhdx 8M; qemu-img create -q -f qed qed 1M; "
       "printf '# Disk DescriptorFile\\nversion=1\\nRW 2048 FLAT \"/etc/passwd\" 0\\n' >descriptor");
    static const char *const names[] = {"enc", "vmdk", "vdi", "vhdx", "qed", "descriptor"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (import(names[i], &info, &why) != ST_UNSUPPORTED)
            tap_fail(__FILE__, __LINE__, "%s: %s", names[i], why.text);
    CHECK(strstr(why.text, "the format is VMDK") != NULL);
}

TEST(disk_damaged_or_missing_is_refused)
{
    struct disk_info info;
    struct fault why;
    need("qemu-img");
    sh("qemu-img create -q -f qcow2 a 1M; head -c 60 a >cut; : >empty; mkdir folder; "
       "head -c 65536 a >half; printf '\\177' | dd of=half bs=1 seek=36 conv=notrunc status=none");
    CHECK_EQ(ST_INVALID, import("cut", &info, &why));
    CHECK_EQ(ST_INVALID, import("empty", &info, &why));
    CHECK(import("folder", &info, &why) != ST_OK);
    CHECK(import("half", &info, &why) != ST_OK);
    CHECK_EQ(ST_NOT_FOUND, import("none", &info, &why));
}

TEST(disk_import_keeps_what_is_there)
{
    struct disk_info info;
    struct fault why;
    sh("truncate -s 1M a; echo mine >there");
    char a[256];
    (void)snprintf(a, sizeof a, "%s", scratch_file("a"));
    CHECK_EQ(ST_EXISTS, disk_import(a, scratch_file("there"), &work, &info, &why));
    sh("grep -q mine there");
}

TEST(disk_import_can_be_cancelled)
{
    struct disk_info info;
    struct fault why;
    struct work w = {.cancel_fd = eventfd(1, EFD_CLOEXEC)};
    sh("dd if=/dev/urandom of=a bs=1M count=2 status=none");
    char a[256];
    (void)snprintf(a, sizeof a, "%s", scratch_file("a"));
    CHECK_EQ(ST_CANCELLED, disk_import(a, scratch_file("copy.img"), &w, &info, &why));
    CHECK(access(scratch_file("copy.img"), F_OK) != 0);
    (void)close(w.cancel_fd);
}

static void any_header_is_read_in_bounds(struct tape *t)
{
    char head[200] = "QFI\xfb\0\0\0\3";
    size_t len = draw_below(t, sizeof head);
    for (size_t i = draw_below(t, 2) ? 8 : 0; i < len; i++)
        head[i] = (char)draw_edge(t, 255);
    char *exact = mem_dup(head, len);
    struct disk_info info;
    if (disk_probe((struct str){exact, len}, draw_edge(t, UINT64_MAX), &info, NULL) == ST_OK)
        CHECK(info.size % 512 == 0 && info.size > 0 && info.size <= DISK_BYTES_MAX);
    free(exact);
}

TEST(disk_any_header_is_read_in_bounds)
{
    prop_run(any_header_is_read_in_bounds, 1, 300);
}

/* ---- roots ---- */

static enum status from_tar(const char *name, uint64_t mib, struct fault *why)
{
    char tar[256], to[256];
    (void)snprintf(tar, sizeof tar, "%s", scratch_file(name));
    (void)snprintf(to, sizeof to, "%s", scratch_file("root.img"));
    enum status s = root_from_tar(tar, mib, scratch_dir(), to, &work, why);
    sh("! ls -d .root-* 2>/dev/null");
    return s;
}

static void check_owner(const char *path, const char *want)
{
    char command[128];
    struct buf out;
    buf_init(&out, 4096);
    (void)snprintf(command, sizeof command, "stat %s", path);
    const char *argv[] = {"debugfs", "-R", command, scratch_file("root.img"), NULL};
    CHECK_EQ(ST_OK,
             child_run(&(struct child_run){.argv = argv, .timeout_ms = TIMEOUT_MS, .out = &out},
                       NULL, NULL));
    if (!strstr(buf_cstr(&out), want))
        tap_fail(__FILE__, __LINE__, "%s: no \"%s\" in: %s", path, want, buf_cstr(&out));
    buf_done(&out);
}

static void make_tar(void)
{
    need("mkfs.ext4");
    need("fakeroot");
    sh("mkdir -p r/bin r/etc r/dev; echo hi >r/bin/sh; chmod 4755 r/bin/sh; ln -s sh r/bin/ash; "
       "cd r; tar --numeric-owner --owner=1234 --group=55 -cf ../a.tar .; cd ..; gzip -k a.tar");
}

TEST(root_keeps_owners_and_permissions)
{
    struct fault why;
    make_tar();
    static const char *const names[] = {"a.tar", "a.tar.gz"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        sh("rm -f root.img");
        if (from_tar(names[i], 64, &why) != ST_OK)
            tap_fail(__FILE__, __LINE__, "%s", why.text);
        check_owner("/bin/sh", "Mode:  04755");
        check_owner("/bin/sh", "User:  1234   Group:    55");
        check_owner("/bin/ash", "Fast link dest: \"sh\"");
        sh("[ $(stat -c %s root.img) = 67108864 ]; e2fsck -fn root.img >/dev/null 2>&1");
    }
}

/* The same without being root, by fakeroot. */
TEST(root_keeps_owners_without_rights)
{
    struct fault why;
    make_tar();
    if (geteuid() == 0) {
        sh("chown -R 65534:65534 .");
        CHECK(setgid(65534) == 0 && setuid(65534) == 0);
    }
    if (from_tar("a.tar", 64, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    check_owner("/bin/sh", "Mode:  04755");
    check_owner("/bin/sh", "User:  1234   Group:    55");
}

TEST(root_that_cannot_be_made_leaves_nothing)
{
    struct fault why;
    make_tar();
    sh("dd if=/dev/urandom of=r/big bs=1M count=70 status=none; "
       "dd if=/dev/urandom of=r/small bs=1M count=40 status=none; cp r/small r/small2; "
       "tar -C r --exclude=./small --exclude=./small2 -cf bomb.tar .; tar -C r --exclude=./big -cf full.tar .; "
       "mkdir e; tar -C e -cf none.tar .; echo no tar at all >bad.tar");
    CHECK_EQ(ST_INVALID, from_tar("bomb.tar", 64, &why));
    CHECK_EQ(ST_NO_SPACE, from_tar("full.tar", 64, &why));
    CHECK_EQ(ST_INVALID, from_tar("none.tar", 64, &why));
    CHECK_EQ(ST_INVALID, from_tar("bad.tar", 64, &why));
    CHECK_EQ(ST_INVALID, from_tar("missing.tar", 64, &why));
    CHECK_EQ(ST_INVALID, from_tar("a.tar", 1, &why));
    CHECK(access(scratch_file("root.img"), F_OK) != 0);
    sh("echo mine >root.img");
    CHECK_EQ(ST_EXISTS, from_tar("a.tar", 64, &why));
    sh("grep -q mine root.img");
}

TEST(root_packages_are_names_not_options)
{
    static const char *const bad[] = {"--hook", "a b", "x;y", "A", "a", "../x", "$(x)"};
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(ST_INVALID, root_minbase("bookworm", &bad[i], 1, scratch_file("x"), &work, &why));
    CHECK_EQ(ST_INVALID, root_minbase("--x", NULL, 0, scratch_file("x"), &work, &why));
}
