#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "support/scratch.h"
#include "support/tap.h"

/* A machine made of files. */
struct machine {
    char root[256];
    struct config config;
    json_t *node;
    struct doctor d;
    struct doctor_finding found[DOCTOR_PROBES_MAX];
    size_t count;
};

static void put(const struct machine *m, const char *path, const char *content, mode_t mode)
{
    char whole[512], dir[512];
    struct fault why;
    (void)snprintf(whole, sizeof whole, "%s%s", m->root, path);
    (void)snprintf(dir, sizeof dir, "%s", whole);
    *strrchr(dir, '/') = 0;
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, dir, 0755, &why));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, whole, str_from(content), mode, &why));
}

static void start(struct machine *m)
{
    struct fault why;
    memset(m, 0, sizeof *m);
    (void)snprintf(m->root, sizeof m->root, "%s", scratch_file("root"));
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, m->root, 0755, &why));
    config_init(&m->config);
    config_derive(&m->config, STR("host"));
    m->d = (struct doctor){
        .root = m->root,
        .path = "/usr/bin:/sbin",
        .program_dir = "/opt/blixard",
        .uid = 4711,
        .config = &m->config,
        .config_text = "all at its default",
        .socket = "/run/blixard/api.sock",
        .version_text = "no node answers",
        .ready_text = "",
    };
}

static const struct doctor_finding *look(struct machine *m, const char *name)
{
    m->count = doctor_look(&m->d, m->found);
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->found[i].name, name) == 0)
            return &m->found[i];
    tap_fail(__FILE__, __LINE__, "no probe %s", name);
}

static void check(struct machine *m, const char *name, enum doctor_verdict want, const char *text)
{
    const struct doctor_finding *f = look(m, name);
    printf("# %s: %s: %s; %s\n", name, doctor_word(f->verdict), f->text, f->hint);
    CHECK_STR(doctor_word(want), doctor_word(f->verdict));
    CHECK(strstr(f->text, text) != NULL);
}

TEST(doctor_finds_nothing_on_an_empty_machine)
{
    struct machine m;
    start(&m);
    check(&m, "config", DOCTOR_OK, "all at its default");
    check(&m, "node", DOCTOR_NOTE, "no node answers");
    check(&m, "ready", DOCTOR_UNTESTED, "no node answers");
    check(&m, "qemu", DOCTOR_MISSING, "qemu-system-x86_64 is not there");
    check(&m, "kvm", DOCTOR_UNTESTED, "/dev/kvm is not there");
    check(&m, "programs", DOCTOR_MISSING, "are not in /opt/libexec/blixard");
    check(&m, "kernel", DOCTOR_NOTE, "nor apt");
    check(&m, "tools", DOCTOR_NOTE, "no qemu-img for qcow2 images, no mkfs.ext4 for root disks");
    check(&m, "rights", DOCTOR_NOTE, "user id 4711");
    check(&m, "cgroup", DOCTOR_NOTE, "there are no control groups");
    check(&m, "cgroup v2", DOCTOR_UNTESTED, "not mounted");
    check(&m, "namespaces", DOCTOR_NOTE, "the kernel lacks mnt, pid, net, ipc, uts");
    check(&m, "network", DOCTOR_NOTE, "no /dev/net/tun, no nft");
    check(&m, "data_dir", DOCTOR_OK, "/var/lib/blixard will be made");
    check(&m, "memory", DOCTOR_UNTESTED, "does not tell");
    check(&m, "systemd", DOCTOR_UNTESTED, "systemd does not run");
}

TEST(doctor_finds_what_is_there)
{
    struct machine m;
    start(&m);
    put(&m, "/usr/bin/qemu-system-x86_64",
        "#!/bin/sh\necho 'QEMU emulator version 7.2.22 (Debian 1:7.2)'\n", 0755);
    put(&m, "/dev/kvm", "", 0644);
    put(&m, "/opt/blixard/blixard-helper", "", 0755);
    put(&m, "/opt/blixard/blixard-shim", "", 0755);
    put(&m, "/opt/blixard/blixard-guest", "", 0755);
    put(&m, "/boot/vmlinuz-6.1.0-9-cloud-amd64", "", 0644);
    put(&m, "/usr/bin/qemu-img", "", 0755);
    put(&m, "/sbin/mkfs.ext4", "", 0755);
    put(&m, "/usr/bin/mmdebstrap", "", 0755);
    put(&m, "/usr/bin/dpkg-deb", "", 0755);
    put(&m, "/sys/fs/cgroup/memory/tasks", "", 0644);
    put(&m, "/sys/fs/cgroup/cpu/tasks", "", 0644);
    put(&m, "/proc/self/ns/mnt", "", 0644);
    put(&m, "/dev/net/tun", "", 0644);
    put(&m, "/sbin/nft", "", 0755);
    put(&m, "/proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable:    2097152 kB\n", 0644);
    put(&m, "/run/systemd/system/x", "", 0644);
    check(&m, "qemu", DOCTOR_OK, "version 7.2.22, ");
    check(&m, "kvm", DOCTOR_UNTESTED, "/dev/kvm is there");
    check(&m, "programs", DOCTOR_OK, "/opt/blixard");
    check(&m, "kernel", DOCTOR_OK, "/boot/vmlinuz-6.1.0-9-cloud-amd64");
    check(&m, "tools", DOCTOR_OK, "qemu-img");
    check(&m, "cgroup", DOCTOR_NOTE, "version 1; without pids");
    check(&m, "namespaces", DOCTOR_NOTE, "the kernel lacks pid, net, ipc, uts");
    check(&m, "network", DOCTOR_OK, "VMs have taps");
    check(&m, "memory", DOCTOR_OK, "2GiB available");
    check(&m, "systemd", DOCTOR_OK, "systemd runs");

    put(&m, "/sys/fs/cgroup/pids/tasks", "", 0644);
    check(&m, "cgroup", DOCTOR_OK, "version 1, with memory, cpu and pids");
    put(&m, "/usr/bin/qemu-system-x86_64", "#!/bin/sh\necho 'QEMU emulator version 6.2.0'\n", 0755);
    check(&m, "qemu", DOCTOR_NOTE, "version 6.2.0");
    put(&m, "/usr/bin/qemu-system-x86_64", "#!/bin/sh\necho hello\n", 0755);
    check(&m, "qemu", DOCTOR_NOTE, "does not tell its version");
    put(&m, "/usr/bin/qemu-system-x86_64", "#!/bin/sh\nexit 3\n", 0755);
    check(&m, "qemu", DOCTOR_MISSING, "does not run");
}

/* facts: kept until the next, or the end. */
static void set_node(struct machine *m, const char *accel, const char *why, bool privileged)
{
    json_decref(m->node);
    m->node = json_pack("{s:{s:s,s:s,s:b}}", "facts", "accel", accel, "accel_why", why,
                        "privileged", privileged);
    m->d.node = m->node;
}

TEST(doctor_believes_the_node)
{
    struct machine m;
    start(&m);
    json_t *version = json_pack("{s:s,s:s}", "node", "n1", "version", "0.1.0");
    m.d.version = version;
    m.d.ready = true;
    set_node(&m, "kvm", "a VM booted on KVM", true);
    check(&m, "node", DOCTOR_OK, "n1 answers at /run/blixard/api.sock, version 0.1.0");
    check(&m, "ready", DOCTOR_OK, "serves requests");
    check(&m, "kvm", DOCTOR_OK, "a VM booted on KVM");
    check(&m, "rights", DOCTOR_OK, "root helper");
    m.d.ready = false;
    m.d.ready_text = "[-] leader: no leader is known\n";
    set_node(&m, "tcg", "the probe VM hung on KVM", false);
    check(&m, "ready", DOCTOR_NOTE, "no leader is known");
    check(&m, "kvm", DOCTOR_UNTESTED, "emulated, and slow: the probe VM hung on KVM");
    check(&m, "rights", DOCTOR_NOTE, "no root helper");
    set_node(&m, "none", "no QEMU", false);
    check(&m, "kvm", DOCTOR_MISSING, "no VM boots here: no QEMU");
    json_decref(m.node);
    json_decref(version);
}

TEST(doctor_looks_at_the_data_directory)
{
    struct machine m;
    char path[512];
    start(&m);
    m.d.uid = geteuid();
    put(&m, "/var/lib/blixard/x", "", 0644);
    (void)snprintf(path, sizeof path, "%s/var/lib/blixard", m.root);
    CHECK_EQ(0, chmod(path, 0700));
    check(&m, "data_dir", DOCTOR_OK, "/var/lib/blixard");
    CHECK_EQ(0, chmod(path, 0777));
    check(&m, "data_dir", DOCTOR_NOTE, "others may write");
    m.d.uid = 4711;
    check(&m, "data_dir", DOCTOR_NOTE, "belongs to user id");
    (void)snprintf(m.config.data_dir, sizeof m.config.data_dir, "/var/lib/blixard/x");
    check(&m, "data_dir", DOCTOR_MISSING, "is no directory");
}

/* Become, and become again, somebody whom permissions hold back. */
static void be_nobody(struct machine *m, bool yes)
{
    uid_t nobody = geteuid() == 0 || getuid() == 0 ? 65534 : getuid();
    CHECK_EQ(0, seteuid(yes ? nobody : getuid()));
    m->d.uid = geteuid();
}

TEST(doctor_knows_who_can_make_the_data_directory)
{
    struct machine m;
    char above[512];
    start(&m);
    CHECK_EQ(0, chmod(scratch_dir(), 0755));
    put(&m, "/var/lib/x", "", 0644);
    (void)snprintf(above, sizeof above, "%s/var/lib", m.root);
    be_nobody(&m, true);
    (void)chmod(above, 0555); /* if it is ours */
    check(&m, "data_dir", DOCTOR_NOTE, "may not make it");
    be_nobody(&m, false);
    CHECK_EQ(0, chmod(above, 0777));
    be_nobody(&m, true);
    check(&m, "data_dir", DOCTOR_OK, "/var/lib/blixard will be made");
    be_nobody(&m, false);
}

TEST(doctor_goes_on_without_a_configuration)
{
    struct machine m;
    start(&m);
    m.d.config = NULL;
    m.d.config_text = "node.toml: line 1, column 1: x: unknown key";
    check(&m, "config", DOCTOR_MISSING, "line 1");
    check(&m, "data_dir", DOCTOR_UNTESTED, "cannot be read");
    check(&m, "programs", DOCTOR_MISSING, "/opt/libexec/blixard");
    m.d.config = &m.config;
    m.config.vm.network = CONFIG_NETWORK_TAP;
    check(&m, "network", DOCTOR_MISSING, "no /dev/net/tun");
    m.config.vm.network = CONFIG_NETWORK_USER;
    check(&m, "network", DOCTOR_OK, "QEMU's own network");
}
