/*
 * Any file as a kernel, as a module and as a disk image: headers are read in bounds.
 */
#include "image/disk.h"
#include "image/modules.h"
#include "image/vmlinux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size}, found;
    enum vmlinux_packing packing;
    struct disk_info info;
    size_t len;
    if (vmlinux_payload(bytes, &packing, &found, &len, NULL) == ST_OK)
        require(len <= VMLINUX_MAX && found.ptr + found.len <= bytes.ptr + size);
    (void)!vmlinux_check(bytes, NULL);
    if (modules_depends(bytes, &found, NULL) == ST_OK && found.len > 0)
        require(found.ptr >= bytes.ptr && found.ptr + found.len <= bytes.ptr + size);
    if (disk_probe(bytes, size, &info, NULL) == ST_OK)
        require(info.size > 0 && info.size <= DISK_BYTES_MAX);
    return 0;
}
