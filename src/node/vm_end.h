/*
 * vm_end: what the end of a VM means: cause and phase, and whether policy starts it again.
 */
#pragma once

#include "node/vm_machine.h"

/* It ended, as the port tells: nothing of it runs any more. */
void vm_end(struct vm_machine *m, const struct vm_wish *w, Pb__ExitCause cause, const char *detail,
            uint64_t ended_ns);

/* Decide when a VM that is off, and ended so, starts again by itself. `soon`: it hardly ran. */
void vm_end_rest(struct vm_machine *m, const struct vm_wish *w, Pb__ExitCause cause, bool soon);

/* Copy a text that a guest or monitor made so that it may be stored: UTF-8 without control
 * characters, cut to `size` with its terminator. */
void vm_text(char *out, size_t size, const char *text);

/* What a VM that ended so is, if nobody had asked it to. */
Pb__VmPhase vm_end_phase(Pb__ExitCause cause);
