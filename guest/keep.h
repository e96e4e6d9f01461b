/*
 * keep: what runs as long as the guest does: the agent, a shell on the console, the user's script, the
 * power button. As pid 1, or, where the root has an init of its own, as a child of it.
 */
#pragma once

#include "wire/guestcfg.h"

struct keep {
    bool init;           /* we are pid 1 */
    const char *trouble; /* what went wrong at boot, or ""; the agent tells it */
    const struct guestcfg *config;
};

/*
 * Keep them running; never returns.
 *
 * As pid 1, SIGUSR2 and SIGPWR power off, SIGINT and SIGTERM restart (that is what busybox's poweroff
 * and reboot send). Else SIGUSR2 and SIGINT start the root's own poweroff and reboot, and SIGTERM ends us.
 */
_Noreturn void keep_run(const struct keep *k);

/* Find our virtio-serial port and serve it; never returns. */
_Noreturn void keep_agent(const char *trouble);
