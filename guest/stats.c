#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guest/ident.h"
#include "guest/server.h"
#include "guest/util.h"

enum { PROC_FILE_MAX = 64 * 1024, SECTOR = 512 };

/* Read a whole file of /proc; empty when it cannot be. */
static struct str slurp(const char *path, struct buf *b)
{
    buf_reset(b);
    return file_read(path, b, NULL) == ST_OK ? buf_view(b) : (struct str){"", 0};
}

/* The number after `key` at the beginning of a line, or AGENT_UNKNOWN. */
static uint64_t number_after(struct str text, const char *key)
{
    struct str line;
    for (bool more = text.len > 0; more;) {
        more = str_cut(&text, '\n', &line);
        if (!str_starts(line, key))
            continue;
        struct str word,
            rest = str_trim((struct str){line.ptr + strlen(key), line.len - strlen(key)});
        (void)str_cut(&rest, ' ', &word);
        uint64_t v;
        return str_u64(word, 0, UINT64_MAX, &v, NULL) == ST_OK ? v : AGENT_UNKNOWN;
    }
    return AGENT_UNKNOWN;
}

/* Columns of numbers that are separated by spaces; their count. */
static size_t columns(struct str line, uint64_t *out, size_t max)
{
    size_t n = 0;
    struct str word, rest = str_trim(line);
    for (bool more = rest.len > 0; more && n < max;) {
        more = str_cut(&rest, ' ', &word);
        rest = str_trim(rest);
        if (str_u64(word, 0, UINT64_MAX, &out[n], NULL) != ST_OK)
            return n;
        n++;
    }
    return n;
}

static void read_memory(struct agent_stats *r, struct buf *b)
{
    struct str text = slurp("/proc/meminfo", b);
    r->mem_total_kib = number_after(text, "MemTotal:");
    r->mem_free_kib = number_after(text, "MemFree:");
    r->mem_available_kib = number_after(text, "MemAvailable:");
}

static void read_load(struct agent_stats *r)
{
    struct sysinfo s;
    if (sysinfo(&s) != 0)
        return;
    unsigned long one = 1UL << SI_LOAD_SHIFT;
    r->load1_milli = s.loads[0] * 1000 / one;
    r->load5_milli = s.loads[1] * 1000 / one;
    r->load15_milli = s.loads[2] * 1000 / one;
    r->process_count = s.procs;
}

/* "cpu  user nice system idle iowait irq softirq steal ..." in ticks */
static void read_cpu(struct agent_stats *r, struct buf *b)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, FIELDS };
    uint64_t v[FIELDS];
    struct str line, text = slurp("/proc/stat", b);
    (void)str_cut(&text, '\n', &line);
    long hz = sysconf(_SC_CLK_TCK);
    if (hz <= 0 || !str_starts(line, "cpu ") ||
        columns((struct str){line.ptr + 4, line.len - 4}, v, FIELDS) != FIELDS)
        return;
    r->cpu_busy_ms = (v[USER] + v[NICE] + v[SYSTEM] + v[IRQ] + v[SOFTIRQ]) * 1000 / (uint64_t)hz;
}

static void read_root(struct agent_stats *r)
{
    struct statvfs v;
    if (statvfs("/", &v) != 0 || v.f_blocks == 0) /* 0: memory without a limit */
        return;
    r->disk_total_kib = (uint64_t)v.f_blocks * v.f_frsize / 1024;
    r->disk_free_kib = (uint64_t)v.f_bavail * v.f_frsize / 1024;
}

/* Sectors read and written, of whole disks. */
static void read_disks(struct agent_stats *r, struct buf *b)
{
    enum { READ_SECTORS = 2, WRITE_SECTORS = 6, FIELDS = 7 };
    uint64_t read_bytes = 0, write_bytes = 0;
    DIR *all = opendir("/sys/block");
    if (!all)
        return;
    for (const struct dirent *e; (e = readdir(all));) {
        char path[300];
        uint64_t v[FIELDS];
        (void)snprintf(path, sizeof path, "/sys/block/%s/stat", e->d_name);
        if (e->d_name[0] == '.' || columns(slurp(path, b), v, FIELDS) != FIELDS)
            continue;
        read_bytes += v[READ_SECTORS] * SECTOR;
        write_bytes += v[WRITE_SECTORS] * SECTOR;
    }
    (void)closedir(all);
    r->disk_read_bytes = read_bytes;
    r->disk_write_bytes = write_bytes;
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast bytes packets ..." */
static void read_net(struct agent_stats *r, struct buf *b)
{
    enum { RX_BYTES, RX_PACKETS, TX_BYTES = 8, TX_PACKETS, FIELDS };
    struct str line, text = slurp("/proc/net/dev", b);
    if (text.len == 0)
        return;
    r->net_rx_bytes = r->net_tx_bytes = r->net_rx_packets = r->net_tx_packets = 0;
    for (bool more = true; more;) {
        uint64_t v[FIELDS];
        struct str name;
        more = str_cut(&text, '\n', &line);
        if (!str_cut(&line, ':', &name) || str_is(str_trim(name), "lo") ||
            columns(line, v, FIELDS) != FIELDS)
            continue;
        r->net_rx_bytes += v[RX_BYTES];
        r->net_rx_packets += v[RX_PACKETS];
        r->net_tx_bytes += v[TX_BYTES];
        r->net_tx_packets += v[TX_PACKETS];
    }
}

void stats_read(struct agent_stats *ret)
{
    AUTO(buf_done) struct buf b;
    struct agent_stats r;
    buf_init(&b, PROC_FILE_MAX);
#define X(field, what) r.field = AGENT_UNKNOWN;
    AGENT_STATS_TABLE(X)
#undef X
    ident_boot_id(r.boot_id);
    r.uptime_ms = now_ms();
    read_load(&r);
    read_memory(&r, &b);
    read_cpu(&r, &b);
    read_root(&r);
    read_disks(&r, &b);
    read_net(&r, &b);
    *ret = r;
}
