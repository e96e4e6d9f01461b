/* Any file is either refused and changes nothing, or shown as a file that loads the same. */
#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show(const struct config *c, struct buf *out)
{
    buf_init(out, CONFIG_TEXT_MAX);
    config_show(c, out);
    ensure(!out->full);
}

/* config_show without its comments on the origin, of which the second round has others. */
static void ensure_same_values(struct str a, struct str b)
{
    while (a.len > 0 || b.len > 0) {
        struct str x, y;
        (void)str_cut(&a, '\n', &x);
        (void)str_cut(&b, '\n', &y);
        while (x.len > 0 && x.ptr[x.len - 1] != '#')
            x.len--;
        ensure(x.len <= y.len && str_eq(x, (struct str){y.ptr, x.len}));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c, again;
    struct fault why = {0};
    AUTO(buf_done) struct buf before, after;
    config_init(&c);
    config_init(&again);
    show(&c, &before);
    enum status s = config_load(&c, "f", (struct str){(const char *)data, size}, &why);
    show(&c, &after);
    if (s != ST_OK) {
        ensure(s == why.status && (s == ST_INVALID || s == ST_TOO_BIG) && why.text[0]);
        ensure(str_eq(buf_view(&before), buf_view(&after)));
        return 0;
    }
    ensure(config_load(&again, "g", buf_view(&after), NULL) == ST_OK);
    buf_done(&before);
    show(&again, &before);
    ensure_same_values(buf_view(&after), buf_view(&before));
    return 0;
}
