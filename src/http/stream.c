#include <stdlib.h>
#include <string.h>

#include "http/server.h"

enum {
    /* What a VM may have sent and the client not yet taken. The monitor sends no more than was
     * granted, which is less. */
    HELD_MAX = 4 << 20,
    COMPACT_AT = 64 << 10,
};

struct stream {
    struct request *q;
    struct vmm *vmm;
    struct vmm_stream *vm; /* NULL before it is open and after its end */
    struct vmm_stream_events events;
    struct buf held; /* from the VM; the first `at` bytes were given to the client */
    size_t at;
    bool answering; /* the client gets the bytes */
    bool ended;
    enum status end; /* how */
};

/* --- to the client --- */

static ssize_t give(struct stream *s, char *out, size_t max)
{
    size_t n = MIN(max, s->held.len - s->at);
    memcpy(out, s->held.ptr + s->at, n);
    s->at += n;
    if (s->at == s->held.len) {
        buf_reset(&s->held);
        s->at = 0;
    } else if (s->at >= COMPACT_AT) {
        buf_eat(&s->held, s->at);
        s->at = 0;
    }
    if (s->vm && !s->ended)
        s->vmm->grant(s->vmm, s->vm, n);
    return (ssize_t)n;
}

static ssize_t read_stream(void *ctx, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct stream *s = ctx;
    if (s->q->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (s->at < s->held.len)
        return give(s, out, max);
    if (s->ended) /* an end that is not whole shows in the missing last chunk */
        return s->end == ST_OK ? MHD_CONTENT_READER_END_OF_STREAM
                               : MHD_CONTENT_READER_END_WITH_ERROR;
    request_sleep(s->q);
    return 0;
}

static void begin_answer(struct stream *s)
{
    s->answering = true;
    request_stream(s->q, "application/octet-stream", 0, read_stream, s);
}

static bool is_upload(const struct stream *s)
{
    return s->q->op->flags & OP_UPLOAD;
}

/* --- from the VM --- */

static void end(struct stream *s, enum status how, const struct fault *why)
{
    s->ended = true;
    s->end = how;
    struct op_answer done = {.http = 204};
    if (s->answering) {
        request_wake(s->q);
    } else if (how != ST_OK) {
        request_refuse(s->q, status_http(how), why);
    } else if (is_upload(s)) {
        buf_init(&done.body, 1); /* nothing */
        request_answer(s->q, &done);
    } else {
        begin_answer(s); /* of an empty file */
    }
}

static void vm_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    (void)from;
    struct stream *s = ctx;
    struct fault why;
    if (s->ended)
        return;
    buf_str(&s->held, bytes);
    if (s->held.full) { /* it is closed with the request, not from its own call */
        (void)fault_set(&why, ST_INTERNAL, "the VM sent more than it may");
        end(s, ST_INTERNAL, &why);
    } else if (!s->answering) {
        begin_answer(s);
    } else {
        request_wake(s->q);
    }
}

static void vm_writable(void *ctx)
{
    struct stream *s = ctx;
    request_wake(s->q);
}

static void vm_closed(void *ctx, enum status s, const struct fault *why, int exit_status)
{
    (void)exit_status;
    struct stream *stream = ctx;
    stream->vm = NULL;
    if (!stream->ended)
        end(stream, s, why);
}

/* --- open --- */

static void opened(void *ctx, struct vmm_stream *vm, struct op_answer *a)
{
    struct request *q = ctx;
    struct stream *s = q->stream;
    if (!vm) {
        request_answer(q, a);
        return;
    }
    s->vm = vm;
    q->opened = true;
    if (is_upload(s))
        request_wake(q);
    else if (q->op->id == OP_VM_LOGS) /* a file answers with its first bytes: it may not be there */
        begin_answer(s);
}

void stream_open(struct request *q, uint64_t upload_size)
{
    struct stream *s = NEW(struct stream);
    struct http *h = q->conn->h;
    struct op_call call = request_call(q);
    s->q = q;
    s->vmm = node_vmm(ops_node(h->ops));
    s->events = (struct vmm_stream_events){vm_data, vm_writable, vm_closed, s};
    buf_init(&s->held, HELD_MAX);
    q->stream = s;
    ops_open(h->ops, &call, &s->events, upload_size, opened, q);
}

size_t stream_push(struct request *q, struct str bytes)
{
    struct stream *s = q->stream;
    if (q->asleep)
        return 0;
    require(s->vm); /* its end would have been an answer */
    size_t n = s->vmm->write(s->vmm, s->vm, bytes);
    if (n < bytes.len && s->vm)
        request_sleep(q);
    return n;
}

void stream_push_end(struct request *q)
{
    struct stream *s = q->stream;
    require(s->vm);
    s->vmm->write_end(s->vmm, s->vm);
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    if (s->vm)
        s->vmm->close(s->vmm, s->vm);
    buf_done(&s->held);
    free(s);
}
