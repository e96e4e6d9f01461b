#include "wire/shim.h"

#include <string.h>

#include "base/hash.h"
#include "wire/cursor.h"

/* First bytes: start, record, message. */
static const char start_magic[] = "BXSS", record_magic[] = "BXSR", message_magic[] = "BXSM";
enum { MAGIC = 4, UID = SHIM_UID_MAX - 1, CHECKSUM = 4, BOOT_ID = 16 };

/* The uid of an object: 32 lower-case hex digits. */
static bool is_uid(struct str s)
{
    return str_is_hex(s, UID);
}

static void read_uid(struct cursor *c, char out[SHIM_UID_MAX])
{
    struct str s = cursor_bytes(c, UID);
    memset(out, 0, SHIM_UID_MAX);
    if (!is_uid(s))
        cursor_fail(c, "uid is not 32 hex digits");
    else
        memcpy(out, s.ptr, UID);
}

/* Magic and version; false when this is of another version than ours. */
static bool read_head(struct cursor *c, const char *magic)
{
    (void)cursor_magic(c, magic, MAGIC);
    return cursor_u8(c) == SHIM_VERSION || !cursor_ok(c);
}

static enum status other_version(struct fault *why)
{
    return fault_set(why, ST_UNSUPPORTED, "the shim speaks another version than %d", SHIM_VERSION);
}

/* ---- start ---- */

static enum status check_start(const struct shim_start *s, struct fault *why)
{
    if (!is_uid(str_from(s->uid)))
        return fault_set(why, ST_INVALID, "uid is not 32 hex digits");
    if (s->walls > SHIM_WALLS || s->cgroup_count > SHIM_CGROUPS_MAX ||
        s->keep_count > SHIM_KEEP_MAX || s->group_count > SHIM_GROUPS_MAX ||
        s->limit_count > SHIM_LIMITS_MAX)
        return fault_set(why, ST_INVALID,
                         "more walls, descriptors, groups or limits than there are");
    if ((s->walls & SHIM_IDS) && (s->id == 0 || s->own_id == s->id))
        return fault_set(why, ST_INVALID, "the monitor's user is root's or the shim's own");
    if (s->argc < 1 || s->argc > SHIM_ARGS_MAX)
        return fault_set(why, ST_INVALID, "%zu arguments, 1 to %d wanted", s->argc, SHIM_ARGS_MAX);
    for (size_t i = 0; i < s->argc; i++)
        if (memchr(s->argv[i].ptr, 0, s->argv[i].len))
            return fault_set(why, ST_INVALID, "argument %zu holds a NUL", i);
    if (!str_starts(s->argv[0], "/"))
        return fault_set(why, ST_INVALID, "the program's path is not absolute");
    return ST_OK;
}

enum status shim_put_start(struct buf *out, const struct shim_start *s, struct fault *why)
{
    enum status st = check_start(s, why);
    if (st != ST_OK)
        return st;
    size_t before = out->len;
    buf_add(out, start_magic, MAGIC);
    cursor_put_u8(out, SHIM_VERSION);
    buf_add(out, s->uid, UID);
    cursor_put_u64(out, s->epoch);
    cursor_put_u64(out, s->incarnation);
    cursor_put_u32(out, s->walls);
    cursor_put_u32(out, s->id);
    cursor_put_u32(out, s->own_id);
    cursor_put_u32(out, s->own_group);
    cursor_put_u64(out, s->deadline_ms);
    cursor_put_u32(out, s->cgroup_count);
    cursor_put_u32(out, s->keep_count);
    cursor_put_u8(out, (uint8_t)s->group_count);
    for (size_t i = 0; i < s->group_count; i++)
        cursor_put_u32(out, s->group[i]);
    cursor_put_u8(out, (uint8_t)s->limit_count);
    for (size_t i = 0; i < s->limit_count; i++) {
        cursor_put_u32(out, s->limit[i].resource);
        cursor_put_u64(out, s->limit[i].value);
    }
    cursor_put_u16(out, (uint16_t)s->argc);
    for (size_t i = 0; i < s->argc; i++) {
        cursor_put_sized(out, s->argv[i]);
        cursor_put_u8(out, 0);
    }
    if (!out->full && out->len - before <= SHIM_START_MAX)
        return ST_OK;
    out->len = before;
    return fault_set(why, ST_TOO_BIG, "the command line is longer than %d bytes", SHIM_START_MAX);
}

static void read_groups(struct cursor *c, struct shim_start *s)
{
    s->group_count = cursor_u8(c);
    if (s->group_count > SHIM_GROUPS_MAX)
        cursor_fail(c, "too many groups");
    for (size_t i = 0; cursor_ok(c) && i < s->group_count; i++)
        s->group[i] = cursor_u32(c);
}

static void read_limits(struct cursor *c, struct shim_start *s)
{
    s->limit_count = cursor_u8(c);
    if (s->limit_count > SHIM_LIMITS_MAX)
        cursor_fail(c, "too many limits");
    for (size_t i = 0; cursor_ok(c) && i < s->limit_count; i++)
        s->limit[i] = (struct shim_limit){cursor_u32(c), cursor_u64(c)};
}

static void read_args(struct cursor *c, struct shim_start *s)
{
    s->argc = cursor_u16(c);
    if (s->argc > SHIM_ARGS_MAX)
        cursor_fail(c, "too many arguments");
    for (size_t i = 0; cursor_ok(c) && i < s->argc; i++) {
        s->argv[i] = cursor_sized(c, SHIM_START_MAX);
        if (cursor_u8(c) != 0)
            cursor_fail(c, "an argument does not end in NUL");
    }
}

enum status shim_get_start(struct str message, struct shim_start *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, message);
    if (!read_head(&c, start_magic))
        return other_version(why);
    *ret = (struct shim_start){0};
    read_uid(&c, ret->uid);
    ret->epoch = cursor_u64(&c);
    ret->incarnation = cursor_u64(&c);
    ret->walls = cursor_u32(&c);
    ret->id = cursor_u32(&c);
    ret->own_id = cursor_u32(&c);
    ret->own_group = cursor_u32(&c);
    ret->deadline_ms = cursor_u64(&c);
    ret->cgroup_count = cursor_u32(&c);
    ret->keep_count = cursor_u32(&c);
    read_groups(&c, ret);
    read_limits(&c, ret);
    read_args(&c, ret);
    enum status st = cursor_end(&c, ST_CORRUPT, why);
    if (st != ST_OK)
        return st;
    return check_start(ret, why) == ST_OK ? ST_OK : fault_wrap(why, ST_CORRUPT, "start");
}

/* ---- record ---- */

enum status shim_put_record(struct buf *out, const struct shim_record *r, struct fault *why)
{
    require(is_uid(str_from(r->uid)) && r->tail.len <= SHIM_TAIL_MAX);
    size_t before = out->len;
    buf_add(out, record_magic, MAGIC);
    cursor_put_u8(out, SHIM_VERSION);
    buf_add(out, r->uid, UID);
    cursor_put_u64(out, r->epoch);
    cursor_put_u64(out, r->incarnation);
    cursor_put_u8(out, (uint8_t)r->phase);
    cursor_put_u8(out, (uint8_t)r->cause);
    cursor_put_u32(out, r->walls);
    cursor_put_u32(out, r->shim_pid);
    cursor_put_u64(out, r->shim_start);
    cursor_put_u32(out, r->pid);
    cursor_put_u64(out, r->start);
    buf_add(out, r->host_boot, BOOT_ID);
    cursor_put_u64(out, r->deadline_ms);
    cursor_put_u32(out, r->wait_status);
    cursor_put_u64(out, r->started_wall_ns);
    cursor_put_u64(out, r->ended_wall_ns);
    cursor_put_sized(out, r->tail);
    if (!out->full)
        cursor_put_u32(out, hash_crc32c(0, out->ptr + before, out->len - before));
    if (!out->full)
        return ST_OK;
    out->len = before;
    return fault_set(why, ST_LIMIT, "no room for the shim's record");
}

/* The checksum covers all before it. */
static bool is_whole(struct str bytes)
{
    if (bytes.len < CHECKSUM)
        return false;
    size_t body = bytes.len - CHECKSUM;
    return hash_crc32c(0, bytes.ptr, body) == cursor_load_u32(bytes.ptr + body);
}

enum status shim_get_record(struct str bytes, struct shim_record *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, bytes);
    if (!is_whole(bytes))
        return fault_set(why, ST_CORRUPT, "the shim's record is damaged");
    if (!read_head(&c, record_magic))
        return other_version(why);
    struct shim_record r = {0};
    read_uid(&c, r.uid);
    r.epoch = cursor_u64(&c);
    r.incarnation = cursor_u64(&c);
    r.phase = (enum shim_phase)cursor_u8(&c);
    r.cause = (enum shim_cause)cursor_u8(&c);
    r.walls = cursor_u32(&c);
    r.shim_pid = cursor_u32(&c);
    r.shim_start = cursor_u64(&c);
    r.pid = cursor_u32(&c);
    r.start = cursor_u64(&c);
    (void)cursor_copy(&c, r.host_boot, BOOT_ID);
    r.deadline_ms = cursor_u64(&c);
    r.wait_status = cursor_u32(&c);
    r.started_wall_ns = cursor_u64(&c);
    r.ended_wall_ns = cursor_u64(&c);
    r.tail = cursor_sized(&c, SHIM_TAIL_MAX);
    (void)cursor_u32(&c); /* the checksum */
    if (r.phase < SHIM_STARTING || r.phase >= SHIM_PHASE_COUNT || r.cause >= SHIM_CAUSE_COUNT)
        cursor_fail(&c, "phase or cause is not known");
    if (r.phase == SHIM_EXITED && r.cause == SHIM_NOT_YET)
        cursor_fail(&c, "it exited without a cause");
    enum status st = cursor_end(&c, ST_CORRUPT, why);
    if (st == ST_OK)
        *ret = r;
    return st;
}

/* ---- socket ---- */

static void put_head(struct buf *out, uint8_t type, uint32_t id)
{
    buf_add(out, message_magic, MAGIC);
    cursor_put_u8(out, SHIM_VERSION);
    cursor_put_u8(out, type);
    cursor_put_u16(out, 0);
    cursor_put_u32(out, id);
}

static void read_reserved(struct cursor *c)
{
    if (cursor_u16(c) != 0)
        cursor_fail(c, "a reserved field is set");
}

void shim_put_request(struct buf *out, const struct shim_request *r)
{
    put_head(out, r->type, r->id);
    cursor_put_u64(out, r->value);
}

enum status shim_get_request(struct str message, struct shim_request *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, message);
    if (!read_head(&c, message_magic))
        return other_version(why);
    struct shim_request r = {.type = cursor_u8(&c)};
    read_reserved(&c);
    r.id = cursor_u32(&c);
    r.value = cursor_u64(&c);
    enum status st = cursor_end(&c, ST_INVALID, why);
    if (st == ST_OK)
        *ret = r;
    return st;
}

enum status shim_put_answer(struct buf *out, const struct shim_answer *a, struct fault *why)
{
    size_t before = out->len;
    put_head(out, a->type, a->id);
    enum status st = shim_put_record(out, &a->record, why);
    if (st != ST_OK)
        out->len = before;
    return st;
}

enum status shim_get_answer(struct str message, struct shim_answer *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, message);
    if (!read_head(&c, message_magic))
        return other_version(why);
    struct shim_answer a = {.type = cursor_u8(&c)};
    read_reserved(&c);
    a.id = cursor_u32(&c);
    struct str record = cursor_rest(&c);
    enum status st = cursor_end(&c, ST_INVALID, why);
    if (st == ST_OK)
        st = shim_get_record(record, &a.record, why);
    if (st == ST_OK)
        *ret = a;
    return st;
}
