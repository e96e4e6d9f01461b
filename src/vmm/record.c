#include "vmm/record.h"

#include <string.h>

#include "base/hash.h"
#include "wire/cursor.h"

static const char magic[] = "BXVM";
enum { MAGIC = 4, CHECKSUM = 4 };
enum {
    READY = 1,
    ENDED = 2,
    TAP = 4,
    PERSISTENT = 8,
    ASKED_DOWN = 16,
    ASKED_KILL = 32,
    FLAGS = 63,
};

void vm_record_encode(struct buf *out, const struct record *r)
{
    size_t before = out->len;
    buf_add(out, magic, MAGIC);
    cursor_put_u8(out, RECORD_VERSION);
    cursor_put_u8(out,
                  (uint8_t)((r->ready ? READY : 0) | (r->ended ? ENDED : 0) | (r->tap ? TAP : 0) |
                            (r->persistent ? PERSISTENT : 0) | (r->asked_down ? ASKED_DOWN : 0) |
                            (r->asked_kill ? ASKED_KILL : 0)));
    cursor_put_text(out, r->uid);
    cursor_put_text(out, r->name);
    cursor_put_u64(out, r->epoch);
    cursor_put_u64(out, r->incarnation);
    cursor_put_u64(out, r->generation);
    buf_add(out, r->host_boot, sizeof r->host_boot);
    cursor_put_u32(out, r->slot);
    cursor_put_u32(out, r->address);
    cursor_put_text(out, r->boot_id);
    cursor_put_u64(out, r->started_ns);
    cursor_put_u64(out, r->start_ms);
    cursor_put_u8(out, (uint8_t)r->cause);
    cursor_put_text(out, r->detail);
    cursor_put_u64(out, r->ended_ns);
    ensure(!out->full);
    cursor_put_u32(out, hash_crc32c(0, out->ptr + before, out->len - before));
    ensure(!out->full);
}

static bool is_whole(struct str bytes)
{
    if (bytes.len < CHECKSUM)
        return false;
    size_t body = bytes.len - CHECKSUM;
    return hash_crc32c(0, bytes.ptr, body) == cursor_load_u32(bytes.ptr + body);
}

static void read_flags(struct cursor *c, struct record *r)
{
    uint8_t flags = cursor_u8(c);
    if (flags & ~FLAGS)
        cursor_fail(c, "a flag is not known");
    r->ready = flags & READY;
    r->ended = flags & ENDED;
    r->tap = flags & TAP;
    r->persistent = flags & PERSISTENT;
    r->asked_down = flags & ASKED_DOWN;
    r->asked_kill = flags & ASKED_KILL;
}

enum status vm_record_decode(struct str bytes, struct record *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, bytes);
    if (!is_whole(bytes))
        return fault_set(why, ST_CORRUPT, "the VM's record is damaged");
    (void)cursor_magic(&c, magic, MAGIC);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version != RECORD_VERSION)
        return fault_set(why, ST_UNSUPPORTED, "the VM's record is of version %u, not %d", version,
                         RECORD_VERSION);
    struct record r = {0};
    read_flags(&c, &r);
    cursor_text(&c, r.uid, sizeof r.uid);
    cursor_text(&c, r.name, sizeof r.name);
    r.epoch = cursor_u64(&c);
    r.incarnation = cursor_u64(&c);
    r.generation = cursor_u64(&c);
    (void)cursor_copy(&c, r.host_boot, sizeof r.host_boot);
    r.slot = cursor_u32(&c);
    r.address = cursor_u32(&c);
    cursor_text(&c, r.boot_id, sizeof r.boot_id);
    r.started_ns = cursor_u64(&c);
    r.start_ms = cursor_u64(&c);
    r.cause = (Pb__ExitCause)cursor_u8(&c);
    cursor_text(&c, r.detail, sizeof r.detail);
    r.ended_ns = cursor_u64(&c);
    (void)cursor_u32(&c); /* the checksum */
    if (r.cause > PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN)
        cursor_fail(&c, "the cause is not known");
    enum status s = cursor_end(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = r;
    return s;
}
