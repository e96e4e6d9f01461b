#include "daemon/paths.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool holds_all(const char *dir, struct paths *p)
{
    (void)snprintf(p->helper, sizeof p->helper, "%s/blixard-helper", dir);
    (void)snprintf(p->shim, sizeof p->shim, "%s/blixard-shim", dir);
    (void)snprintf(p->guest, sizeof p->guest, "%s/blixard-guest", dir);
    return access(p->helper, X_OK) == 0 && access(p->shim, X_OK) == 0 &&
           access(p->guest, R_OK) == 0;
}

enum status paths_find(const struct config *c, const char *program, struct paths *ret,
                       struct fault *why)
{
    char beside[CONFIG_PATH_MAX] = "", libexec[CONFIG_PATH_MAX + 32] = "";
    struct paths p = {0};
    const char *slash = strrchr(program, '/');
    if (slash && (size_t)(slash - program) < sizeof beside)
        (void)snprintf(beside, sizeof beside, "%.*s", (int)(slash - program), program);
    (void)snprintf(libexec, sizeof libexec, "%s/../libexec/blixard", beside);
    if (c->libexec_dir[0] ? !holds_all(c->libexec_dir, &p)
                          : !holds_all(beside, &p) && !holds_all(libexec, &p)) {
        (void)fault_set(why, ST_NOT_FOUND,
                        "blixard-helper, blixard-shim and blixard-guest are not there");
        return fault_hint(why, "looked in %s; set libexec_dir",
                          c->libexec_dir[0] ? c->libexec_dir : libexec);
    }
    if (access("/bin/busybox", X_OK) == 0)
        (void)snprintf(p.busybox, sizeof p.busybox, "/bin/busybox");
    (void)snprintf(p.mark, sizeof p.mark, "%s/node.mark", c->run_dir);
    *ret = p;
    return ST_OK;
}
