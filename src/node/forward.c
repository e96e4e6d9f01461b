/*
 * forward: what a node has to say of itself and its VMs is a command, which only the leader can propose.
 *
 * A report must not be taken after a newer one: it would set the state back. So whoever has commands has a
 * session with the leader of a term, in which commands have rising numbers; the leader takes one only in the
 * session that is the newest of that member, and only if it is the newest of it. Sessions are rising too, and
 * given when they are asked for, which takes a command from nowhere. What was sent in an older session, by an
 * older process, to an older leader, comes too late then. (An older leader may still append it; but what is
 * committed in its term by then stands before all that is proposed in later ones.)
 *
 * The answer tells where the command was applied; who waits is told when this node has applied that too. If
 * nothing comes in time it is told so, and reports again what is then the newest.
 */
#include <stdlib.h>

#include "node/state.h"
#include "wire/proto.h"

enum {
    FORWARDED_MS = 2000, /* from sending to the answer */
    TAKEN_MS = 1500,     /* from taking to being applied, at the leader */
    SESSION_MS = 100,    /* between two asks for one */
    FORWARD_MAX = 256,   /* that wait here */
    TAKEN_MAX = 1024,    /* that wait at the leader */
};

/* --- as who has commands --- */

static void end(struct node *n, struct node_forward *f, enum status s, const struct fault *why,
                const struct apply_result *r)
{
    list_cut(&f->item);
    n->sender.count--;
    f->done(f->ctx, s, s == ST_OK ? NULL : why, r);
    free(f);
}

void node_forward_done(struct node *n, const char *text)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "%s", text);
    while (!list_empty(&n->sender.waiting))
        end(n, CONTAINER_OF(n->sender.waiting.next, struct node_forward, item), ST_UNAVAILABLE,
            &why, NULL);
}

/* Another leader knows nothing of the session. */
static void follow_leader(struct node *n, const struct raft_view *v)
{
    struct node_sender *s = &n->sender;
    if (s->term == v->term)
        return;
    s->term = v->term;
    s->session = s->ask_ms = 0;
}

static void ask_session(struct node *n, uint32_t leader)
{
    struct node_sender *s = &n->sender;
    uint64_t now_ms = node_now_ms(n);
    if (now_ms < s->ask_ms)
        return;
    s->ask_ms = now_ms + SESSION_MS;
    node_send(n, leader,
              &(struct mail){.kind = MAIL_FORWARD, .forward = {.term = s->term, .life = s->life}});
}

static enum status forward(struct node *n, uint32_t leader, const Pb__Command *cmd, node_done *done,
                           void *ctx, struct fault *why)
{
    struct node_sender *s = &n->sender;
    AUTO(buf_done) struct buf b;
    buf_init(&b, MAIL_COMMAND_MAX);
    proto_pack(&cmd->base, &b);
    enum status st = buf_status(&b, why);
    if (st != ST_OK)
        return fault_wrap(why, st, "command");
    struct node_forward *f = NEW(struct node_forward);
    *f = (struct node_forward){
        .number = ++s->number, .due_ms = node_now_ms(n) + FORWARDED_MS, .done = done, .ctx = ctx};
    list_push(&s->waiting, &f->item);
    s->count++;
    n->forwards++;
    node_send(n, leader,
              &(struct mail){.kind = MAIL_FORWARD,
                             .forward = {.term = s->term,
                                         .life = s->life,
                                         .session = s->session,
                                         .number = f->number,
                                         .command = buf_view(&b)}});
    return ST_OK;
}

enum status node_propose_own(struct node *n, const Pb__Command *cmd, node_done *done, void *ctx,
                             struct fault *why)
{
    struct raft_view v = raft_view(n->raft);
    if (n->dead || !n->ports.peers || v.role == RAFT_LEADER)
        return node_propose(n, cmd, UINT64_MAX, done, ctx, why);
    if (!v.leader || n->fetch.freezes)
        return fault_set(why, ST_UNAVAILABLE, "nobody is known to lead");
    if (n->sender.count >= FORWARD_MAX)
        return fault_set(why, ST_LIMIT, "%d commands wait already", FORWARD_MAX);
    follow_leader(n, &v);
    if (n->sender.session == 0) {
        ask_session(n, v.leader);
        return fault_set(why, ST_UNAVAILABLE, "the leader was not spoken to yet");
    }
    return forward(n, v.leader, cmd, done, ctx, why);
}

static struct node_forward *find(struct node *n, uint64_t number)
{
    LIST_EACH(it, &n->sender.waiting) {
        struct node_forward *f = CONTAINER_OF(it, struct node_forward, item);
        if (f->number == number)
            return f;
    }
    return NULL;
}

void node_forwarded_received(struct node *n, uint32_t from, const struct mail_forwarded *m)
{
    struct node_sender *s = &n->sender;
    if (m->life != s->life || m->term != s->term || from != raft_view(n->raft).leader)
        return; /* of another time */
    if (m->number == 0) {
        s->session = MAX(s->session, m->session);
        return;
    }
    if (m->session != s->session)
        return;
    if (m->index == 0 && m->status == ST_PRECONDITION)
        s->session = 0;
    struct node_forward *f = find(n, m->number);
    if (!f || f->answered)
        return;
    if (m->index == 0 && m->status == ST_OK) {
        n->mails.refused++;
        return;
    }
    f->answered = true;
    f->index = m->index;
    if (m->status != ST_OK)
        (void)fault_set(&f->why, m->status, STR_FMT, STR_ARG(m->text));
}

/* true: f is no more. */
static bool end_one(struct node *n, struct node_forward *f, uint64_t applied)
{
    if (f->answered && f->index == 0) {
        struct fault why = f->why;
        end(n, f, why.status, &why, NULL);
        return true;
    }
    if (f->answered && applied >= f->index) {
        struct apply_result r = {.status = f->why.status, .why = f->why, .index = f->index};
        end(n, f, ST_OK, NULL, &r);
        return true;
    }
    if (node_now_ms(n) < f->due_ms)
        return false;
    struct fault why;
    (void)fault_set(&why, ST_TIMEOUT, "the leader did not answer in time; it may still be applied");
    end(n, f, ST_TIMEOUT, &why, NULL);
    return true;
}

void node_forward_step(struct node *n)
{
    if (list_empty(&n->sender.waiting))
        return;
    uint64_t applied = raft_view(n->raft).applied;
    LIST_EACH(it, &n->sender.waiting)
        (void)end_one(n, CONTAINER_OF(it, struct node_forward, item), applied);
}

uint64_t node_forward_deadline_ms(const struct node *n)
{
    /* All wait equally long: the first is due first. */
    const struct list *first = n->sender.waiting.next;
    return first == &n->sender.waiting
               ? UINT64_MAX
               : ((const struct node_forward *)first)->due_ms; /* item is its first field */
}

/* --- as the leader --- */

/* A command of another's in this log. */
struct taken {
    struct node *node;
    uint32_t to;
    struct mail_forwarded answer;
};

static void answer(struct node *n, uint32_t to, const struct mail_forwarded *m,
                   const struct fault *why)
{
    struct mail mail = {.kind = MAIL_FORWARDED, .forwarded = *m};
    if (m->status != ST_OK)
        mail.forwarded.text = str_from(why->text);
    node_send(n, to, &mail);
}

static void applied(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct taken *t = ctx;
    struct node *n = t->node;
    n->leader.waiting--;
    t->answer.status = s == ST_OK ? r->status : s;
    t->answer.index = s == ST_OK ? r->index : 0;
    if (!n->dead)
        answer(n, t->to, &t->answer, s == ST_OK ? &r->why : why);
    free(t);
}

/* A place for another one. Of those that have all places one is a member no more: this one is, and was not there. */
static struct node_session *session_place(struct node *n)
{
    struct node_leader *l = &n->leader;
    if (l->count < RAFT_MEMBERS_MAX)
        return &l->of[l->count++];
    for (size_t i = 0; i < l->count; i++)
        if (!raft_members_find(raft_members(n->raft), l->of[i].member))
            return &l->of[i];
    defs_unreachable("more members than there may be");
}

/* member is one in force. */
static struct node_session *session_of(struct node *n, uint32_t member)
{
    struct node_leader *l = &n->leader;
    uint64_t term = raft_view(n->raft).term;
    if (l->term != term) {
        l->term = term;
        l->count = 0;
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->of[i].member == member)
            return &l->of[i];
    struct node_session *s = session_place(n);
    *s = (struct node_session){.member = member};
    return s;
}

/* What a member may say without anybody's leave: of itself, and of what is its own. */
static bool may_forward(const Pb__Command *cmd)
{
    return (cmd->body_case == PB__COMMAND__BODY_NODE_HELLO ||
            cmd->body_case == PB__COMMAND__BODY_VM_REPORT ||
            cmd->body_case == PB__COMMAND__BODY_IMAGE_REPORT) &&
           !cmd->has_id && !cmd->has_request;
}

static enum status unpack(struct str bytes, ProtobufCMessage **ret, struct fault *why)
{
    enum status s = proto_unpack(&pb__command__descriptor, bytes, MAIL_COMMAND_MAX, ret, why);
    if (s != ST_OK)
        return s;
    if (may_forward((const Pb__Command *)(void *)*ret))
        return ST_OK;
    return fault_set(why, ST_DENIED, "no member proposes this for another");
}

static enum status propose(struct node *n, uint32_t from, struct str command,
                           const struct mail_forwarded *m, struct fault *why)
{
    AUTO(auto_proto_free) ProtobufCMessage *cmd = NULL;
    if (n->leader.waiting >= TAKEN_MAX)
        return fault_set(why, ST_LIMIT, "%d commands of members wait already", TAKEN_MAX);
    enum status s = unpack(command, &cmd, why);
    if (s != ST_OK) {
        n->mails.refused++;
        return s;
    }
    struct taken *t = NEW(struct taken);
    *t = (struct taken){.node = n, .to = from, .answer = *m};
    s = node_propose(n, (const Pb__Command *)(void *)cmd, node_now_ms(n) + TAKEN_MS, applied, t,
                     why);
    if (s == ST_OK)
        n->leader.waiting++;
    else
        free(t);
    return s;
}

/* In its session, and after what was taken before? */
static enum status take_number(struct node_session *s, const struct mail_forward *m,
                               struct fault *why)
{
    if (m->session != s->session || m->life != s->life)
        return fault_set(why, ST_PRECONDITION, "there is a newer session");
    if (m->number <= s->number)
        return fault_set(why, ST_CONFLICT, "a later command came before it");
    s->number = m->number;
    return ST_OK;
}

void node_forward_received(struct node *n, uint32_t from, const struct mail_forward *m)
{
    struct raft_view v = raft_view(n->raft);
    struct mail_forwarded a = {m->term, m->life, m->session, m->number, 0, ST_OK, STR("")};
    struct fault why;
    if (v.role != RAFT_LEADER || v.term != m->term ||
        !raft_members_find(raft_members(n->raft), from))
        return; /* it will hear who leads */
    struct node_session *s = session_of(n, from);
    if (m->session == 0) {
        if (s->life != m->life) /* the same life keeps its own, however often it asks */
            *s = (struct node_session){from, m->life, ++n->leader.sessions, 0};
        a.session = s->session;
        answer(n, from, &a, NULL);
        return;
    }
    a.status = take_number(s, m, &why);
    if (a.status == ST_CONFLICT)
        return; /* doubled, perhaps: that one is answered */
    if (a.status == ST_OK)
        a.status = propose(n, from, m->command, &a, &why);
    if (a.status != ST_OK)
        answer(n, from, &a, &why);
}
