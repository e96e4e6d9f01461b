#include "wire/agent.h"

#include <string.h>

#include "wire/cursor.h"

static const char magic[] = "BXA1";

/* Random, and with these properties, on which the promises in agent.h rest: every byte is >= 0x80, so
 * that none is the first of the magic, or the last of a header or a frame (0); and no beginning of it
 * is its end. */
static const uint8_t mark[AGENT_MARK] = {0xd3, 0x9c, 0xf1, 0x86, 0xbe, 0xa7, 0xe5, 0x98,
                                         0xc2, 0xff, 0x8d, 0xb4, 0xea, 0x91, 0xcb, 0xf6};

enum { PAYLOAD_LEN_AT = 12 };

static const char *const type_name[AGENT_TYPE_COUNT] = {
    [AGENT_HELLO] = "HELLO",         [AGENT_PING] = "PING",
    [AGENT_PONG] = "PONG",           [AGENT_EXEC] = "EXEC",
    [AGENT_STDIN] = "STDIN",         [AGENT_STDIN_EOF] = "STDIN_EOF",
    [AGENT_STDOUT] = "STDOUT",       [AGENT_STDERR] = "STDERR",
    [AGENT_EXIT] = "EXIT",           [AGENT_RESIZE] = "RESIZE",
    [AGENT_SIGNAL] = "SIGNAL",       [AGENT_CREDIT] = "CREDIT",
    [AGENT_STATS_ASK] = "STATS_ASK", [AGENT_STATS] = "STATS",
    [AGENT_POWER] = "POWER",         [AGENT_RESEED] = "RESEED",
    [AGENT_IDENTITY] = "IDENTITY",   [AGENT_FILE_PUSH] = "FILE_PUSH",
    [AGENT_FILE_PULL] = "FILE_PULL", [AGENT_FILE_INFO] = "FILE_INFO",
    [AGENT_FILE_DATA] = "FILE_DATA", [AGENT_FILE_EOF] = "FILE_EOF",
    [AGENT_DONE] = "DONE",           [AGENT_ERROR] = "ERROR",
    [AGENT_CLOSE] = "CLOSE",
};

const char *agent_type_name(enum agent_type t)
{
    bool known = (unsigned)t < AGENT_TYPE_COUNT && type_name[t];
    return known ? type_name[t] : "UNKNOWN";
}

/* ---- bytes to frames ---- */

void agent_decoder_init(struct agent_decoder *d, const uint8_t *nonce)
{
    *d = (struct agent_decoder){.mark = SIZE_MAX, .host = nonce != NULL};
    if (nonce)
        memcpy(d->nonce, nonce, AGENT_NONCE);
    buf_init(&d->in, AGENT_MARK + AGENT_FRAME + AGENT_PAYLOAD_MAX + AGENT_FEED_MAX);
}

void agent_decoder_done(struct agent_decoder *d)
{
    buf_done(&d->in);
}

void agent_decoder_feed(struct agent_decoder *d, const void *data, size_t len)
{
    require(len <= AGENT_FEED_MAX);
    buf_eat(&d->in, d->at);
    d->searched = MAX(d->searched, d->at) - d->at;
    if (d->mark != SIZE_MAX)
        d->mark -= d->at;
    d->at = 0;
    buf_add(&d->in, data, len);
    require(!d->in.full); /* the caller left frames in it */
}

/* Find the first mark at or after `at`. What was searched before is not searched again. */
static void find_mark(struct agent_decoder *d)
{
    if (d->mark != SIZE_MAX && d->mark >= d->at)
        return;
    size_t from = MAX(d->at, d->searched);
    const char *p =
        d->in.len > from ? memmem(d->in.ptr + from, d->in.len - from, mark, AGENT_MARK) : NULL;
    d->mark = p ? (size_t)(p - d->in.ptr) : SIZE_MAX;
    /* A mark may have begun at the end; all places before that are done with. */
    size_t tail = MIN(d->in.len, (size_t)AGENT_MARK - 1);
    d->searched = p ? d->mark : MAX(from, d->in.len - tail);
    ensure(d->mark >= d->at);
}

static void drop_to(struct agent_decoder *d, size_t to)
{
    ensure(to >= d->at && to <= d->in.len);
    d->dropped += to - d->at;
    d->at = to;
}

/* To behind the next mark; false when none is there yet. */
static bool resync(struct agent_decoder *d)
{
    if (d->mark == SIZE_MAX) {
        drop_to(d, MAX(d->at, d->searched));
        return false;
    }
    drop_to(d, d->mark);
    d->at += AGENT_MARK;
    d->sync = AGENT_GREET;
    return true;
}

/* Is this a frame of the session? The one after a mark must be a HELLO that means us. */
static bool admit(struct agent_decoder *d, const struct agent_frame *f)
{
    if (d->sync == AGENT_OPEN)
        return f->type != AGENT_HELLO;
    struct agent_hello hello;
    if (f->type != AGENT_HELLO || f->channel != 0 ||
        agent_get_hello(f->payload, &hello, NULL) != ST_OK)
        return false;
    return !d->host || memcmp(hello.nonce, d->nonce, AGENT_NONCE) == 0;
}

enum parsed { PARSED_FRAME, PARSED_PART, PARSED_BAD };

/* Read the frame at `at`, of the bytes before `end`. Its version is not looked at: the HELLO decides. */
static enum parsed parse(const struct agent_decoder *d, size_t end, struct agent_frame *ret)
{
    struct cursor c;
    cursor_init(&c, (struct str){d->in.ptr + d->at, end - d->at});
    if (cursor_left(&c) < AGENT_HEADER)
        return PARSED_PART;
    (void)cursor_magic(&c, magic, sizeof magic - 1);
    (void)cursor_u8(&c);
    struct agent_frame f = {.type = (enum agent_type)cursor_u8(&c)};
    uint16_t flags = cursor_u16(&c);
    f.channel = cursor_u32(&c);
    uint32_t len = cursor_u32(&c);
    if (!cursor_ok(&c) || flags != 0 || len > AGENT_PAYLOAD_MAX)
        return PARSED_BAD;
    if (cursor_left(&c) <= len)
        return PARSED_PART;
    f.payload = cursor_bytes(&c, len);
    if (cursor_u8(&c) != 0)
        return PARSED_BAD;
    *ret = f;
    return PARSED_FRAME;
}

bool agent_decoder_next(struct agent_decoder *d, struct agent_frame *ret)
{
    for (;;) {
        find_mark(d);
        if (d->sync == AGENT_LOST) {
            if (!resync(d))
                return false;
            continue;
        }
        struct agent_frame f;
        switch (parse(d, MIN(d->mark, d->in.len), &f)) {
        case PARSED_FRAME:
            if (!admit(d, &f)) {
                d->sync = AGENT_LOST;
                continue;
            }
            d->sync = AGENT_OPEN;
            d->at += AGENT_FRAME + f.payload.len;
            *ret = f;
            return true;
        case PARSED_PART:
            if (d->mark == SIZE_MAX)
                return false;
            d->sync = AGENT_LOST; /* the frame was cut off by a new session */
            continue;
        case PARSED_BAD: d->sync = AGENT_LOST; continue;
        }
    }
}

/* ---- flow of one channel ---- */

void agent_flow_init(struct agent_flow *f)
{
    *f = (struct agent_flow){.may_send = AGENT_WINDOW, .may_receive = AGENT_WINDOW};
}

void agent_flow_sent(struct agent_flow *f, size_t len)
{
    require(len <= f->may_send);
    f->may_send -= (uint32_t)len;
}

uint32_t agent_flow_eaten(struct agent_flow *f, size_t len)
{
    require(len <= AGENT_WINDOW - f->may_receive - f->eaten);
    f->eaten += (uint32_t)len;
    if (f->eaten < AGENT_WINDOW / 4)
        return 0;
    uint32_t grant = f->eaten;
    f->eaten = 0;
    f->may_receive += grant;
    ensure(f->may_receive <= AGENT_WINDOW);
    return grant;
}

enum status agent_flow_received(struct agent_flow *f, size_t len, struct fault *why)
{
    if (len > f->may_receive)
        return fault_set(why, ST_CORRUPT, "%zu bytes of data came, %" PRIu32 " were allowed", len,
                         f->may_receive);
    f->may_receive -= (uint32_t)len;
    return ST_OK;
}

enum status agent_flow_credit(struct agent_flow *f, uint32_t len, struct fault *why)
{
    if (len > AGENT_WINDOW - f->may_send)
        return fault_set(why, ST_CORRUPT, "credit of %" PRIu32 " bytes is more than was sent", len);
    f->may_send += len;
    return ST_OK;
}

/* ---- writing frames ---- */

/* Begin a frame at the end of out; frame_end() or frame_undo() follows. */
static size_t frame_begin(struct buf *out, enum agent_type type, uint32_t channel)
{
    require(!out->full);
    size_t start = out->len;
    buf_add(out, magic, sizeof magic - 1);
    cursor_put_u8(out, AGENT_VERSION_MAX);
    cursor_put_u8(out, (uint8_t)type);
    cursor_put_u16(out, 0);
    cursor_put_u32(out, channel);
    cursor_put_u32(out, 0); /* the length, set by frame_end() */
    return start;
}

static void frame_undo(struct buf *out, size_t start)
{
    out->len = start;
    out->full = false;
    if (out->ptr)
        out->ptr[start] = 0;
}

static enum status frame_end(struct buf *out, size_t start, struct fault *why)
{
    cursor_put_u8(out, 0);
    if (out->full) {
        frame_undo(out, start);
        return fault_set(why, ST_LIMIT, "the queue to the other side is full");
    }
    char *frame = out->ptr + start;
    size_t len = out->len - start - AGENT_FRAME;
    if (len > AGENT_PAYLOAD_MAX) {
        frame_undo(out, start);
        return fault_set(why, ST_TOO_BIG, "a message of %zu bytes, the limit is %d", len,
                         AGENT_PAYLOAD_MAX);
    }
    if (memmem(frame + AGENT_HEADER, len, mark, AGENT_MARK)) {
        frame_undo(out, start);
        return fault_set(why, ST_INVALID, "a message holds the mark of the agent protocol");
    }
    cursor_store_u32(frame + PAYLOAD_LEN_AT, (uint32_t)len);
    return ST_OK;
}

/* A message of one number. */
static enum status put_number(struct buf *out, enum agent_type type, uint32_t channel, uint64_t v)
{
    size_t start = frame_begin(out, type, channel);
    cursor_put_u64(out, v);
    return frame_end(out, start, NULL);
}

static enum status get_number(struct str payload, uint64_t min, uint64_t max, uint64_t *ret,
                              struct fault *why)
{
    struct cursor c;
    cursor_init(&c, payload);
    uint64_t v = cursor_u64(&c);
    if (v < min || v > max)
        cursor_fail(&c, "a number is out of range");
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = v;
    return s;
}

size_t agent_put_data(struct buf *out, enum agent_type type, uint32_t channel, struct str data)
{
    require(type == AGENT_STDIN || type == AGENT_STDOUT || type == AGENT_STDERR ||
            type == AGENT_FILE_DATA);
    if (data.len == 0)
        return 0;
    data.len = MIN(data.len, (size_t)AGENT_DATA_MAX);
    const char *found = memmem(data.ptr, data.len, mark, AGENT_MARK);
    if (found) /* the next frame's header comes between its halves */
        data.len = (size_t)(found - data.ptr) + AGENT_MARK / 2;
    size_t start = frame_begin(out, type, channel);
    buf_str(out, data);
    return frame_end(out, start, NULL) == ST_OK ? data.len : 0;
}

enum status agent_put_plain(struct buf *out, enum agent_type type, uint32_t channel)
{
    require(type == AGENT_STDIN_EOF || type == AGENT_STATS_ASK || type == AGENT_FILE_EOF ||
            type == AGENT_CLOSE);
    return frame_end(out, frame_begin(out, type, channel), NULL);
}

/* ---- messages ---- */

uint16_t agent_hello_common(const struct agent_hello *h)
{
    uint16_t high = MIN(h->version_max, (uint16_t)AGENT_VERSION_MAX);
    uint16_t low = MAX(h->version_min, (uint16_t)AGENT_VERSION_MIN);
    return high >= low ? high : 0;
}

enum status agent_put_hello(struct buf *out, const struct agent_hello *h, struct fault *why)
{
    if (h->software.len > AGENT_TEXT_MAX || h->trouble.len > AGENT_TEXT_MAX)
        return fault_set(why, ST_TOO_BIG, "a text of HELLO is longer than %d bytes",
                         AGENT_TEXT_MAX);
    size_t before = out->len;
    buf_add(out, mark, AGENT_MARK);
    size_t start = frame_begin(out, AGENT_HELLO, 0);
    cursor_put_u16(out, h->version_min);
    cursor_put_u16(out, h->version_max);
    buf_add(out, h->nonce, AGENT_NONCE);
    buf_add(out, h->boot_id, sizeof h->boot_id);
    cursor_put_sized(out, h->software);
    cursor_put_sized(out, h->trouble);
    enum status s = frame_end(out, start, why);
    if (s != ST_OK)
        frame_undo(out, before);
    return s;
}

enum status agent_get_hello(struct str payload, struct agent_hello *ret, struct fault *why)
{
    struct cursor c;
    struct agent_hello h = {0};
    cursor_init(&c, payload);
    h.version_min = cursor_u16(&c);
    h.version_max = cursor_u16(&c);
    (void)cursor_copy(&c, h.nonce, AGENT_NONCE);
    (void)cursor_copy(&c, h.boot_id, sizeof h.boot_id);
    h.software = cursor_sized(&c, AGENT_TEXT_MAX);
    h.trouble = cursor_sized(&c, AGENT_TEXT_MAX);
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = h;
    return s;
}

enum { EXEC_TTY = 1 };

static bool has_nul(struct str s)
{
    return s.len > 0 && memchr(s.ptr, 0, s.len) != NULL;
}

static const char *exec_problem(const struct agent_exec *x)
{
    if (x->argc == 0 || x->argc > AGENT_ARGS_MAX || x->envc > AGENT_ARGS_MAX)
        return "a program has 1 to 256 arguments and at most 256 variables";
    if (x->argv[0].len == 0)
        return "a program has a name";
    for (size_t i = 0; i < x->argc; i++)
        if (has_nul(x->argv[i]))
            return "an argument holds a NUL";
    for (size_t i = 0; i < x->envc; i++) {
        struct str rest = x->env[i], name;
        if (has_nul(rest) || !str_cut(&rest, '=', &name) || name.len == 0)
            return "a variable is NAME=value";
    }
    if (x->cwd.len > AGENT_PATH_MAX || has_nul(x->cwd) || (x->cwd.len && x->cwd.ptr[0] != '/'))
        return "a working directory is an absolute path";
    return NULL;
}

enum status agent_put_exec(struct buf *out, uint32_t channel, const struct agent_exec *x,
                           struct fault *why)
{
    const char *problem = exec_problem(x);
    if (problem)
        return fault_set(why, ST_INVALID, "%s", problem);
    size_t start = frame_begin(out, AGENT_EXEC, channel);
    cursor_put_u8(out, x->tty ? EXEC_TTY : 0);
    cursor_put_u16(out, x->rows);
    cursor_put_u16(out, x->cols);
    cursor_put_u32(out, x->uid);
    cursor_put_u32(out, x->gid);
    cursor_put_sized(out, x->cwd);
    cursor_put_u16(out, (uint16_t)x->argc);
    for (size_t i = 0; i < x->argc; i++)
        cursor_put_sized(out, x->argv[i]);
    cursor_put_u16(out, (uint16_t)x->envc);
    for (size_t i = 0; i < x->envc; i++)
        cursor_put_sized(out, x->env[i]);
    return frame_end(out, start, why);
}

/* Read a list of texts into `into`; their number. */
static size_t get_list(struct cursor *c, struct str into[AGENT_ARGS_MAX])
{
    size_t count = cursor_u16(c);
    if (count > AGENT_ARGS_MAX)
        cursor_fail(c, "a list has too many items");
    for (size_t i = 0; i < count && cursor_ok(c); i++)
        into[i] = cursor_sized(c, AGENT_PAYLOAD_MAX);
    return count;
}

enum status agent_get_exec(struct str payload, struct agent_exec *ret, struct fault *why)
{
    struct cursor c;
    struct agent_exec x;
    cursor_init(&c, payload);
    x.tty = cursor_u8(&c) & EXEC_TTY;
    x.rows = cursor_u16(&c);
    x.cols = cursor_u16(&c);
    x.uid = cursor_u32(&c);
    x.gid = cursor_u32(&c);
    x.cwd = cursor_sized(&c, AGENT_PATH_MAX);
    x.argc = get_list(&c, x.argv);
    x.envc = get_list(&c, x.env);
    const char *problem = cursor_ok(&c) ? exec_problem(&x) : NULL;
    if (problem)
        cursor_fail(&c, problem);
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = x;
    return s;
}

enum status agent_put_exit(struct buf *out, uint32_t channel, struct agent_exit x)
{
    return put_number(out, AGENT_EXIT, channel, (uint64_t)x.signalled << 32 | x.value);
}

enum status agent_get_exit(struct str payload, struct agent_exit *ret, struct fault *why)
{
    uint64_t v;
    enum status s = get_number(payload, 0, UINT64_C(0x1ffffffff), &v, why);
    if (s == ST_OK)
        *ret = (struct agent_exit){.signalled = v >> 32, .value = (uint32_t)v};
    return s;
}

enum status agent_put_ping(struct buf *out, enum agent_type type, uint64_t token)
{
    require(type == AGENT_PING || type == AGENT_PONG);
    return put_number(out, type, 0, token);
}

enum status agent_get_ping(struct str payload, uint64_t *ret_token, struct fault *why)
{
    return get_number(payload, 0, UINT64_MAX, ret_token, why);
}

enum status agent_put_resize(struct buf *out, uint32_t channel, uint16_t rows, uint16_t cols)
{
    return put_number(out, AGENT_RESIZE, channel, (uint64_t)rows << 16 | cols);
}

enum status agent_get_resize(struct str payload, uint16_t *ret_rows, uint16_t *ret_cols,
                             struct fault *why)
{
    uint64_t v;
    enum status s = get_number(payload, 0, UINT32_MAX, &v, why);
    if (s == ST_OK) {
        *ret_rows = (uint16_t)(v >> 16);
        *ret_cols = (uint16_t)v;
    }
    return s;
}

enum { SIGNAL_MAX = 64 };

enum status agent_put_signal(struct buf *out, uint32_t channel, uint32_t signal)
{
    if (signal < 1 || signal > SIGNAL_MAX)
        return ST_INVALID;
    return put_number(out, AGENT_SIGNAL, channel, signal);
}

enum status agent_get_signal(struct str payload, uint32_t *ret_signal, struct fault *why)
{
    uint64_t v;
    enum status s = get_number(payload, 1, SIGNAL_MAX, &v, why);
    if (s == ST_OK)
        *ret_signal = (uint32_t)v;
    return s;
}

enum status agent_put_credit(struct buf *out, uint32_t channel, uint32_t len)
{
    return put_number(out, AGENT_CREDIT, channel, len);
}

enum status agent_get_credit(struct str payload, uint32_t *ret_len, struct fault *why)
{
    uint64_t v;
    enum status s = get_number(payload, 0, AGENT_WINDOW, &v, why);
    if (s == ST_OK)
        *ret_len = (uint32_t)v;
    return s;
}

enum {
#define X(field, what) STAT_##field,
    AGENT_STATS_TABLE(X)
#undef X
        STAT_COUNT
};

enum status agent_put_stats(struct buf *out, uint32_t channel, const struct agent_stats *st)
{
    size_t start = frame_begin(out, AGENT_STATS, channel);
    buf_add(out, st->boot_id, sizeof st->boot_id);
    cursor_put_u8(out, STAT_COUNT);
#define X(field, what) cursor_put_u64(out, st->field);
    AGENT_STATS_TABLE(X)
#undef X
    return frame_end(out, start, NULL);
}

/* The numbers come in the order of the table, which only ever grows at its end. */
enum status agent_get_stats(struct str payload, struct agent_stats *ret, struct fault *why)
{
    struct cursor c;
    struct agent_stats st;
    cursor_init(&c, payload);
    (void)cursor_copy(&c, st.boot_id, sizeof st.boot_id);
    unsigned count = cursor_u8(&c);
#define X(field, what) st.field = STAT_##field < count ? cursor_u64(&c) : AGENT_UNKNOWN;
    AGENT_STATS_TABLE(X)
#undef X
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = st;
    return s;
}

enum status agent_put_power(struct buf *out, uint32_t channel, enum agent_power p)
{
    return put_number(out, AGENT_POWER, channel, (uint64_t)p);
}

enum status agent_get_power(struct str payload, enum agent_power *ret, struct fault *why)
{
    uint64_t v;
    enum status s = get_number(payload, AGENT_POWER_OFF, AGENT_REBOOT, &v, why);
    if (s == ST_OK)
        *ret = (enum agent_power)v;
    return s;
}

enum status agent_put_reseed(struct buf *out, uint32_t channel, const uint8_t seed[AGENT_SEED])
{
    size_t start = frame_begin(out, AGENT_RESEED, channel);
    buf_add(out, seed, AGENT_SEED);
    return frame_end(out, start, NULL);
}

enum status agent_get_reseed(struct str payload, uint8_t ret_seed[AGENT_SEED], struct fault *why)
{
    if (payload.len < AGENT_SEED)
        return fault_set(why, ST_CORRUPT, "a seed has %d bytes", AGENT_SEED);
    memcpy(ret_seed, payload.ptr, AGENT_SEED);
    return ST_OK;
}

enum status agent_put_identity(struct buf *out, uint32_t channel, struct str guestcfg,
                               struct fault *why)
{
    size_t start = frame_begin(out, AGENT_IDENTITY, channel);
    buf_str(out, guestcfg);
    return frame_end(out, start, why);
}

enum { MODE_MAX = 07777 };

static const char *path_problem(struct str path)
{
    if (path.len == 0 || path.ptr[0] != '/' || path.len > AGENT_PATH_MAX || has_nul(path))
        return "a path is absolute and has at most 4095 bytes";
    return NULL;
}

static const char *file_problem(enum agent_type type, const struct agent_file *f)
{
    if (f->mode > MODE_MAX)
        return "permissions are at most 07777";
    return type == AGENT_FILE_PUSH ? path_problem(f->path) : NULL;
}

enum status agent_put_file(struct buf *out, enum agent_type type, uint32_t channel,
                           const struct agent_file *f, struct fault *why)
{
    require(type == AGENT_FILE_PUSH || type == AGENT_FILE_INFO);
    const char *problem = file_problem(type, f);
    if (problem)
        return fault_set(why, ST_INVALID, "%s", problem);
    size_t start = frame_begin(out, type, channel);
    cursor_put_u32(out, f->mode);
    cursor_put_u32(out, f->uid);
    cursor_put_u32(out, f->gid);
    cursor_put_u64(out, f->size);
    cursor_put_sized(out, f->path);
    return frame_end(out, start, why);
}

enum status agent_get_file(enum agent_type type, struct str payload, struct agent_file *ret,
                           struct fault *why)
{
    require(type == AGENT_FILE_PUSH || type == AGENT_FILE_INFO);
    struct cursor c;
    struct agent_file f;
    cursor_init(&c, payload);
    f.mode = cursor_u32(&c);
    f.uid = cursor_u32(&c);
    f.gid = cursor_u32(&c);
    f.size = cursor_u64(&c);
    f.path = cursor_sized(&c, AGENT_PATH_MAX);
    const char *problem = cursor_ok(&c) ? file_problem(type, &f) : NULL;
    if (problem)
        cursor_fail(&c, problem);
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret = f;
    return s;
}

enum status agent_put_pull(struct buf *out, uint32_t channel, struct str path, struct fault *why)
{
    const char *problem = path_problem(path);
    if (problem)
        return fault_set(why, ST_INVALID, "%s", problem);
    size_t start = frame_begin(out, AGENT_FILE_PULL, channel);
    cursor_put_sized(out, path);
    return frame_end(out, start, why);
}

enum status agent_get_pull(struct str payload, struct str *ret_path, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, payload);
    struct str path = cursor_sized(&c, AGENT_PATH_MAX);
    const char *problem = cursor_ok(&c) ? path_problem(path) : NULL;
    if (problem)
        cursor_fail(&c, problem);
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s == ST_OK)
        *ret_path = path;
    return s;
}

enum status agent_put_done(struct buf *out, uint32_t channel, uint64_t value)
{
    return put_number(out, AGENT_DONE, channel, value);
}

enum status agent_get_done(struct str payload, uint64_t *ret_value, struct fault *why)
{
    return get_number(payload, 0, UINT64_MAX, ret_value, why);
}

enum { CODE_MAX = 64 };

static void printable(const char *text, char out[AGENT_TEXT_MAX + 1])
{
    size_t n = 0;
    for (; text[n] && n < AGENT_TEXT_MAX; n++)
        out[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    out[n] = 0;
}

enum status agent_put_error(struct buf *out, uint32_t channel, enum status s, const char *text)
{
    require(s != ST_OK);
    char clean[AGENT_TEXT_MAX + 1];
    printable(text, clean);
    size_t start = frame_begin(out, AGENT_ERROR, channel);
    cursor_put_sized(out, str_from(status_code(s)));
    cursor_put_sized(out, str_from(clean));
    return frame_end(out, start, NULL);
}

/* What a guest says about itself is not trusted to be a status of failure, or to be printable. */
enum status agent_get_error(struct str payload, struct fault *error, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, payload);
    struct str code = cursor_sized(&c, CODE_MAX);
    struct str text = cursor_sized(&c, AGENT_TEXT_MAX);
    if (has_nul(code) || has_nul(text))
        cursor_fail(&c, "a text holds a NUL");
    enum status s = cursor_status(&c, ST_CORRUPT, why);
    if (s != ST_OK)
        return s;
    char code_text[CODE_MAX + 1], raw[AGENT_TEXT_MAX + 1], clean[AGENT_TEXT_MAX + 1];
    s = str_copy(code, code_text, sizeof code_text, NULL);
    ensure(s == ST_OK);
    s = str_copy(text, raw, sizeof raw, NULL);
    ensure(s == ST_OK);
    printable(raw, clean);
    enum status said = status_from_code(code_text);
    (void)fault_set(error, said == ST_OK ? ST_INTERNAL : said, "%s", clean);
    return ST_OK;
}
