/*
 * serve: the helper's own side: it does what is asked, after it has checked it again.
 */
#pragma once

#include "port/host.h"

/*
 * Serve requests from fd, the helper's end of a SOCK_SEQPACKET pair, until the other end is closed.
 * The first must be REQUEST_INIT; it is the only one that is trusted.
 *
 * Meant for a process of its own: it changes its signals, its rights and its name. Returns the exit
 * code of that process.
 */
int helper_main(int fd);
