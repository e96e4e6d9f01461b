/*
 * session: our three streams, joined to a console or a process of a VM.
 */
#pragma once

#include "cli/run.h"

struct session {
    const char *target; /* path and query of what upgrades to a WebSocket */
    bool raw;           /* our terminal is taken over: it is the VM's for a while */
    bool input;         /* ours is sent */
    bool sizes;         /* the VM is told how large our terminal is */
    bool escape;        /* Ctrl-] leaves */
    const char *opened; /* said once it is open, or NULL */
};

/* Returns the exit code: that of the process, 0 when the user left, or that of a failure that was
 * shown. */
int session_run(struct cli *c, const struct session *s);
