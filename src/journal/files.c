#include "journal/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal/shape.h"

#define SEGMENT  "segment-"
#define SNAPSHOT "snapshot-"

enum { HEX = 16 };

void files_segment_name(uint64_t seq, char out[DISK_NAME_MAX + 1])
{
    (void)snprintf(out, DISK_NAME_MAX + 1, SEGMENT "%016" PRIx64, seq);
}

void files_snapshot_name(uint64_t index, uint64_t term, char out[DISK_NAME_MAX + 1])
{
    (void)snprintf(out, DISK_NAME_MAX + 1, SNAPSHOT "%016" PRIx64 "-%016" PRIx64, index, term);
}

/* Cut HEX lower-case digits off *s. */
static bool cut_hex(struct str *s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s->len < HEX)
        return false;
    for (size_t i = 0; i < HEX; i++) {
        const char *digits = "0123456789abcdef", *at = strchr(digits, s->ptr[i]);
        if (!s->ptr[i] || !at)
            return false;
        v = v << 4 | (uint64_t)(at - digits);
    }
    *s = (struct str){s->ptr + HEX, s->len - HEX};
    *ret = v;
    return true;
}

static bool cut_text(struct str *s, const char *text)
{
    if (!str_starts(*s, text))
        return false;
    *s = (struct str){s->ptr + strlen(text), s->len - strlen(text)};
    return true;
}

/* The names come in their order, and hex digits keep that of the numbers. */
static void sort_in(void *ctx, const char *name)
{
    struct files *f = ctx;
    struct str s = str_from(name);
    struct files_snapshot snap;
    uint64_t seq;
    if (str_is(s, FILES_FORMAT)) {
        f->format = true;
    } else if (str_is(s, FILES_FORMAT_TMP)) {
        f->format_tmp = true;
    } else if (str_is(s, FILES_SNAPSHOT_TMP)) {
        f->snapshot_tmp = true;
    } else if (cut_text(&s, SEGMENT)) {
        if (!cut_hex(&s, &seq) || s.len > 0)
            return;
        if (f->segment_count == f->segment_room) {
            f->segment_room = f->segment_room ? 2 * f->segment_room : 8;
            f->segments = mem_grow(f->segments, f->segment_room, sizeof *f->segments);
        }
        f->segments[f->segment_count++] = seq;
    } else if (cut_text(&s, SNAPSHOT)) {
        if (!cut_hex(&s, &snap.index) || !cut_text(&s, "-") || !cut_hex(&s, &snap.term) ||
            s.len > 0 || snap.index == 0 || snap.index > SHAPE_INDEX_MAX)
            return;
        if (f->snapshot_count == f->snapshot_room) {
            f->snapshot_room = f->snapshot_room ? 2 * f->snapshot_room : 8;
            f->snapshots = mem_grow(f->snapshots, f->snapshot_room, sizeof *f->snapshots);
        }
        f->snapshots[f->snapshot_count++] = snap;
    }
}

enum status files_list(struct disk *d, struct files *f, struct fault *why)
{
    *f = (struct files){0};
    return d->list(d, sort_in, f, why);
}

void files_done(struct files *f)
{
    free(f->segments);
    free(f->snapshots);
    *f = (struct files){0};
}
