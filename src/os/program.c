#include "os/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

enum { ROOTED_MAX = 2 * PROGRAM_PATH_MAX };

static bool may(const char *root, const char *path, int how)
{
    char whole[ROOTED_MAX];
    int n = snprintf(whole, sizeof whole, "%s%s", root, path);
    return n > 0 && n < ROOTED_MAX && access(whole, how) == 0;
}

const char *program_path(void)
{
    const char *path = getenv("PATH");
    return path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

bool program_find(const char *root, const char *path, const char *name, char out[PROGRAM_PATH_MAX])
{
    struct str rest = str_from(path), dir;
    for (bool more = true; more;) {
        char file[PROGRAM_PATH_MAX];
        more = str_cut(&rest, ':', &dir);
        int n = snprintf(file, sizeof file, STR_FMT "/%s", STR_ARG(dir), name);
        if (dir.len > 0 && n > 0 && n < PROGRAM_PATH_MAX && may(root, file, X_OK)) {
            memcpy(out, file, sizeof file);
            return true;
        }
    }
    return false;
}

bool program_find_qemu(const char *root, const char *path, const char *configured,
                       char out[PROGRAM_PATH_MAX])
{
    static const char name[] = "qemu-system-x86_64";
    (void)snprintf(out, PROGRAM_PATH_MAX, "%s", configured[0] ? configured : name);
    return configured[0] ? may(root, out, X_OK) : program_find(root, path, name, out);
}

static bool holds_all(const char *root, const char *dir)
{
    static const struct {
        const char *name;
        int how;
    } files[] = {{"blixard-helper", X_OK}, {"blixard-shim", X_OK}, {"blixard-guest", R_OK}};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char file[PROGRAM_PATH_MAX + 20];
        (void)snprintf(file, sizeof file, "%s/%s", dir, files[i].name);
        if (!may(root, file, files[i].how))
            return false;
    }
    return true;
}

bool program_find_libexec(const char *root, const char *configured, const char *program_dir,
                          char out[PROGRAM_PATH_MAX])
{
    (void)snprintf(out, PROGRAM_PATH_MAX, "%s", configured[0] ? configured : program_dir);
    if (holds_all(root, out))
        return true;
    if (configured[0])
        return false;
    const char *slash = strrchr(program_dir, '/'); /* bin/ and libexec/ stand side by side */
    (void)snprintf(out, PROGRAM_PATH_MAX, "%.*s/libexec/blixard",
                   slash ? (int)MIN(slash - program_dir, PROGRAM_PATH_MAX) : 0, program_dir);
    return holds_all(root, out);
}
