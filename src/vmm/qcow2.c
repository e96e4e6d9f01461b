#include "vmm/qcow2.h"

#include <string.h>

enum {
    HEADER = 104,
    CLUSTER_BITS = 16,
    REFCOUNT_ORDER = 4, /* 16 bits each */
    L2_BYTES_BITS = 29, /* what one L2 table maps: 8192 entries of a cluster */
    SIZE_AT = 24,
    VERSION_AT = 4,
};
#define MAGIC UINT32_C(0x514649fb) /* "QFI" and 0xfb */

/* qcow2 is big-endian throughout. */
static void put(char *at, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(uint8_t)(v >> (8 * (len - 1 - i)));
}

static uint64_t get(const char *at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | (uint8_t)at[i];
    return v;
}

static void put_header(char *p, uint64_t size, uint64_t l1_entries)
{
    put(p, MAGIC, 4);
    put(p + VERSION_AT, 3, 4);
    put(p + 20, CLUSTER_BITS, 4);
    put(p + SIZE_AT, size, 8);
    put(p + 36, l1_entries, 4);
    put(p + 40, UINT64_C(3) * QCOW2_CLUSTER, 8); /* L1 table */
    put(p + 48, QCOW2_CLUSTER, 8);               /* refcount table */
    put(p + 56, 1, 4);                           /* of one cluster */
    put(p + 96, REFCOUNT_ORDER, 4);
    put(p + 100, HEADER, 4);
}

enum status qcow2_layer(uint64_t size, struct buf *out, struct fault *why)
{
    if (size == 0 || size % 512 != 0 || size > QCOW2_SIZE_MAX)
        return fault_set(why, ST_INVALID, "a disk of %" PRIu64 " bytes", size);
    uint64_t l1_entries = (size + (UINT64_C(1) << L2_BYTES_BITS) - 1) >> L2_BYTES_BITS;
    uint64_t l1_clusters = (l1_entries * 8 + QCOW2_CLUSTER - 1) / QCOW2_CLUSTER;
    uint64_t clusters = 3 + l1_clusters;
    size_t len = (size_t)clusters * QCOW2_CLUSTER;
    char *p = buf_space(out, len);
    if (!p)
        return fault_set(why, ST_TOO_BIG, "no room for the tables of a disk of %" PRIu64 " bytes",
                         size);
    memset(p, 0, len);
    put_header(p, size, l1_entries);
    put(p + QCOW2_CLUSTER, UINT64_C(2) * QCOW2_CLUSTER, 8); /* the one block of refcounts */
    for (uint64_t i = 0; i < clusters; i++)
        put(p + 2 * QCOW2_CLUSTER + 2 * i, 1, 2);
    buf_wrote(out, len);
    return ST_OK;
}

enum status qcow2_size(struct str head, uint64_t *ret_size, struct fault *why)
{
    if (head.len < HEADER || get(head.ptr, 4) != MAGIC)
        return fault_set(why, ST_CORRUPT, "this is no qcow2 file");
    uint64_t version = get(head.ptr + VERSION_AT, 4), size = get(head.ptr + SIZE_AT, 8);
    if (version != 2 && version != 3)
        return fault_set(why, ST_CORRUPT, "qcow2 version %" PRIu64, version);
    if (size == 0 || size > QCOW2_SIZE_MAX)
        return fault_set(why, ST_CORRUPT, "a qcow2 file of a disk of %" PRIu64 " bytes", size);
    *ret_size = size;
    return ST_OK;
}
