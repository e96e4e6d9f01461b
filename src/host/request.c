#include "host/request.h"

#include <string.h>

#include "wire/cursor.h"

enum { UID = HOST_UID_MAX - 1, ID_AT = 0 };

bool request_is_uid(struct str s)
{
    return str_is_hex(s, UID);
}

static bool is_tag(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!memchr("0123456789abcdefghijklmnopqrstuvwxyz", s.ptr[i], 36))
            return false;
    return s.len >= 1 && s.len < REQUEST_TAG_MAX;
}

/* ---- texts ---- */

static void read_path(struct cursor *c, char *out)
{
    cursor_text(c, out, REQUEST_PATH_MAX);
    if (out[0] && out[0] != '/')
        cursor_fail(c, "a path is not absolute");
}

static void read_uid(struct cursor *c, char out[HOST_UID_MAX])
{
    struct str s = cursor_bytes(c, UID);
    memset(out, 0, HOST_UID_MAX);
    if (request_is_uid(s))
        memcpy(out, s.ptr, UID);
    else
        cursor_fail(c, "uid is not 32 hex digits");
}

static bool read_flag(struct cursor *c)
{
    uint8_t v = cursor_u8(c);
    if (v > 1)
        cursor_fail(c, "a flag is neither 0 nor 1");
    return v == 1;
}

/* ---- requests ---- */

static void put_init(struct buf *out, const struct request_init *i)
{
    cursor_put_text(out, i->tag);
    cursor_put_text(out, i->qemu);
    cursor_put_text(out, i->shim);
    cursor_put_text(out, i->nft);
    cursor_put_text(out, i->cgroup_root);
    cursor_put_u32(out, i->id_first);
    cursor_put_u32(out, i->id_count);
    cursor_put_u32(out, i->own_id);
    cursor_put_u32(out, i->own_group);
    cursor_put_u32(out, i->subnet);
    cursor_put_u8(out, i->subnet_bits);
    cursor_put_u32(out, i->gateway);
    cursor_put_u8(out, i->forward);
}

static void read_init(struct cursor *c, struct request_init *i)
{
    cursor_text(c, i->tag, sizeof i->tag);
    read_path(c, i->qemu);
    read_path(c, i->shim);
    read_path(c, i->nft);
    read_path(c, i->cgroup_root);
    i->id_first = cursor_u32(c);
    i->id_count = cursor_u32(c);
    i->own_id = cursor_u32(c);
    i->own_group = cursor_u32(c);
    i->subnet = cursor_u32(c);
    i->subnet_bits = cursor_u8(c);
    i->gateway = cursor_u32(c);
    i->forward = read_flag(c);
    if (!is_tag(str_from(i->tag)))
        cursor_fail(c, "the tag is not 1 to 4 letters and digits");
    if (i->subnet_bits < 8 || i->subnet_bits > 30)
        cursor_fail(c, "the subnet is not /8 to /30");
    if (i->id_first == 0 || i->id_count > UINT32_MAX - i->id_first)
        cursor_fail(c, "the range of user ids holds root's or passes the end");
}

static void put_spawn(struct buf *out, const struct host_spawn *s)
{
    cursor_put_u32(out, s->slot);
    cursor_put_u64(out, s->epoch);
    cursor_put_u64(out, s->incarnation);
    cursor_put_u64(out, s->deadline_ms);
    cursor_put_u8(out, (uint8_t)s->net);
    cursor_put_u32(out, s->address);
    cursor_put_u8(out, s->kvm);
    cursor_put_u64(out, s->mem_bytes);
    cursor_put_u32(out, s->cpu_milli);
    cursor_put_u32(out, s->task_count);
    cursor_put_u8(out, (uint8_t)s->fd_count);
    cursor_put_u16(out, (uint16_t)s->argc);
    for (size_t i = 0; i < s->argc; i++) {
        cursor_put_text(out, s->argv[i]);
        cursor_put_u8(out, 0);
    }
}

static void read_spawn(struct cursor *c, struct request *r)
{
    struct host_spawn *s = &r->spawn;
    s->slot = cursor_u32(c);
    s->epoch = cursor_u64(c);
    s->incarnation = cursor_u64(c);
    s->deadline_ms = cursor_u64(c);
    s->net = (enum host_net)cursor_u8(c);
    s->address = cursor_u32(c);
    s->kvm = read_flag(c);
    s->mem_bytes = cursor_u64(c);
    s->cpu_milli = cursor_u32(c);
    s->task_count = cursor_u32(c);
    s->fd_count = cursor_u8(c);
    r->argc = cursor_u16(c);
    if (s->net > HOST_NET_USER)
        cursor_fail(c, "the kind of network is not known");
    if (s->fd_count > HOST_FDS_MAX)
        cursor_fail(c, "too many descriptors");
    if (r->argc < 1 || r->argc > HOST_ARGS_MAX)
        cursor_fail(c, "too many arguments, or none");
    for (size_t i = 0; cursor_ok(c) && i < r->argc; i++) {
        r->argv[i] = cursor_sized(c, REQUEST_SIZE_MAX);
        if (cursor_u8(c) != 0 || memchr(r->argv[i].ptr, 0, r->argv[i].len))
            cursor_fail(c, "an argument holds a NUL, or does not end in one");
    }
}

enum status request_put(struct buf *out, const struct request *r, struct fault *why)
{
    const struct host_spawn *s = &r->spawn;
    size_t before = out->len;
    if (r->type == REQUEST_SPAWN &&
        (s->argc < 1 || s->argc > HOST_ARGS_MAX || s->fd_count > HOST_FDS_MAX))
        return fault_set(why, ST_INVALID, "too many arguments or descriptors, or none");
    cursor_put_u32(out, r->id);
    cursor_put_u8(out, (uint8_t)r->type);
    if (r->type == REQUEST_INIT)
        put_init(out, &r->init);
    if (r->type == REQUEST_SPAWN || r->type == REQUEST_CLEAN) {
        if (!request_is_uid(str_from(r->uid))) {
            out->len = before;
            return fault_set(why, ST_INVALID, "uid is not 32 hex digits");
        }
        buf_add(out, r->uid, UID);
    }
    if (r->type == REQUEST_SPAWN)
        put_spawn(out, s);
    if (!out->full && out->len - before <= REQUEST_SIZE_MAX)
        return ST_OK;
    out->len = before;
    return fault_set(why, ST_TOO_BIG, "the request is larger than %d bytes", REQUEST_SIZE_MAX);
}

enum status request_get(struct str message, struct request *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, message);
    *ret = (struct request){.id = cursor_u32(&c)};
    ret->type = (enum request_type)cursor_u8(&c);
    switch (ret->type) {
    case REQUEST_INIT: read_init(&c, &ret->init); break;
    case REQUEST_SPAWN:
        read_uid(&c, ret->uid);
        read_spawn(&c, ret);
        break;
    case REQUEST_CLEAN: read_uid(&c, ret->uid); break;
    case REQUEST_LIST: break;
    default: cursor_fail(&c, "the request is not known");
    }
    return cursor_end(&c, ST_INVALID, why);
}

/* ---- answers ---- */

static void put_facts(struct buf *out, const struct host_facts *f)
{
    cursor_put_u8(out, f->privileged);
    cursor_put_u8(out, f->tap);
    cursor_put_u8(out, f->filter);
    cursor_put_u8(out, (uint8_t)f->cgroup);
    cursor_put_u8(out, f->cgroup_memory);
    cursor_put_u8(out, f->cgroup_cpu);
    cursor_put_u8(out, f->cgroup_pids);
    cursor_put_u32(out, f->slots);
    cursor_put_u32(out, f->subnet);
    cursor_put_u32(out, f->gateway);
    cursor_put_text(out, f->tap_prefix);
    cursor_put_text(out, f->why);
}

static void read_facts(struct cursor *c, struct host_facts *f)
{
    f->privileged = read_flag(c);
    f->tap = read_flag(c);
    f->filter = read_flag(c);
    f->cgroup = cursor_u8(c);
    f->cgroup_memory = read_flag(c);
    f->cgroup_cpu = read_flag(c);
    f->cgroup_pids = read_flag(c);
    f->slots = cursor_u32(c);
    f->subnet = cursor_u32(c);
    f->gateway = cursor_u32(c);
    cursor_text(c, f->tap_prefix, sizeof f->tap_prefix);
    cursor_text(c, f->why, sizeof f->why);
    if (f->cgroup > 2)
        cursor_fail(c, "the version of cgroups is not known");
}

static void read_list(struct cursor *c, struct answer *a)
{
    a->count = cursor_u16(c);
    if (a->count > HOST_LIST_MAX)
        cursor_fail(c, "too many uids");
    for (size_t i = 0; cursor_ok(c) && i < a->count; i++) {
        char uid[HOST_UID_MAX];
        read_uid(c, uid);
        if (a->uid)
            memcpy(a->uid[i], uid, sizeof uid);
    }
}

void answer_put(struct buf *out, enum request_type type, const struct answer *a)
{
    cursor_put_u32(out, a->id);
    cursor_put_text(out, status_code(a->status));
    if (a->status != ST_OK) {
        cursor_put_text(out, a->why.text);
        cursor_put_text(out, a->why.hint);
        return;
    }
    switch (type) {
    case REQUEST_INIT: put_facts(out, &a->facts); return;
    case REQUEST_SPAWN: cursor_put_u32(out, a->spawned.shim_pid); return;
    case REQUEST_LIST:
        cursor_put_u16(out, (uint16_t)a->count);
        for (size_t i = 0; i < a->count; i++)
            buf_add(out, a->uid[i], UID);
        return;
    case REQUEST_CLEAN:
    case REQUEST_TYPE_COUNT: return;
    }
}

uint32_t answer_id(struct str message)
{
    struct cursor c;
    cursor_init(&c, message);
    return cursor_u32(&c);
}

enum status answer_get(struct str message, enum request_type type, struct answer *ret,
                       struct fault *why)
{
    struct cursor c;
    char code[32];
    cursor_init(&c, message);
    struct answer a = {.id = cursor_u32(&c), .uid = ret->uid, .spawned.shim_pidfd = -1};
    cursor_text(&c, code, sizeof code);
    a.status = status_from_code(code);
    if (a.status != ST_OK) {
        a.why.status = a.status;
        cursor_text(&c, a.why.text, sizeof a.why.text);
        cursor_text(&c, a.why.hint, sizeof a.why.hint);
    } else if (type == REQUEST_INIT) {
        read_facts(&c, &a.facts);
    } else if (type == REQUEST_SPAWN) {
        a.spawned.shim_pid = cursor_u32(&c);
    } else if (type == REQUEST_LIST) {
        read_list(&c, &a);
    }
    enum status s = cursor_end(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = a;
    return s;
}
