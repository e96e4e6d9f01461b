/*
 * apply: one log entry becomes a change of the state, or a refusal.
 */
#include <string.h>

#include "core/plan.h"

void apply_result_done(struct apply_result *r)
{
    for (size_t i = 0; i < r->change_count; i++) {
        object_unref(r->changes[i].before);
        object_unref(r->changes[i].after);
    }
    for (size_t i = 0; i < r->event_count; i++)
        object_unref(r->events[i]);
    r->change_count = r->event_count = 0;
}

bool cluster_answered(const struct cluster *c, const struct command_key *key,
                      struct apply_result *out)
{
    const struct done *d = done_find(&c->done, key->id);
    if (!d)
        return false;
    *out = (struct apply_result){.index = c->index};
    out->status = command_key_check(&d->key, key, &out->why);
    if (out->status != ST_OK)
        return true;
    out->replay = true;
    out->status = d->status;
    memcpy(out->uid, d->uid, sizeof out->uid);
    memcpy(out->operation_id, d->operation_id, sizeof out->operation_id);
    if (d->status == ST_OK)
        return true;
    (void)fault_set(&out->why, d->status, "%s", d->text);
    fault_hint(&out->why, "%s", d->hint);
    fault_field(&out->why, "%s", d->field);
    return true;
}

/* Change the state, or refuse and leave it as it was. */
static void carry_out(struct cluster *c, struct plan *p, struct apply_result *out)
{
    out->status = p->status;
    if (p->status != ST_OK)
        out->why = p->why;
    if (!p->cmd || (p->has_key && cluster_answered(c, &p->key, out)))
        return;
    if (p->status == ST_OK) {
        memcpy(out->uid, p->txn.uid, sizeof out->uid);
        memcpy(out->operation_id, p->txn.operation_id, sizeof out->operation_id);
        txn_commit(&p->txn, c, out);
        cluster_trim(c);
    }
    /* Of no other will a retry ask. */
    if (p->has_key && p->cmd->has_request)
        done_add(&c->done,
                 done_new(&p->key, c->index, out->status, &out->why, out->uid, out->operation_id),
                 c->limits.done);
}

void cluster_foresee(struct cluster *c, uint64_t index, struct str command)
{
    require(index > c->index);
    if (!plan_is_of(c->next, index, command))
        plan_make(c->next, c, index, command);
}

void cluster_apply(struct cluster *c, uint64_t index, struct str command, struct apply_result *out)
{
    cluster_foresee(c, index, command);
    c->index = index;
    *out = (struct apply_result){.index = index};
    carry_out(c, c->next, out);
}

void cluster_try(const struct cluster *c, struct str command, struct apply_result *out)
{
    struct plan p = {0};
    plan_make(&p, c, c->index + 1, command);
    *out = (struct apply_result){.index = p.index, .status = p.status};
    if (p.status != ST_OK)
        out->why = p.why;
    for (size_t i = 0; p.status == ST_OK && i < p.txn.change_count; i++) {
        struct object *before = p.txn.changes[i].before, *after = p.txn.changes[i].after;
        out->changes[out->change_count++] =
            (struct change){p.txn.changes[i].kind, before ? object_ref(before) : NULL,
                            after ? object_ref(after) : NULL};
    }
    memcpy(out->uid, p.txn.uid, sizeof out->uid);
    plan_drop(&p);
}
