#include "vmm/cmdline.h"

#include <stdio.h>

/* ---- words ---- */

static void end_word(struct args *a)
{
    buf_char(&a->text, 0);
}

static void begin_word(struct args *a)
{
    if (a->count < CMDLINE_ARGS_MAX)
        a->at[a->count] = a->text.len;
    a->count++;
}

static void word(struct args *a, const char *text)
{
    begin_word(a);
    buf_text(&a->text, text);
    end_word(a);
}

static void option(struct args *a, const char *name, const char *value)
{
    word(a, name);
    word(a, value);
}

/* An option whose value is formatted. */
#define OPTION(a, name, ...)              \
    do {                                  \
        word(a, name);                    \
        begin_word(a);                    \
        buf_fmt(&(a)->text, __VA_ARGS__); \
        end_word(a);                      \
    } while (0)

void args_done(struct args *a)
{
    buf_done(&a->text);
}

static enum status finish(struct args *a, struct fault *why)
{
    if (a->count > CMDLINE_ARGS_MAX)
        return fault_set(why, ST_TOO_BIG, "QEMU's command line has %zu words, %d at most", a->count,
                         CMDLINE_ARGS_MAX);
    if (a->text.full)
        return fault_set(why, ST_TOO_BIG, "QEMU's command line is longer than %d bytes",
                         CMDLINE_TEXT_MAX);
    for (size_t i = 0; i < a->count; i++)
        a->argv[i] = a->text.ptr + a->at[i];
    a->argv[a->count] = NULL;
    return ST_OK;
}

/* ---- parts ---- */

static void put_machine(struct args *a, const struct cmdline *c)
{
    OPTION(a, "-name", "guest=%s,process=blixard-%.7s", c->name, c->uid);
    option(a, "-M", "microvm,acpi=on,rtc=on");
    if (c->kvm) {
        option(a, "-accel", "kvm");
        option(a, "-cpu", "host,+x2apic,-sgx");
    } else {
        /* arat: a timer that goes on in sleep; without it an idle guest ticks 250 times a second. */
        option(a, "-accel", "tcg,tb-size=32");
        option(a, "-cpu", "qemu64,+arat");
    }
    OPTION(a, "-smp", "%" PRIu32, c->vcpus);
    OPTION(a, "-m", "%" PRIu64, c->mem_mib);
    word(a, "-nodefaults");
    word(a, "-no-user-config");
    option(a, "-display", "none");
    word(a, "-no-reboot"); /* a reset ends it: what comes then is for the restart policy to say */
}

/* Under emulation the kernel must not measure the TSC against an emulated timer: that fails, and hangs
 * the boot, whenever the host is busy. */
static void put_kernel(struct args *a, const struct cmdline *c)
{
    OPTION(a, "-kernel", "/proc/self/fd/%d", c->kernel);
    if (c->initrd >= 0)
        OPTION(a, "-initrd", "/proc/self/fd/%d", c->initrd);
    word(a, "-append");
    begin_word(a);
    buf_text(&a->text, "console=ttyS0 reboot=t panic=-1 quiet");
    if (!c->kvm && c->tsc_khz)
        buf_fmt(&a->text, " tsc_early_khz=%" PRIu32 " tsc=reliable", c->tsc_khz);
    if (!c->kvm)
        buf_text(&a->text, " no_timer_check");
    buf_text(&a->text, " cryptomgr.notests audit=0 rcupdate.rcu_expedited=1 8250.nr_uarts=1"
                       " nowatchdog");
    if (c->profile == CMDLINE_TEST)
        buf_text(&a->text, " mitigations=off init_on_alloc=0");
    end_word(a);
    OPTION(a, "-fw_cfg", "name=opt/blixard/cfg,file=/proc/self/fd/%d", c->config);
}

/* The console goes to its log whether or not somebody listens. */
static void put_channels(struct args *a, const struct cmdline *c)
{
    OPTION(a, "-add-fd", "fd=%d,set=%d", c->log, c->log);
    OPTION(a, "-chardev",
           "socket,id=con,fd=%d,server=on,wait=off,logfile=/dev/fdset/%d,logappend=on", c->console,
           c->log);
    option(a, "-serial", "chardev:con");
    OPTION(a, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", c->qmp);
    option(a, "-mon", "chardev=qmp,mode=control");
    option(a, "-device", "virtio-serial-device,id=vser0");
    OPTION(a, "-chardev", "socket,id=ga,fd=%d,server=on,wait=off", c->agent);
    option(a, "-device", "virtserialport,chardev=ga,name=org.blixard.agent.0");
}

/* One file as a pair of nodes: "fN", the file, and "dN" (or "bN"), what its format makes of it. */
static void put_node(struct args *a, char kind, size_t i, int fd, bool qcow2, bool read_only,
                     const char *backing)
{
    OPTION(a, "-add-fd", "fd=%d,set=%d", fd, fd);
    OPTION(a, "-blockdev", "driver=file,filename=/dev/fdset/%d,node-name=%cf%zu,read-only=%s%s", fd,
           kind, i, read_only ? "on" : "off", read_only ? "" : ",discard=unmap");
    OPTION(a, "-blockdev", "driver=%s,file=%cf%zu,node-name=%c%zu,read-only=%s%s%s",
           qcow2 ? "qcow2" : "raw", kind, i, kind, i, read_only ? "on" : "off",
           read_only ? "" : ",discard=unmap", backing);
}

static void put_disk(struct args *a, const struct cmdline_disk *d, size_t i)
{
    char backing[32] = "";
    if (d->base_fd >= 0) {
        put_node(a, 'b', i, d->base_fd, d->base_qcow2, true, "");
        (void)snprintf(backing, sizeof backing, ",backing=b%zu", i);
    }
    put_node(a, 'd', i, d->fd, d->qcow2, d->read_only, backing);
    /* A disk that fails, most likely since the host is full, fails the guest's request. By default QEMU
     * would stop the whole guest, to be resumed once there is room again; but nobody here can tell when
     * that is, and one who resumed it before would be told of the next stop at once. */
    OPTION(a, "-device",
           "virtio-blk-device,drive=d%zu,id=blk%zu,serial=%s,werror=report,rerror=report", i, i,
           d->name);
}

static void put_net(struct args *a, const struct cmdline *c)
{
    word(a, "-netdev");
    begin_word(a);
    if (c->net == CMDLINE_NET_TAP) {
        buf_fmt(&a->text, "tap,id=n0,fd=%d", c->tap);
    } else {
        buf_text(&a->text, "user,id=n0,ipv6=off");
        for (size_t i = 0; i < c->port_count; i++)
            buf_fmt(&a->text, ",hostfwd=%s:%s:%u-:%u", c->port[i].udp ? "udp" : "tcp",
                    c->port[i].host ? c->port[i].host : "127.0.0.1", c->port[i].host_port,
                    c->port[i].guest_port);
    }
    end_word(a);
    OPTION(a, "-device", "virtio-net-device,netdev=n0,mac=%s,id=net0", c->mac);
}

static void put_rest(struct args *a)
{
    option(a, "-device", "virtio-balloon-device,id=bal0,free-page-reporting=on,deflate-on-oom=on");
    option(a, "-object", "rng-random,filename=/dev/urandom,id=rng0");
    option(a, "-device", "virtio-rng-device,rng=rng0");
    /* Its stderr then says why it ended, to one who was not there to hear the event (see cause.c). */
    option(a, "-trace", "enable=qemu_system_shutdown_request");
}

enum status cmdline_build(const struct cmdline *c, struct args *a, struct fault *why)
{
    require(c->vcpus > 0 && c->mem_mib > 0 && c->kernel >= 0 && c->config >= 0);
    a->count = 0;
    buf_init(&a->text, CMDLINE_TEXT_MAX);
    word(a, c->qemu);
    put_machine(a, c);
    put_kernel(a, c);
    put_channels(a, c);
    for (size_t i = 0; i < c->disk_count; i++)
        put_disk(a, &c->disk[i], i);
    put_net(a, c);
    put_rest(a);
    return finish(a, why);
}
