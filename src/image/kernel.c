#include "image/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/deb.h"
#include "image/tree.h"
#include "os/file.h"

static const char meta_package[] = "linux-image-cloud-amd64";
static const char package_prefix[] = "linux-image-";
static const char cloud_suffix[] = "-cloud-amd64";
static const char image_prefix[] = "vmlinuz-";

void kernel_done(struct kernel *k)
{
    if (k->root > 0)
        (void)close(k->root);
    /* Best effort: what stays is in the cache, and in nobody's way. */
    if (k->temp[0] && file_remove_tree(AT_FDCWD, k->temp, NULL) != ST_OK)
        k->temp[0] = 0;
    *k = (struct kernel){0};
}

/* Are there modules for this release? Debian 12 has them in lib, later ones in usr/lib; and where /lib is
 * a link, only the latter is a path without one. */
static bool find_modules(int root, const char *release, char path[KERNEL_PATH_MAX + 1])
{
    static const char *const in[] = {"lib/modules", "usr/lib/modules"};
    for (size_t i = 0; i < ARRAY_COUNT(in); i++) {
        AUTO(close_fd) int fd = -1;
        (void)snprintf(path, KERNEL_PATH_MAX + 1, "%s/%s", in[i], release);
        if (tree_open_below(root, path, true, &fd, NULL) == ST_OK)
            return true;
    }
    return false;
}

/* Take this kernel if it is newer than the one so far, and whole. */
static void consider(struct kernel *k, const char *name, const char *suffix)
{
    char path[KERNEL_PATH_MAX + 1];
    struct str s = str_from(name);
    if (!str_starts(s, image_prefix) || !str_ends(s, suffix))
        return;
    const char *release = name + sizeof image_prefix - 1;
    if (strlen(release) > KERNEL_RELEASE_MAX || !release[0] ||
        strverscmp(release, k->release) <= 0 || !find_modules(k->root, release, path))
        return;
    strcpy(k->release, release);
    strcpy(k->modules, path);
    (void)snprintf(k->image, sizeof k->image, "boot/%s%s", image_prefix, release);
}

enum status kernel_in(int root, const char *suffix, struct kernel *ret, struct fault *why)
{
    AUTO(kernel_done) struct kernel k = {.root = root};
    int boot;
    enum status s = tree_open_below(root, "boot", true, &boot, why);
    if (s != ST_OK)
        return s;
    DIR *d = fdopendir(boot);
    ensure(d != NULL);
    for (const struct dirent *e; (e = readdir(d));)
        consider(&k, e->d_name, suffix);
    (void)closedir(d);
    if (!k.release[0])
        return fault_set(why, ST_NOT_FOUND, "there is no kernel %s*%s with its modules",
                         image_prefix, suffix);
    *ret = k;
    k = (struct kernel){0};
    return ST_OK;
}

enum status kernel_from_deb(const char *deb, const char *cache, const struct work *w,
                            struct kernel *ret, struct fault *why)
{
    char temp[KERNEL_PATH_MAX + 1];
    enum status s = file_mkdirs(AT_FDCWD, cache, 0755, why);
    if (s != ST_OK)
        return s;
    int n = snprintf(temp, sizeof temp, "%s/.kernel-XXXXXX", cache);
    if (n >= (int)sizeof temp || !mkdtemp(temp))
        return fault_errno(why, n >= (int)sizeof temp ? ENAMETOOLONG : errno, "make %s", temp);
    int root;
    s = deb_unpack(deb, temp, w, why);
    if (s == ST_OK)
        s = tree_open(temp, &root, why);
    if (s == ST_OK)
        s = kernel_in(root, "", ret, why);
    if (s == ST_OK) {
        strcpy(ret->temp, temp);
        return ST_OK;
    }
    struct kernel left = {0};
    strcpy(left.temp, temp);
    kernel_done(&left);
    return fault_wrap(why, s, "kernel package %s", deb);
}

static enum status installed(struct kernel *ret, struct fault *why)
{
    int root;
    enum status s = tree_open("/", &root, why);
    if (s == ST_OK)
        s = kernel_in(root, cloud_suffix, ret, why);
    if (s != ST_OK)
        return s;
    /* Some distributions let only root read it. */
    AUTO(close_fd) int image = -1;
    s = tree_open_below(ret->root, ret->image, false, &image, why);
    if (s != ST_OK)
        kernel_done(ret);
    return s;
}

enum status kernel_find(const char *cache, const struct work *w, struct kernel *ret,
                        struct fault *why)
{
    char deb[KERNEL_PATH_MAX + 1];
    if (installed(ret, NULL) == ST_OK)
        return ST_OK;
    enum status s = file_mkdirs(AT_FDCWD, cache, 0755, why);
    if (s != ST_OK)
        return s;
    s = deb_find(cache, package_prefix, cloud_suffix, deb, sizeof deb, NULL);
    if (s != ST_OK) {
        s = deb_download(meta_package, package_prefix, cache, w, why);
        if (s == ST_OK)
            s = deb_find(cache, package_prefix, cloud_suffix, deb, sizeof deb, why);
    }
    if (s == ST_OK)
        return kernel_from_deb(deb, cache, w, ret, why);
    (void)fault_wrap(why, s, "find Debian's cloud kernel");
    if (s != ST_CANCELLED)
        fault_hint(why, "run apt-get update, or install %s, or name a kernel", meta_package);
    return s;
}
