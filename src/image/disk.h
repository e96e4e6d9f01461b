/*
 * disk: import disk images that anybody may have made.
 *
 * The format is decided by the content, before any other program looks at it. A qcow2 image can name
 * other files (backing file, external data file) that its reader would then open: such an image is
 * refused, so that it never makes this machine read its own files into a guest's disk. So are encrypted
 * images, and all other formats.
 */
#pragma once

#include "image/work.h"

enum disk_format { DISK_FORMAT_RAW, DISK_FORMAT_QCOW2 };

#define DISK_BYTES_MAX (UINT64_C(16) << 40)

struct disk_info {
    enum disk_format format;
    uint64_t size; /* bytes the guest sees; a multiple of 512 */
};

/*
 * What the first bytes of an image say. Pure.
 *
 * head       the first DISK_HEAD bytes, or all there are.
 * file_size  bytes of the whole file.
 *
 * Returns  ST_INVALID      a damaged qcow2 header, or an empty file.
 *          ST_UNSUPPORTED  another format; or a qcow2 with a backing file, an external data file,
 *                          encryption, or features that are not known.
 *          ST_TOO_BIG      beyond DISK_BYTES_MAX.
 */
enum { DISK_HEAD = 4096 };
MUST_USE enum status disk_probe(struct str head, uint64_t file_size, struct disk_info *ret,
                                struct fault *why);

/*
 * Check an image and make a raw, sparse copy of it. A qcow2 is copied first, to a file beside `to`, and the
 * copy is checked and converted: so nobody can exchange it in between.
 *
 * to       must not exist. Removed again on failure. Synced.
 */
MUST_USE enum status disk_import(const char *path, const char *to, const struct work *w,
                                 struct disk_info *ret, struct fault *why);

/* Copy a file without its holes and zeros, with progress: `step` is told. Both are at their beginning. */
MUST_USE enum status disk_copy(int from, int to, uint64_t size, const char *step,
                               const struct work *w, struct fault *why);
