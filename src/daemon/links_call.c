/*
 * links_call: what this node asks of others, and what they ask of it.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/links_state.h"
#include "quic/udp.h"

enum {
    CALLS_OF_ONE_MAX = 256, /* of one member at one time */
    CALLS_OF_ONE_PER_S = 50000,
};

/* Something that was asked of a member, or waits for a connection with it. */
struct hand {
    struct list item;
    struct links *links;
    uint32_t number, timeout_ms, answer_max;
    uint16_t method;
    struct buf body;
    struct rpc_ask *ask; /* NULL: there is no connection yet */
    uint64_t due_ms;     /* of one without a connection */
    links_answered *answered;
    void *ctx;
};

static void hand_free(struct hand *h)
{
    list_cut(&h->item);
    h->links->hand_count--;
    buf_done(&h->body);
    free(h);
}

static void fail(struct hand *h, const struct fault *why)
{
    links_answered *answered = h->answered;
    void *ctx = h->ctx;
    hand_free(h);
    answered(ctx, &(struct rpc_answer){.status = why->status, .fault = why});
}

static void on_answered(void *ctx, struct rpc_ask *a, const struct rpc_answer *answer)
{
    struct hand *h = ctx;
    links_answered *answered = h->answered;
    void *told = h->ctx;
    (void)a;
    hand_free(h);
    answered(told, answer);
}

static void send_hand(struct hand *h, struct quic_conn *c)
{
    static const struct rpc_ask_events events = {.answered = on_answered};
    struct fault why;
    struct rpc_request q = {
        .method = h->method,
        .timeout_ms = h->timeout_ms,
        .answer_max = h->answer_max,
        .body = buf_view(&h->body),
    };
    rpc_step(h->links->rpc, links_now_ms());
    if (rpc_ask(h->links->rpc, c, &q, &events, h, &h->ask, &why) != ST_OK)
        fail(h, &why);
}

void links_ask(struct links *l, uint32_t number, uint16_t method, uint32_t timeout_ms,
               uint32_t answer_max, struct str bytes, links_answered *answered, void *ctx)
{
    struct hand *h = NEW(struct hand);
    struct quic_conn *c;
    struct fault why;
    *h = (struct hand){.links = l,
                       .number = number,
                       .method = method,
                       .timeout_ms = timeout_ms,
                       .due_ms = links_now_ms() + timeout_ms,
                       .answer_max = answer_max,
                       .answered = answered,
                       .ctx = ctx};
    buf_init(&h->body, MAX(bytes.len, 1));
    buf_str(&h->body, bytes);
    list_push(&l->hands, &h->item);
    l->hand_count++;
    if (l->hand_count > LINKS_HANDS_MAX) {
        (void)fault_set(&why, ST_LIMIT, "%d calls to other nodes are under way already",
                        LINKS_HANDS_MAX);
        fail(h, &why);
        return;
    }
    enum status s = mesh_conn(l->mesh, number, LINKS_RPC, udp_now_ns(), &c, &why);
    if (s == ST_OK)
        send_hand(h, c);
    else if (s != ST_UNAVAILABLE) /* then it is dialled, and up or down follows */
        fail(h, &why);
}

void links_ask_forget(struct links *l, void *ctx)
{
    LIST_EACH(it, &l->hands) {
        struct hand *h = CONTAINER_OF(it, struct hand, item);
        if (h->ctx != ctx)
            continue;
        if (h->ask)
            rpc_cancel(h->ask);
        hand_free(h);
    }
}

static struct hand *first_of(struct links *l, uint32_t number)
{
    LIST_EACH(it, &l->hands) {
        struct hand *h = CONTAINER_OF(it, struct hand, item);
        if (h->number == number)
            return h;
    }
    return NULL;
}

void links_give_up(struct links *l, uint32_t number, const char *text)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "%s", text);
    for (struct hand *h; (h = first_of(l, number));) {
        if (h->ask)
            rpc_cancel(h->ask);
        fail(h, &why);
    }
}

/* The first that waits for that member, or NULL. Telling one may change the list. */
static struct hand *first_waiting(struct links *l, uint32_t number)
{
    LIST_EACH(it, &l->hands) {
        struct hand *h = CONTAINER_OF(it, struct hand, item);
        if (h->number == number && !h->ask)
            return h;
    }
    return NULL;
}

uint64_t links_call_deadline_ms(const struct links *l)
{
    uint64_t at_ms = UINT64_MAX;
    LIST_EACH(it, &l->hands) {
        const struct hand *h = CONTAINER_OF(it, struct hand, item);
        if (!h->ask)
            at_ms = MIN(at_ms, h->due_ms);
    }
    return at_ms;
}

void links_call_step(struct links *l, uint64_t now_ms)
{
    struct fault why;
    LIST_EACH(it, &l->hands) {
        struct hand *h = CONTAINER_OF(it, struct hand, item);
        if (h->ask || now_ms < h->due_ms)
            continue;
        (void)fault_set(&why, ST_TIMEOUT, "node %" PRIu32 " is not reached", h->number);
        fail(h, &why);
        return; /* which may have changed the list; this is called again at once */
    }
}

void links_up(void *ctx, uint32_t number, struct quic_conn *c)
{
    for (struct hand *h; (h = first_waiting(ctx, number));)
        send_hand(h, c);
}

void links_down(void *ctx, uint32_t number, const struct quic_end *end)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "node %" PRIu32 " is not reached: %s", number, end->text);
    for (struct hand *h; (h = first_waiting(ctx, number));)
        fail(h, &why);
}

/* --- calls of the API that another node carries out --- */

struct handed {
    struct links *links;
    op_done *done;
    void *ctx;
};

static void handed_answered(void *ctx, const struct rpc_answer *a)
{
    struct handed *w = ctx;
    struct remote_answer r;
    struct fault why;
    enum status s = a->status;
    if (s == ST_OK)
        s = remote_answer_decode(a->bytes, &r, &why);
    else
        why = *a->fault;
    if (s != ST_OK)
        remote_answer_fail(&why, &r);
    w->done(w->ctx, &r.answer);
    remote_answer_done(&r);
    free(w);
}

static void call(struct ops_remote *remote, uint32_t number, const struct op_call *c, op_done *done,
                 void *ctx)
{
    struct links *l = CONTAINER_OF(remote, struct links, remote);
    struct handed *w = NEW(struct handed);
    struct fault why;
    AUTO(buf_done) struct buf bytes;
    *w = (struct handed){l, done, ctx};
    buf_init(&bytes, REMOTE_CALL_MAX);
    if (remote_call_encode(c, &bytes, &why) == ST_OK)
        links_ask(l, number, METHOD_CALL,
                  LINKS_CALL_MS + (uint32_t)MIN(c->wait_ms, OPS_WAIT_MAX_MS), REMOTE_ANSWER_MAX,
                  buf_view(&bytes), handed_answered, w);
    else
        handed_answered(w, &(struct rpc_answer){.status = why.status, .fault = &why});
}

static void forget(struct ops_remote *remote, void *ctx)
{
    struct links *l = CONTAINER_OF(remote, struct links, remote);
    LIST_EACH(it, &l->hands) {
        struct hand *h = CONTAINER_OF(it, struct hand, item);
        struct handed *w = h->ctx;
        if (h->answered != handed_answered || w->ctx != ctx)
            continue;
        links_ask_forget(l, w);
        free(w);
        return;
    }
}

/* --- those that others hand to this node --- */

static void call_done(void *ctx, struct op_answer *a)
{
    struct rpc_call *c = ctx;
    struct fault why;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REMOTE_ANSWER_MAX);
    enum status s = remote_answer_encode(a, &bytes, &why);
    rpc_answer(c, s, s == ST_OK ? NULL : &why, buf_view(&bytes));
}

static void call_called(void *ctx, struct rpc_call *c)
{
    struct links *l = ctx;
    struct remote_call r;
    struct fault why;
    uint32_t from = mesh_number(l->mesh, rpc_call_peer(c));
    enum status s = ST_OK;
    if (!l->ops || from == 0)
        s = fault_set(&why, ST_UNAVAILABLE, "the node is not ready");
    if (s == ST_OK)
        s = remote_call_decode(rpc_call_body(c), &r, &why);
    if (s != ST_OK) {
        rpc_answer(c, s, &why, STR(""));
        return;
    }
    r.call.asked = from; /* whatever it says */
    ops_call(l->ops, &r.call, call_done, c);
    remote_call_done(&r);
}

static void call_gone(void *ctx, struct rpc_call *c, enum status why)
{
    const struct links *l = ctx;
    (void)why;
    if (l->ops)
        ops_forget(l->ops, c);
}

/* --- life --- */

void links_call_init(struct links *l)
{
    l->remote = (struct ops_remote){.call = call, .forget = forget};
    l->rpc_methods[0] = (struct rpc_method){
        .number = METHOD_CALL,
        .name = "call",
        .body_max = REMOTE_CALL_MAX,
        .answer_max = REMOTE_ANSWER_MAX,
        .concurrent_max = CALLS_OF_ONE_MAX,
        .per_s = CALLS_OF_ONE_PER_S,
        .called = call_called,
        .gone = call_gone,
        .ctx = l,
    };
}

void links_call_end(struct links *l)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "the daemon stops");
    while (!list_empty(&l->hands)) {
        struct hand *h = CONTAINER_OF(l->hands.next, struct hand, item);
        if (h->ask)
            rpc_cancel(h->ask);
        fail(h, &why);
    }
}
