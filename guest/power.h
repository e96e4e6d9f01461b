/*
 * power: the orderly end, and who asks for it.
 */
#pragma once

#include "wire/agent.h"

/* Open the input devices that have a power key, for poll; their number. */
enum { POWER_BUTTONS_MAX = 4 };
size_t power_buttons(int fd[POWER_BUTTONS_MAX]);
/* Read what a button said: was the power key pressed? */
bool power_pressed(int fd);

/* As pid 1: end all processes (SIGTERM, after a while SIGKILL), write what is in memory to the disks,
 * unmount, and power off or restart. shell: the process that ignores SIGTERM and ends at SIGHUP, or 0. */
_Noreturn void power_down(enum agent_power what, int shell);
