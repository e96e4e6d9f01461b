/*
 * process: a process that is not our child, held by its pidfd. A number alone may come to mean another
 * one; a number with a start time does not.
 */
#pragma once

#include "base/fault.h"

/* Start in clock ticks since boot (field 22 of /proc/N/stat); 0: there is none. */
uint64_t process_start_time(uint32_t pid);

/* Open the process that had `pid` and started at `start`. ST_NOT_FOUND: it is gone. ST_IO and others:
 * that cannot be seen now. */
MUST_USE enum status process_open(uint32_t pid, uint64_t start, int *ret_pidfd, struct fault *why);
bool process_ended(int pidfd);

struct process_usage {
    uint64_t cpu_ns;    /* of all its threads, user and system; UINT64_MAX: not known */
    uint64_t rss_bytes; /* likewise */
};
void process_usage(uint32_t pid, struct process_usage *ret);

/* Boot id of this host; zeros when it cannot be read. */
void process_host_boot(uint8_t out[16]);
