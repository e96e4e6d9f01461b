/*
 * cgroup: limits on what a VM's monitor may use, with either version of the kernel's control groups.
 *
 * Each VM has a group <root>/[controller/]blixard-<tag>/<uid>. Version 1 has one tree per controller,
 * version 2 one for all. A controller that is not there is told and left out. Calls do not wait.
 */
#pragma once

#include "base/buf.h"
#include "port/host.h"

enum cgroup_kind { CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS, CGROUP_KINDS };

struct cgroups {
    unsigned version;       /* 1 or 2; 0: none */
    bool has[CGROUP_KINDS]; /* limits of this kind can be set */
    int dir[CGROUP_KINDS];  /* our groups' parents; -1: none. Version 2: only the first */
    size_t dir_count;
};

/* root: "/sys/fs/cgroup". Never fails: what is not there is left out, and `missing` says why. */
void cgroups_open(struct cgroups *g, const char *root, const char *tag, struct buf *missing);
void cgroups_close(struct cgroups *g);
/* Remove the parents of all groups, when there are no groups. False: there are. */
bool cgroups_remove(const char *root, const char *tag);

/* Make the groups of a VM, or take those that are there and hold nothing, and set their limits.
 * procs_fd: the files a process is written to; *ret_count of them, CGROUP_KINDS at most, the caller's.
 * ST_IN_USE: something still runs in them. On failure none is left that was not there. */
MUST_USE enum status cgroups_make(const struct cgroups *g, const struct host_spawn *limits,
                                  int procs_fd[CGROUP_KINDS], size_t *ret_count, struct fault *why);

/* Kill what runs in the groups of a VM, and remove them. ST_IN_USE: something has not ended yet; ask
 * again. ST_OK also when there were none, and when there can be none (version 0, as without root). */
MUST_USE enum status cgroups_clean(const struct cgroups *g, const char *uid, struct fault *why);

/* The uids that have a group. */
size_t cgroups_list(const struct cgroups *g, char (*uid)[HOST_UID_MAX], size_t max);
/* The processes in the groups of a VM; one may come twice. */
size_t cgroups_processes(const struct cgroups *g, const char *uid, uint32_t *pid, size_t max);
