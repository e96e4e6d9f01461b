/*
 * tree: open files in a directory that somebody else filled (an unpacked package or archive), without
 * being led out of it: no symbolic link is followed in any part of a path, and ".." goes nowhere.
 */
#pragma once

#include <fcntl.h>

#include "base/buf.h"

/* Open a directory by a path that we trust. The caller closes *ret_fd. */
MUST_USE enum status tree_open(const char *path, int *ret_fd, struct fault *why);

/* Open what is below it: O_RDONLY, and O_DIRECTORY if `folder`, else it must be a regular file. */
MUST_USE enum status tree_open_below(int tree, const char *path, bool folder, int *ret_fd,
                                     struct fault *why);

/* Append a whole regular file to out, whose maximum bounds it. */
MUST_USE enum status tree_read(int tree, const char *path, struct buf *out, struct fault *why);

/* Visit every regular file below it, with its path from there; links are passed over. Which order
 * is not said. false from `visit` ends the walk. */
typedef bool tree_visit(void *ctx, const char *path);
MUST_USE enum status tree_walk(int tree, tree_visit *visit, void *ctx, struct fault *why);
