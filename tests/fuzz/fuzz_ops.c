/*
 * Any request of an administrator, to a node of simulated ports: it is answered once, with a status
 * of the table, and what is refused says why.
 */
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "support/fake.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
    struct fake f;
    struct ops *ops;
    size_t asked, answered;
};

static void answered(void *ctx, struct op_answer *a)
{
    struct target *t = ctx;
    t->answered++;
    ensure(a->http >= 200 && a->http < 600);
    ensure((a->status == ST_OK) == (a->http < 400) || a->http == 503); /* not ready is no fault */
    ensure(a->status == ST_OK || (a->why.text[0] && a->body.len > 0));
    ensure(!a->body.full);
}

static void opened(void *ctx, struct vmm_stream *s, struct op_answer *a)
{
    (void)s;
    answered(ctx, a);
}

static struct str line(struct str *rest)
{
    struct str head;
    (void)str_cut(rest, '\n', &head);
    return head;
}

/* Lines: number of the row, name, query, If-Match; the rest is the body. */
static void ask(struct target *t, struct str text)
{
    static const struct vmm_stream_events events = {0};
    struct str row = line(&text);
    struct op_call c = {.who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN}};
    uint64_t id = row.len > 0 ? (uint8_t)row.ptr[0] : 0;
    c.op = op_get((enum op_id)(id % OP_COUNT));
    c.name = line(&text);
    c.query = line(&text);
    c.if_match = line(&text);
    c.body = text;
    t->asked++;
    bool stream =
        c.op->flags & (OP_SOCKET | OP_UPLOAD) || c.op->id == OP_VM_LOGS || c.op->id == OP_VM_PULL;
    if (c.op->id == OP_EVENTS)
        t->asked--;
    else if (stream)
        ops_open(t->ops, &c, &events, 0, opened, t);
    else
        ops_call(t->ops, &c, answered, t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_setup();
    struct target *t = NEW(struct target);
    fake_start(&t->f);
    struct ops_config c = {.version = "0", .feature_level = 1, .timeout_ms = 1000};
    t->ops = ops_new(t->f.node, &c);
    char image[] = "{\"name\":\"debian\"}",
         vm[] = "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}";
    struct op_call call = {.op = op_get(OP_IMAGE_BUILD),
                           .who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN}};
    call.body = str_from(image);
    ops_call(t->ops, &call, answered, t);
    fake_run(&t->f);
    call.op = op_get(OP_VM_CREATE);
    call.body = str_from(vm);
    ops_call(t->ops, &call, answered, t);
    fake_run(&t->f);
    t->asked = 2;

    ask(t, (struct str){(const char *)data, size});
    fake_run(&t->f);
    t->f.now_ms += 4000000;
    ops_step(t->ops);
    ops_free(t->ops);
    ensure(t->asked == t->answered);
    fake_stop(&t->f);
    free(t);
    return 0;
}
