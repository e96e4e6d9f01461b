/*
 * golden: a text must be what a file of the tree holds. With UPDATE=1 in the environment the file
 * becomes that; then look at the difference before you keep it.
 */
#pragma once

#include <stdlib.h>

#include "base/buf.h"
#include "support/tap.h"

enum { GOLDEN_MAX = 1 << 20 };

/* path: from the root of the tree on. */
UNUSED static void golden_check(const char *path, struct str text)
{
    char full[512];
    static char was[GOLDEN_MAX];
    bool update = getenv("UPDATE") != NULL;
    if (!getenv("SOURCE_DIR"))
        tap_skip("SOURCE_DIR does not say where the tree is");
    (void)snprintf(full, sizeof full, "%s/%s", getenv("SOURCE_DIR"), path);
    FILE *f = fopen(full, update ? "w" : "r");
    if (!f)
        tap_fail(__FILE__, __LINE__, "%s cannot be opened", path);
    size_t len = update ? fwrite(text.ptr, 1, text.len, f) : fread(was, 1, GOLDEN_MAX, f);
    (void)fclose(f);
    size_t at = 0, line = 1;
    for (; !update && at < len && at < text.len && was[at] == text.ptr[at]; at++)
        line += was[at] == '\n';
    if (len != text.len || (!update && at < len))
        tap_fail(__FILE__, __LINE__,
                 "%s, line %zu: another text is made now; UPDATE=1 takes it over", path, line);
}
