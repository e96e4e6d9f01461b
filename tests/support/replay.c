/*
 * replay: runs a fuzz target over a corpus folder and over bytes from a fixed seed, as a TAP test.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RANDOM_RUNS = 2000, RANDOM_LEN = 300, CORPUS_FILE_MAX = 1 << 20 };

static int replay_file(const char *path)
{
    static uint8_t data[CORPUS_FILE_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return 0;
    size_t n = fread(data, 1, sizeof data, f);
    (void)fclose(f);
    uint8_t *exact = mem_dup(data, n); /* so that a sanitizer sees the end */
    (void)LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    return 1;
}

static int replay_folder(const char *folder)
{
    DIR *d = opendir(folder);
    int count = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            count += replay_file(path);
    }
    if (d)
        (void)closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    int files = argc > 1 ? replay_folder(argv[1]) : 0;
    printf("%s 1 - corpus of %d files\n", files > 0 ? "ok" : "not ok", files);
    struct rng r = {1};
    for (int i = 0; i < RANDOM_RUNS; i++) {
        size_t n = (size_t)rng_below(&r, RANDOM_LEN);
        uint8_t *data = mem_new(n + 1);
        for (size_t k = 0; k < n; k++)
            data[k] = (uint8_t)rng_next(&r);
        (void)LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    printf("ok 2 - random bytes\n1..2\n");
    return files > 0 ? 0 : 1;
}
