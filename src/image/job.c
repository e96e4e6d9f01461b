#include "image/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "image/disk.h"
#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/root.h"
#include "image/tree.h"
#include "image/vmlinux.h"
#include "os/file.h"
#include "pb/image.pb-c.h"
#include "wire/proto.h"

enum { REQUEST_MAX = 64 * 1024, ROOT_MIB_DEFAULT = 1024 };
#define INITRD_MAX (UINT64_C(1) << 30)
#define SUITE      "bookworm" /* of Debian 12, like the machines we run on */

struct making {
    const char *cache, *guest, *busybox;
    const Pb__ImageSource *source;
    Pb__Image *result;
    struct work work;
    struct kernel kernel; /* found; its files may go with it */
};

/* --- telling --- */

static void tell(void *ctx, const char *step, uint64_t done, uint64_t total)
{
    (void)ctx;
    unsigned percent = total ? (unsigned)(MIN(done, total) * 100 / total) : 255;
    (void)printf("step %u %s\n", percent, step);
    (void)fflush(stdout);
}

static void tell_fault(const struct fault *why)
{
    (void)printf("fault %s\t%s\t%s\n", status_code(why->status), why->text, why->hint);
    (void)fflush(stdout);
}

/* --- parts --- */

static enum status hash_part(const char *name, Pb__Blob **ret, struct fault *why)
{
    AUTO(close_fd) int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", name);
    enum { PIECE = 1 << 18 };
    AUTO(auto_free) char *piece = mem_new(PIECE);
    struct digest d;
    uint64_t at = 0;
    digest_init(&d);
    for (size_t n = PIECE; n == PIECE; at += n) {
        if (!file_read_at(fd, at, piece, PIECE, &n))
            return fault_errno(why, errno, "read %s", name);
        digest_add(&d, piece, n);
    }
    if (fsync(fd) < 0)
        return fault_errno(why, errno, "sync %s", name);
    uint8_t raw[DIGEST_SIZE];
    char text[DIGEST_TEXT_MAX];
    digest_end(&d, raw);
    digest_text(raw, text);
    Pb__Blob *b = (Pb__Blob *)proto_new(&pb__blob__descriptor);
    proto_set(&b->digest, text);
    PROTO_SET(b, size, at);
    *ret = b;
    return ST_OK;
}

/* The kernel, and where its modules are: *ret_modules is -1 when nothing is known of them. */
static enum status make_kernel(struct making *m, int *ret_modules, struct fault *why)
{
    struct kernel *k = &m->kernel;
    const char *path = m->source ? m->source->kernel : NULL;
    bool deb = path && str_ends(str_from(path), ".deb");
    *ret_modules = -1;
    tell(NULL, "finding the kernel", 0, 0);
    if (path && !deb) {
        AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return fault_errno(why, errno, "open the kernel %s", path);
        return vmlinux_extract(fd, path, AT_FDCWD, "kernel", why);
    }
    enum status s = deb ? kernel_from_deb(path, m->cache, &m->work, k, why)
                        : kernel_find(m->cache, &m->work, k, why);
    if (s != ST_OK)
        return s;
    tell(NULL, "unpacking the kernel", 0, 0);
    AUTO(close_fd) int image = -1;
    s = tree_open_below(k->root, k->image, false, &image, why);
    if (s == ST_OK)
        s = vmlinux_extract(image, k->image, AT_FDCWD, "kernel", why);
    if (s == ST_OK)
        s = tree_open_below(k->root, k->modules, true, ret_modules, why);
    if (s == ST_OK)
        proto_set(&m->result->kernel_release, k->release);
    return s;
}

static enum status copy_initrd(const char *path, struct fault *why)
{
    AUTO(close_fd) int from = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0)
        return fault_errno(why, errno, "open the initramfs %s", path);
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > INITRD_MAX)
        return fault_set(why, ST_INVALID, "%s is no regular file of at most 1 GiB", path);
    AUTO(close_fd) int to = open("initrd", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to < 0)
        return fault_errno(why, errno, "create the initramfs");
    struct work w = {.progress = tell};
    return disk_copy(from, to, (uint64_t)st.st_size, "copying the initramfs", &w, why);
}

static enum status make_initrd(struct making *m, int modules, struct fault *why)
{
    if (m->source && m->source->initrd)
        return copy_initrd(m->source->initrd, why);
    tell(NULL, "packing the initramfs", 0, 0);
    struct initramfs spec = {.guest = m->guest, .modules = modules};
    if (m->busybox[0])
        spec.busybox = m->busybox;
    return initramfs_build(&spec, AT_FDCWD, "initrd", why);
}

static bool is_tar(const char *path)
{
    static const char *const ends[] = {".tar",    ".tar.gz",  ".tgz",
                                       ".tar.xz", ".tar.zst", ".tar.bz2"};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        if (str_ends(str_from(path), ends[i]))
            return true;
    return false;
}

static enum status make_root(struct making *m, bool *ret_disk, struct fault *why)
{
    const char *root = m->source && m->source->root ? m->source->root : "none";
    uint64_t size_mib = m->source && m->source->has_root_size_mib ? m->source->root_size_mib
                                                                  : (uint64_t)ROOT_MIB_DEFAULT;
    *ret_disk = true;
    if (strcmp(root, "none") == 0) {
        *ret_disk = false;
        return ST_OK;
    }
    if (strcmp(root, "minbase") == 0) {
        enum status s = root_minbase(SUITE, (const char *const *)m->source->packages,
                                     m->source->n_packages, "root.tar", &m->work, why);
        return s == ST_OK ? root_from_tar("root.tar", size_mib, ".", "disk", &m->work, why) : s;
    }
    if (root[0] != '/') {
        (void)fault_set(why, ST_INVALID, "\"%s\" is neither none, minbase nor an absolute path",
                        root);
        fault_field(why, "source.root");
        return ST_INVALID;
    }
    if (is_tar(root))
        return root_from_tar(root, size_mib, ".", "disk", &m->work, why);
    struct disk_info info;
    return disk_import(root, "disk", &m->work, &info, why);
}

/* --- the whole --- */

static void add_to_identity(struct digest *d, const char *name, const Pb__Blob *part)
{
    if (!part)
        return;
    digest_add(d, name, strlen(name));
    digest_add(d, " ", 1);
    digest_add(d, part->digest, strlen(part->digest));
    digest_add(d, "\n", 1);
}

/* The image's own digest: over the names and digests of its parts. */
static void set_identity(Pb__Image *r)
{
    struct digest d;
    uint8_t raw[DIGEST_SIZE];
    char text[DIGEST_TEXT_MAX];
    digest_init(&d);
    add_to_identity(&d, "kernel", r->kernel);
    add_to_identity(&d, "initrd", r->initrd);
    add_to_identity(&d, "disk", r->disk);
    digest_end(&d, raw);
    digest_text(raw, text);
    proto_set(&r->digest, text);
    PROTO_SET(r, size, r->kernel->size + r->initrd->size + (r->disk ? r->disk->size : 0));
}

static enum status make_parts(struct making *m, bool *ret_disk, struct fault *why)
{
    AUTO(close_fd) int modules = -1;
    enum status s = make_kernel(m, &modules, why);
    if (s == ST_OK)
        s = make_initrd(m, modules, why);
    if (s == ST_OK)
        s = make_root(m, ret_disk, why);
    return s;
}

static enum status make_all(struct making *m, struct fault *why)
{
    bool disk = false;
    enum status s = make_parts(m, &disk, why);
    kernel_done(&m->kernel);
    if (s != ST_OK)
        return s;
    tell(NULL, "hashing", 0, 0);
    s = hash_part("kernel", &m->result->kernel, why);
    if (s == ST_OK)
        s = hash_part("initrd", &m->result->initrd, why);
    if (s == ST_OK && disk)
        s = hash_part("disk", &m->result->disk, why);
    if (s != ST_OK)
        return s;
    PROTO_SET(m->result, kind, disk ? PB__IMAGE_KIND__IMAGE_DISK : PB__IMAGE_KIND__IMAGE_INITRAMFS);
    if (disk)
        PROTO_SET(m->result, disk_format, PB__DISK_FORMAT__DISK_RAW);
    set_identity(m->result);
    return ST_OK;
}

static enum status read_request(Pb__Image **ret, struct fault *why)
{
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REQUEST_MAX);
    ProtobufCMessage *msg = NULL;
    enum status s = file_read(AT_FDCWD, "request", &bytes, why);
    if (s == ST_OK)
        s = proto_unpack(&pb__image__descriptor, buf_view(&bytes), REQUEST_MAX, &msg, why);
    if (s == ST_OK)
        *ret = (Pb__Image *)msg;
    return s;
}

static enum status write_result(const Pb__Image *r, struct fault *why)
{
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REQUEST_MAX);
    proto_pack(&r->base, &bytes);
    return file_write(AT_FDCWD, "result", buf_view(&bytes), 0600, why);
}

/* Tools look for a home and put temporary files: all of it belongs into the staging directory. */
static enum status stay_home(struct fault *why)
{
    char here[4096];
    if (!getcwd(here, sizeof here) || setenv("HOME", here, 1) < 0 || setenv("TMPDIR", here, 1) < 0)
        return fault_errno(why, errno, "name the working directory");
    return ST_OK;
}

int job_main(int argc, char **argv)
{
    AUTO(auto_proto_free) Pb__Image *request = NULL;
    AUTO(auto_proto_free) Pb__Image *result = (Pb__Image *)proto_new(&pb__image__descriptor);
    struct fault why = {0};
    require(argc == 3);
    (void)umask(022);
    struct making m = {argv[0],
                       argv[1],
                       argv[2],
                       .result = result,
                       .work = {.progress = tell},
                       .kernel = {.root = -1}};
    enum status s = stay_home(&why);
    if (s == ST_OK)
        s = read_request(&request, &why);
    if (s == ST_OK) {
        m.source = request->source;
        s = make_all(&m, &why);
    }
    if (s == ST_OK)
        s = write_result(result, &why);
    if (s == ST_OK)
        return 0;
    tell_fault(&why);
    return 1;
}
