/*
 * vmlinux: from a kernel as it is shipped to one that QEMU starts directly.
 *
 * A bzImage is a small program that unpacks the kernel within it. QEMU can start the unpacked kernel
 * through its PVH note, which under emulation saves a quarter of the boot. The input may be anybody's:
 * every length is checked, and what is unpacked is bounded.
 */
#pragma once

#include "base/str.h"

enum { VMLINUX_PACKED_MAX = 64 * 1024 * 1024, VMLINUX_MAX = 256 * 1024 * 1024 };

enum vmlinux_packing { VMLINUX_LZ4, VMLINUX_ZSTD };

/*
 * Find the packed kernel within a bzImage. Pure.
 *
 * ret_payload  a view into bzimage.
 * ret_size     its unpacked size, as it claims; <= VMLINUX_MAX.
 *
 * Returns  ST_INVALID      this is no x86 bzImage, or its header lies.
 *          ST_UNSUPPORTED  packed in another way (gzip, xz, ...), or older than Linux 2.6.30.
 */
MUST_USE enum status vmlinux_payload(struct str bzimage, enum vmlinux_packing *ret_packing,
                                     struct str *ret_payload, size_t *ret_size, struct fault *why);

/* Is this a 64-bit x86 ELF kernel with a PVH entry note? Pure. ST_INVALID, or ST_UNSUPPORTED when it is a
 * kernel without the note. */
MUST_USE enum status vmlinux_check(struct str elf, struct fault *why);

/*
 * Write the unpacked kernel that `fd` holds (a bzImage, or an ELF vmlinux, which is copied) to the file
 * `to`, whole or not at all.
 *
 * fd       read from its beginning; at most VMLINUX_MAX bytes.
 * name     what the file is called, for messages.
 * dir      descriptor of the directory to which `to` is relative, or AT_FDCWD.
 */
MUST_USE enum status vmlinux_extract(int fd, const char *name, int dir, const char *to,
                                     struct fault *why);
