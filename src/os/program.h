/*
 * program: where programs are.
 *
 * `root` stands before all paths that are looked at, and is in none that is told: "" but for who
 * looks at another machine's files.
 */
#pragma once

#include "base/defs.h"

enum { PROGRAM_PATH_MAX = 256 };

/* $PATH, or what is usual when there is none. */
const char *program_path(void);

/* The first of that name in `path`, a list as in $PATH. */
MUST_USE bool program_find(const char *root, const char *path, const char *name,
                           char out[PROGRAM_PATH_MAX]);

/* QEMU: `configured`, or, if that is "", the first in `path`. false: it is not there, and out says
 * what was looked for. */
MUST_USE bool program_find_qemu(const char *root, const char *path, const char *configured,
                                char out[PROGRAM_PATH_MAX]);

/* The directory of blixard-helper, blixard-shim and blixard-guest: `configured`, or, if that is "",
 * program_dir or else libexec/blixard beside it. false: they are not there, and out says where they
 * should be. */
MUST_USE bool program_find_libexec(const char *root, const char *configured,
                                   const char *program_dir, char out[PROGRAM_PATH_MAX]);
