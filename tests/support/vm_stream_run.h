/*
 * vm_stream_run: streams with a VM, for tests: open, read until something came, write, wait for the
 * end.
 */
#pragma once

#include "support/vm_run.h"

struct talk {
    struct site *s;
    struct vmm_stream *stream;
    struct vmm_stream_events ev;
    struct buf out;
    bool hold; /* give no room back */
    bool room; /* `writable` was told */
    bool done;
    enum status status;
    struct fault why;
    int exit_status;
};

static void talk_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    struct talk *t = ctx;
    (void)from;
    buf_str(&t->out, bytes);
    if (!t->hold)
        t->s->vmm->grant(t->s->vmm, t->stream, bytes.len);
}

static void talk_writable(void *ctx)
{
    struct talk *t = ctx;
    t->room = true;
}

static void talk_closed(void *ctx, enum status s, const struct fault *why, int exit_status)
{
    struct talk *t = ctx;
    t->done = true;
    t->status = s;
    t->exit_status = exit_status;
    if (why)
        t->why = *why;
}

UNUSED static void talk_open(struct talk *t, struct site *s, const char *uid,
                             const struct vmm_stream_open *o)
{
    struct fault why;
    *t = (struct talk){.s = s, .ev = {talk_data, talk_writable, talk_closed, t}};
    buf_init(&t->out, 64 << 20);
    if (s->vmm->open(s->vmm, uid, o, &t->ev, &t->stream, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

/* Run the loop until the text was read. */
UNUSED static void talk_until(struct talk *t, const char *text)
{
    uint64_t until = t->s->clock.now_ms(&t->s->clock) + SITE_WAIT_MS;
    while (!strstr(buf_cstr(&t->out), text)) {
        if (t->done || t->s->clock.now_ms(&t->s->clock) > until)
            tap_fail(__FILE__, __LINE__, "\"%s\" did not come: %.300s", text, buf_cstr(&t->out));
        CHECK_EQ(ST_OK, loop_turn(t->s->loop, 50, NULL));
    }
}

/* All of it, however often that must wait for room. */
UNUSED static void talk_write(struct talk *t, struct str bytes)
{
    while (bytes.len) {
        size_t n = t->s->vmm->write(t->s->vmm, t->stream, bytes);
        bytes.ptr += n;
        bytes.len -= n;
        t->room = false;
        if (bytes.len)
            site_until(t->s, &t->room);
    }
}

UNUSED static void talk_end(struct talk *t, enum status want)
{
    site_until(t->s, &t->done);
    if (t->status != want)
        tap_fail(__FILE__, __LINE__, "ended with %s: %s", status_code(t->status), t->why.text);
}
