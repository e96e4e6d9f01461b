#include "guest/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/util.h"

static const char modules_path[] = "/lib/modules/load";
static const char config_path[] = "/sys/firmware/qemu_fw_cfg/by_name/opt/blixard/cfg/raw";

enum { MODULE_LIST_MAX = 64 * 1024, MODULE_PATH_MAX = 255 };

static const struct {
    const char *type, *path, *options;
    unsigned long flags;
} mounts[] = {
    {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
    {"devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
    {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/run", "mode=0755,size=16m", MS_NOSUID | MS_NODEV},
};

static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    if (fd < 0)
        return; /* then nothing is said, and all the rest works */
    for (int i = 0; i <= 2; i++)
        (void)dup2(fd, i);
    if (fd > 2)
        (void)close(fd);
}

void boot_mounts(void)
{
    (void)umask(022);
    for (size_t i = 0; i < ARRAY_COUNT(mounts); i++) {
        (void)mkdir(mounts[i].path, 0755);
        int r = mount(mounts[i].type, mounts[i].path, mounts[i].type, mounts[i].flags,
                      mounts[i].options);
        if (strcmp(mounts[i].path, "/dev") == 0)
            open_console();
        if (r != 0 && errno != EBUSY) /* busy: the kernel mounted it before us */
            say("mount %s: %s", mounts[i].path, strerror(errno));
    }
    /* For shells and scripts; a /dev that has them already is as good. */
    IGNORE(symlink("/proc/self/fd", "/dev/fd"));
    IGNORE(symlink("/proc/self/fd/0", "/dev/stdin"));
    IGNORE(symlink("/proc/self/fd/1", "/dev/stdout"));
    IGNORE(symlink("/proc/self/fd/2", "/dev/stderr"));
}

static enum status load_module(struct str name, struct fault *why)
{
    char path[MODULE_PATH_MAX + 1];
    enum status s = str_copy(name, path, sizeof path, why);
    if (s != ST_OK)
        return s;
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)
        return fault_errno(why, errno, "load %s", path);
    return ST_OK;
}

enum status boot_modules(struct fault *why)
{
    AUTO(buf_done) struct buf list;
    buf_init(&list, MODULE_LIST_MAX);
    enum status first = file_read(modules_path, &list, why);
    if (first == ST_NOT_FOUND) /* a kernel that has all it needs built in */
        return ST_OK;
    struct str rest = buf_view(&list), line;
    for (bool more = rest.len > 0; more;) {
        more = str_cut(&rest, '\n', &line);
        struct fault f;
        if (line.len == 0 || load_module(line, &f) == ST_OK)
            continue;
        if (first == ST_OK && why)
            *why = f;
        first = first == ST_OK ? f.status : first;
    }
    return first;
}

enum status boot_config(struct buf *text, struct guestcfg *ret, struct fault *why)
{
    buf_init(text, GUESTCFG_TEXT_MAX);
    *ret = (struct guestcfg){0};
    enum status s = file_read(config_path, text, why);
    if (s == ST_OK)
        s = guestcfg_decode(buf_view(text), ret, why);
    return s == ST_OK ? s : fault_wrap(why, s, "configuration");
}
