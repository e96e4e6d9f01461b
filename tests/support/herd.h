/*
 * herd: the processes that a benchmark starts. However the program ends, short of SIGKILL or an abort, they end with it
 * by their pids; after one of those the kernel ends them.
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"

/* From now on SIGINT, SIGTERM and SIGHUP do no more than herd_watch() tells of. Once in a program, and after scratch_dir():
 * what they write to goes when they are gone. */
void herd_begin(void);

/* As fork(2), with default signals in the child, which leaves by _exit() or an exec. name is kept, and says
 * what it was if it ends early. */
pid_t herd_fork(const char *name);

/* To be called wherever the program waits: says why and exits if it was told to end, or one of its processes
 * has ended. */
void herd_watch(void);

/* CPU time of a process until now, all of its threads. */
uint64_t herd_cpu_ns(pid_t pid);
