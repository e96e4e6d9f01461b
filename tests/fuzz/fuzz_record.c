/*
 * Any bytes as a VM's record, and as the head of a qcow2 file and of a disk. A record that is taken is
 * written the same again.
 */
#include "vmm/fstype.h"
#include "vmm/qcow2.h"
#include "vmm/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct record r;
    uint64_t disk;
    if (vm_record_decode(bytes, &r, NULL) == ST_OK) {
        struct buf b;
        buf_init(&b, RECORD_SIZE_MAX);
        vm_record_encode(&b, &r);
        ensure(str_eq(buf_view(&b), bytes));
        buf_done(&b);
    }
    (void)!qcow2_size(bytes, &disk, NULL);
    (void)fstype_of(bytes);
    return 0;
}
