/*
 * cause: how a VM ended, from all that is known of it. Pure.
 */
#pragma once

#include "base/str.h"
#include "pb/vm.pb-c.h"
#include "wire/shim.h"

enum { CAUSE_DETAIL_MAX = 512 };

struct cause_facts {
    bool ready;                     /* the guest had answered */
    bool spoke;                     /* QEMU's monitor had answered */
    bool watched;                   /* we were there when it ended */
    bool asked_down;                /* we asked the guest to power off */
    bool asked_kill;                /* we asked for its end */
    bool host_rebooted;             /* since it was started */
    const char *reason;             /* of QEMU's SHUTDOWN event, or "" */
    const struct shim_record *exit; /* what the shim left, with phase EXITED; or NULL */
    struct str console;             /* the end of what the guest said, or "" */
};

/* detail: for people, printable, lines separated by newlines, or "". */
void cause_find(const struct cause_facts *f, Pb__ExitCause *ret_cause,
                char detail[CAUSE_DETAIL_MAX]);
