#include <stdlib.h>

#include "image/cpio.h"
#include "os/child.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { TIMEOUT_MS = 20000 };

static void make(FILE *out)
{
    struct cpio c;
    cpio_init(&c, out);
    cpio_folder(&c, "bin", 0755);
    cpio_file(&c, "bin/x", 0700, STR("content"));
    cpio_file(&c, "empty", 0644, STR(""));
    cpio_link(&c, "bin/y", "/bin/x");
    cpio_node(&c, "console", 0600, 'c', 5, 1);
    CHECK_EQ(ST_OK, cpio_end(&c, NULL));
}

TEST(cpio_is_read_by_cpio)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s", scratch_file("a.cpio"));
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    make(f);
    (void)fclose(f);
    struct buf out;
    buf_init(&out, 4096);
    const char *argv[] = {"cpio", "-tv", "--quiet", "-F", path, NULL};
    struct child_run run = {.argv = argv, .timeout_ms = TIMEOUT_MS, .out = &out};
    if (child_run(&run, NULL, NULL) == ST_NOT_FOUND)
        tap_skip("there is no cpio program");
    const char *t = buf_cstr(&out);
    CHECK(strstr(t, "drwxr-xr-x   2 root     root            0 Jan  1  1970 bin\n") != NULL);
    CHECK(strstr(t, "-rwx------   1 root     root            7 Jan  1  1970 bin/x\n") != NULL);
    CHECK(strstr(t, "bin/y -> /bin/x\n") != NULL);
    CHECK(strstr(t, "crw-------   1 root     root       5,   1 Jan  1  1970 console\n") != NULL);
    buf_done(&out);
}

TEST(cpio_same_input_gives_same_bytes)
{
    char *a, *b;
    size_t a_len, b_len;
    FILE *f = open_memstream(&a, &a_len), *g = open_memstream(&b, &b_len);
    make(f);
    make(g);
    (void)fclose(f);
    (void)fclose(g);
    CHECK(a_len == b_len && a_len % 512 == 0 && memcmp(a, b, a_len) == 0);
    free(a);
    free(b);
}

TEST(cpio_remembers_its_first_failure)
{
    struct cpio c;
    struct fault why;
    FILE *f = fopen("/dev/full", "w");
    CHECK(f != NULL);
    cpio_init(&c, f);
    char *big = mem_new(1 << 20);
    cpio_file(&c, "big", 0644, (struct str){big, 1 << 20});
    CHECK_EQ(ST_NO_SPACE, cpio_end(&c, &why));
    (void)fclose(f);
    free(big);

    char path[CPIO_PATH_MAX + 2];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    f = fopen("/dev/null", "w");
    cpio_init(&c, f);
    cpio_folder(&c, path, 0755);
    CHECK_EQ(ST_TOO_BIG, cpio_end(&c, &why));
    (void)fclose(f);
}
