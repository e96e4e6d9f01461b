#include "vmm/cause.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* QEMU was started with this trace point on: its stderr tells the reason to one who comes later. A
 * reset does not pass there. */
static const char trace[] = "qemu_system_shutdown_request reason=";
static const char panic[] = "Kernel panic - not syncing";
enum { TRACE_GUEST_SHUTDOWN = 6, LINES_MAX = 6 };

/* ---- detail ---- */

static void put_printable(struct str s, char *out, size_t size)
{
    size_t n = MIN(s.len, size - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = s.ptr[i] == '\n' || (s.ptr[i] >= ' ' && s.ptr[i] < 0x7f) ? s.ptr[i] : '?';
    out[n] = 0;
}

/* The last line of *rest that says something; *rest keeps those before it. */
static bool last_line(struct str *rest, struct str *ret)
{
    while (rest->len) {
        const char *nl = memrchr(rest->ptr, '\n', rest->len);
        size_t from = nl ? (size_t)(nl + 1 - rest->ptr) : 0;
        *ret = str_trim((struct str){rest->ptr + from, rest->len - from});
        rest->len = nl ? from - 1 : 0;
        if (ret->len && !str_starts(*ret, trace))
            return true;
    }
    return false;
}

/* The last lines of stderr that fit, as one view into it. */
static void tail_detail(struct str tail, char detail[CAUSE_DETAIL_MAX])
{
    struct str rest = tail, line, first = {"", 0}, last = {"", 0};
    for (int i = 0; i < LINES_MAX && last_line(&rest, &line); i++) {
        if (!last.len)
            last = line;
        if ((size_t)(last.ptr + last.len - line.ptr) >= CAUSE_DETAIL_MAX)
            break;
        first = line;
    }
    if (!first.len) /* one line alone is too long */
        first = last;
    put_printable((struct str){first.ptr, (size_t)(last.ptr + last.len - first.ptr)}, detail,
                  CAUSE_DETAIL_MAX);
}

static void say(char detail[CAUSE_DETAIL_MAX], const char *text)
{
    put_printable(str_from(text), detail, CAUSE_DETAIL_MAX);
}

/* ---- causes ---- */

static bool holds(struct str s, const char *word)
{
    return s.len && memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

/* A kernel that panics resets the machine at once; only its console tells the difference. */
static Pb__ExitCause reset_or_panic(const struct cause_facts *f, char *detail)
{
    const char *p =
        f->console.len ? memmem(f->console.ptr, f->console.len, panic, sizeof panic - 1) : NULL;
    if (!p)
        return PB__EXIT_CAUSE__EXIT_GUEST_RESET;
    struct str rest = {p, f->console.len - (size_t)(p - f->console.ptr)}, line;
    (void)str_cut(&rest, '\n', &line);
    put_printable(str_trim(line), detail, CAUSE_DETAIL_MAX);
    return PB__EXIT_CAUSE__EXIT_GUEST_PANIC;
}

static Pb__ExitCause by_reason(const struct cause_facts *f, const char *reason, char *detail)
{
    if (strcmp(reason, "guest-shutdown") == 0)
        return f->asked_down ? PB__EXIT_CAUSE__EXIT_STOPPED : PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN;
    if (strcmp(reason, "guest-reset") == 0)
        return reset_or_panic(f, detail);
    if (strcmp(reason, "guest-panic") == 0)
        return PB__EXIT_CAUSE__EXIT_GUEST_PANIC;
    if (strcmp(reason, "host-qmp-quit") == 0)
        return PB__EXIT_CAUSE__EXIT_KILLED;
    if (strcmp(reason, "host-signal") == 0)
        say(detail, "QEMU was ended by a signal from outside");
    else
        (void)snprintf(detail, CAUSE_DETAIL_MAX, "QEMU ended: %.100s", reason);
    return PB__EXIT_CAUSE__EXIT_CRASHED;
}

/* What the SHUTDOWN event would have said to one who listened. */
static const char *reason_of_exit_0(const struct shim_record *r)
{
    char word[sizeof trace + 8];
    (void)snprintf(word, sizeof word, "%s%d", trace, TRACE_GUEST_SHUTDOWN);
    if (holds(r->tail, word))
        return "guest-shutdown";
    if (holds(r->tail, "terminating on signal"))
        return "host-signal";
    return "guest-reset";
}

static Pb__ExitCause by_status(const struct cause_facts *f, char *detail)
{
    int status = (int)f->exit->wait_status;
    tail_detail(f->exit->tail, detail);
    if (WIFSIGNALED(status)) {
        if (f->asked_kill)
            return PB__EXIT_CAUSE__EXIT_KILLED;
        const char *name = sigabbrev_np(WTERMSIG(status));
        size_t at = strlen(detail);
        (void)snprintf(detail + at, CAUSE_DETAIL_MAX - at, "%sQEMU was ended by signal %d (%s)",
                       at ? "\n" : "", WTERMSIG(status), name ? name : "?");
        return PB__EXIT_CAUSE__EXIT_CRASHED;
    }
    if (WEXITSTATUS(status) == 0)
        return by_reason(f, reason_of_exit_0(f->exit), detail);
    if (!detail[0])
        (void)snprintf(detail, CAUSE_DETAIL_MAX, "QEMU exited with %d", WEXITSTATUS(status));
    return f->ready || f->spoke ? PB__EXIT_CAUSE__EXIT_CRASHED : PB__EXIT_CAUSE__EXIT_START_FAILED;
}

static Pb__ExitCause without_record(const struct cause_facts *f, char *detail)
{
    if (f->asked_kill)
        return PB__EXIT_CAUSE__EXIT_KILLED;
    if (f->host_rebooted) {
        say(detail, "the host restarted");
        return PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN;
    }
    if (f->watched) {
        say(detail, "its shim ended, and QEMU with it");
        return PB__EXIT_CAUSE__EXIT_CRASHED;
    }
    say(detail, "it was gone, and left no record");
    return PB__EXIT_CAUSE__EXIT_LOST;
}

void cause_find(const struct cause_facts *f, Pb__ExitCause *ret_cause,
                char detail[CAUSE_DETAIL_MAX])
{
    detail[0] = 0;
    if (f->reason[0]) { /* QEMU's own word, whatever became of it then */
        *ret_cause = by_reason(f, f->reason, detail);
        return;
    }
    if (!f->exit) {
        *ret_cause = without_record(f, detail);
        return;
    }
    switch (f->exit->cause) {
    case SHIM_LEASE:
        say(detail, "its lease ended");
        *ret_cause = PB__EXIT_CAUSE__EXIT_LEASE_EXPIRED;
        return;
    case SHIM_NO_START:
        tail_detail(f->exit->tail, detail);
        *ret_cause = PB__EXIT_CAUSE__EXIT_START_FAILED;
        return;
    case SHIM_KILLED: *ret_cause = PB__EXIT_CAUSE__EXIT_KILLED; return;
    case SHIM_SIGNALLED:
        if (!f->asked_kill)
            say(detail, "its shim was told to end by a signal");
        *ret_cause = PB__EXIT_CAUSE__EXIT_KILLED;
        return;
    default: *ret_cause = by_status(f, detail); return;
    }
}
