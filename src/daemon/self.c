#include "daemon/self.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "os/file.h"

/* Field n, counted as proc(5) does, of /proc/self/stat; NAN when it is not there. */
static double stat_field(int n)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    if (file_read(AT_FDCWD, "/proc/self/stat", &text, NULL) != ST_OK)
        return NAN;
    /* The name, field 2, may hold anything: begin behind its last ')'. */
    const char *at = strrchr(buf_cstr(&text), ')');
    unsigned long long v;
    for (int i = 2; at && i < n; i++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%llu", &v) == 1 ? (double)v : NAN;
}

double self_rss_bytes(void)
{
    double pages = stat_field(24);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

double self_cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return NAN;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double self_open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    double count = -1; /* the directory's own */
    if (!d)
        return NAN;
    for (const struct dirent *e; (e = readdir(d));)
        count += e->d_name[0] != '.';
    (void)closedir(d);
    return count;
}

double self_threads(void)
{
    return stat_field(20);
}

double self_start_seconds(void)
{
    struct timespec now, boot;
    double ticks = stat_field(22);
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &boot) != 0)
        return NAN;
    return (double)(now.tv_sec - boot.tv_sec) + ticks / (double)sysconf(_SC_CLK_TCK);
}
