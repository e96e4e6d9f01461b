#include "journal/reader.h"

#include <stdlib.h>

enum { WINDOW = 256 << 10 };

void reader_init(struct reader *r, struct disk *d)
{
    *r = (struct reader){.disk = d};
}

static void close_file(struct reader *r)
{
    if (r->file)
        r->disk->close(r->disk, r->file);
    r->file = NULL;
    r->size = r->have = 0;
}

void reader_done(struct reader *r)
{
    close_file(r);
    free(r->window);
    r->window = NULL;
}

enum status reader_open(struct reader *r, const char *name, struct fault *why)
{
    close_file(r);
    enum status s = r->disk->open(r->disk, name, false, &r->file, why);
    if (s == ST_OK)
        s = r->disk->size(r->disk, r->file, &r->size, why);
    return s;
}

struct disk_file *reader_take(struct reader *r)
{
    struct disk_file *f = r->file;
    r->file = NULL;
    r->size = r->have = 0;
    return f;
}

enum status reader_get(struct reader *r, uint64_t offset, size_t len, const uint8_t **ret,
                       struct fault *why)
{
    if (len > r->size || offset > r->size - len) {
        *ret = NULL;
        return ST_OK;
    }
    if (offset < r->from || offset + len > r->from + r->have) {
        size_t want = MAX(len, (size_t)WINDOW), got;
        if (want > r->room) {
            r->window = mem_grow(r->window, want, 1);
            r->room = want;
        }
        enum status s = r->disk->read(r->disk, r->file, offset, r->window, want, &got, why);
        if (s != ST_OK)
            return s;
        r->from = offset;
        r->have = got;
        if (got < len)
            return fault_set(why, ST_IO, "the file became shorter while it was read");
    }
    *ret = r->window + (offset - r->from);
    return ST_OK;
}
