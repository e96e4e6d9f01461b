/*
 * qcow2: make the layer that holds what a VM writes, above an image that others share. Pure.
 *
 * A fresh layer is four clusters: header, refcount table, one block of refcounts, and an empty L1
 * table. Writing them here takes no time and no other program. What lies below is not named in the
 * file: QEMU is told by its command line, so that a guest's disk never decides what is opened.
 */
#pragma once

#include "base/buf.h"

enum { QCOW2_CLUSTER = 65536, QCOW2_HEADER_MAX = 4096 };
#define QCOW2_SIZE_MAX (UINT64_C(16) << 40)

/* Append the bytes of an empty layer. size: bytes that the guest sees, a multiple of 512, at most
 * QCOW2_SIZE_MAX. out takes some 256 KiB and 8 bytes for each 512 MiB of size. */
MUST_USE enum status qcow2_layer(uint64_t size, struct buf *out, struct fault *why);

/* What size a qcow2 file's guest sees, from its first bytes (QCOW2_HEADER_MAX of them, or all). ST_CORRUPT
 * when this is no qcow2 file. */
MUST_USE enum status qcow2_size(struct str head, uint64_t *ret_size, struct fault *why);
