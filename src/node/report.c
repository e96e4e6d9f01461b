/*
 * report: what a machine knows of its VM becomes a command. One report of a VM is on its way at a
 * time, of its newest status; what the state does not take is reported again later.
 */
#include <string.h>

#include "node/state.h"
#include "wire/check.h"

enum { LOG_RETRY_MS = 50 };

static bool is_gone(const struct node_vm *v)
{
    return v->machine.state == VM_STATE_GONE && v->object;
}

static bool has_news(const struct node_vm *v)
{
    return v->object && (is_gone(v) || vm_machine_has_news(&v->machine));
}

void report_want(struct node_vm *v)
{
    if (v->reporting || !has_news(v) || !list_empty(&v->news) || heap_holds(&v->retry))
        return;
    list_push(&v->node->reconcile.news, &v->news);
    v->node->busy = true;
}

static void retry_later(struct node_vm *v)
{
    heap_put(&v->node->reconcile.retries, &v->retry,
             node_now_ms(v->node) + reconcile_backoff_ms(v->node, v->refusals));
}

static void told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct node_vm *v = ctx;
    struct reconcile *x = &v->node->reconcile;
    (void)why;
    v->reporting = false;
    x->reporting--;
    if (s == ST_OK && r->status == ST_OK) {
        v->refusals = 0;
        vm_machine_reported(&v->machine, v->reporting_version);
    } else if (s != ST_OK) { /* of the log or of consensus: the state did not see it */
        heap_put(&x->retries, &v->retry, node_now_ms(v->node) + LOG_RETRY_MS);
    } else {
        x->reports_refused++;
        v->refusals++;
        retry_later(v);
    }
    reconcile_touch(v);
}

/* What a guest made up must not keep its VM's status out of the state. */
static void leave_out_what_does_not_fit(Pb__VmStatus *s)
{
    if (check_message(&s->base, CHECK_STORED, NULL) == ST_OK)
        return;
    s->boot_id = s->address = s->detail = NULL;
}

/* false: the log takes nothing now. */
static bool send(struct node_vm *v)
{
    struct node *n = v->node;
    Pb__VmStatus status;
    vm_status_message(&v->machine.status, n->number, &status);
    leave_out_what_does_not_fit(&status);
    Pb__CmdVmReport report = PB__CMD_VM_REPORT__INIT;
    report.uid = v->uid;
    report.status = &status;
    report.has_gone = report.gone = is_gone(v);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = n->actor;
    cmd.body_case = PB__COMMAND__BODY_VM_REPORT;
    cmd.vm_report = &report;
    if (node_propose_own(n, &cmd, told, v, NULL) != ST_OK)
        return false;
    v->reporting = true;
    v->reporting_version = v->machine.version;
    n->reconcile.reporting++;
    n->reconcile.reports++;
    return true;
}

static void retry_due(struct node *n)
{
    uint64_t now_ms = node_now_ms(n);
    for (struct heap_item *it; (it = heap_first(&n->reconcile.retries)) && it->key <= now_ms;) {
        struct node_vm *v = CONTAINER_OF(it, struct node_vm, retry);
        heap_cut(&n->reconcile.retries, it);
        report_want(v);
    }
}

void report_step(struct node *n)
{
    struct reconcile *r = &n->reconcile;
    retry_due(n);
    if (node_now_ms(n) < r->report_retry_ms)
        return;
    r->report_retry_ms = 0;
    while (r->reporting < NODE_REPORTS_MAX && !list_empty(&r->news)) {
        struct node_vm *v = CONTAINER_OF(r->news.next, struct node_vm, news);
        if (has_news(v) && !send(v)) {
            r->report_retry_ms = node_now_ms(n) + LOG_RETRY_MS;
            return;
        }
        list_cut(&v->news);
    }
}

uint64_t report_deadline_ms(const struct node *n)
{
    const struct reconcile *r = &n->reconcile;
    uint64_t log_ms = r->report_retry_ms && !list_empty(&r->news) ? r->report_retry_ms : UINT64_MAX;
    return MIN(heap_first_key(&r->retries), log_ms);
}
