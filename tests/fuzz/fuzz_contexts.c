/* Any bytes as the file of contexts; what is taken comes out again as it is written. */
#include <stdlib.h>
#include <string.h>

#include "cli/contexts.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct fault why;
    if (!ready)
        json_setup();
    ready = true;
    AUTO(auto_free) struct contexts *c = NEW(struct contexts);
    AUTO(auto_free) struct contexts *again = NEW(struct contexts);
    if (contexts_parse((struct str){(const char *)data, size}, c, &why) != ST_OK)
        return 0;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 2 * CONTEXTS_TEXT_MAX);
    contexts_write(c, &text);
    require(buf_status(&text, NULL) == ST_OK);
    /* Written with blanks it may be a little longer than what is read. */
    if (text.len <= CONTEXTS_TEXT_MAX)
        require(contexts_parse(buf_view(&text), again, &why) == ST_OK &&
                memcmp(c, again, sizeof *c) == 0);
    return 0;
}
