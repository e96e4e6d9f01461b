#include "cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/units.h"
#include "os/child.h"
#include "os/file.h"
#include "os/program.h"

enum {
    PATH_LEN_MAX = 1024,
    FILE_TEXT_MAX = 64 << 10,
    QEMU_MS = 10000,
    QEMU_MAJOR_MIN = 7, /* what we measured and support: Debian 12's */
    QEMU_MINOR_MIN = 2,
};
#define MIB            (UINT64_C(1) << 20)
#define DISK_NEEDED    (256 * MIB)
#define DISK_COMFORT   (2048 * MIB)
#define MEMORY_COMFORT (512 * MIB)
#define CGROUP_ROOT    "/sys/fs/cgroup"
#define CGROUP2_MAGIC  0x63677270L

typedef enum doctor_verdict probe_fn(const struct doctor *d, struct buf *text, struct buf *hint);

/* --- looking --- */

static const char *below(const struct doctor *d, const char *path, char out[PATH_LEN_MAX])
{
    int len = snprintf(out, PATH_LEN_MAX, "%s%s", d->root, path);
    if (len < 0 || len >= PATH_LEN_MAX)
        out[0] = 0; /* names nothing */
    return out;
}

static bool exists(const struct doctor *d, const char *path)
{
    char whole[PATH_LEN_MAX];
    return access(below(d, path, whole), F_OK) == 0;
}

static bool find_program(const struct doctor *d, const char *name)
{
    char path[PROGRAM_PATH_MAX];
    return program_find(d->root, d->path, name, path);
}

static bool read_text(const struct doctor *d, const char *path, struct buf *out)
{
    char whole[PATH_LEN_MAX];
    return file_read(AT_FDCWD, below(d, path, whole), out, NULL) == ST_OK;
}

static const char *text_at(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text ? text : "";
}

static const json_t *facts_of(const struct doctor *d)
{
    return json_object_get(d->node, "facts");
}

/* --- the node --- */

static enum doctor_verdict probe_config(const struct doctor *d, struct buf *text, struct buf *hint)
{
    buf_text(text, d->config_text);
    if (d->config)
        return DOCTOR_OK;
    buf_text(hint, "blixard config docs explains every key");
    return DOCTOR_MISSING;
}

static enum doctor_verdict probe_socket(const struct doctor *d, struct buf *text, struct buf *hint)
{
    if (d->version) {
        buf_fmt(text, "%s answers at %s, version %s", text_at(d->version, "node"), d->socket,
                text_at(d->version, "version"));
        return DOCTOR_OK;
    }
    buf_text(text, d->version_text);
    buf_text(hint, "blixard up starts the node");
    return DOCTOR_NOTE;
}

static enum doctor_verdict probe_ready(const struct doctor *d, struct buf *text, struct buf *hint)
{
    (void)hint;
    if (!d->version) {
        buf_text(text, "no node answers");
        return DOCTOR_UNTESTED;
    }
    buf_text(text, d->ready ? "the node serves requests" : d->ready_text);
    return d->ready ? DOCTOR_OK : DOCTOR_NOTE;
}

/* --- running VMs --- */

static enum doctor_verdict probe_machine(const struct doctor *d, struct buf *text, struct buf *hint)
{
    struct utsname u;
    (void)d;
    (void)hint;
    if (uname(&u) != 0)
        return DOCTOR_UNTESTED;
    buf_fmt(text, "%s, Linux %s", u.machine, u.release);
    return strcmp(u.machine, "x86_64") == 0 ? DOCTOR_OK : DOCTOR_MISSING;
}

/* "QEMU emulator version 7.2.22 (Debian ...)" */
static bool parse_version(const char *said, char version[32], unsigned *major, unsigned *minor)
{
    const char *at = strstr(said, "version ");
    return at && sscanf(at, "version %31[0-9.]", version) == 1 &&
           sscanf(version, "%u.%u", major, minor) == 2;
}

static enum doctor_verdict probe_qemu(const struct doctor *d, struct buf *text, struct buf *hint)
{
    char path[PROGRAM_PATH_MAX], whole[PATH_LEN_MAX], version[32];
    unsigned major, minor;
    struct fault why;
    AUTO(buf_done) struct buf said;
    buf_init(&said, 4096);
    if (!program_find_qemu(d->root, d->path, d->config ? d->config->vm.qemu : "", path)) {
        buf_fmt(text, "%s is not there", path);
        buf_text(hint, "apt-get install qemu-system-x86, or set vm.qemu");
        return DOCTOR_MISSING;
    }
    const char *const argv[] = {below(d, path, whole), "--version", NULL};
    const struct child_run run = {.argv = argv, .timeout_ms = QEMU_MS, .out = &said};
    if (child_run(&run, NULL, &why) != ST_OK) {
        buf_fmt(text, "%s does not run: %s", path, why.text);
        return DOCTOR_MISSING;
    }
    if (!parse_version(buf_cstr(&said), version, &major, &minor)) {
        buf_fmt(text, "%s does not tell its version", path);
        return DOCTOR_NOTE;
    }
    buf_fmt(text, "version %s, %s", version, path);
    if (major > QEMU_MAJOR_MIN || (major == QEMU_MAJOR_MIN && minor >= QEMU_MINOR_MIN))
        return DOCTOR_OK;
    buf_fmt(hint, "version %d.%d or later is what we know to work", QEMU_MAJOR_MIN, QEMU_MINOR_MIN);
    return DOCTOR_NOTE;
}

/* That /dev/kvm opens proves nothing: only the node's own try counts. */
static enum doctor_verdict probe_kvm(const struct doctor *d, struct buf *text, struct buf *hint)
{
    const char *accel = text_at(facts_of(d), "accel"), *why = text_at(facts_of(d), "accel_why");
    if (strcmp(accel, "kvm") == 0) {
        buf_text(text, why);
        return DOCTOR_OK;
    }
    if (strcmp(accel, "none") == 0) {
        buf_fmt(text, "no VM boots here: %s", why);
        return DOCTOR_MISSING;
    }
    if (accel[0]) {
        buf_fmt(text, "VMs are emulated, and slow: %s", why);
        return DOCTOR_UNTESTED;
    }
    buf_fmt(text, "no node has tried it; /dev/kvm is %s",
            exists(d, "/dev/kvm") ? "there" : "not there, so VMs would be emulated");
    if (exists(d, "/dev/kvm"))
        buf_text(hint, "blixard up tries it and remembers");
    return DOCTOR_UNTESTED;
}

static enum doctor_verdict probe_programs(const struct doctor *d, struct buf *text,
                                          struct buf *hint)
{
    char dir[PROGRAM_PATH_MAX];
    if (program_find_libexec(d->root, d->config ? d->config->libexec_dir : "", d->program_dir,
                             dir)) {
        buf_fmt(text, "helper, shim and guest in %s", dir);
        return DOCTOR_OK;
    }
    buf_fmt(text, "blixard-helper, -shim and -guest are not in %s", dir);
    buf_text(hint, "set libexec_dir to where they are");
    return DOCTOR_MISSING;
}

/* --- images --- */

/* Is there a file in dir whose name begins and ends so? Its name is told. */
static bool find_file(const struct doctor *d, const char *dir, const char *begin, const char *end,
                      char out[256])
{
    char path[PATH_LEN_MAX];
    bool found = false;
    DIR *all = opendir(below(d, dir, path));
    for (struct dirent *e; all && !found && (e = readdir(all));) {
        struct str name = str_from(e->d_name);
        found = str_starts(name, begin) && str_ends(name, end);
        if (found)
            (void)snprintf(out, 256, "%s", e->d_name);
    }
    if (all)
        (void)closedir(all);
    return found;
}

static enum doctor_verdict probe_kernel(const struct doctor *d, struct buf *text, struct buf *hint)
{
    char name[256];
    const char *cache = d->config ? d->config->image.cache_dir : "";
    if (find_file(d, "/boot", "vmlinuz-", "-cloud-amd64", name)) {
        buf_fmt(text, "/boot/%s", name);
        return DOCTOR_OK;
    }
    if (cache[0] && find_file(d, cache, "linux-image-", ".deb", name)) {
        buf_fmt(text, "%s/%s", cache, name);
        return DOCTOR_OK;
    }
    if (find_program(d, "apt-get")) {
        buf_text(text, "none is here; image build downloads Debian's cloud kernel by apt");
        return DOCTOR_NOTE;
    }
    buf_text(text, "none is here, nor apt to download one");
    buf_text(hint, "name one: blixard image build NAME --kernel PATH");
    return DOCTOR_NOTE;
}

static enum doctor_verdict probe_tools(const struct doctor *d, struct buf *text, struct buf *hint)
{
    static const struct {
        const char *program, *package, *use;
    } tools[] = {
        {"qemu-img", "qemu-utils", "qcow2 images"},
        {"mkfs.ext4", "e2fsprogs", "root disks"},
        {"mmdebstrap", "mmdebstrap", "minbase roots"},
        {"dpkg-deb", "dpkg", "kernel packages"},
    };
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_COUNT(tools); i++) {
        if (find_program(d, tools[i].program)) {
            found++;
            continue;
        }
        buf_fmt(text, "%sno %s for %s", text->len > 0 ? ", " : "", tools[i].program, tools[i].use);
        buf_fmt(hint, "%s %s", hint->len > 0 ? "" : "apt-get install", tools[i].package);
    }
    if (found < ARRAY_COUNT(tools))
        return DOCTOR_NOTE;
    buf_text(text, "qemu-img, mkfs.ext4, mmdebstrap and dpkg-deb");
    return DOCTOR_OK;
}

/* --- keeping VMs apart --- */

static enum doctor_verdict probe_rights(const struct doctor *d, struct buf *text, struct buf *hint)
{
    bool node_has = json_is_true(json_object_get(facts_of(d), "privileged"));
    if (d->node) {
        buf_text(text, node_has ? "the node has a root helper"
                                : "the node has no root helper: VMs share its user, and have no "
                                  "limits or networks of their own");
        if (!node_has)
            buf_text(hint, "start it as root; it gives most rights away itself");
        return node_has ? DOCTOR_OK : DOCTOR_NOTE;
    }
    if (d->uid == 0) {
        buf_text(text, "root: a node started here has a root helper");
        return DOCTOR_OK;
    }
    buf_fmt(text, "user id %u: a node started here keeps VMs apart by QEMU alone", d->uid);
    buf_text(hint, "started as root it has a user, limits and a network for each VM");
    return DOCTOR_NOTE;
}

static enum doctor_verdict probe_user(const struct doctor *d, struct buf *text, struct buf *hint)
{
    const char *user = d->config ? d->config->user : "";
    if (d->uid != 0) {
        buf_fmt(text, "a node started here stays user id %u", d->uid);
        return DOCTOR_OK;
    }
    if (user[0] && getpwnam(user)) {
        buf_fmt(text, "the daemon runs as %s", user);
        return DOCTOR_OK;
    }
    buf_fmt(text, "there is no user %s: the daemon runs as user id %u", user,
            d->config ? d->config->vm.uid_base : 0);
    buf_fmt(hint, "useradd --system %s", user);
    return DOCTOR_NOTE;
}

static bool is_cgroup2(const struct doctor *d)
{
    char path[PATH_LEN_MAX];
    struct statfs s;
    return statfs(below(d, CGROUP_ROOT, path), &s) == 0 && s.f_type == CGROUP2_MAGIC;
}

static const char *const controllers[] = {"memory", "cpu", "pids"};

/* Which of the controllers that we use does the text list? Those that it does not are counted. */
static size_t lacking(struct str list, struct buf *text)
{
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(controllers); i++) {
        struct str rest = list, word;
        bool more = true, found = false;
        while (more && !found) {
            more = str_cut(&rest, ' ', &word);
            found = str_is(word, controllers[i]);
        }
        if (!found)
            buf_fmt(text, "%s%s", count > 0 ? ", " : "; without ", controllers[i]);
        count += !found;
    }
    return count;
}

static enum doctor_verdict probe_cgroup(const struct doctor *d, struct buf *text, struct buf *hint)
{
    AUTO(buf_done) struct buf list;
    buf_init(&list, FILE_TEXT_MAX);
    bool two = is_cgroup2(d);
    if (two) {
        (void)read_text(d, CGROUP_ROOT "/cgroup.controllers", &list);
    } else {
        for (size_t i = 0; i < ARRAY_COUNT(controllers); i++) {
            char path[64];
            (void)snprintf(path, sizeof path, CGROUP_ROOT "/%s/tasks", controllers[i]);
            if (exists(d, path))
                buf_fmt(&list, "%s ", controllers[i]);
        }
    }
    buf_fmt(text, "version %d", two ? 2 : 1);
    size_t missing = lacking(str_trim(buf_view(&list)), text);
    if (!two && missing == ARRAY_COUNT(controllers)) {
        buf_reset(text);
        buf_text(text, "there are no control groups: VMs have no limits");
        buf_text(hint, "mount cgroup2 on " CGROUP_ROOT);
        return DOCTOR_NOTE;
    }
    if (missing == 0)
        buf_text(text, ", with memory, cpu and pids");
    return missing == 0 ? DOCTOR_OK : DOCTOR_NOTE;
}

static enum doctor_verdict probe_cgroup2(const struct doctor *d, struct buf *text, struct buf *hint)
{
    (void)hint;
    bool two = is_cgroup2(d);
    buf_text(text, two ? "limits are set through it"
                       : "not mounted: limits through it cannot be shown here");
    return two ? DOCTOR_OK : DOCTOR_UNTESTED;
}

static enum doctor_verdict probe_namespaces(const struct doctor *d, struct buf *text,
                                            struct buf *hint)
{
    static const char *const kinds[] = {"mnt", "pid", "net", "ipc", "uts"};
    (void)hint;
    size_t missing = 0;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        if (exists(d, path))
            continue;
        buf_fmt(text, "%s%s", missing > 0 ? ", " : "the kernel lacks ", kinds[i]);
        missing++;
    }
    if (missing == 0)
        buf_text(text, "mnt, pid, net, ipc, uts");
    return missing == 0 ? DOCTOR_OK : DOCTOR_NOTE;
}

static enum doctor_verdict probe_network(const struct doctor *d, struct buf *text, struct buf *hint)
{
    bool user = d->config && d->config->vm.network == CONFIG_NETWORK_USER;
    bool tap = d->config && d->config->vm.network == CONFIG_NETWORK_TAP;
    bool tun = exists(d, "/dev/net/tun"), nft = find_program(d, "nft");
    if (user) {
        buf_text(text, "VMs use QEMU's own network, as vm.network says");
        return DOCTOR_OK;
    }
    if (tun && nft) {
        buf_text(text, "/dev/net/tun and nft are there: with a root helper, VMs have taps");
        return DOCTOR_OK;
    }
    buf_fmt(text, "no %s%s%s: VMs use QEMU's own network", tun ? "" : "/dev/net/tun",
            tun || nft ? "" : ", no ", nft ? "" : "nft");
    if (!nft)
        buf_text(hint, "apt-get install nftables");
    return tap ? DOCTOR_MISSING : DOCTOR_NOTE;
}

/* --- room --- */

/* The directory, or the nearest above it that exists. */
static void nearest_dir(const struct doctor *d, const char *path, char out[PATH_LEN_MAX])
{
    (void)below(d, path, out);
    while (access(out, F_OK) != 0 && strrchr(out, '/') && strrchr(out, '/') != out)
        *strrchr(out, '/') = 0;
    if (access(out, F_OK) != 0)
        (void)snprintf(out, PATH_LEN_MAX, "/");
}

static enum doctor_verdict probe_disk(const struct doctor *d, struct buf *text, struct buf *hint)
{
    char dir[PATH_LEN_MAX], room[UNITS_TEXT_MAX];
    struct file_space space;
    struct fault why;
    nearest_dir(d, d->config ? d->config->data_dir : "/", dir);
    if (file_space(AT_FDCWD, dir, &space, &why) != ST_OK) {
        buf_text(text, why.text);
        return DOCTOR_MISSING;
    }
    units_size_short(space.free_bytes, room);
    buf_fmt(text, "%s free for %s", room, d->config ? d->config->data_dir : "/");
    if (space.free_bytes < DISK_COMFORT)
        buf_text(hint, "images and disks of VMs need more");
    return space.free_bytes < DISK_NEEDED    ? DOCTOR_MISSING
           : space.free_bytes < DISK_COMFORT ? DOCTOR_NOTE
                                             : DOCTOR_OK;
}

/* Who a node started by us would be. */
static unsigned daemon_uid(const struct doctor *d)
{
    const struct passwd *p = d->uid == 0 && d->config ? getpwnam(d->config->user) : NULL;
    return p ? p->pw_uid : d->uid;
}

/* A node makes the directory, and those above it, if it may. */
static enum doctor_verdict judge_missing_data(const struct doctor *d, const char *dir,
                                              struct buf *text, struct buf *hint)
{
    char above[PATH_LEN_MAX];
    nearest_dir(d, dir, above);
    if (faccessat(AT_FDCWD, above, W_OK | X_OK, AT_EACCESS) == 0) {
        buf_fmt(text, "%s will be made", dir);
        return DOCTOR_OK;
    }
    buf_fmt(text, "%s is not there, and a node started here may not make it: %s: %s", dir, above,
            strerrordesc_np(errno));
    buf_text(hint, "start the node as root, or set data_dir");
    return DOCTOR_NOTE;
}

static enum doctor_verdict probe_data(const struct doctor *d, struct buf *text, struct buf *hint)
{
    char path[PATH_LEN_MAX];
    struct stat st;
    const char *dir = d->config ? d->config->data_dir : "";
    if (!dir[0]) {
        buf_text(text, "its place is in the configuration, which cannot be read");
        return DOCTOR_UNTESTED;
    }
    if (stat(below(d, dir, path), &st) != 0) {
        if (errno == ENOENT)
            return judge_missing_data(d, dir, text, hint);
        buf_fmt(text, "%s: %s", dir, strerrordesc_np(errno));
        return DOCTOR_NOTE;
    }
    if (!S_ISDIR(st.st_mode)) {
        buf_fmt(text, "%s is no directory", dir);
        buf_text(hint, "set data_dir");
        return DOCTOR_MISSING;
    }
    if (st.st_uid != daemon_uid(d) && d->uid != 0) {
        buf_fmt(text, "%s belongs to user id %u, and a node started here would be %u", dir,
                st.st_uid, daemon_uid(d));
        return DOCTOR_NOTE;
    }
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        buf_fmt(text, "others may write to %s", dir);
        buf_fmt(hint, "chmod go-w %s", dir);
        return DOCTOR_NOTE;
    }
    buf_text(text, dir);
    return DOCTOR_OK;
}

static enum doctor_verdict probe_memory(const struct doctor *d, struct buf *text, struct buf *hint)
{
    (void)hint;
    uint64_t kib;
    char room[UNITS_TEXT_MAX];
    AUTO(buf_done) struct buf info;
    buf_init(&info, FILE_TEXT_MAX);
    bool read = read_text(d, "/proc/meminfo", &info);
    const char *at = strstr(buf_cstr(&info), "MemAvailable:");
    if (!read || !at || sscanf(at, "MemAvailable: %" SCNu64, &kib) != 1 ||
        kib > UINT64_MAX / 1024) {
        buf_text(text, "the kernel does not tell");
        return DOCTOR_UNTESTED;
    }
    units_size_short(kib * 1024, room);
    buf_fmt(text, "%s available", room);
    return kib * 1024 < MEMORY_COMFORT ? DOCTOR_NOTE : DOCTOR_OK;
}

static enum doctor_verdict probe_systemd(const struct doctor *d, struct buf *text, struct buf *hint)
{
    (void)hint;
    bool runs = exists(d, "/run/systemd/system");
    buf_text(text, runs ? "systemd runs: the unit starts the node with the host"
                        : "systemd does not run: unit, watchdog and start with the host cannot be "
                          "shown here");
    return runs ? DOCTOR_OK : DOCTOR_UNTESTED;
}

/* --- all --- */

static const struct {
    const char *name;
    probe_fn *fn;
} probes[] = {
    {"config", probe_config},     {"node", probe_socket},
    {"ready", probe_ready},       {"machine", probe_machine},
    {"qemu", probe_qemu},         {"kvm", probe_kvm},
    {"programs", probe_programs}, {"kernel", probe_kernel},
    {"tools", probe_tools},       {"rights", probe_rights},
    {"user", probe_user},         {"cgroup", probe_cgroup},
    {"cgroup v2", probe_cgroup2}, {"namespaces", probe_namespaces},
    {"network", probe_network},   {"disk", probe_disk},
    {"data_dir", probe_data},     {"memory", probe_memory},
    {"systemd", probe_systemd},
};
_Static_assert(ARRAY_COUNT(probes) <= DOCTOR_PROBES_MAX, "a finding for each");

static void keep(const struct buf *b, char out[DOCTOR_TEXT_MAX])
{
    (void)snprintf(out, DOCTOR_TEXT_MAX, "%s", buf_cstr(b));
    str_tidy(out);
}

size_t doctor_look(const struct doctor *d, struct doctor_finding out[DOCTOR_PROBES_MAX])
{
    for (size_t i = 0; i < ARRAY_COUNT(probes); i++) {
        AUTO(buf_done) struct buf text, hint;
        buf_init(&text, 4096);
        buf_init(&hint, 4096);
        out[i] = (struct doctor_finding){.name = probes[i].name};
        out[i].verdict = probes[i].fn(d, &text, &hint);
        keep(&text, out[i].text);
        keep(&hint, out[i].hint);
    }
    return ARRAY_COUNT(probes);
}

const char *doctor_word(enum doctor_verdict v)
{
    switch (v) {
    case DOCTOR_OK: return "ok";
    case DOCTOR_NOTE: return "note";
    case DOCTOR_UNTESTED: return "untested";
    case DOCTOR_MISSING: return "missing";
    }
    defs_unreachable("verdict of the doctor");
}
