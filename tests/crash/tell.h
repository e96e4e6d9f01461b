/*
 * tell: how a process that will be killed (crash/victim.h) tells what it asks for and what it was
 * promised.
 */
#pragma once

#include "base/fault.h"

enum { TELL_OUT = 3, TELL_MAX = 1 << 20 }; /* the descriptor; bytes of one message */

struct tell_head {
    uint32_t kind, len; /* of what follows */
};

/* One message. Ends the process when it cannot. */
void tell(uint32_t kind, const void *data, size_t len);

/* The last message, and the end: the log could not be opened, or failed. Its bytes are the text. */
enum { TELL_REFUSED = INT32_MAX };
_Noreturn void tell_refused(const struct fault *why);
