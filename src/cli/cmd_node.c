/* node token: the ticket that it makes is shown once, so it is printed alone. */
#include "cli/call.h"
#include "cli/commands_by_hand.h"
#include "pb/token.pb-c.h"

static int show_ticket(struct cli *c, const struct answer *a)
{
    struct fault why;
    char note[200];
    const char *text = json_string_value(json_object_get(a->json, "ticket"));
    const char *until = json_string_value(json_object_get(a->json, "expires_ns"));
    if (!text) {
        (void)fault_set(&why, ST_CONFLICT,
                        "that request was carried out before, and its ticket was shown then");
        fault_hint(&why, "make another, with another key: blixard node token");
        return cli_fail(c, &why);
    }
    (void)snprintf(note, sizeof note, "on one other machine, until %s: blixard join TICKET",
                   until ? until : "its end");
    return call_show_once(c, &pb__token__descriptor, "token", a->json, text, note);
}

int node_token_run(struct cli *c)
{
    struct fault why;
    struct answer a = {0};
    enum status s = call_send(c, NULL, &a, &why);
    int code = s == ST_OK ? show_ticket(c, &a) : cli_fail(c, &why);
    answer_done(&a);
    return code;
}
