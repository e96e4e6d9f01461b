#include "image/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

enum {
    SECTOR = 512,
    INFO_TIMEOUT_MS = 30 * 1000,
    CONVERT_TIMEOUT_MS = 60 * 60 * 1000,
    INFO_TEXT_MAX = 256 * 1024,
    COPY_STEP = 1 << 20,
};

/* ---- what the content says ---- */

/* Offsets in the header of a qcow2 image, which is big-endian (QEMU's docs/interop/qcow2.txt). */
enum {
    QCOW2_VERSION_AT = 4,
    QCOW2_BACKING_OFFSET_AT = 8,
    QCOW2_BACKING_SIZE_AT = 16,
    QCOW2_CLUSTER_BITS_AT = 20,
    QCOW2_SIZE_AT = 24,
    QCOW2_CRYPT_AT = 32,
    QCOW2_V2_END = 72,
    QCOW2_INCOMPATIBLE_AT = 72,
    QCOW2_V3_END = 104,
};

enum {
    QCOW2_DIRTY = 1 << 0,
    QCOW2_CORRUPT = 1 << 1,
    QCOW2_DATA_FILE = 1 << 2,
    QCOW2_COMPRESSION = 1 << 3,
    QCOW2_EXTENDED_L2 = 1 << 4,
    QCOW2_KNOWN = QCOW2_DIRTY | QCOW2_COMPRESSION | QCOW2_EXTENDED_L2,
};

static const char qcow2_magic[] = "QFI\xfb";

/* Formats that some reader would recognize, and follow to other files. */
static const struct {
    size_t at;
    struct str magic;
    const char *name;
} others[] = {
    {0, {"KDMV", 4}, "VMDK"},
    {0, {"COWD", 4}, "VMDK"},
    {0, {"# Disk DescriptorFile", 21}, "VMDK"},
    {64, {"\x7f\x10\xda\xbe", 4}, "VDI"},
    {0, {"conectix", 8}, "VHD"},
    {0, {"vhdxfile", 8}, "VHDX"},
    {0, {"QED\0", 4}, "QED"},
    {0, {"LUKS\xba\xbe", 6}, "LUKS"},
    {0, {"WithoutFreeSpace", 16}, "Parallels"},
    {0, {"WithouFreSpacExt", 16}, "Parallels"},
    {0, {"Bochs Virtual HD Image", 22}, "Bochs"},
    {0, {"\x1f\x8b", 2}, "gzip"},
    {0,
     {"\xfd"
      "7zXZ",
      5},
     "xz"},
    {0, {"\x28\xb5\x2f\xfd", 4}, "zstd"},
    {0, {"BZh", 3}, "bzip2"},
};

static uint64_t big_endian(struct str s, size_t at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | (uint8_t)s.ptr[at + i];
    return v;
}

static bool has_at(struct str s, size_t at, struct str magic)
{
    return s.len >= at + magic.len && memcmp(s.ptr + at, magic.ptr, magic.len) == 0;
}

static enum status check_size(uint64_t size, struct fault *why)
{
    if (size == 0)
        return fault_set(why, ST_INVALID, "the disk is empty");
    if (size > DISK_BYTES_MAX)
        return fault_set(why, ST_TOO_BIG, "the disk has %" PRIu64 " bytes, the limit is %" PRIu64,
                         size, DISK_BYTES_MAX);
    return ST_OK;
}

static enum status probe_qcow2(struct str head, struct disk_info *ret, struct fault *why)
{
    if (head.len < QCOW2_V2_END)
        return fault_set(why, ST_INVALID, "the qcow2 header is cut off");
    uint64_t version = big_endian(head, QCOW2_VERSION_AT, 4);
    if (version != 2 && version != 3)
        return fault_set(why, ST_UNSUPPORTED, "qcow2 version %" PRIu64, version);
    if (version == 3 && head.len < QCOW2_V3_END)
        return fault_set(why, ST_INVALID, "the qcow2 header is cut off");
    if (big_endian(head, QCOW2_BACKING_OFFSET_AT, 8) || big_endian(head, QCOW2_BACKING_SIZE_AT, 4))
        return fault_set(why, ST_UNSUPPORTED, "the image has a backing file");
    if (big_endian(head, QCOW2_CRYPT_AT, 4))
        return fault_set(why, ST_UNSUPPORTED, "the image is encrypted");
    uint64_t features = version == 3 ? big_endian(head, QCOW2_INCOMPATIBLE_AT, 8) : 0;
    if (features & QCOW2_DATA_FILE)
        return fault_set(why, ST_UNSUPPORTED, "the image has an external data file");
    if (features & QCOW2_CORRUPT)
        return fault_set(why, ST_INVALID, "the image is marked as damaged");
    if (features & ~(uint64_t)QCOW2_KNOWN)
        return fault_set(why, ST_UNSUPPORTED,
                         "the image has features that are not known (%#" PRIx64 ")", features);
    uint64_t bits = big_endian(head, QCOW2_CLUSTER_BITS_AT, 4);
    if (bits < 9 || bits > 21)
        return fault_set(why, ST_INVALID, "the qcow2 header is damaged");
    uint64_t size = big_endian(head, QCOW2_SIZE_AT, 8);
    enum status s = check_size(size, why);
    if (s == ST_OK)
        *ret = (struct disk_info){DISK_FORMAT_QCOW2, size + (SECTOR - size % SECTOR) % SECTOR};
    return s;
}

enum status disk_probe(struct str head, uint64_t file_size, struct disk_info *ret,
                       struct fault *why)
{
    if (has_at(head, 0, (struct str){qcow2_magic, 4}))
        return probe_qcow2(head, ret, why);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        if (!has_at(head, others[i].at, others[i].magic))
            continue;
        enum status s = fault_set(why, ST_UNSUPPORTED,
                                  "the format is %s; raw and qcow2 are supported", others[i].name);
        fault_hint(why, "unpack or convert it first, for example with qemu-img convert");
        return s;
    }
    enum status s = check_size(file_size, why);
    if (s == ST_OK)
        *ret =
            (struct disk_info){DISK_FORMAT_RAW, file_size + (SECTOR - file_size % SECTOR) % SECTOR};
    return s;
}

/* ---- what qemu-img says ---- */

/* Other files that the image would lead to, wherever the description mentions them. */
static bool names_other_files(const json_t *v)
{
    static const char *const keys[] = {"backing-filename", "full-backing-filename", "data-file",
                                       "backing-image", "extents"};
    const char *key;
    json_t *value;
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (json_object_get(v, keys[i]))
            return true;
    json_object_foreach((json_t *)(uintptr_t)v, key,
                        value) if (json_is_object(value) && names_other_files(value)) return true;
    return false;
}

static enum status judge(const json_t *info, struct fault *why)
{
    const char *format = json_string_value(json_object_get(info, "format"));
    if (!format || strcmp(format, "qcow2") != 0)
        return fault_set(why, ST_UNSUPPORTED, "qemu-img takes the image for %s",
                         format ? format : "nothing it knows");
    if (names_other_files(info))
        return fault_set(why, ST_UNSUPPORTED, "the image names other files");
    if (json_is_true(json_object_get(info, "encrypted")))
        return fault_set(why, ST_UNSUPPORTED, "the image is encrypted");
    return ST_OK;
}

/* With bounded memory and time: an image can be made to need much of both. */
static enum status ask_qemu_img(const char *path, const struct work *w, struct fault *why)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, INFO_TEXT_MAX);
    const char *argv[] = {"prlimit", "--as=1073741824", "--cpu=30",      "--", "qemu-img", "info",
                          "-f",      "qcow2",           "--output=json", "--", path,       NULL};
    enum status s = work_run(w, "check the image", argv, INFO_TIMEOUT_MS, &text, why);
    if (s != ST_OK)
        return s;
    json_t *info = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    s = json_is_object(info) ? judge(info, why)
                             : fault_set(why, ST_IO, "qemu-img's answer cannot be read");
    json_decref(info);
    return s;
}

/* ---- files ---- */

/* The path as qemu-img must see it: "./x", so that "nbd:..." or "json:{..." is a file's name too. */
static void plain_path(const char *path, struct buf *out)
{
    buf_init(out, 4096 + 3);
    buf_fmt(out, "%s%s", path[0] == '/' ? "" : "./", path);
}

static enum status probe_file(int fd, struct disk_info *ret, struct fault *why)
{
    char head[DISK_HEAD];
    struct stat st;
    size_t len;
    if (fstat(fd, &st) != 0)
        return fault_errno(why, errno, "stat");
    if (!S_ISREG(st.st_mode))
        return fault_set(why, ST_INVALID, "it is no regular file");
    if (!file_read_at(fd, 0, head, sizeof head, &len))
        return fault_errno(why, errno, "read");
    return disk_probe((struct str){head, len}, (uint64_t)st.st_size, ret, why);
}

static enum status check(const char *path, int fd, const struct work *w, struct disk_info *ret,
                         struct fault *why)
{
    struct disk_info info;
    enum status s = probe_file(fd, &info, why);
    if (s == ST_OK && info.format == DISK_FORMAT_QCOW2) {
        AUTO(buf_done) struct buf plain;
        plain_path(path, &plain);
        s = ask_qemu_img(buf_cstr(&plain), w, why);
    }
    if (s == ST_OK)
        *ret = info;
    return s;
}

static int open_image(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static bool is_zero(const char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Where the next data begins at or after `at`; the size when there is none. */
static uint64_t next_data(int fd, uint64_t at, uint64_t size)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);
    if (data >= 0)
        return MIN((uint64_t)data, size);
    return errno == ENXIO ? size : at; /* a file system without holes: all is data */
}

enum status disk_copy(int from, int to, uint64_t size, const char *step, const struct work *w,
                      struct fault *why)
{
    AUTO(auto_free) char *data = mem_new(COPY_STEP);
    uint64_t told = 0;
    for (uint64_t at = next_data(from, 0, size); at < size; at = next_data(from, at, size)) {
        size_t want = (size_t)MIN(size - at, (uint64_t)COPY_STEP), got;
        enum status s = work_check(w, why);
        if (s != ST_OK)
            return s;
        if (!file_read_at(from, at, data, want, &got))
            return fault_errno(why, errno, "read");
        if (got < want)
            return fault_set(why, ST_INVALID, "the file became shorter while it was copied");
        if (!is_zero(data, got) && !file_write_at(to, at, data, got))
            return fault_errno(why, errno, "write");
        at += got;
        if (at - told >= 64 * (uint64_t)COPY_STEP) {
            work_tell(w, step, at, size);
            told = at;
        }
    }
    work_tell(w, step, size, size);
    return ST_OK;
}

/* Copy what is in the file, as it is. */
static enum status copy_all(int from, int to, const char *step, const struct work *w,
                            struct fault *why)
{
    struct stat st;
    if (fstat(from, &st) != 0)
        return fault_errno(why, errno, "stat");
    return disk_copy(from, to, (uint64_t)st.st_size, step, w, why);
}

static int create(const char *path, mode_t mode)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

static enum status import_raw(int from, int to, const struct disk_info *info, const struct work *w,
                              struct fault *why)
{
    if (ftruncate(to, (off_t)info->size) != 0)
        return fault_errno(why, errno, "size the copy");
    return copy_all(from, to, "copy the image", w, why);
}

static enum status convert(const char *from, const char *to, const struct work *w,
                           struct fault *why)
{
    AUTO(buf_done) struct buf f;
    AUTO(buf_done) struct buf t;
    plain_path(from, &f);
    plain_path(to, &t);
    const char *argv[] = {"qemu-img", "convert", "-n", "--target-is-zero", "-f",         "qcow2",
                          "-O",       "raw",     "--", buf_cstr(&f),       buf_cstr(&t), NULL};
    return work_run(w, "convert the image", argv, CONVERT_TIMEOUT_MS, NULL, why);
}

/* `copy` is the path of our own copy. */
static enum status import_qcow2(int from, const char *copy, int to, const char *to_path,
                                const struct work *w, struct disk_info *ret, struct fault *why)
{
    AUTO(close_fd) int fd = create(copy, 0600);
    if (fd < 0)
        return fault_errno(why, errno, "create %s", copy);
    struct stat st;
    if (fstat(from, &st) != 0 || ftruncate(fd, st.st_size) != 0)
        return fault_errno(why, errno, "size the copy");
    enum status s = copy_all(from, fd, "copy the image", w, why);
    if (s == ST_OK)
        s = check(copy, fd, w, ret, why);
    if (s == ST_OK && ret->format != DISK_FORMAT_QCOW2)
        s = fault_set(why, ST_CONFLICT, "it was changed while it was copied");
    if (s == ST_OK && ftruncate(to, (off_t)ret->size) != 0)
        s = fault_errno(why, errno, "size the disk");
    if (s == ST_OK)
        s = convert(copy, to_path, w, why);
    return s;
}

static enum status import(int from, int to, const char *to_path, const struct work *w,
                          struct disk_info *ret, struct fault *why)
{
    enum status s = probe_file(from, ret, why);
    if (s != ST_OK)
        return s;
    if (ret->format == DISK_FORMAT_RAW)
        return import_raw(from, to, ret, w, why);
    AUTO(buf_done) struct buf copy;
    buf_init(&copy, 4096);
    buf_fmt(&copy, "%s.qcow2", to_path);
    s = import_qcow2(from, buf_cstr(&copy), to, to_path, w, ret, why);
    (void)unlink(buf_cstr(&copy));
    return s;
}

enum status disk_import(const char *path, const char *to, const struct work *w,
                        struct disk_info *ret, struct fault *why)
{
    struct disk_info info;
    AUTO(close_fd) int in = open_image(path);
    if (in < 0)
        return fault_errno(why, errno, "open %s", path);
    AUTO(close_fd) int out = create(to, 0644);
    if (out < 0)
        return fault_errno(why, errno, "create %s", to);
    enum status s = import(in, out, to, w, &info, why);
    if (s == ST_OK && fsync(out) != 0)
        s = fault_errno(why, errno, "sync %s", to);
    if (s != ST_OK) {
        (void)unlink(to);
        return fault_wrap(why, s, "disk image %s", path);
    }
    *ret = info;
    return ST_OK;
}
