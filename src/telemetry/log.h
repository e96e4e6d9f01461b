/*
 * log: events with names and fields, for people and for machines.
 *
 *     LOG(log, LOG_INFO, "vm.lost", F_STR("vm", name), F_U64("node", 3));
 *
 * An event's name is stable; its fields are typed, so that no text is ever a format, and there is no
 * type for secrets. Formats: logfmt for a terminal, JSON lines for a pipe, native datagrams for
 * systemd's journal. At most `rate_per_s` lines of one event name are written in a second. What was
 * left out is counted at once, and told with the next line of that name (`suppressed=N`) or, if none
 * comes any more, at the end (`log.suppressed event=NAME count=N`).
 *
 * Not thread-safe: it belongs to the loop's thread.
 */
#pragma once

#include "base/fault.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_LOGFMT, LOG_JSON, LOG_JOURNALD };

enum { LOG_FIELDS_MAX = 16, LOG_LINE_MAX = 4096, LOG_NAMES_MAX = 128 };

enum log_type { LOG_F_TEXT, LOG_F_U64, LOG_F_I64, LOG_F_BOOL };

struct log_field {
    const char *name; /* a-z, 0-9 and _ */
    enum log_type type;
    union {
        const char *text; /* NULL: the field is left out */
        uint64_t u64;
        int64_t i64;
        bool boolean;
    };
};

#define F_STR(n, v)  ((struct log_field){.name = (n), .type = LOG_F_TEXT, .text = (v)})
#define F_U64(n, v)  ((struct log_field){.name = (n), .type = LOG_F_U64, .u64 = (v)})
#define F_I64(n, v)  ((struct log_field){.name = (n), .type = LOG_F_I64, .i64 = (v)})
#define F_BOOL(n, v) ((struct log_field){.name = (n), .type = LOG_F_BOOL, .boolean = (v)})

struct logger;

/*
 * fd      where lines go; borrowed. LOG_AUTO: the journal if the service manager says that fd is one
 *         of its streams ($JOURNAL_STREAM), else logfmt on a terminal, else JSON.
 * now_ns  wall clock, for the lines and the rate.
 */
struct logger *log_new(int fd, enum log_format format, enum log_level level, uint32_t rate_per_s,
                       uint64_t (*now_ns)(void));
void log_free(struct logger *l); /* fd is still open; NULL is fine */
void log_set(struct logger *l, enum log_level level, uint32_t rate_per_s);
bool log_wants(const struct logger *l, enum log_level level);

/* Where LOG_JOURNALD sends its datagrams to, if not to /run/systemd/journal/socket. */
void log_journal_at(struct logger *l, const char *path);

/* name and fields are borrowed. A line that cannot be written at once is lost, and counted: nothing
 * waits for a reader. */
void log_event(struct logger *l, enum log_level level, const char *name,
               const struct log_field *fields, size_t count);
/* The same for what went wrong: its code, text and hint become fields. */
void log_fault(struct logger *l, enum log_level level, const char *name, const struct fault *why);

#define LOG(logger, level, name, ...)                                             \
    log_event((logger), (level), (name), (const struct log_field[]){__VA_ARGS__}, \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

uint64_t log_lost(const struct logger *l);       /* lines that could not be written */
uint64_t log_suppressed(const struct logger *l); /* lines that were more than the rate allows */

/* --- the pure part: one line, its end included --- */

struct buf;
void log_format_logfmt(struct buf *out, uint64_t now_ns, enum log_level level, const char *name,
                       const struct log_field *fields, size_t count);
void log_format_json(struct buf *out, uint64_t now_ns, enum log_level level, const char *name,
                     const struct log_field *fields, size_t count);
