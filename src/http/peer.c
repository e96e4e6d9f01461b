#include "http/peer.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/net_unix.h"

/* Linux has it since 4.13; the C library's headers do not all know it. */
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

enum { GROUPS_MAX = 65536 }; /* what Linux allows */

static bool in_groups(int fd, gid_t group)
{
    gid_t few[64];
    socklen_t size = sizeof few;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &size) == 0) {
        for (size_t i = 0; i < size / sizeof few[0]; i++)
            if (few[i] == group)
                return true;
        return false;
    }
    if (errno != ERANGE || size > GROUPS_MAX * sizeof(gid_t))
        return false;
    AUTO(auto_free) gid_t *all = mem_new(size);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, all, &size) != 0)
        return false;
    for (size_t i = 0; i < size / sizeof all[0]; i++)
        if (all[i] == group)
            return true;
    return false;
}

static bool is_plain(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              strchr("._-", *p)))
            return false;
    return true;
}

static void close_file(FILE **f)
{
    if (*f)
        (void)fclose(*f);
}

enum { PASSWD_LINES_MAX = 5000 };

/* The name of a user in the file, or "". */
static void read_name(const char *file, uid_t uid, char out[PEER_NAME_MAX + 1])
{
    char line[1024];
    struct passwd room, *entry;
    out[0] = 0;
    AUTO(close_file) FILE *f = fopen(file, "re");
    for (int i = 0; f && i < PASSWD_LINES_MAX; i++) {
        if (fgetpwent_r(f, &room, line, sizeof line, &entry) != 0)
            return;
        if (entry->pw_uid != uid)
            continue;
        if (strlen(entry->pw_name) <= PEER_NAME_MAX && is_plain(entry->pw_name))
            (void)snprintf(out, PEER_NAME_MAX + 1, "%s", entry->pw_name);
        return;
    }
}

/* Is it still the file that was read? Tools that change it write another one in its place. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The local name of a user, or "". */
static const char *name_of(struct peer_names *n, uid_t uid)
{
    const char *file = n->file ? n->file : "/etc/passwd";
    struct stat now;
    if (stat(file, &now) != 0)
        return "";
    if (!is_same(&now, &n->read))
        n->count = n->oldest = 0;
    n->read = now;
    for (size_t i = 0; i < n->count; i++)
        if (n->user[i].uid == uid)
            return n->user[i].name;
    size_t at = n->count < PEER_NAMES_MAX ? n->count++ : n->oldest++ % PEER_NAMES_MAX;
    n->user[at].uid = uid;
    read_name(file, uid, n->user[at].name);
    n->lookups++;
    return n->user[at].name;
}

void peer_of(int fd, uid_t owner, gid_t group, struct peer_names *names, struct peer *out)
{
    struct net_unix_peer p;
    *out = (struct peer){0};
    if (net_unix_peer(fd, &p, NULL) != ST_OK)
        return;
    const char *name = name_of(names, p.uid);
    (void)snprintf(out->actor, sizeof out->actor, name[0] ? "uid:%u(%s)" : "uid:%u", p.uid, name);
    bool member = group != (gid_t)-1 && (p.gid == group || in_groups(fd, group));
    out->admin = p.uid == 0 || p.uid == owner || member;
}
