/*
 * job: one image, made in a process of its own.
 *
 * The store runs this program again with JOB_ARGUMENT; working directory is the job's staging
 * directory. It finds the request there, makes the parts beside it, and tells on stdout how it goes.
 * Whoever kills the process has cancelled the job, its tools included.
 *
 *     in    request            a packed Pb__Image: source, meta
 *     out   kernel initrd disk the parts
 *           result             a packed Pb__Image with the output fields set
 *     stdout, a line each:
 *           step 30 unpacking the kernel        (percent; 255: not known)
 *           fault CODE<tab>TEXT<tab>HINT        before exit status 1
 */
#pragma once

#include "base/str.h"

#define JOB_ARGUMENT "__image-job"

/* argv after JOB_ARGUMENT: cache directory, path of blixard-guest, path of busybox or "". */
int job_main(int argc, char **argv);
