/*
 * etcd_group: three etcd on loopback, with nothing set but names, addresses and directories, and what loads them
 * with writes at their leader.
 */
#pragma once

#include "base/fault.h"

enum { ETCD_COUNT = 3, ETCD_VALUE_BYTES = 256, ETCD_LINKS_MAX = 64 };

struct etcd_group {
    char version[16];
    int pid[ETCD_COUNT];
    uint16_t port[ETCD_COUNT];
    unsigned leader; /* 0.. */
    size_t link_count;
    uint64_t number;   /* of the next write */
    uint64_t answered; /* writes */
    uint64_t own_ns;   /* CPU time of the load, in all rates so far */
};

/* Is there an etcd to run? NULL: no. */
const char *etcd_find(void);

/* After herd_begin(); dir exists. Each gets a directory in it, and writes what it logs there.
 * link_count  connections that share the load; 1..ETCD_LINKS_MAX. */
void etcd_group_begin(struct etcd_group *g, const char *program, const char *dir,
                      size_t link_count);

/* How many writes a second are answered while so many are outstanding, of 256 bytes each under one of a
 * bounded number of keys. */
double etcd_group_rate(struct etcd_group *g, uint32_t outstanding, uint64_t for_ms);
/* Likewise of how often the leader tells how it is, which is no work: what the load is capable of. */
double etcd_group_status_rate(struct etcd_group *g, uint32_t outstanding, uint64_t for_ms);

/* How many writes the leader's state has seen. */
uint64_t etcd_group_written(struct etcd_group *g);
uint64_t etcd_group_cpu_ns(const struct etcd_group *g); /* of all three until now */
