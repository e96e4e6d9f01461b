#include "vmm/prepare.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "vmm/fstype.h"
#include "vmm/qcow2.h"
#include "vmm/sock.h"
#include "wire/shim.h"

enum { LAYER_MAX = 16 << 20, NAME_LEN = 96 };

/* The network of QEMU's own making (slirp), as it is by default. */
#define USER_ADDRESS UINT32_C(0x0a00020f)
#define USER_GATEWAY UINT32_C(0x0a000202)
#define USER_DNS     UINT32_C(0x0a000203)

/* What the steps hand on to each other. */
struct work {
    const struct prepare_site *site;
    const struct order *o;
    struct prepared *p;
    struct cmdline c;
    struct cmdline_disk disk[CMDLINE_VOLUMES_MAX + 1];
    struct cmdline_port port[ORDER_PORTS_MAX];
    struct guestcfg guest;
};

/* Give QEMU a descriptor, which is taken; returns its number there. */
static int give(struct work *w, int fd)
{
    require(w->p->fd_count < PREPARE_FDS_MAX);
    w->p->fd[w->p->fd_count] = fd;
    return w->site->first_fd + (int)w->p->fd_count++;
}

/* ---- directory ---- */

static enum status open_directory(struct work *w, struct fault *why)
{
    const char *uid = w->o->record.uid;
    bool made = mkdirat(w->site->dir, uid, 0700) == 0;
    if (!made && errno != EEXIST)
        return fault_errno(why, errno, "make the VM's directory");
    w->p->dir = openat(w->site->dir, uid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (w->p->dir < 0)
        return fault_errno(why, errno, "open the VM's directory");
    return made ? file_sync_dir(w->site->dir, ".", why) : ST_OK;
}

/* As long as a shim listens, its QEMU may run. */
static enum status check_alone(const struct work *w, struct fault *why)
{
    AUTO(close_fd) int fd = -1;
    enum status s = sock_connect(w->p->dir, PREPARE_SHIM_SOCKET, SOCK_SEQPACKET, &fd, why);
    if (s == ST_UNAVAILABLE)
        return ST_OK;
    return fault_set(why, ST_IN_USE, "an older incarnation of this VM still runs");
}

/* ---- image ---- */

static enum status open_blob(const struct work *w, const struct order_blob *b, const char *what,
                             int *ret_fd, struct fault *why)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", w->site->blob_dir, b->digest + strlen("sha256:"));
    if (n < 0 || (size_t)n >= sizeof path)
        return fault_set(why, ST_INVALID, "the path of the image store is too long");
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return fault_set(why, ST_NOT_FOUND, "the image's %s is not on this node", what);
    if (fd < 0)
        return fault_errno(why, errno, "open the image's %s", what);
    enum status s = verified_check(w->site->verified, fd, b->digest, b->size, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "the image's %s (%.19s...)", what, b->digest);
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

/* QEMU opens these two by /proc/self/fd, which asks for the right to read. */
static enum status give_readable(struct work *w, const struct order_blob *b, const char *what,
                                 int *ret, struct fault *why)
{
    struct stat st;
    int fd = -1;
    enum status s = open_blob(w, b, what, &fd, why);
    if (s != ST_OK)
        return s;
    *ret = give(w, fd);
    if (w->site->own_ids && (fstat(fd, &st) != 0 || !(st.st_mode & S_IROTH)))
        return fault_set(why, ST_DENIED, "the image's %s is not readable by all", what);
    return ST_OK;
}

static enum status give_kernel(struct work *w, struct fault *why)
{
    w->c.initrd = -1;
    enum status s = give_readable(w, &w->o->kernel, "kernel", &w->c.kernel, why);
    if (s == ST_OK && w->o->initrd.digest[0])
        s = give_readable(w, &w->o->initrd, "initrd", &w->c.initrd, why);
    return s;
}

/* ---- disks ---- */

/* Write what is not zero. */
static bool write_sparse(int fd, struct str bytes)
{
    static const char zeros[4096];
    for (size_t at = 0; at < bytes.len; at += sizeof zeros) {
        size_t n = MIN(sizeof zeros, bytes.len - at);
        if (memcmp(bytes.ptr + at, zeros, n) != 0 && !file_write_at(fd, at, bytes.ptr + at, n))
            return false;
    }
    return ftruncate(fd, (off_t)bytes.len) == 0;
}

/* A fresh layer under its name, in place of one that was there. A layer that will be kept is synced:
 * it must not be found half made. */
static enum status make_layer(int dir, uint64_t size, bool keep, int *ret_fd, struct fault *why)
{
    static const char temp[] = PREPARE_ROOT ".tmp";
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, LAYER_MAX);
    enum status s = qcow2_layer(size, &bytes, why);
    if (s != ST_OK)
        return s;
    if (unlinkat(dir, temp, 0) != 0 && errno != ENOENT)
        return fault_errno(why, errno, "remove %s", temp);
    AUTO(close_fd) int fd = openat(dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_errno(why, errno, "make the root disk");
    if (!write_sparse(fd, buf_view(&bytes)) || (keep && fdatasync(fd) != 0))
        return fault_errno(why, errno, "write the root disk");
    if (renameat(dir, temp, dir, PREPARE_ROOT) != 0)
        return fault_errno(why, errno, "name the root disk");
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

/* The layer that a persistent root kept; ST_NOT_FOUND when there is none yet. */
static enum status open_layer(int dir, uint64_t size, int *ret_fd, struct fault *why)
{
    char head[QCOW2_HEADER_MAX];
    size_t n = 0;
    uint64_t found = 0;
    AUTO(close_fd) int fd = openat(dir, PREPARE_ROOT, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fault_errno(why, errno, "open the root disk");
    if (!file_read_at(fd, 0, head, sizeof head, &n))
        return fault_errno(why, errno, "read the root disk");
    enum status s = qcow2_size((struct str){head, n}, &found, why);
    if (s == ST_OK && found != size)
        s = fault_set(why, ST_CONFLICT,
                      "it was made for another image: %" PRIu64 " bytes, not %" PRIu64, found,
                      size);
    if (s != ST_OK)
        return fault_wrap(why, s, "the root disk");
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

static enum status base_size(const struct work *w, int fd, uint64_t *ret, struct fault *why)
{
    if (!w->o->disk_qcow2) {
        *ret = (w->o->disk.size + 511) / 512 * 512;
        return ST_OK;
    }
    char head[QCOW2_HEADER_MAX];
    size_t n = 0;
    if (!file_read_at(fd, 0, head, sizeof head, &n))
        return fault_errno(why, errno, "read the image's disk");
    return qcow2_size((struct str){head, n}, ret, why);
}

static void set_disk(struct guestcfg_disk *d, const char *device, const char *fs, bool read_only,
                     const char *path)
{
    *d = (struct guestcfg_disk){.read_only = read_only || fstype_is_read_only(fs)};
    (void)snprintf(d->device, sizeof d->device, "%s", device);
    (void)snprintf(d->fs, sizeof d->fs, "%s", fs);
    (void)snprintf(d->path, sizeof d->path, "%s", path);
}

static enum status find_fs(int fd, const char **ret, struct fault *why)
{
    AUTO(auto_free) char *head = mem_new(FSTYPE_HEAD);
    size_t n = 0;
    if (!file_read_at(fd, 0, head, FSTYPE_HEAD, &n))
        return fault_errno(why, errno, "read a disk");
    *ret = fstype_of((struct str){head, n});
    return ST_OK;
}

static enum status give_root(struct work *w, struct fault *why)
{
    if (!w->o->disk.digest[0])
        return ST_OK;
    struct cmdline_disk *d = &w->disk[w->c.disk_count++];
    *d = (struct cmdline_disk){.name = "root", .qcow2 = true, .base_qcow2 = w->o->disk_qcow2};
    const char *fs = "unknown";
    uint64_t size = 0;
    int base = -1, layer = -1;
    enum status s = open_blob(w, &w->o->disk, "disk", &base, why);
    if (s != ST_OK)
        return s;
    d->base_fd = give(w, base);
    s = base_size(w, base, &size, why);
    if (s == ST_OK)
        s = find_fs(base, &fs, why);
    if (s != ST_OK)
        return s;
    if (w->o->root_size && w->o->root_size < size)
        return fault_set(why, ST_INVALID,
                         "the root disk would be smaller than its image: %" PRIu64 " MiB",
                         size >> 20);
    size = MAX(size, w->o->root_size);
    s = w->o->record.persistent ? open_layer(w->p->dir, size, &layer, why) : ST_NOT_FOUND;
    if (s == ST_NOT_FOUND)
        s = make_layer(w->p->dir, size, w->o->record.persistent, &layer, why);
    if (s != ST_OK)
        return s;
    d->fd = give(w, layer);
    set_disk(&w->guest.root, "root", fs, false, "/");
    return ST_OK;
}

/* A volume is a sparse raw file; it grows with its spec and never shrinks. Once something made a
 * known file system on it, the guest finds it mounted. */
static enum status give_volume(struct work *w, const struct order_volume *v, struct fault *why)
{
    char name[NAME_LEN], path[NAME_LEN];
    struct stat st;
    const char *fs = NULL;
    (void)snprintf(name, sizeof name, "volume-%s.raw", v->name);
    (void)snprintf(path, sizeof path, "/mnt/%s", v->name);
    AUTO(close_fd)
    int fd = openat(w->p->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) != 0)
        return fault_errno(why, errno, "open volume %s", v->name);
    if ((uint64_t)st.st_size > v->size)
        return fault_set(why, ST_INVALID, "volume %s has %jd MiB and cannot shrink", v->name,
                         (intmax_t)st.st_size >> 20);
    if ((uint64_t)st.st_size < v->size && ftruncate(fd, (off_t)v->size) != 0)
        return fault_errno(why, errno, "make volume %s %" PRIu64 " MiB large", v->name,
                           v->size >> 20);
    enum status s = find_fs(fd, &fs, why);
    if (s != ST_OK)
        return s;
    if (v->read_only) { /* QEMU wants descriptors that can do no more than it is to do */
        close_fd(&fd);
        fd = openat(w->p->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return fault_errno(why, errno, "open volume %s", v->name);
    }
    bool known = strcmp(fs, "unknown") != 0;
    set_disk(&w->guest.volume[w->guest.volume_count++], v->name, known ? fs : "none", v->read_only,
             path);
    w->disk[w->c.disk_count++] = (struct cmdline_disk){
        .name = v->name, .fd = give(w, fd), .read_only = v->read_only, .base_fd = -1};
    fd = -1;
    return ST_OK;
}

static enum status give_disks(struct work *w, struct fault *why)
{
    w->c.disk = w->disk;
    enum status s = give_root(w, why);
    for (size_t i = 0; s == ST_OK && i < w->o->volume_count; i++)
        s = give_volume(w, &w->o->volume[i], why);
    return s;
}

/* ---- network ---- */

static void give_net(struct work *w)
{
    const struct order *o = w->o;
    struct guestcfg *g = &w->guest;
    w->c.mac = o->mac;
    if (o->record.tap) {
        w->c.net = CMDLINE_NET_TAP;
        g->address = o->record.address;
        g->prefix = 32;
        g->gateway = w->site->gateway;
        for (; g->dns_count < w->site->dns_count && g->dns_count < GUESTCFG_DNS_MAX; g->dns_count++)
            g->dns[g->dns_count] = w->site->dns[g->dns_count];
        return;
    }
    w->c.net = CMDLINE_NET_USER;
    g->address = USER_ADDRESS;
    g->prefix = 24;
    g->gateway = USER_GATEWAY;
    g->dns[g->dns_count++] = USER_DNS;
    for (size_t i = 0; i < o->port_count; i++)
        w->port[i] = (struct cmdline_port){.udp = o->port[i].udp,
                                           .host = o->port[i].host[0] ? o->port[i].host : NULL,
                                           .host_port = o->port[i].host_port,
                                           .guest_port = o->port[i].guest_port};
    w->c.port = w->port;
    w->c.port_count = o->port_count;
}

/* ---- the guest's configuration ---- */

static enum status give_config(struct work *w, uint64_t time_ns, const uint8_t *seed,
                               struct fault *why)
{
    struct guestcfg *g = &w->guest;
    AUTO(buf_done) struct buf text;
    buf_init(&text, GUESTCFG_TEXT_MAX);
    (void)snprintf(g->hostname, sizeof g->hostname, "%s", w->o->record.name);
    memcpy(g->machine_id, w->o->record.uid, sizeof g->machine_id);
    memcpy(g->mac, w->o->mac, sizeof g->mac);
    g->time_ns = time_ns;
    g->has_seed = true;
    memcpy(g->seed, seed, sizeof g->seed);
    g->user_data = str_from(w->o->user_data);
    enum status s = guestcfg_encode(g, &text, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "the guest's configuration");
    /* It holds a seed: memory, not a file, and no word on a command line. */
    AUTO(close_fd) int fd = memfd_create("guestcfg", MFD_CLOEXEC);
    if (fd < 0 || !file_write_at(fd, 0, text.ptr, text.len))
        return fault_errno(why, errno, "write the guest's configuration");
    w->c.config = give(w, fd);
    fd = -1;
    return ST_OK;
}

/* ---- sockets and log ---- */

static enum status listen_for(struct work *w, const char *name, int *ret, struct fault *why)
{
    int fd = -1;
    enum status s = sock_listen(w->p->dir, name, SOCK_STREAM, &fd, why);
    if (s == ST_OK)
        *ret = give(w, fd);
    return s;
}

static enum status give_channels(struct work *w, struct fault *why)
{
    enum status s = sock_listen(w->p->dir, PREPARE_SHIM_SOCKET, SOCK_SEQPACKET, &w->p->listen, why);
    if (s == ST_OK)
        s = listen_for(w, PREPARE_QMP_SOCKET, &w->c.qmp, why);
    if (s == ST_OK)
        s = listen_for(w, PREPARE_AGENT_SOCKET, &w->c.agent, why);
    if (s == ST_OK)
        s = listen_for(w, PREPARE_CONSOLE_SOCKET, &w->c.console, why);
    if (s != ST_OK)
        return s;
    int fd = openat(w->p->dir, PREPARE_CONSOLE_LOG,
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fault_errno(why, errno, "open the console's log");
    w->c.log = give(w, fd);
    return ST_OK;
}

/* ---- the whole ---- */

/* From here on a later daemon knows that something may run. */
static enum status write_intent(const struct work *w, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, RECORD_SIZE_MAX);
    if (unlinkat(w->p->dir, SHIM_FILE, 0) != 0 && errno != ENOENT)
        return fault_errno(why, errno, "remove the last shim's record");
    vm_record_encode(&b, &w->o->record);
    return file_write(w->p->dir, RECORD_FILE, buf_view(&b), 0600, why);
}

static enum status build(struct work *w, struct fault *why)
{
    const struct order *o = w->o;
    w->c.qemu = w->site->qemu;
    w->c.uid = o->record.uid;
    w->c.name = o->record.name;
    w->c.kvm = w->site->kvm;
    w->c.profile = w->site->profile;
    w->c.tsc_khz = w->site->tsc_khz;
    w->c.vcpus = o->vcpus;
    w->c.mem_mib = o->mem_mib;
    w->c.tap = w->site->first_fd + (int)w->p->fd_count;
    return cmdline_build(&w->c, &w->p->args, why);
}

enum status prepare(const struct prepare_site *site, const struct order *o, uint64_t time_ns,
                    const uint8_t seed[GUESTCFG_SEED], struct prepared *ret, struct fault *why)
{
    *ret = (struct prepared){.dir = -1, .listen = -1};
    AUTO(auto_free) struct work *w = NEW(struct work);
    w->site = site;
    w->o = o;
    w->p = ret;
    enum status s = open_directory(w, why);
    if (s == ST_OK)
        s = check_alone(w, why);
    if (s == ST_OK)
        s = give_kernel(w, why);
    if (s == ST_OK)
        s = give_disks(w, why);
    if (s != ST_OK)
        return s;
    give_net(w);
    s = give_config(w, time_ns, seed, why);
    if (s == ST_OK)
        s = give_channels(w, why);
    if (s == ST_OK)
        s = build(w, why);
    return s == ST_OK ? write_intent(w, why) : s;
}

void prepared_done(struct prepared *p)
{
    close_fd(&p->dir);
    close_fd(&p->listen);
    for (size_t i = 0; i < p->fd_count; i++)
        close_fd(&p->fd[i]);
    p->fd_count = 0;
    args_done(&p->args);
}
