#include "daemon/identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

void identity_find(const struct config *c, struct identity *ret)
{
    const struct group *g = getgrnam(c->group);
    *ret = (struct identity){.root = geteuid() == 0, .uid = geteuid(), .gid = getegid()};
    ret->api_group = g ? g->gr_gid : (gid_t)-1;
    if (!ret->root)
        return;
    const struct passwd *p = getpwnam(c->user);
    if (p) {
        ret->uid = p->pw_uid;
        ret->gid = p->pw_gid;
        return;
    }
    ret->uid = ret->gid = c->vm.uid_base;
    (void)snprintf(ret->note, sizeof ret->note,
                   "there is no user %s: running as user id %u instead", c->user, ret->uid);
}

enum status identity_assume(const struct identity *i, struct fault *why)
{
    if (!i->root || i->uid == 0)
        return ST_OK;
    if (setgroups(0, NULL) < 0 || setresgid(i->gid, i->gid, i->gid) < 0 ||
        setresuid(i->uid, i->uid, i->uid) < 0)
        return fault_errno(why, errno, "become user id %u", i->uid);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault_errno(why, errno, "give up new privileges");
    /* It must not have been possible to go back. */
    ensure(setresuid(0, 0, 0) < 0);
    return ST_OK;
}
