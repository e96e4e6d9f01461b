#include "image/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "image/cpio.h"
#include "image/modules.h"
#include "image/tree.h"
#include "os/child.h"
#include "os/file.h"

enum {
    PROGRAM_MAX = 16 << 20,
    APPLETS_TEXT_MAX = 64 * 1024,
    APPLETS_TIMEOUT_MS = 10000,
    APPLET_MAX = 128,
};

/* What a guest needs on QEMU's microvm machine: disk, network, the agent's port, memory balloon,
 * randomness, power button, and the configuration from the host. */
static const char *const needed_modules[] = {
    "virtio_ring", "virtio",         "virtio_mmio",  "virtio_console", "qemu_fw_cfg",
    "virtio_blk",  "failover",       "net_failover", "virtio_net",     "evdev",
    "button",      "virtio_balloon", "virtio_rng",
};

static const struct {
    const char *path;
    unsigned mode;
} folders[] = {
    {"bin", 0755},         {"dev", 0755},     {"etc", 0755},     {"lib", 0755},
    {"lib/modules", 0755}, {"mnt", 0755},     {"newroot", 0755}, {"proc", 0755},
    {"root", 0700},        {"run", 0755},     {"sbin", 0755},    {"sys", 0755},
    {"tmp", 01777},        {"usr", 0755},     {"usr/bin", 0755}, {"usr/sbin", 0755},
    {"var", 0755},         {"var/lib", 0755}, {"var/log", 0755},
};

static const struct {
    const char *path, *text;
} files[] = {
    {"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
    {"etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"},
    {"etc/hosts", "127.0.0.1\tlocalhost\n"},
    {"etc/profile", "export PS1='\\h:\\w\\$ '\n"},
};

static void put_skeleton(struct cpio *c)
{
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++)
        cpio_folder(c, folders[i].path, folders[i].mode);
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        cpio_file(c, files[i].path, 0644, str_from(files[i].text));
    /* The kernel opens it for init before anything is mounted. */
    cpio_node(c, "dev/console", 0600, 'c', 5, 1);
    cpio_node(c, "dev/null", 0666, 'c', 1, 3);
}

static enum status put_program(struct cpio *c, const char *from, const char *path,
                               struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, PROGRAM_MAX);
    enum status s = file_read(AT_FDCWD, from, &b, why);
    if (s == ST_OK)
        cpio_file(c, path, 0755, buf_view(&b));
    return s;
}

/* The file name is the module's own; the list tells init where they are, and in which order. */
static enum status put_modules(struct cpio *c, int tree, struct fault *why)
{
    AUTO(auto_free) struct modules *m = NEW(struct modules);
    AUTO(buf_done) struct buf list;
    buf_init(&list, MODULES_MAX * (MODULE_NAME_MAX + 32));
    enum status s = modules_find(tree, needed_modules, ARRAY_COUNT(needed_modules), m, why);
    for (size_t i = 0; s == ST_OK && i < m->count; i++) {
        char path[MODULE_NAME_MAX + 32];
        AUTO(buf_done) struct buf ko;
        buf_init(&ko, MODULE_FILE_MAX);
        s = tree_read(tree, m->item[i].path, &ko, why);
        (void)snprintf(path, sizeof path, "lib/modules/%s.ko", m->item[i].name);
        if (s == ST_OK)
            cpio_file(c, path, 0644, buf_view(&ko));
        buf_fmt(&list, "/%s\n", path);
    }
    if (s == ST_OK)
        cpio_file(c, "lib/modules/load", 0644, buf_view(&list));
    return s;
}

/* A path as busybox lists them: "bin/ls", "usr/bin/env". */
static bool is_applet_path(struct str s)
{
    static const char *const in[] = {"bin/", "sbin/", "usr/bin/", "usr/sbin/"};
    for (size_t i = 0; i < ARRAY_COUNT(in); i++) {
        size_t n = strlen(in[i]);
        if (str_starts(s, in[i]) && s.len > n && s.len < APPLET_MAX)
            return memchr(s.ptr + n, '/', s.len - n) == NULL;
    }
    return false;
}

static enum status put_busybox(struct cpio *c, const char *busybox, struct fault *why)
{
    AUTO(buf_done) struct buf list;
    buf_init(&list, APPLETS_TEXT_MAX);
    enum status s = put_program(c, busybox, "bin/busybox", why);
    if (s != ST_OK)
        return s;
    const char *argv[] = {busybox, "--list-full", NULL};
    s = child_run(&(struct child_run){.argv = argv, .timeout_ms = APPLETS_TIMEOUT_MS, .out = &list},
                  NULL, why);
    struct str rest = buf_view(&list), line;
    for (bool more = s == ST_OK; more;) {
        char path[APPLET_MAX];
        more = str_cut(&rest, '\n', &line);
        bool wanted = is_applet_path(line) && !str_is(line, "bin/busybox") &&
                      !str_is(line, "sbin/init"); /* that is ours to be */
        if (wanted && str_copy(line, path, sizeof path, NULL) == ST_OK)
            cpio_link(c, path, "/bin/busybox");
    }
    return s;
}

static enum status put_all(const struct initramfs *spec, struct cpio *c, struct fault *why)
{
    put_skeleton(c);
    enum status s = put_program(c, spec->guest, "init", why);
    if (s == ST_OK && spec->modules >= 0)
        s = put_modules(c, spec->modules, why);
    if (s == ST_OK && spec->busybox)
        s = put_busybox(c, spec->busybox, why);
    enum status end = cpio_end(c, s == ST_OK ? why : NULL);
    return s == ST_OK ? end : s;
}

enum status initramfs_build(const struct initramfs *spec, int dir, const char *to,
                            struct fault *why)
{
    struct cpio c;
    char *bytes = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&bytes, &len);
    ensure(out != NULL);
    cpio_init(&c, out);
    enum status s = put_all(spec, &c, why);
    (void)fclose(out);
    if (s == ST_OK)
        s = file_write(dir, to, (struct str){bytes, len}, 0644, why);
    free(bytes);
    return s == ST_OK ? s : fault_wrap(why, s, "initramfs");
}
