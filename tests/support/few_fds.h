/*
 * few_fds: a process that runs out of descriptors, for tests.
 */
#pragma once

#include <fcntl.h>
#include <sys/resource.h>

#include "support/tap.h"

/* Only so many may be opened from now on. */
static void few_fds(unsigned count)
{
    struct rlimit l;
    CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &l));
    for (l.rlim_cur = 0; l.rlim_cur < l.rlim_max; l.rlim_cur++)
        if (fcntl((int)l.rlim_cur, F_GETFD) < 0 && count-- == 0)
            break;
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &l));
}

/* As many as ever. */
static void many_fds(void)
{
    struct rlimit l;
    CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &l));
    l.rlim_cur = l.rlim_max;
    CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &l));
}
