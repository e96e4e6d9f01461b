#include <string.h>

#include "vmm/qmp.h"

static bool parse_id(const json_t *whole, uint64_t *ret)
{
    const json_t *id = json_object_get(whole, "id");
    *ret = 0;
    if (!id)
        return true;
    if (!json_is_integer(id) || json_integer_value(id) <= 0)
        return false;
    *ret = (uint64_t)json_integer_value(id);
    return true;
}

static bool classify(const json_t *whole, struct qmp_message *m)
{
    const json_t *value;
    if ((value = json_object_get(whole, "return"))) {
        m->kind = QMP_RETURN;
        m->data = value;
        return parse_id(whole, &m->id);
    }
    if ((value = json_object_get(whole, "error"))) {
        m->kind = QMP_ERROR;
        m->text = json_string_value(json_object_get(value, "desc"));
        return m->text && parse_id(whole, &m->id);
    }
    if ((value = json_object_get(whole, "event"))) {
        m->kind = QMP_EVENT;
        m->text = json_string_value(value);
        m->data = json_object_get(whole, "data");
        return m->text && (!m->data || json_is_object(m->data));
    }
    m->kind = QMP_GREETING;
    return json_is_object(json_object_get(whole, "QMP"));
}

enum status qmp_parse(struct str line, struct qmp_message *ret, struct fault *why)
{
    struct qmp_message m = {0};
    json_error_t err;
    m.whole = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, &err);
    if (!m.whole)
        return fault_set(why, ST_INVALID, "the monitor sent no JSON: %s", err.text);
    if (!json_is_object(m.whole) || !classify(m.whole, &m)) {
        json_decref(m.whole);
        return fault_set(why, ST_INVALID, "the monitor sent neither answer nor event");
    }
    *ret = m;
    return ST_OK;
}
