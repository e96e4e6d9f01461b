/*
 * modules: which kernel modules a guest needs, in the order in which they must be loaded.
 *
 * Their dependencies are read from the modules themselves (.modinfo), since a kernel package has no
 * modules.dep before it is installed.
 */
#pragma once

#include "base/str.h"

enum { MODULES_MAX = 64, MODULE_NAME_MAX = 63, MODULE_PATH_MAX = 511, MODULE_FILE_MAX = 16 << 20 };

struct module {
    char name[MODULE_NAME_MAX + 1]; /* with '_', never '-' */
    char path[MODULE_PATH_MAX + 1]; /* below the tree */
};

struct modules {
    struct module item[MODULES_MAX];
    size_t count;
};

/*
 * Find `names` and what they depend on.
 *
 * tree      descriptor of /lib/modules/VERSION, or of such a directory in an unpacked package.
 * names     modules; '-' and '_' mean the same. Those built into the kernel need nothing.
 * ret       dependencies come before what needs them.
 *
 * Returns  ST_NOT_FOUND    a module is neither there nor built in.
 *          ST_UNSUPPORTED  it is compressed (.ko.xz, .ko.zst, .ko.gz).
 *          ST_INVALID      it is no module, or depends on itself.
 */
MUST_USE enum status modules_find(int tree, const char *const *names, size_t count,
                                  struct modules *ret, struct fault *why);

/* The "depends=" of a module's file: names with ',' between, perhaps none. Pure. ST_INVALID when this is
 * no module. */
MUST_USE enum status modules_depends(struct str elf, struct str *ret, struct fault *why);
