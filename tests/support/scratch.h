/*
 * scratch: a directory for one test or benchmark, removed when that ends, unless a signal ends it.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/file.h"

static char *scratch_path;
static pid_t scratch_owner; /* a fork that ends by exit() leaves it alone */

static void scratch_remove(void)
{
    struct fault why;
    if (getpid() == scratch_owner && file_remove_tree(AT_FDCWD, scratch_path, &why) != ST_OK)
        printf("# %s\n", why.text);
}

/* As scratch_dir(), and below `place`, in some 200 bytes. */
static const char *scratch_dir_in(const char *place)
{
    if (!scratch_path) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/blixard-test-XXXXXX", place);
        if (!mkdtemp(path)) {
            perror(path);
            exit(1);
        }
        scratch_path = mem_strdup(path);
        scratch_owner = getpid();
        require(atexit(scratch_remove) == 0);
    }
    return scratch_path;
}

/* Made at the first call in a process. Short enough for the path of a unix socket. */
UNUSED static const char *scratch_dir(void)
{
    return scratch_dir_in("/tmp");
}

/* A path in it; valid until the next call. */
UNUSED static const char *scratch_file(const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", scratch_dir(), name);
    return path;
}
