#include "vmm/fstype.h"

#include <string.h>

/* Where each puts its magic: ext4's struct ext4_super_block s_magic, xfs sb_magicnum, btrfs magic of the
 * superblock at 64 KiB, erofs_super_block at 1 KiB, squashfs s_magic. */
static const struct {
    const char *type;
    size_t at, len;
    const char *magic;
    bool read_only;
} known[] = {
    {"ext4", 1024 + 0x38, 2, "\x53\xef", false},
    {"xfs", 0, 4, "XFSB", false},
    {"btrfs", 65536 + 0x40, 8, "_BHRfS_M", false},
    {"erofs", 1024, 4, "\xe2\xe1\xf5\xe0", true},
    {"squashfs", 0, 4, "hsqs", true},
};

const char *fstype_of(struct str head)
{
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (head.len >= known[i].at + known[i].len &&
            memcmp(head.ptr + known[i].at, known[i].magic, known[i].len) == 0)
            return known[i].type;
    return "unknown";
}

bool fstype_is_read_only(const char *type)
{
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(known[i].type, type) == 0)
            return known[i].read_only;
    return false;
}
