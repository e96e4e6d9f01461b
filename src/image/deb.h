/*
 * deb: Debian packages as files.
 */
#pragma once

#include "image/work.h"

/* Unpack a package into the empty directory `to`. What is in it is not trusted; see tree.h. */
MUST_USE enum status deb_unpack(const char *deb, const char *to, const struct work *w,
                                struct fault *why);

/* The newest package NAME_VERSION_ARCH.deb in the directory whose name begins with `prefix` and ends
 * with `suffix`; ret has `size` bytes. ST_NOT_FOUND. */
MUST_USE enum status deb_find(const char *dir, const char *prefix, const char *suffix, char *ret,
                              size_t size, struct fault *why);

/* Let apt download the package that `name` depends on and that begins with `prefix`, into the directory. */
MUST_USE enum status deb_download(const char *name, const char *prefix, const char *dir,
                                  const struct work *w, struct fault *why);
