/*
 * cpio: write an archive in the "newc" format, which is what a Linux initramfs is made of.
 *
 * The same calls give the same bytes: all times are 0, owners are root, inodes count up. Paths have no
 * leading slash; a folder comes before what is in it. Errors are remembered: ask at the end.
 */
#pragma once

#include <stdio.h>

#include "base/str.h"

enum { CPIO_PATH_MAX = 1023, CPIO_FILE_MAX = 256 * 1024 * 1024 };

struct cpio {
    FILE *out; /* borrowed */
    uint64_t written;
    uint32_t inode;
    enum status bad; /* the first failure */
    struct fault why;
};

void cpio_init(struct cpio *c, FILE *out);
void cpio_folder(struct cpio *c, const char *path, unsigned mode);
void cpio_file(struct cpio *c, const char *path, unsigned mode, struct str content);
void cpio_link(struct cpio *c, const char *path, const char *target); /* symbolic */
/* A device node; type is 'c' or 'b'. */
void cpio_node(struct cpio *c, const char *path, unsigned mode, char type, unsigned major,
               unsigned minor);
/* The trailer, padded to 512 bytes. Returns the first failure of all calls. */
MUST_USE enum status cpio_end(struct cpio *c, struct fault *why);
