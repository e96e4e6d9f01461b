/*
 * agent: the frames between a host and the agent of its guest, over one byte stream (a virtio-serial
 * port). The same code runs at both ends. Pure: bytes in, bytes out.
 *
 *     stream   = garbage* mark hello frame*          in each direction
 *     frame    = header payload 0
 *     header   = "BXA1", u8 version, u8 type, u16 flags (0), u32 channel, u32 len   (little endian)
 *
 * Sessions. Half a frame of a daemon that died may still sit in the pipe, and bytes may have been
 * lost. So the host starts every session with the mark, 16 fixed bytes, and a HELLO with a fresh
 * random nonce; the guest drops whatever came before, ends what the last session had open, and answers
 * with mark and HELLO of the same nonce; the host drops whatever comes before that. Both look for the
 * mark at all times. It cannot occur within or across frames: data that holds it is split into two
 * frames in its middle, a message that holds it is refused, and no byte next to a payload is part of
 * it. So neither a file's content nor a program's output can pose as the protocol. Nor can a frame
 * that was cut off be completed by the mark after it: its last byte is 0, and no byte of the mark is.
 *
 * Channels. The host opens a channel by a request with an id of its choice (not 0, not one that is
 * open) and the guest's last word on it closes it:
 *
 *     EXEC        STDIN* STDIN_EOF, RESIZE, SIGNAL, CLOSE   <->   STDOUT* STDERR* EXIT | ERROR
 *     FILE_PUSH   FILE_DATA* FILE_EOF                        ->   DONE | ERROR
 *     FILE_PULL                                              ->   FILE_INFO FILE_DATA* FILE_EOF | ERROR
 *     STATS_ASK                                              ->   STATS
 *     POWER, RESEED, IDENTITY                                ->   DONE | ERROR
 *
 * CLOSE by the host abandons a channel: its program is killed, its half-written file removed; nothing
 * more comes from the guest, but frames that had left already must be ignored. PING is answered by
 * PONG with the same token, on channel 0.
 *
 * Flow. Data of a channel (STDIN, STDOUT and STDERR together, FILE_DATA) may be AGENT_WINDOW bytes
 * ahead of what its reader has consumed, in each direction; the reader gives CREDIT as it consumes. All
 * else is small and bounded by the number of requests. A sender puts data into its queue only while
 * the queue is short, so a PONG never waits for more than a few frames.
 */
#pragma once

#include "base/buf.h"

enum {
    AGENT_VERSION_MIN = 1,
    AGENT_VERSION_MAX = 1,
    AGENT_HEADER = 16,             /* bytes of a header */
    AGENT_FRAME = 17,              /* bytes of a frame without payload */
    AGENT_MARK = 16,               /* bytes of the mark */
    AGENT_NONCE = 16,              /* bytes of a nonce */
    AGENT_PAYLOAD_MAX = 64 * 1024, /* bytes after a header */
    AGENT_DATA_MAX = 16 * 1024,    /* bytes in one frame of data, as we send it */
    AGENT_WINDOW = 128 * 1024,     /* bytes of data under way in one direction of a channel */
    AGENT_FEED_MAX = 64 * 1024,    /* bytes given to the decoder at once */
    AGENT_CHANNELS_MAX = 32, /* channels open at once; a request beyond gets ERROR limit_reached */
    AGENT_ARGS_MAX = 256,    /* arguments of a program, and likewise its environment */
    AGENT_PATH_MAX = 4095,   /* bytes of a path */
    AGENT_TEXT_MAX = 511,    /* bytes of a text for people */
    AGENT_SEED = 32,         /* bytes of a RESEED */
};

#define AGENT_UNKNOWN UINT64_MAX /* a number that could not be found out */
#define AGENT_PORT    "org.blixard.agent.0"

enum agent_type {
    AGENT_HELLO = 1,
    AGENT_PING = 2,
    AGENT_PONG = 3,
    AGENT_EXEC = 4,
    AGENT_STDIN = 5,
    AGENT_STDIN_EOF = 6,
    AGENT_STDOUT = 7,
    AGENT_STDERR = 8,
    AGENT_EXIT = 9,
    AGENT_RESIZE = 10,
    AGENT_SIGNAL = 11,
    AGENT_CREDIT = 12,
    AGENT_STATS_ASK = 13,
    AGENT_STATS = 14,
    AGENT_POWER = 15,
    AGENT_RESEED = 16,
    AGENT_IDENTITY = 17,
    AGENT_FILE_PUSH = 18,
    AGENT_FILE_PULL = 19,
    AGENT_FILE_INFO = 20,
    AGENT_FILE_DATA = 21,
    AGENT_FILE_EOF = 22,
    AGENT_DONE = 23,
    AGENT_ERROR = 24,
    AGENT_CLOSE = 25,
    AGENT_TYPE_COUNT
};

/* "EXEC"; for logs. Never NULL. */
const char *agent_type_name(enum agent_type t);

/* One frame as it came in. Types beyond those we know are passed on (a later version's; answer ERROR
 * unsupported). payload is a view into the decoder, until its next call. */
struct agent_frame {
    enum agent_type type;
    uint32_t channel;
    struct str payload;
};

/* ---- bytes to frames ---- */

enum agent_sync {
    AGENT_LOST,  /* dropping bytes until the mark */
    AGENT_GREET, /* after the mark: HELLO must follow */
    AGENT_OPEN,  /* in a session */
};

struct agent_decoder {
    struct buf in;
    size_t at;   /* in.ptr[at] is the first byte not yet used */
    size_t mark; /* where the next mark begins; SIZE_MAX: none in the first `searched` bytes */
    size_t searched;
    enum agent_sync sync;
    bool host;
    uint8_t nonce[AGENT_NONCE]; /* the host's: only a HELLO with it is taken */
    uint64_t dropped;           /* bytes that were no part of a session, for logs */
};

/* nonce: at the host, that of the HELLO it sends (AGENT_NONCE bytes, fresh and random); at the guest NULL. */
void agent_decoder_init(struct agent_decoder *d, const uint8_t *nonce);
void agent_decoder_done(struct agent_decoder *d);
/* Give it the next bytes of the stream, at most AGENT_FEED_MAX. All frames of the feed before must
 * have been taken out. */
void agent_decoder_feed(struct agent_decoder *d, const void *data, size_t len);
/* Take the next frame out; false when more bytes are needed. The first frame of each session is its
 * HELLO, which may come in mid-session too (a new session: end what is open). Bytes that are no
 * session, or that break the rules, are dropped, and sync is AGENT_LOST until the next mark. */
bool agent_decoder_next(struct agent_decoder *d, struct agent_frame *ret);

/* ---- flow of one channel ---- */

struct agent_flow {
    uint32_t may_send;
    uint32_t may_receive;
    uint32_t eaten; /* consumed, and not yet given back as credit */
};

void agent_flow_init(struct agent_flow *f);
/* We put len bytes of data into the queue; len <= may_send. */
void agent_flow_sent(struct agent_flow *f, size_t len);
/* Our reader consumed len bytes. Returns the credit to send now, or 0: not worth a frame yet. */
uint32_t agent_flow_eaten(struct agent_flow *f, size_t len);
/* The peer's data and credit; ST_CORRUPT when it has no right to that. */
MUST_USE enum status agent_flow_received(struct agent_flow *f, size_t len, struct fault *why);
MUST_USE enum status agent_flow_credit(struct agent_flow *f, uint32_t len, struct fault *why);

/* ---- messages ----
 *
 * agent_put_x appends one whole frame to out, or nothing:
 *   ST_LIMIT    out has no room for it.
 *   ST_INVALID, ST_TOO_BIG   the message breaks a limit or the mark is in it.
 * agent_get_x reads a payload; views in it point into the frame. ST_CORRUPT when it is malformed or
 * breaks a limit; trailing bytes are for later versions and ignored.
 */

struct agent_hello {
    uint16_t version_min, version_max; /* what the sender speaks */
    uint8_t nonce[AGENT_NONCE];
    uint8_t boot_id[16]; /* of the guest's kernel; zeros from the host */
    struct str software; /* such as "blixard 0.1.0" */
    struct str trouble;  /* what went wrong when the guest booted, or "" */
};

/* The highest version both speak, or 0. */
uint16_t agent_hello_common(const struct agent_hello *h);
MUST_USE enum status agent_put_hello(struct buf *out, const struct agent_hello *h,
                                     struct fault *why);
MUST_USE enum status agent_get_hello(struct str payload, struct agent_hello *ret,
                                     struct fault *why);

struct agent_exec {
    bool tty; /* a terminal of rows x cols instead of three pipes; then all output is STDOUT */
    uint16_t rows, cols; /* 0: unknown */
    uint32_t uid, gid;
    struct str cwd; /* absolute, or "": / */
    size_t argc;    /* >= 1; argv[0] is looked for in PATH when it has no slash */
    struct str argv[AGENT_ARGS_MAX];
    size_t envc; /* added to PATH, HOME and TERM of the agent's own; NAME=value */
    struct str env[AGENT_ARGS_MAX];
};

MUST_USE enum status agent_put_exec(struct buf *out, uint32_t channel, const struct agent_exec *x,
                                    struct fault *why);
MUST_USE enum status agent_get_exec(struct str payload, struct agent_exec *ret, struct fault *why);

struct agent_exit {
    bool signalled;
    uint32_t value; /* exit status, or number of the signal */
};

MUST_USE enum status agent_put_exit(struct buf *out, uint32_t channel, struct agent_exit x);
MUST_USE enum status agent_get_exit(struct str payload, struct agent_exit *ret, struct fault *why);

/* Data of type STDIN, STDOUT, STDERR or FILE_DATA: as much of it as fits into one frame (AGENT_DATA_MAX, or
 * less where the mark must be split); the number of bytes taken, 0 when out has no room. The reader of
 * a frame takes its payload as it is. Account for it by agent_flow_sent. */
size_t agent_put_data(struct buf *out, enum agent_type type, uint32_t channel, struct str data);

/* Frames without payload: STDIN_EOF, STATS_ASK, FILE_EOF, CLOSE. */
MUST_USE enum status agent_put_plain(struct buf *out, enum agent_type type, uint32_t channel);

/* PING, PONG (channel 0): any token. */
MUST_USE enum status agent_put_ping(struct buf *out, enum agent_type type, uint64_t token);
MUST_USE enum status agent_get_ping(struct str payload, uint64_t *ret_token, struct fault *why);

MUST_USE enum status agent_put_resize(struct buf *out, uint32_t channel, uint16_t rows,
                                      uint16_t cols);
MUST_USE enum status agent_get_resize(struct str payload, uint16_t *ret_rows, uint16_t *ret_cols,
                                      struct fault *why);

/* A Linux signal number, 1 to 64, for the program's process group. */
MUST_USE enum status agent_put_signal(struct buf *out, uint32_t channel, uint32_t signal);
MUST_USE enum status agent_get_signal(struct str payload, uint32_t *ret_signal, struct fault *why);

MUST_USE enum status agent_put_credit(struct buf *out, uint32_t channel, uint32_t len);
MUST_USE enum status agent_get_credit(struct str payload, uint32_t *ret_len, struct fault *why);

/*           field            what */
#define AGENT_STATS_TABLE(X)                                       \
    X(uptime_ms, "since the guest's kernel started")               \
    X(load1_milli, "load average of a minute, in thousandths")     \
    X(load5_milli, "of five minutes")                              \
    X(load15_milli, "of fifteen minutes")                          \
    X(cpu_busy_ms, "time of all CPUs not spent idle, since start") \
    X(process_count, "processes and threads")                      \
    X(mem_total_kib, "memory the kernel manages")                  \
    X(mem_free_kib, "memory nothing uses")                         \
    X(mem_available_kib, "memory new programs could get")          \
    X(disk_total_kib, "size of the root file system")              \
    X(disk_free_kib, "free in the root file system")               \
    X(disk_read_bytes, "read from disks, since start")             \
    X(disk_write_bytes, "written to disks, since start")           \
    X(net_rx_bytes, "received, since start, without loopback")     \
    X(net_tx_bytes, "sent, since start, without loopback")         \
    X(net_rx_packets, "received, since start, without loopback")   \
    X(net_tx_packets, "sent, since start, without loopback")

/* Each is AGENT_UNKNOWN where the guest could not find it out. */
struct agent_stats {
#define X(field, what) uint64_t field;
    AGENT_STATS_TABLE(X)
#undef X
    uint8_t boot_id[16];
};

MUST_USE enum status agent_put_stats(struct buf *out, uint32_t channel,
                                     const struct agent_stats *s);
MUST_USE enum status agent_get_stats(struct str payload, struct agent_stats *ret,
                                     struct fault *why);

enum agent_power { AGENT_POWER_OFF = 0, AGENT_REBOOT = 1 };

MUST_USE enum status agent_put_power(struct buf *out, uint32_t channel, enum agent_power p);
MUST_USE enum status agent_get_power(struct str payload, enum agent_power *ret, struct fault *why);

/* Fresh entropy for the guest's kernel, which then reseeds its generator. */
MUST_USE enum status agent_put_reseed(struct buf *out, uint32_t channel,
                                      const uint8_t seed[AGENT_SEED]);
MUST_USE enum status agent_get_reseed(struct str payload, uint8_t ret_seed[AGENT_SEED],
                                      struct fault *why);

/* Who the guest is from now on: text of wire/guestcfg.h. Of it host name, machine id, hardware address,
 * address, gateway, name servers, time and seed are applied, those that are given; the rest is ignored. */
MUST_USE enum status agent_put_identity(struct buf *out, uint32_t channel, struct str guestcfg,
                                        struct fault *why);

/* A file to be written (FILE_PUSH) or as it is (FILE_INFO). */
struct agent_file {
    struct str path; /* absolute; "" in FILE_INFO */
    uint32_t mode;   /* permission bits, 07777 at most */
    uint32_t uid, gid;
    uint64_t size; /* bytes to come, or AGENT_UNKNOWN: until FILE_EOF */
};

/* type is AGENT_FILE_PUSH or AGENT_FILE_INFO. A pushed file appears under its name only when it is
 * whole, in place of one that was there. */
MUST_USE enum status agent_put_file(struct buf *out, enum agent_type type, uint32_t channel,
                                    const struct agent_file *f, struct fault *why);
MUST_USE enum status agent_get_file(enum agent_type type, struct str payload,
                                    struct agent_file *ret, struct fault *why);

MUST_USE enum status agent_put_pull(struct buf *out, uint32_t channel, struct str path,
                                    struct fault *why);
MUST_USE enum status agent_get_pull(struct str payload, struct str *ret_path, struct fault *why);

/* value: bytes written, for a FILE_PUSH; else 0. */
MUST_USE enum status agent_put_done(struct buf *out, uint32_t channel, uint64_t value);
MUST_USE enum status agent_get_done(struct str payload, uint64_t *ret_value, struct fault *why);

/* The status goes as its code; text is cut at AGENT_TEXT_MAX and made printable ASCII. */
MUST_USE enum status agent_put_error(struct buf *out, uint32_t channel, enum status s,
                                     const char *text);
/* Fills `error` with the guest's status and text. */
MUST_USE enum status agent_get_error(struct str payload, struct fault *error, struct fault *why);
