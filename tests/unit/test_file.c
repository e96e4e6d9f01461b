#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock_os.h"
#include "os/disk_os.h"
#include "os/entropy_os.h"
#include "os/file.h"
#include "support/scratch.h"
#include "support/tap.h"

static void write_file(const char *name, const char *text)
{
    struct fault why = {0};
    if (file_write(AT_FDCWD, scratch_file(name), str_from(text), 0600, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

/* The number is soon another file's: closing it twice would close that. */
TEST(file_descriptor_is_closed_once)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), first = fd;
    close_fd(&fd);
    CHECK_EQ(-1, fd);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(first, other);
    close_fd(&fd);
    CHECK(fcntl(other, F_GETFD) >= 0);
    close_fd(&other);
}

TEST(file_written_is_read_back_with_its_mode)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 100);
    write_file("a", "one");
    write_file("a", "two");
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, scratch_file("a"), &b, NULL));
    CHECK_STR("two", buf_cstr(&b));
    struct stat st;
    CHECK(stat(scratch_file("a"), &st) == 0);
    CHECK_EQ(0600, st.st_mode & 07777);
    CHECK(stat(scratch_file("a.tmp"), &st) != 0); /* nothing is left of the writing */
}

TEST(file_read_takes_what_fits_and_nothing_of_what_does_not)
{
    AUTO(buf_done) struct buf b;
    struct fault why = {0};
    buf_init(&b, 5);
    write_file("fits", "12345");
    write_file("larger", "123456");
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, scratch_file("fits"), &b, &why));
    buf_reset(&b);
    CHECK_EQ(ST_TOO_BIG, file_read(AT_FDCWD, scratch_file("larger"), &b, &why));
    CHECK(strstr(why.text, "holds more than 5 bytes") != NULL);
    CHECK_EQ(0, b.len);
}

TEST(file_read_knows_files_without_a_size)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, "/proc/self/status", &b, NULL));
    CHECK(b.len > 100);
}

TEST(file_read_refuses_what_is_no_file)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 100);
    CHECK_EQ(ST_NOT_FOUND, file_read(AT_FDCWD, scratch_file("absent"), &b, NULL));
    CHECK_EQ(ST_INVALID, file_read(AT_FDCWD, scratch_dir(), &b, NULL));
    CHECK(mkfifo(scratch_file("fifo"), 0600) == 0);
    CHECK_EQ(ST_INVALID, file_read(AT_FDCWD, scratch_file("fifo"), &b, NULL));
}

TEST(file_write_that_fails_leaves_the_old_content)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 100);
    write_file("a", "old");
    CHECK(mkdir(scratch_file("a.tmp"), 0700) == 0); /* in the way of the new one */
    CHECK(file_write(AT_FDCWD, scratch_file("a"), STR("new"), 0600, NULL) != ST_OK);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, scratch_file("a"), &b, NULL));
    CHECK_STR("old", buf_cstr(&b));
}

TEST(file_mkdirs_makes_what_is_missing)
{
    struct fault why = {0};
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file("x/y//z/"), 0700, &why));
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file("x/y/z"), 0700, &why));
    write_file("x/f", "");
    CHECK_EQ(ST_EXISTS, file_mkdirs(AT_FDCWD, scratch_file("x/f"), 0700, &why));
    CHECK(file_mkdirs(AT_FDCWD, scratch_file("x/f/g"), 0700, &why) != ST_OK);
    CHECK_EQ(ST_INVALID, file_mkdirs(AT_FDCWD, "", 0700, &why));
}

TEST(file_remove_tree_stays_on_this_side_of_symbolic_links)
{
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file("keep"), 0700, NULL));
    write_file("keep/f", "mine");
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file("tree/a/b"), 0700, NULL));
    write_file("tree/a/b/f", "x");
    CHECK(symlink("../../keep", scratch_file("tree/a/link")) == 0);

    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, scratch_file("tree"), NULL));
    CHECK(access(scratch_file("tree"), F_OK) != 0);
    CHECK(access(scratch_file("keep/f"), F_OK) == 0);

    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, scratch_file("tree"), NULL)); /* absent is fine */
    CHECK(symlink("keep", scratch_file("link")) == 0);
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, scratch_file("link"), NULL));
    CHECK(access(scratch_file("keep/f"), F_OK) == 0);
}

TEST(file_remove_tree_gives_up_where_it_is_too_deep)
{
    char path[200] = "deep";
    for (int i = 0; i <= FILE_TREE_DEPTH_MAX; i++)
        strcat(path, "/d");
    struct fault why = {0};
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, scratch_file(path), 0700, NULL));
    CHECK_EQ(ST_TOO_BIG, file_remove_tree(AT_FDCWD, scratch_file("deep"), &why));
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, scratch_file("deep/d/d"), NULL));
}

TEST(file_lock_refuses_a_second_process_and_names_the_first)
{
    int go[2], held[2], fd;
    (void)scratch_dir();
    CHECK(pipe(go) == 0 && pipe(held) == 0);
    pid_t holder = fork();
    if (holder == 0) {
        char c;
        (void)close(go[1]);
        if (file_lock(AT_FDCWD, scratch_file("lock"), &fd, NULL) != ST_OK)
            _exit(1);
        (void)!write(held[1], "x", 1);
        (void)!read(go[0], &c, 1);
        _exit(0);
    }
    char c;
    (void)close(held[1]);
    CHECK(read(held[0], &c, 1) == 1);

    struct fault why = {0};
    char want[32];
    (void)snprintf(want, sizeof want, "locked by process %d", (int)holder);
    CHECK_EQ(ST_IN_USE, file_lock(AT_FDCWD, scratch_file("lock"), &fd, &why));
    CHECK(strstr(why.text, want) != NULL);

    (void)kill(holder, SIGKILL); /* its death is enough */
    CHECK(waitpid(holder, NULL, 0) == holder);
    CHECK_EQ(ST_OK, file_lock(AT_FDCWD, scratch_file("lock"), &fd, &why));
}

TEST(file_space_is_told)
{
    struct file_space space = {0};
    CHECK_EQ(ST_OK, file_space(AT_FDCWD, scratch_dir(), &space, NULL));
    CHECK(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
    CHECK_EQ(ST_NOT_FOUND, file_space(AT_FDCWD, scratch_file("absent"), &space, NULL));
}

static void collect(void *ctx, const char *name)
{
    char *all = ctx;
    strcat(all, name);
    strcat(all, " ");
}

TEST(disk_os_keeps_the_promise_of_the_port)
{
    struct disk *d;
    struct disk_file *f;
    struct fault why = {0};
    char text[16] = "", names[200] = "";
    size_t len;
    uint64_t size;
    CHECK_EQ(ST_OK, disk_os_open(scratch_dir(), &d, &why));
    CHECK_EQ(ST_NOT_FOUND, d->open(d, "b", false, &f, &why));
    CHECK_EQ(ST_OK, d->open(d, "b", true, &f, &why));
    CHECK_EQ(ST_OK, d->allocate(d, f, 100000, &why));
    CHECK_EQ(ST_OK, d->size(d, f, &size, &why));
    CHECK_EQ(100000, size);
    CHECK_EQ(ST_OK, d->write(d, f, 99998, "abcd", 4, &why));
    CHECK_EQ(ST_OK, d->sync(d, f, &why));
    CHECK_EQ(ST_OK, d->allocate(d, f, 50, &why)); /* never shrinks */
    CHECK_EQ(ST_OK, d->read(d, f, 99996, text, 10, &len, &why));
    CHECK_EQ(6, len);
    CHECK(memcmp(text, "\0\0abcd", 6) == 0);
    CHECK_EQ(ST_OK, d->truncate(d, f, 99999, &why));
    CHECK_EQ(ST_OK, d->read(d, f, 200000, text, 10, &len, &why));
    CHECK_EQ(0, len);
    d->close(d, f);

    CHECK_EQ(ST_OK, d->open(d, "a", true, &f, &why));
    d->close(d, f);
    CHECK_EQ(ST_OK, d->rename(d, "b", "c", &why));
    CHECK_EQ(ST_OK, d->sync_dir(d, &why));
    CHECK_EQ(ST_OK, d->list(d, collect, names, &why));
    CHECK_STR("a c ", names);
    CHECK_EQ(ST_OK, d->remove(d, "c", &why));
    CHECK_EQ(ST_NOT_FOUND, d->remove(d, "c", &why));
    CHECK_EQ(ST_NOT_FOUND, d->rename(d, "c", "d", &why));
    disk_os_close(d);
    CHECK_EQ(ST_NOT_FOUND, disk_os_open(scratch_file("absent"), &d, &why));
}

TEST(disk_os_refuses_to_leave_its_directory)
{
    struct disk *d;
    struct disk_file *f;
    CHECK_EQ(ST_OK, disk_os_open(scratch_dir(), &d, NULL));
    CHECK(symlink("/etc/passwd", scratch_file("link")) == 0);
    CHECK(d->open(d, "link", false, &f, NULL) != ST_OK);
    disk_os_close(d);
}

TEST_ABORTS(disk_os_names_are_plain)
{
    struct disk *d;
    struct disk_file *f;
    CHECK_EQ(ST_OK, disk_os_open("/tmp", &d, NULL));
    (void)d->open(d, "../etc/passwd", false, &f, NULL);
}

TEST(clock_and_entropy_of_the_machine_answer)
{
    struct clock c;
    clock_os_init(&c);
    uint64_t mono = c.now_ms(&c), boot = c.boot_ms(&c);
    CHECK(c.now_ms(&c) >= mono && c.boot_ms(&c) >= boot && boot >= mono);
    CHECK(c.wall_ns(&c) > UINT64_C(1700000000000000000));

    struct entropy e;
    uint8_t a[600] = {0}, b[600] = {0};
    entropy_os_init(&e);
    e.fill(&e, a, sizeof a);
    e.fill(&e, b, sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
}
