/*
 * hello: what a node does first. Once its state is as new as its log, it makes the cluster if there
 * is none, says what it is, and learns its number; then it looks at what runs on its machine. A witness has nothing to
 * say.
 */
#include <stdio.h>

#include "node/state.h"
#include "wire/proto.h"

enum { RETRY_MS = 100 };

static void try_later(struct node *n)
{
    n->hello_retry_ms = node_now_ms(n) + RETRY_MS;
}

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct node *n = ctx;
    (void)why;
    n->hello_asked = false;
    n->busy = true;
    if (s != ST_OK) { /* of the log or of consensus: try again */
        try_later(n);
        return;
    }
    if (n->hello == HELLO_INIT) {
        /* Refused because somebody was faster: fine. */
        if (r->status == ST_OK || cluster_level(n->cluster) > 0) {
            n->hello = HELLO_SELF;
            return;
        }
    } else if (r->status == ST_OK) {
        const struct object *o = cluster_node_by_key(n->cluster, n->facts->key);
        if (!o) { /* it was removed again at once */
            try_later(n);
            return;
        }
        n->number = object_node(o)->number;
        n->hello = HELLO_DONE;
        reconcile_begin(n);
        images_begin(n);
        return;
    }
    struct fault f = r->why;
    (void)fault_wrap(&f, r->status,
                     n->hello == HELLO_INIT ? "make the cluster" : "join the cluster");
    node_die(n, &f);
}

static void ask(struct node *n, Pb__Command *cmd)
{
    cmd->actor = n->actor;
    if (node_propose_own(n, cmd, told, n, NULL) == ST_OK)
        n->hello_asked = true;
    else
        try_later(n);
}

static void ask_init(struct node *n)
{
    char uid[3][OBJECT_UID_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(uid); i++)
        node_new_uid(n, uid[i]);
    Pb__CmdClusterInit init = PB__CMD_CLUSTER_INIT__INIT;
    init.uid = uid[0];
    init.name = n->cluster_name;
    init.tenant_uid = uid[1];
    init.project_uid = uid[2];
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_CLUSTER_INIT;
    cmd.cluster_init = &init;
    ask(n, &cmd);
}

static void ask_self(struct node *n)
{
    char uid[OBJECT_UID_MAX];
    node_new_uid(n, uid);
    Pb__CmdNodeHello hello = PB__CMD_NODE_HELLO__INIT;
    hello.uid = uid;
    hello.name = n->name;
    hello.facts = n->facts;
    PROTO_SET(&hello, number, n->config.member);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_NODE_HELLO;
    cmd.node_hello = &hello;
    ask(n, &cmd);
}

bool node_state_is_current(const struct node *n)
{
    struct raft_read read;
    return raft_read(n->raft, &read, NULL) == ST_OK && raft_view(n->raft).applied >= read.index;
}

/* Only the leader makes the cluster, and of several who led in turn, the first: apply sees to that. The others have
 * something to say once it is there; that it is applied here shows that the state is as new as this start. */
static void look(struct node *n)
{
    bool follows = n->ports.peers && !node_leads(n);
    bool there = cluster_level(n->cluster) > 0;
    if (n->hello == HELLO_INIT && follows && !n->hello_asked)
        n->hello = HELLO_WAIT;
    if (n->hello == HELLO_WAIT && (follows ? there : node_state_is_current(n)))
        n->hello = there ? HELLO_SELF : HELLO_INIT;
}

void node_hello_step(struct node *n)
{
    if (n->config.witness)
        return;
    look(n);
    if (n->hello_asked || node_now_ms(n) < n->hello_retry_ms)
        return;
    if (n->hello == HELLO_INIT)
        ask_init(n);
    else if (n->hello == HELLO_SELF)
        ask_self(n);
}

uint64_t node_hello_deadline_ms(const struct node *n)
{
    bool waits = (n->hello == HELLO_INIT || n->hello == HELLO_SELF) && !n->hello_asked;
    return waits ? n->hello_retry_ms : UINT64_MAX;
}
