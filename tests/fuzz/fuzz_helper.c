/*
 * Any bytes as a request to the helper, and as its answer to each kind of request. The first byte of the
 * input chooses. A request that is taken is written the same again.
 */
#include <stdlib.h>

#include "host/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_request(struct str bytes)
{
    struct request *r = NEW(struct request);
    if (request_get(bytes, r, NULL) == ST_OK) {
        struct buf b;
        const char *argv[HOST_ARGS_MAX];
        for (size_t i = 0; i < r->argc; i++)
            argv[i] = r->argv[i].ptr;
        r->spawn.argv = argv;
        r->spawn.argc = r->argc;
        buf_init(&b, 2 * REQUEST_SIZE_MAX);
        if (request_put(&b, r, NULL) == ST_OK)
            ensure(str_eq(buf_view(&b), bytes));
        buf_done(&b);
    }
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char uids[HOST_LIST_MAX][HOST_UID_MAX];
    if (size == 0)
        return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    struct answer a = {.uid = uids};
    enum request_type type = (enum request_type)(data[0] % REQUEST_TYPE_COUNT);
    if (type == 0)
        as_request(bytes);
    else
        (void)!answer_get(bytes, type, &a, NULL);
    (void)answer_id(bytes);
    return 0;
}
