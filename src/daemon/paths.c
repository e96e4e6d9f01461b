#include "daemon/paths.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/program.h"

enum status paths_find(const struct config *c, const char *program, struct paths *ret,
                       struct fault *why)
{
    char beside[PROGRAM_PATH_MAX] = "", dir[PROGRAM_PATH_MAX];
    struct paths p = {0};
    const char *slash = strrchr(program, '/');
    if (slash && (size_t)(slash - program) < sizeof beside)
        (void)snprintf(beside, sizeof beside, "%.*s", (int)(slash - program), program);
    if (!program_find_libexec("", c->libexec_dir, beside, dir)) {
        enum status s = fault_set(why, ST_NOT_FOUND,
                                  "blixard-helper, blixard-shim and blixard-guest are not there");
        fault_hint(why, "looked in %s; set libexec_dir", dir);
        return s;
    }
    (void)snprintf(p.helper, sizeof p.helper, "%s/blixard-helper", dir);
    (void)snprintf(p.shim, sizeof p.shim, "%s/blixard-shim", dir);
    (void)snprintf(p.guest, sizeof p.guest, "%s/blixard-guest", dir);
    if (access("/bin/busybox", X_OK) == 0)
        (void)snprintf(p.busybox, sizeof p.busybox, "/bin/busybox");
    (void)snprintf(p.mark, sizeof p.mark, "%s/node.mark", c->run_dir);
    *ret = p;
    return ST_OK;
}
