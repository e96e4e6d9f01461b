/*
 * sysfile: set the small files by which the kernel is configured (/proc, /sys). For reading, os/file.h.
 */
#pragma once

#include "base/fault.h"

/* One write(2) of the whole text. The fault names the file and the kernel's answer. */
MUST_USE enum status sysfile_write(int dir, const char *path, const char *text, struct fault *why);
