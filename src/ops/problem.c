#include "ops/problem.h"

#include <stdio.h>

#include "wire/json.h"

const char *problem_title(enum status s)
{
    switch (s) {
    case ST_OK: return "OK";
    case ST_INTERNAL: return "Internal error";
    case ST_FAILED: return "It did not work";
    case ST_IO: return "Input or output failed";
    case ST_CORRUPT: return "Stored data are damaged";
    case ST_NO_SPACE: return "No space left";
    case ST_UNSUPPORTED: return "Not supported";
    case ST_INVALID: return "Invalid request";
    case ST_TOO_BIG: return "Too big";
    case ST_NOT_FOUND: return "Not found";
    case ST_EXISTS: return "Exists already";
    case ST_CONFLICT: return "Conflict";
    case ST_PRECONDITION: return "Precondition failed";
    case ST_IN_USE: return "In use";
    case ST_QUOTA: return "Quota exceeded";
    case ST_CAPACITY: return "Not enough capacity";
    case ST_LIMIT: return "Limit reached";
    case ST_DENIED: return "Denied";
    case ST_UNAUTHENTICATED: return "Unknown caller";
    case ST_UNAVAILABLE: return "Not available";
    case ST_NOT_LEADER: return "Not the leader";
    case ST_TIMEOUT: return "Timed out";
    case ST_PARTIAL: return "Partly done";
    case ST_CANCELLED: return "Cancelled";
    case ST_COUNT: break;
    }
    defs_unreachable("status");
}

static void set_text(json_t *v, const char *key, const char *text)
{
    int failed = text[0] ? json_object_set_new(v, key, json_string(text)) : 0;
    ensure(!failed); /* a fault's texts are UTF-8 */
}

void problem_json(const struct fault *why, unsigned http, const char *trace_id, struct buf *out)
{
    char type[64];
    (void)snprintf(type, sizeof type, "urn:blixard:problem:%s", status_code(why->status));
    json_t *v = json_object();
    set_text(v, "type", type);
    set_text(v, "title", problem_title(why->status));
    int failed = json_object_set_new(v, "status", json_integer((json_int_t)http));
    ensure(!failed);
    set_text(v, "code", status_code(why->status));
    set_text(v, "detail", why->text);
    set_text(v, "hint", why->hint);
    set_text(v, "field", why->field);
    set_text(v, "trace_id", trace_id);
    json_dump(v, false, out);
    json_decref(v);
}
