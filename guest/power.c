#include "guest/power.h"

#include <fcntl.h>
#include <linux/input.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/util.h"

enum { GRACE_MS = 5000, KILL_MS = 1000, MOUNTS_MAX = 64, MOUNT_PATH_MAX = 255, EVENTS_MAX = 32 };

size_t power_buttons(int fd[POWER_BUTTONS_MAX])
{
    size_t count = 0;
    for (int i = 0; i < EVENTS_MAX && count < POWER_BUTTONS_MAX; i++) {
        char path[32];
        uint8_t keys[KEY_MAX / 8 + 1] = {0};
        (void)snprintf(path, sizeof path, "/dev/input/event%d", i);
        int e = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (e < 0)
            continue;
        if (ioctl(e, EVIOCGBIT(EV_KEY, sizeof keys), keys) >= 0 &&
            keys[KEY_POWER / 8] >> (KEY_POWER % 8) & 1)
            fd[count++] = e;
        else
            (void)close(e);
    }
    return count;
}

bool power_pressed(int fd)
{
    struct input_event e;
    bool pressed = false;
    while (read(fd, &e, sizeof e) == (ssize_t)sizeof e)
        pressed |= e.type == EV_KEY && e.code == KEY_POWER && e.value == 1;
    return pressed;
}

/* Reap until no process is left but us, or until the time is over. */
static bool all_gone(uint64_t limit_ms)
{
    sigset_t child;
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD); /* it is blocked, so it waits until we look */
    uint64_t end = now_ms() + limit_ms;
    for (;;) {
        pid_t p;
        while ((p = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (p < 0)
            return true;
        uint64_t now = now_ms();
        if (now >= end)
            return false;
        uint64_t left = end - now;
        struct timespec t = {.tv_sec = (time_t)(left / 1000),
                             .tv_nsec = (long)(left % 1000) * 1000000};
        (void)sigtimedwait(&child, NULL, &t);
    }
}

/* Unmount what can be, the last mounted first; what cannot, and the root, becomes read-only. */
static void unmount_all(void)
{
    static char path[MOUNTS_MAX][MOUNT_PATH_MAX + 1];
    size_t count = 0;
    FILE *f = setmntent("/proc/self/mounts", "re");
    for (const struct mntent *m; f && count < MOUNTS_MAX && (m = getmntent(f));)
        if (strncmp(m->mnt_fsname, "/dev/", 5) == 0 && strlen(m->mnt_dir) <= MOUNT_PATH_MAX)
            strcpy(path[count++], m->mnt_dir);
    if (f)
        (void)endmntent(f);
    while (count-- > 0)
        if (umount2(path[count], 0) != 0)
            (void)mount(NULL, path[count], NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

void power_down(enum agent_power what, int shell)
{
    say("%s", what == AGENT_REBOOT ? "restarting" : "powering off");
    (void)kill(-1, SIGTERM);
    if (shell > 0)
        (void)kill(-shell, SIGHUP);
    (void)kill(-1, SIGCONT); /* what is stopped cannot end */
    if (!all_gone(GRACE_MS)) {
        (void)kill(-1, SIGKILL);
        (void)all_gone(KILL_MS);
    }
    sync();
    unmount_all();
    sync();
    (void)reboot(what == AGENT_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;)
        (void)pause();
}
