#include "guest/ident.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "guest/net.h"
#include "guest/util.h"

static const char boot_id_path[] = "/proc/sys/kernel/random/boot_id";
static const char machine_id_path[] = "/etc/machine-id";

enum { SMALL_FILE_MAX = 4096 };

void ident_boot_id(uint8_t out[16])
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 64);
    memset(out, 0, 16);
    if (file_read(boot_id_path, &b, NULL) != ST_OK)
        return;
    char hex[33] = {0};
    size_t n = 0;
    for (size_t i = 0; i < b.len && n < 32; i++)
        if (b.ptr[i] != '-')
            hex[n++] = b.ptr[i];
    if (str_unhex((struct str){hex, n}, out, 16, NULL) != ST_OK)
        memset(out, 0, 16);
}

enum status ident_reseed(const uint8_t seed[AGENT_SEED], struct fault *why)
{
    AUTO(close_fd) int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open /dev/urandom");
    union {
        struct rand_pool_info info;
        char room[sizeof(struct rand_pool_info) + AGENT_SEED];
    } pool = {.info = {.entropy_count = 8 * AGENT_SEED, .buf_size = AGENT_SEED}};
    memcpy(pool.info.buf, seed, AGENT_SEED);
    bool ok = ioctl(fd, RNDADDENTROPY, &pool) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0;
    explicit_bzero(&pool, sizeof pool);
    return ok ? ST_OK : fault_errno(why, errno, "add entropy");
}

static enum status set_time(uint64_t ns, struct fault *why)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    return clock_settime(CLOCK_REALTIME, &t) == 0 ? ST_OK
                                                  : fault_errno(why, errno, "set the clock");
}

/* Write a line to a file of /etc, unless it says so already. */
static enum status keep_line(const char *path, const char *text, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, SMALL_FILE_MAX);
    if (file_read(path, &b, NULL) == ST_OK && str_is(str_trim(buf_view(&b)), text))
        return ST_OK;
    buf_reset(&b);
    buf_fmt(&b, "%s\n", text);
    return file_write(path, buf_view(&b), 0644, why);
}

/* The kernel's boot id cannot be changed, and a clone has that of its template: mount another over it. */
static enum status renew_boot_id(struct fault *why)
{
    static const char path[] = "/run/blixard/boot_id";
    uint8_t r[16];
    if (getrandom(r, sizeof r, 0) != sizeof r)
        return fault_errno(why, errno, "get random bytes");
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); /* a random UUID, RFC 4122 */
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    char hex[33], text[38];
    str_hex(r, sizeof r, hex);
    (void)snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s\n", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
    enum status s = file_write(path, str_from(text), 0444, why);
    (void)umount2(boot_id_path, MNT_DETACH); /* of a clone of a clone */
    if (s == ST_OK && mount(path, boot_id_path, NULL, MS_BIND, NULL) != 0)
        s = fault_errno(why, errno, "mount the boot id");
    return s;
}

static enum status set_machine_id(const char *id, bool cloned, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, SMALL_FILE_MAX);
    bool known = file_read(machine_id_path, &b, NULL) == ST_OK;
    bool same = known && str_is(str_trim(buf_view(&b)), id);
    enum status s = keep_line(machine_id_path, id, why);
    if (s == ST_OK && cloned && !same)
        s = renew_boot_id(why);
    return s;
}

static enum status set_hostname(const char *name, struct fault *why)
{
    if (sethostname(name, strlen(name)) != 0)
        return fault_errno(why, errno, "set the host name");
    return keep_line("/etc/hostname", name, why);
}

static enum status set_dns(const struct guestcfg *c, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, SMALL_FILE_MAX);
    for (size_t i = 0; i < c->dns_count; i++) {
        char ip[GUESTCFG_IPV4_TEXT];
        guestcfg_ipv4_text(c->dns[i], ip);
        buf_fmt(&b, "nameserver %s\n", ip);
    }
    return file_write("/etc/resolv.conf", buf_view(&b), 0644, why);
}

/* Of several things that are all tried, the first failure is the one to tell. */
static void keep_first(enum status *first, struct fault *why, enum status s, const struct fault *f)
{
    if (*first != ST_OK || s == ST_OK)
        return;
    *first = s;
    if (why)
        *why = *f;
}

enum status ident_apply(const struct guestcfg *c, bool cloned, struct fault *why)
{
    enum status first = ST_OK;
    struct fault f;
    /* The seed comes first: a new boot id is made of it. */
    if (c->has_seed)
        keep_first(&first, why, ident_reseed(c->seed, &f), &f);
    if (c->time_ns)
        keep_first(&first, why, set_time(c->time_ns, &f), &f);
    if (c->hostname[0])
        keep_first(&first, why, set_hostname(c->hostname, &f), &f);
    if (c->machine_id[0])
        keep_first(&first, why, set_machine_id(c->machine_id, cloned, &f), &f);
    keep_first(&first, why, net_apply(c, &f), &f);
    if (c->dns_count)
        keep_first(&first, why, set_dns(c, &f), &f);
    return first;
}
