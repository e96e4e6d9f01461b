/*
 * bench: what programs that measure the disk share: a clock, medians, and what the disk does alone.
 */
#pragma once

#include "port/disk.h"

uint64_t bench_now_ns(void); /* monotonic */

/* Says what failed, and ends the program. */
void bench_check(enum status s, const struct fault *why);

/* Of one or more values, which it sorts. */
double bench_median(double *value, size_t count);

/* How often a second `size` bytes are written into a file that has its room already, each time with
 * an fdatasync; measured for so long. */
double bench_disk_rate(struct disk *d, size_t size, uint64_t for_ms);

/* One line for tools/bench: what, how many of it a second, and how that compares to `base`. */
void bench_print(const char *name, double per_s, double base);
