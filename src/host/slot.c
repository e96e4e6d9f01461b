#include "host/slot.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"

enum { PIDS_MAX = 64, STATUS_MAX = 64 * 1024 };

/* ---- what an earlier helper left ---- */

/* The real user of a process; false when it cannot be known. */
static bool read_user(uint32_t pid, uint64_t *ret)
{
    char path[32];
    struct buf b AUTO(buf_done);
    buf_init(&b, STATUS_MAX);
    (void)snprintf(path, sizeof path, "/proc/%" PRIu32 "/status", pid);
    if (file_read(AT_FDCWD, path, &b, NULL) != ST_OK)
        return false;
    struct str rest = buf_view(&b), line, word;
    while (str_cut(&rest, '\n', &line))
        if (str_cut(&line, '\t', &word) && str_is(word, "Uid:") && str_cut(&line, '\t', &word))
            return str_u64(word, 0, UINT32_MAX, ret, NULL) == ST_OK;
    return false;
}

static bool has_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

/* Hold the process, if it has a slot. */
static bool take_process(struct slots *s, uint32_t pid, uint32_t id_first, uint32_t id_count)
{
    uint64_t user = 0;
    AUTO(close_fd) int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 || !read_user(pid, &user) || user < id_first || user - id_first >= id_count)
        return false;
    if (has_ended(fd)) /* then what was read may be of another that got its number */
        return false;
    slots_take(s, (uint32_t)user - id_first, fd);
    fd = -1;
    return true;
}

void slots_init(struct slots *s, const struct cgroups *g, uint32_t id_first, uint32_t id_count)
{
    char(*uid)[HOST_UID_MAX] = mem_new(sizeof(char[HOST_LIST_MAX][HOST_UID_MAX]));
    uint32_t pid[PIDS_MAX];
    s->count = 0;
    size_t vms = cgroups_list(g, uid, HOST_LIST_MAX);
    for (size_t i = 0; i < vms; i++) {
        size_t pids = cgroups_processes(g, uid[i], pid, PIDS_MAX);
        bool taken = false;
        for (size_t p = 0; p < pids && !taken; p++)
            taken = take_process(s, pid[p], id_first, id_count);
    }
    free(uid);
}

void slots_done(struct slots *s)
{
    for (size_t i = 0; i < s->count; i++)
        (void)close(s->holder[i].pidfd);
    s->count = 0;
}

/* ---- asking ---- */

static void forget_ended(struct slots *s)
{
    struct pollfd p[SLOTS_HELD_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        p[i] = (struct pollfd){.fd = s->holder[i].pidfd, .events = POLLIN};
    if (poll(p, s->count, 0) <= 0)
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (p[i].revents)
            (void)close(s->holder[i].pidfd);
        else
            s->holder[kept++] = s->holder[i];
    }
    s->count = kept;
}

enum status slots_check(struct slots *s, uint32_t slot, struct fault *why)
{
    forget_ended(s);
    for (size_t i = 0; i < s->count; i++)
        if (s->holder[i].slot == slot)
            return fault_set(why, ST_IN_USE, "a VM in slot %" PRIu32 " still runs", slot);
    if (s->count == SLOTS_HELD_MAX)
        return fault_set(why, ST_LIMIT, "%d VMs run already", SLOTS_HELD_MAX);
    return ST_OK;
}

void slots_take(struct slots *s, uint32_t slot, int pidfd)
{
    require(s->count < SLOTS_HELD_MAX && pidfd >= 0);
    s->holder[s->count++] = (struct slot_holder){slot, pidfd};
}
