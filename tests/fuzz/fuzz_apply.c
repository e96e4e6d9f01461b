/* Bytes as a tape of commands, as one command, and as rows of packed commands: never an abort. */
#include <stdlib.h>

#include "core/state.h"
#include "support/draw_command.h"
#include "support/state_check.h"
#include "support/tap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a failed CHECK does here. */
void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    (void)fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* Rows of {u16 length, that many bytes}: what a corpus of real commands is made of. */
static void apply_rows(struct cluster *c, uint64_t index, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t len = MIN((size_t)(data[0] | data[1] << 8), size - 2);
        struct apply_result r;
        cluster_apply(c, ++index, (struct str){(const char *)data + 2, len}, &r);
        apply_result_done(&r);
        data += 2 + len;
        size -= 2 + len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w;
    if (size == 0)
        return 0;
    draw_start(&w);
    struct tape t = {data + 1, size - 1, 0};
    switch (data[0] % 3) {
    case 0:
        while (t.pos < t.len)
            draw_step(&t, &w);
        break;
    case 1: (void)world_apply(&w, (struct str){(const char *)data + 1, size - 1}); break;
    default: apply_rows(w.c, w.index, data + 1, size - 1); break;
    }
    state_check(w.c);
    world_done(&w);
    return 0;
}
