/*
 * scratch: a directory for one test or benchmark, removed when that ends, unless a signal ends it.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "os/file.h"

static char scratch_path[64];

static void scratch_remove(void)
{
    struct fault why;
    if (file_remove_tree(AT_FDCWD, scratch_path, &why) != ST_OK)
        printf("# %s\n", why.text);
}

/* Made at the first call in a process. Short enough for the path of a unix socket. */
static const char *scratch_dir(void)
{
    if (!scratch_path[0]) {
        (void)snprintf(scratch_path, sizeof scratch_path, "/tmp/blixard-test-XXXXXX");
        require(mkdtemp(scratch_path) != NULL);
        require(atexit(scratch_remove) == 0);
    }
    return scratch_path;
}

/* A path in it; valid until the next call. */
UNUSED static const char *scratch_file(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", scratch_dir(), name);
    return path;
}
