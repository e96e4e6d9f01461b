/*
 * blixard-guest: init and agent of a guest, in one static program.
 *
 *     as pid 1               boot, then keep the agent and the guest running
 *     blixard-guest agent F  serve the agent protocol on device F, without rights over the machine
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "guest/boot.h"
#include "guest/ident.h"
#include "guest/keep.h"
#include "guest/net.h"
#include "guest/root.h"
#include "guest/server.h"
#include "guest/util.h"

static const char own_init[] = "/sbin/init";

/* What went wrong is said on the console, and the agent tells the first of it: the guest goes on. */
static void note(char trouble[AGENT_TEXT_MAX + 1], enum status s, const struct fault *why)
{
    if (s == ST_OK)
        return;
    say("error: %s", why->text);
    if (!trouble[0])
        (void)snprintf(trouble, AGENT_TEXT_MAX + 1, "%s", why->text);
}

/* A root with an init of its own gets it; we go on beside it as its child. */
static void give_way(const struct keep *k)
{
    char name[] = "init";
    char *argv[] = {name, NULL};
    if (access(own_init, X_OK) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        (void)setsid();
        struct keep beside = *k;
        beside.init = false;
        keep_run(&beside);
    }
    (void)execv(own_init, argv);
    say("run %s: %s", own_init, strerror(errno));
    if (pid > 0) /* then we stay what we are, and need no second one */
        (void)kill(pid, SIGKILL);
}

static _Noreturn void init_main(void)
{
    static char trouble[AGENT_TEXT_MAX + 1];
    static struct buf text;
    static struct guestcfg config;
    static struct keep keep = {.init = true, .trouble = trouble, .config = &config};
    struct fault why;

    boot_mounts();
    (void)reboot(RB_DISABLE_CAD);
    note(trouble, boot_modules(&why), &why);
    note(trouble, boot_config(&text, &config, &why), &why);
    note(trouble, net_loopback(&why), &why);

    enum status root = ST_OK;
    if (config.root.device[0])
        root = root_switch(&config.root, &why);
    note(trouble, root, &why);
    bool on_disk = config.root.device[0] && root == ST_OK;
    if (!on_disk || config.root.read_only)
        (void)mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");

    note(trouble, ident_apply(&config, false, &why), &why);
    for (size_t i = 0; i < config.volume_count; i++)
        note(trouble, root_volume(&config.volume[i], &why), &why);
    if (on_disk)
        give_way(&keep);
    keep_run(&keep);
}

static int agent_main(const char *path)
{
    int port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port < 0) {
        (void)fprintf(stderr, "blixard-guest: open %s: %s\n", path, strerror(errno));
        return 1;
    }
    server_run(port, false, "");
    return 0;
}

int main(int argc, char **argv)
{
    if (getpid() == 1)
        init_main();
    if (argc == 3 && strcmp(argv[1], "agent") == 0)
        return agent_main(argv[2]);
    (void)fprintf(stderr, "usage: blixard-guest agent DEVICE\n");
    return 2;
}
