#include "telemetry/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/units.h"
#include "wire/cursor.h"

/* How often an event was written in the second that runs. */
struct rate {
    char name[48];
    uint64_t second;
    uint32_t written;
    uint64_t suppressed;
};

struct logger {
    int fd;
    int journal_fd; /* unconnected; -1 unless the format is LOG_JOURNALD */
    struct sockaddr_un journal;
    enum log_format format;
    enum log_level level;
    uint32_t rate_per_s;
    uint64_t (*now_ns)(void);
    uint64_t lost, suppressed;
    struct rate rates[LOG_NAMES_MAX];
    size_t rate_count;
};

/* Is fd the stream that the service manager connected to its journal? (sd_journal_stream_fd(3)) */
static bool is_journal_stream(int fd)
{
    const char *env = getenv("JOURNAL_STREAM");
    unsigned long long dev, ino;
    struct stat st;
    return env && sscanf(env, "%llu:%llu", &dev, &ino) == 2 && fstat(fd, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

static enum log_format choose(int fd, enum log_format format)
{
    if (format != LOG_AUTO)
        return format;
    if (is_journal_stream(fd))
        return LOG_JOURNALD;
    return isatty(fd) ? LOG_LOGFMT : LOG_JSON;
}

struct logger *log_new(int fd, enum log_format format, enum log_level level, uint32_t rate_per_s,
                       uint64_t (*now_ns)(void))
{
    struct logger *l = NEW(struct logger);
    l->fd = fd;
    l->journal_fd = -1;
    l->format = choose(fd, format);
    if (l->format == LOG_JOURNALD)
        l->journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    log_journal_at(l, "/run/systemd/journal/socket");
    l->now_ns = now_ns;
    log_set(l, level, rate_per_s);
    return l;
}

void log_journal_at(struct logger *l, const char *path)
{
    require(strlen(path) < sizeof l->journal.sun_path);
    l->journal = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(l->journal.sun_path, path, strlen(path));
}

void log_set(struct logger *l, enum log_level level, uint32_t rate_per_s)
{
    l->level = level;
    l->rate_per_s = rate_per_s;
}

bool log_wants(const struct logger *l, enum log_level level)
{
    return level >= l->level;
}

uint64_t log_lost(const struct logger *l)
{
    return l->lost;
}

uint64_t log_suppressed(const struct logger *l)
{
    return l->suppressed;
}

/* NULL: more names than there should be; those are not limited. */
static struct rate *rate_of(struct logger *l, const char *name)
{
    for (size_t i = 0; i < l->rate_count; i++)
        if (strcmp(l->rates[i].name, name) == 0)
            return &l->rates[i];
    if (l->rate_count == LOG_NAMES_MAX || strlen(name) >= sizeof l->rates[0].name)
        return NULL;
    struct rate *r = &l->rates[l->rate_count++];
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    return r;
}

/* May it be written? *ret_suppressed: how many were not since the last one that was. */
static bool admit(struct logger *l, const char *name, uint64_t now_ns, uint64_t *ret_suppressed)
{
    struct rate *r = rate_of(l, name);
    uint64_t second = now_ns / UNITS_NS_PER_S;
    *ret_suppressed = 0;
    if (!r || l->rate_per_s == 0)
        return true;
    if (r->second != second) {
        r->second = second;
        r->written = 0;
    }
    if (r->written >= l->rate_per_s) {
        r->suppressed++;
        l->suppressed++;
        return false;
    }
    r->written++;
    *ret_suppressed = r->suppressed;
    r->suppressed = 0;
    return true;
}

/* The loop's thread must not wait for whoever reads the other end. A pipe that is ready takes
 * PIPE_BUF bytes at once, and no line is longer. */
static void write_line(struct logger *l, struct str line)
{
    struct pollfd p = {.fd = l->fd, .events = POLLOUT};
    int ready;
    while ((ready = poll(&p, 1, 0)) < 0 && errno == EINTR)
        ;
    if (ready != 1 || write(l->fd, line.ptr, line.len) != (ssize_t)line.len)
        l->lost++;
}

/* One field of a datagram: NAME=text, or the binary form if a newline is in it ("Native Journal
 * Protocol" of systemd). */
static void put_entry(struct buf *out, const char *prefix, const char *name, struct str text)
{
    buf_text(out, prefix);
    for (const char *p = name; *p; p++)
        buf_char(out, (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p));
    if (text.len && memchr(text.ptr, '\n', text.len)) {
        uint8_t len[8];
        cursor_store_u64(len, text.len);
        buf_char(out, '\n');
        buf_add(out, len, sizeof len);
    } else {
        buf_char(out, '=');
    }
    buf_str(out, text);
    buf_char(out, '\n');
}

static void put_field(struct buf *out, const struct log_field *f)
{
    char number[24];
    switch (f->type) {
    case LOG_F_TEXT:
        if (f->text)
            put_entry(out, "BLIXARD_", f->name, str_from(f->text));
        return;
    case LOG_F_U64: (void)snprintf(number, sizeof number, "%" PRIu64, f->u64); break;
    case LOG_F_I64: (void)snprintf(number, sizeof number, "%" PRId64, f->i64); break;
    case LOG_F_BOOL: (void)snprintf(number, sizeof number, "%s", f->boolean ? "true" : "false");
    }
    put_entry(out, "BLIXARD_", f->name, str_from(number));
}

/* MESSAGE is the line that people read, every field one of its own: BLIXARD_VM=web-1. Not by
 * sd_journal_sendv(3), which waits when the journal does not read. */
static void send_journal(struct logger *l, uint64_t now_ns, enum log_level level, const char *name,
                         const struct log_field *fields, size_t count)
{
    static const char *const priority[] = {"7", "6", "4", "3"};
    AUTO(buf_done) struct buf line;
    AUTO(buf_done) struct buf all;
    buf_init(&line, LOG_LINE_MAX);
    buf_init(&all, (LOG_FIELDS_MAX + 4) * LOG_LINE_MAX);
    log_format_logfmt(&line, now_ns, level, name, fields, count);
    put_entry(&all, "", "MESSAGE", str_trim(buf_view(&line)));
    put_entry(&all, "", "PRIORITY", str_from(priority[level]));
    put_entry(&all, "", "SYSLOG_IDENTIFIER", STR("blixard"));
    put_entry(&all, "BLIXARD_", "EVENT", str_from(name));
    for (size_t i = 0; i < count; i++)
        put_field(&all, &fields[i]);
    ssize_t n = sendto(l->journal_fd, all.ptr, all.len, MSG_NOSIGNAL,
                       (const struct sockaddr *)&l->journal, sizeof l->journal);
    if (line.full || all.full || n < 0)
        l->lost++;
}

static void write_event(struct logger *l, uint64_t now_ns, enum log_level level, const char *name,
                        const struct log_field *fields, size_t count)
{
    if (l->format == LOG_JOURNALD) {
        send_journal(l, now_ns, level, name, fields, count);
        return;
    }
    AUTO(buf_done) struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    if (l->format == LOG_JSON)
        log_format_json(&line, now_ns, level, name, fields, count);
    else
        log_format_logfmt(&line, now_ns, level, name, fields, count);
    if (line.full) /* cut in the middle it would be no line of its format */
        l->lost++;
    else
        write_line(l, buf_view(&line));
}

void log_event(struct logger *l, enum log_level level, const char *name,
               const struct log_field *fields, size_t count)
{
    require(count <= LOG_FIELDS_MAX);
    if (!log_wants(l, level))
        return;
    uint64_t now = l->now_ns(), suppressed;
    if (!admit(l, name, now, &suppressed))
        return;
    struct log_field all[LOG_FIELDS_MAX + 1];
    memcpy(all, fields, count * sizeof *fields);
    if (suppressed)
        all[count++] = F_U64("suppressed", suppressed);
    write_event(l, now, level, name, all, count);
}

void log_fault(struct logger *l, enum log_level level, const char *name, const struct fault *why)
{
    LOG(l, level, name, F_STR("err", why->text), F_STR("code", status_code(why->status)),
        F_STR("hint", why->hint[0] ? why->hint : NULL));
}

void log_free(struct logger *l)
{
    for (size_t i = 0; l && i < l->rate_count; i++) {
        const struct rate *r = &l->rates[i];
        const struct log_field fields[] = {F_STR("event", r->name), F_U64("count", r->suppressed)};
        if (r->suppressed)
            write_event(l, l->now_ns(), LOG_WARN, "log.suppressed", fields, ARRAY_COUNT(fields));
    }
    if (l && l->journal_fd >= 0)
        (void)close(l->journal_fd);
    free(l);
}
