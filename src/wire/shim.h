/*
 * shim: how blixard-shim, the small process that stands between us and the QEMU of one VM, is started,
 * spoken to, and what it leaves behind. The same code runs at both ends. Pure: bytes in, bytes out.
 *
 * A shim outlives those who started it, and so may be of an older version than they are. Numbers are
 * only ever added: a reader refuses a version it does not know, and a shim speaks that of its start.
 *
 *     start    one message, read from descriptor SHIM_FD_START to its end
 *     socket   SOCK_SEQPACKET; each request is answered by the record; EXITED comes unasked, before the
 *              shim ends. Losing the connection means nothing.
 *     record   SHIM_FILE in the VM's directory, replaced as a whole: when the monitor runs, and when it ended
 *
 * Times called boot_ms are CLOCK_BOOTTIME, those called wall_ns CLOCK_REALTIME.
 */
#pragma once

#include "base/buf.h"

#define SHIM_FILE "shim.rec"
#define SHIM_NONE UINT64_MAX /* no deadline */

enum {
    SHIM_VERSION = 1,
    SHIM_UID_MAX = 33, /* with the terminator */
    SHIM_ARGS_MAX = 256,
    SHIM_GROUPS_MAX = 4,
    SHIM_LIMITS_MAX = 8,
    SHIM_START_MAX = 64 * 1024,
    SHIM_TAIL_MAX = 4096, /* of what the monitor wrote to its stderr */
    SHIM_RECORD_MAX = SHIM_TAIL_MAX + 256,
    SHIM_MESSAGE_MAX = SHIM_RECORD_MAX + 32,
};

/* Descriptors that a shim is started with; it has no others. */
enum {
    SHIM_FD_START = 3,
    SHIM_FD_DIR = 4,    /* the VM's directory */
    SHIM_FD_LISTEN = 5, /* the socket, listening */
    SHIM_FD_CGROUP = 6, /* and following: cgroup.procs files that the monitor is written to */
    SHIM_CGROUPS_MAX = 8,
    SHIM_FD_KEEP = 16, /* and following: the monitor's own, under the same numbers */
    SHIM_KEEP_MAX = 48,
};

/* What surrounds the monitor. */
enum shim_wall {
    SHIM_PID = 1,   /* own pid namespace: nothing of it can be left behind */
    SHIM_MOUNT = 2, /* own mount namespace, all of it read-only */
    SHIM_NET = 4,   /* own, empty network namespace */
    SHIM_IPC = 8,
    SHIM_UTS = 16,
    SHIM_IDS = 32, /* user and groups of its own */
    SHIM_WALLS = 63,
};

struct shim_limit {
    uint32_t resource; /* RLIMIT_x of Linux */
    uint64_t value;
};

struct shim_start {
    char uid[SHIM_UID_MAX]; /* of the VM */
    uint64_t epoch, incarnation;
    uint32_t walls;        /* enum shim_wall: all of them, or it does not start */
    uint32_t id;           /* SHIM_IDS: the monitor's user and group */
    uint32_t own_id;       /* SHIM_IDS: the shim's own, once the monitor runs; it may speak to it */
    uint32_t own_group;    /* likewise */
    uint64_t deadline_ms;  /* boot_ms at which the monitor is ended, or SHIM_NONE */
    uint32_t cgroup_count; /* descriptors from SHIM_FD_CGROUP on */
    uint32_t keep_count;   /* descriptors from SHIM_FD_KEEP on */
    size_t group_count;
    uint32_t group[SHIM_GROUPS_MAX]; /* SHIM_IDS: further groups */
    size_t limit_count;
    struct shim_limit limit[SHIM_LIMITS_MAX];
    size_t argc; /* >= 1 */
    struct str
        argv[SHIM_ARGS_MAX]; /* argv[0] is an absolute path; each is followed by a NUL in memory */
};

/* Append the message. ST_INVALID, ST_TOO_BIG: a limit is broken, nothing was appended. */
MUST_USE enum status shim_put_start(struct buf *out, const struct shim_start *s, struct fault *why);
/* Views in ret point into the message. ST_CORRUPT, or ST_UNSUPPORTED for another version. */
MUST_USE enum status shim_get_start(struct str message, struct shim_start *ret, struct fault *why);

enum shim_phase {
    SHIM_STARTING = 1, /* nothing runs yet */
    SHIM_RUNNING = 2,
    SHIM_EXITED = 3,
    SHIM_PHASE_COUNT
};

/* Why the monitor ended, or, while it still runs, is being ended. */
enum shim_cause {
    SHIM_NOT_YET = 0,
    SHIM_ITSELF = 1,    /* by itself: wait_status tells */
    SHIM_KILLED = 2,    /* on request */
    SHIM_LEASE = 3,     /* its deadline passed */
    SHIM_SIGNALLED = 4, /* the shim was told to end by a signal */
    SHIM_NO_START = 5,  /* it was never run; tail tells why */
    SHIM_CAUSE_COUNT
};

/* A process is known by its number and its start, in clock ticks since boot (field 22 of /proc/N/stat). */
struct shim_record {
    char uid[SHIM_UID_MAX];
    uint64_t epoch, incarnation;
    enum shim_phase phase;
    enum shim_cause cause;
    uint32_t walls; /* that surround the monitor */
    uint32_t shim_pid, pid;
    uint64_t shim_start, start;
    uint8_t host_boot[16]; /* boot id of the host */
    uint64_t deadline_ms;
    uint32_t wait_status; /* as of waitpid(2) */
    uint64_t started_wall_ns, ended_wall_ns;
    struct str tail; /* of stderr; empty before the end */
};

MUST_USE enum status shim_put_record(struct buf *out, const struct shim_record *r,
                                     struct fault *why);
/* ret->tail points into the bytes. ST_CORRUPT (it has a checksum), ST_UNSUPPORTED. */
MUST_USE enum status shim_get_record(struct str bytes, struct shim_record *ret, struct fault *why);

enum shim_type {
    SHIM_STATUS = 1,
    SHIM_DEADLINE = 2, /* value: boot_ms, or SHIM_NONE for none */
    SHIM_KILL = 3,     /* end the monitor at once; EXITED follows */
    SHIM_TYPE_COUNT,
    SHIM_DONE = 64,    /* answer: it was done */
    SHIM_REFUSED = 65, /* answer: the request is not known; nothing was done */
    SHIM_ENDED = 66,   /* unasked, id 0: the record says how */
};

enum { SHIM_REQUEST = 20 }; /* bytes of a request */

struct shim_request {
    uint8_t type; /* enum shim_type, or one of a later version */
    uint32_t id;  /* the asker's choice */
    uint64_t value;
};

void shim_put_request(struct buf *out, const struct shim_request *r);
MUST_USE enum status shim_get_request(struct str message, struct shim_request *ret,
                                      struct fault *why);

struct shim_answer {
    uint8_t type; /* SHIM_DONE, SHIM_REFUSED or SHIM_ENDED */
    uint32_t id;
    struct shim_record record;
};

MUST_USE enum status shim_put_answer(struct buf *out, const struct shim_answer *a,
                                     struct fault *why);
MUST_USE enum status shim_get_answer(struct str message, struct shim_answer *ret,
                                     struct fault *why);
