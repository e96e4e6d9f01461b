/*
 * bench: what programs that measure the disk share: what the disk does alone, and series of
 * rates beside it.
 */
#pragma once

#include "port/disk.h"

/* Says what failed, and ends the program. */
void bench_check(enum status s, const struct fault *why);

/* How often a second `size` bytes are written into a file that has its room already, each time with
 * an fdatasync; measured for so long. */
double bench_disk_rate(struct disk *d, size_t size, uint64_t for_ms);

enum { BENCH_ROUNDS_MAX = 99 };

/* Rates a second, each with its ratio to what the disk did just before and just after it: disks have
 * moods, and change them in the middle of a run. */
struct bench_series {
    double rate[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];
    size_t count;
};
void bench_add(struct bench_series *s, double rate, double disk_before, double disk_after);
/* One line for tools/bench: name, median of the rates, unit, median of the ratios. Sorts both. */
void bench_print(const char *name, struct bench_series *s);
