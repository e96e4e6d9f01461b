#include "core/command_key.h"

#include <string.h>

bool command_key_of(const Pb__Command *cmd, struct command_key *out)
{
    if (!cmd->has_id || cmd->id.len != COMMAND_ID_SIZE)
        return false;
    if (cmd->has_request && cmd->request.len != COMMAND_REQUEST_SIZE)
        return false;
    *out = (struct command_key){0};
    memcpy(out->id, cmd->id.data, COMMAND_ID_SIZE);
    if (cmd->has_request)
        memcpy(out->request, cmd->request.data, COMMAND_REQUEST_SIZE);
    return true;
}

enum status command_key_check(const struct command_key *was, const struct command_key *now,
                              struct fault *why)
{
    require(memcmp(was->id, now->id, COMMAND_ID_SIZE) == 0);
    if (memcmp(was->request, now->request, COMMAND_REQUEST_SIZE) == 0)
        return ST_OK;
    enum status s =
        fault_set(why, ST_CONFLICT, "this idempotency key was given with another request before");
    fault_hint(why, "a retry repeats its request as it was; another one takes another key");
    return s;
}
