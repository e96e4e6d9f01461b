/* token create: what it makes is shown once, so it is printed alone. */
#include "cli/call.h"
#include "cli/commands_by_hand.h"
#include "pb/token.pb-c.h"

static int show_token(struct cli *c, const struct answer *a)
{
    struct fault why;
    const char *text = json_string_value(json_object_get(a->json, "token"));
    const char *until = json_string_value(json_object_get(a->json, "expires_ns"));
    if (!text) {
        (void)fault_set(&why, ST_CONFLICT,
                        "that request was carried out before, and its token was shown then");
        fault_hint(&why, "revoke it and make another: blixard token revoke %s", cli_first_name(c));
        return cli_fail(c, &why);
    }
    char note[200];
    (void)snprintf(note, sizeof note, "token/%s is good until %s; it is shown this once",
                   cli_first_name(c), until ? until : "its end");
    return call_show_once(c, &pb__token__descriptor, "token", a->json, text, note);
}

int token_create_run(struct cli *c)
{
    struct fault why;
    struct answer a = {0};
    enum status s = call_send(c, NULL, &a, &why);
    int code = s == ST_OK ? show_token(c, &a) : cli_fail(c, &why);
    answer_done(&a);
    return code;
}
