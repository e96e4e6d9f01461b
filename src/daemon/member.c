#include "daemon/member.h"

#include <fcntl.h>

#include "os/file.h"
#include "wire/check.h"
#include "wire/json.h"
#include "wire/proto.h"

enum { FILE_MAX = 128 << 10 };

static enum status parse(struct str text, ProtobufCMessage **ret, struct fault *why)
{
    json_t *v = NULL;
    enum status s = json_parse(text, FILE_MAX, &v, why);
    if (s == ST_OK)
        s = json_to_message(&pb__membership__descriptor, v, JSON_WHOLE, ret, why);
    json_decref(v);
    if (s == ST_OK)
        s = check_message(*ret, CHECK_STORED, why);
    const Pb__Membership *m = (const Pb__Membership *)*ret;
    if (s == ST_OK && (!m->cluster || m->number == 0))
        s = fault_set(why, ST_CORRUPT, "it does not say which node this is");
    return s;
}

enum status member_read(Pb__Membership **ret, struct fault *why)
{
    ProtobufCMessage *m = NULL;
    AUTO(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    *ret = NULL;
    enum status s = file_read(AT_FDCWD, PATH_MEMBER, &text, why);
    if (s == ST_NOT_FOUND)
        return ST_OK;
    if (s == ST_OK && parse(buf_view(&text), &m, why) != ST_OK) {
        s = fault_wrap(why, ST_CORRUPT, "%s", PATH_MEMBER);
        proto_free(m);
        return s;
    }
    *ret = (Pb__Membership *)m;
    return s;
}

enum status member_write(const Pb__Membership *m, struct fault *why)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    json_t *v = json_from_message(&m->base, JSON_WHOLE);
    json_dump(v, true, &text);
    json_decref(v);
    enum status s = buf_status(&text, why);
    return s == ST_OK ? file_write(AT_FDCWD, PATH_MEMBER, buf_view(&text), 0600, why) : s;
}
