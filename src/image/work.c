#include "image/work.h"

#include <poll.h>

void work_tell(const struct work *w, const char *step, uint64_t done, uint64_t total)
{
    if (w->progress)
        w->progress(w->ctx, step, done, total);
}

enum status work_check(const struct work *w, struct fault *why)
{
    struct pollfd p = {.fd = w->cancel_fd, .events = POLLIN};
    if (w->cancel_fd > 0 && poll(&p, 1, 0) > 0)
        return fault_set(why, ST_CANCELLED, "cancelled");
    return ST_OK;
}

struct telling {
    const struct work *work;
    const char *step;
};

static void tell(void *ctx, uint64_t elapsed_ms)
{
    const struct telling *t = ctx;
    (void)elapsed_ms;
    work_tell(t->work, t->step, 0, 0);
}

enum status work_run(const struct work *w, const char *step, const char *const *argv,
                     uint64_t timeout_ms, struct buf *out, struct fault *why)
{
    struct telling t = {w, step};
    struct child_run run = {.argv = argv,
                            .timeout_ms = timeout_ms,
                            .cancel_fd = w->cancel_fd,
                            .out = out,
                            .progress = tell,
                            .progress_ctx = &t};
    work_tell(w, step, 0, 0);
    return child_run(&run, NULL, why);
}
