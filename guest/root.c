#include "guest/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/util.h"

enum { DEVICE_WAIT_MS = 2000, PATH_SIZE = 320, SERIAL_MAX = 64, DEPTH_MAX = 32 };

static bool serial_is(const char *block, const char *serial)
{
    char path[PATH_SIZE];
    AUTO(buf_done) struct buf b;
    buf_init(&b, SERIAL_MAX);
    (void)snprintf(path, sizeof path, "/sys/block/%s/serial", block);
    return file_read(path, &b, NULL) == ST_OK && str_is(str_trim(buf_view(&b)), serial);
}

/* "vda" or a serial number to /dev/vda. */
static bool find_device(const char *name, char out[PATH_SIZE])
{
    (void)snprintf(out, PATH_SIZE, "/dev/%s", name);
    if (access(out, F_OK) == 0)
        return true;
    DIR *all = opendir("/sys/block");
    bool found = false;
    for (const struct dirent *e; all && !found && (e = readdir(all));) {
        found = e->d_name[0] != '.' && serial_is(e->d_name, name);
        if (found)
            (void)snprintf(out, PATH_SIZE, "/dev/%s", e->d_name);
    }
    if (all)
        (void)closedir(all);
    return found && access(out, F_OK) == 0;
}

static enum status mount_disk(const struct guestcfg_disk *d, const char *at, struct fault *why)
{
    char device[PATH_SIZE];
    uint64_t waited = 0;
    while (!find_device(d->device, device))
        if (!wait_more(&waited, DEVICE_WAIT_MS))
            return fault_set(why, ST_NOT_FOUND, "there is no disk %s", d->device);
    if (mount(device, at, d->fs, d->read_only ? MS_RDONLY : 0, NULL) != 0)
        return fault_errno(why, errno, "mount %s (%s) at %s", device, d->fs, at);
    return ST_OK;
}

/* Remove what is in the folder, on this file system only: the initramfs is memory. */
static void empty_folder(int folder, dev_t dev, unsigned depth)
{
    DIR *all = depth < DEPTH_MAX ? fdopendir(folder) : NULL;
    if (!all) {
        (void)close(folder);
        return;
    }
    for (const struct dirent *e; (e = readdir(all));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_dev != dev)
            continue;
        if (S_ISDIR(st.st_mode)) {
            int sub = openat(folder, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub >= 0)
                empty_folder(sub, dev, depth + 1);
            (void)unlinkat(folder, e->d_name, AT_REMOVEDIR);
        } else {
            (void)unlinkat(folder, e->d_name, 0);
        }
    }
    (void)closedir(all);
}

static void drop_initramfs(void)
{
    struct stat st;
    int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0 && fstat(root, &st) == 0)
        empty_folder(root, st.st_dev, 0);
    else if (root >= 0)
        (void)close(root);
}

/* Before anything is removed: is this a root at all? */
static enum status check_root(const char *at, const struct guestcfg_disk *d, struct fault *why)
{
    static const char *const folders[] = {"proc", "sys", "dev", "run"};
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char path[PATH_SIZE];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", at, folders[i]);
        (void)mkdir(path, 0755);
        if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            return fault_set(why, ST_INVALID, "disk %s has no folder /%s and cannot be a root",
                             d->device, folders[i]);
    }
    return ST_OK;
}

enum status root_switch(const struct guestcfg_disk *d, struct fault *why)
{
    static const char at[] = "/newroot";
    static const char *const moved[] = {"/proc", "/sys", "/dev", "/run"};
    (void)mkdir(at, 0755);
    enum status s = mount_disk(d, at, why);
    if (s != ST_OK)
        return s;
    s = check_root(at, d, why);
    if (s != ST_OK) {
        (void)umount2(at, MNT_DETACH);
        return s;
    }
    for (size_t i = 0; i < ARRAY_COUNT(moved); i++) {
        char to[PATH_SIZE];
        (void)snprintf(to, sizeof to, "%s%s", at, moved[i]);
        if (mount(moved[i], to, NULL, MS_MOVE, NULL) != 0)
            return fault_errno(why, errno, "move %s", moved[i]);
    }
    if (chdir(at) != 0)
        return fault_errno(why, errno, "enter the root");
    drop_initramfs();
    if (mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return fault_errno(why, errno, "switch the root");
    return ST_OK;
}

static void link_by_id(const char *device, const char *serial)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/dev/disk/by-id/virtio-%s", serial);
    if (dir_make("/dev/disk/by-id", NULL) == ST_OK)
        IGNORE(symlink(device, path)); /* a convenience; the volume is mounted all the same */
}

enum status root_volume(const struct guestcfg_disk *d, struct fault *why)
{
    char device[PATH_SIZE];
    uint64_t waited = 0;
    while (!find_device(d->device, device))
        if (!wait_more(&waited, DEVICE_WAIT_MS))
            return fault_set(why, ST_NOT_FOUND, "there is no disk %s", d->device);
    link_by_id(device, d->device);
    if (strcmp(d->fs, "none") == 0)
        return ST_OK;
    enum status s = dir_make(d->path, why);
    return s == ST_OK ? mount_disk(d, d->path, why) : s;
}
