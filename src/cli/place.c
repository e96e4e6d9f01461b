/* Which node is meant. */
#include <stdlib.h>
#include <string.h>

#include "cli/contexts.h"
#include "cli/run.h"

static const char *from_env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

const char *cli_socket(const struct cli *c)
{
    const char *given = given_get(&c->given, FLAG_SOCKET), *env = from_env("BLIXARD_API_SOCKET");
    return given ? given : env ? env : CLI_SOCKET;
}

/* name NULL: the context in use, if one is. */
static enum status of_context(struct cli *c, const char *name, struct fault *why)
{
    struct context *x;
    AUTO(auto_free) struct contexts *all = NEW(struct contexts);
    enum status s = contexts_load(all, why);
    if (s != ST_OK)
        return s;
    if (!name && !all->current[0]) {
        c->place.socket = cli_socket(c);
        return ST_OK;
    }
    s = contexts_get(all, name ? name : all->current, &x, why);
    if (s == ST_OK)
        c->place = x->place;
    return s;
}

static enum status find(struct cli *c, struct fault *why)
{
    const char *context = given_get(&c->given, FLAG_CONTEXT);
    bool local = given_has(&c->given, FLAG_SOCKET) || (c->command && c->command->uses & USE_LOCAL);
    if (context && local)
        return fault_set(why, ST_INVALID, "--context and --socket exclude each other");
    if (!context && !local)
        context = from_env("BLIXARD_CONTEXT");
    if (context)
        local = strcmp(context, CONTEXT_LOCAL) == 0;
    else
        local |= from_env("BLIXARD_API_SOCKET") != NULL;
    if (!local)
        return of_context(c, context, why);
    c->place.socket = cli_socket(c);
    return ST_OK;
}

enum status cli_find_place(struct cli *c, struct fault *why)
{
    if (c->place_known)
        return ST_OK;
    enum status s = find(c, why);
    c->place_known = s == ST_OK;
    return s;
}
