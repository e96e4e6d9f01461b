/*
 * Any bytes as a start, a record, a request and an answer. What is taken must be written the same again.
 */
#include <string.h>

#include "wire/shim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct buf *b, struct str bytes)
{
    ensure(str_eq(buf_view(b), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct shim_start start;
    struct str bytes = {(const char *)data, size};
    struct shim_record record;
    struct shim_request request;
    struct shim_answer answer;
    struct buf b;
    buf_init(&b, 2 * SHIM_START_MAX);
    if (size <= SHIM_START_MAX && shim_get_start(bytes, &start, NULL) == ST_OK) {
        ensure(shim_put_start(&b, &start, NULL) == ST_OK);
        same(&b, bytes);
    }
    buf_reset(&b);
    if (shim_get_record(bytes, &record, NULL) == ST_OK) {
        ensure(shim_put_record(&b, &record, NULL) == ST_OK);
        same(&b, bytes);
    }
    buf_reset(&b);
    (void)!shim_get_request(bytes, &request, NULL);
    (void)!shim_get_answer(bytes, &answer, NULL);
    buf_done(&b);
    return 0;
}
