/*
 * peers: what comes from other members, and what goes to them.
 */
#include "node/state.h"

void node_send(struct node *n, uint32_t to, const struct mail *m)
{
    struct peers *p = n->ports.peers;
    if (!p)
        return;
    buf_reset(&n->mail);
    mail_encode(m, &n->mail);
    n->mails.sent++;
    p->send(p, to, buf_view(&n->mail));
}

void node_send_raft(struct node *n, const struct raft_message *m)
{
    node_send(n, m->to, &(struct mail){.kind = MAIL_RAFT, .raft.message = *m});
}

bool node_is_witness(const struct node *n, uint32_t member)
{
    const struct raft_member *m = raft_members_find(raft_members(n->raft), member);
    return m && m->flags & RAFT_WITNESS;
}

static enum status take_raft(struct node *n, uint32_t from, const struct raft_message *m,
                             struct fault *why)
{
    if (m->from != from)
        return fault_set(why, ST_INVALID, "a message of member %" PRIu32 " comes from another",
                         m->from);
    if (n->fetch.freezes) /* it is lost, as on a network */
        return ST_OK;
    raft_tick(n->raft, node_now_ms(n));
    enum status s = raft_step(n->raft, m, why);
    if (s == ST_OK && m->type == RAFT_OFFER && m->term == raft_view(n->raft).term)
        node_fetch_offered(n, from);
    return s;
}

static enum status take(struct node *n, uint32_t from, const struct mail *m, struct fault *why)
{
    switch (m->kind) {
    case MAIL_RAFT: return take_raft(n, from, &m->raft.message, why);
    case MAIL_ASK: node_give_asked(n, from, &m->ask); return ST_OK;
    case MAIL_CHUNK: node_fetch_chunk(n, from, &m->chunk); return ST_OK;
    case MAIL_HASH: node_hash_received(n, from, &m->hash); return ST_OK;
    case MAIL_FORWARD: node_forward_received(n, from, &m->forward); return ST_OK;
    case MAIL_FORWARDED: node_forwarded_received(n, from, &m->forwarded); return ST_OK;
    case MAIL_KIND_END: break;
    }
    defs_unreachable("kind of decoded mail");
}

void node_receive(struct node *n, uint32_t from, struct str bytes)
{
    require(n->started);
    struct mail m;
    if (n->dead)
        return;
    n->mails.received++;
    n->busy = true;
    bool other = n->ports.peers && from != 0 && from != n->config.member;
    if (!other || mail_decode(bytes, &m, NULL) != ST_OK) {
        n->mails.refused++;
        return;
    }
    n->mails.refused += take(n, from, &m, NULL) != ST_OK;
    mail_done(&m);
}
