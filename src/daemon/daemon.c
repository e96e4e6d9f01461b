#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/units.h"
#include "crypto/cert.h"
#include "crypto/key.h"
#include "daemon/facts.h"
#include "daemon/links.h"
#include "daemon/member.h"
#include "daemon/meters.h"
#include "daemon/paths.h"
#include "daemon/probe_cache.h"
#include "daemon/resolv.h"
#include "host/helper.h"
#include "http/http.h"
#include "image/store.h"
#include "journal/journal_thread.h"
#include "node/node.h"
#include "ops/ops.h"
#include "os/clock_os.h"
#include "os/disk_os.h"
#include "os/entropy_os.h"
#include "os/file.h"
#include "os/loop.h"
#include "os/net_tcp.h"
#include "os/net_unix.h"
#include "vmm/tsc.h"
#include "vmm/vmm_qemu.h"
#include "wire/proto.h"

enum {
    OPS_TIMEOUT_MS = 10000, /* for consensus to answer */
    BOOT_ID_MAX = 64,
};

struct daemon {
    struct config *config;
    const struct identity *who;
    daemon_reread *reread;
    void *reread_ctx;
    struct logger *log;
    struct paths paths;

    struct loop *loop;
    struct loop_source *term, *interrupt, *hangup, *timer, *again, *post;
    struct clock clock;
    struct entropy entropy;
    int listen_fd, network_fd; /* until a server has them; the second may be -1 */
    struct host *host;
    struct probe probe;
    struct key key;
    struct cert cert; /* of the API on the network, if it is there */
    Pb__NodeFacts *facts;
    Pb__Membership *member; /* NULL: this node began its cluster, and nobody has joined yet */
    struct links *links;    /* NULL: it stays alone */
    struct store *store;
    struct vmm *vmm;
    struct node_mark *mark;
    struct node *node;
    struct disk *disk;
    struct journal_thread *journal;
    struct meters *meters;
    struct ops *ops;
    struct http *http, *https; /* https: on the network, or NULL */

    enum status end; /* why daemon_run() ends */
    struct fault why;
    bool ready;

    struct buf boot_id; /* of the machine */
    bool boot_unsettled;
};

/* --- what drives the node --- */

static void stop(struct daemon *d, enum status s, const struct fault *why)
{
    d->end = s;
    if (why)
        d->why = *why;
    loop_stop(d->loop);
}

static void warn_of_clock(struct daemon *d)
{
    char clock[UNITS_TEXT_MAX], state[UNITS_TEXT_MAX];
    units_time(d->clock.wall_ns(&d->clock), clock);
    units_time(cluster_time_ns(node_cluster(d->node)), state);
    LOG(d->log, LOG_WARN, "clock.far_ahead", F_STR("clock", clock), F_STR("state", state),
        F_STR("msg",
              "the clock was not believed at the start; the state's time follows it slowly"));
}

static void tell_ready(struct daemon *d)
{
    d->ready = true;
    links_ready(d->links);
    LOG(d->log, LOG_INFO, "daemon.ready", F_STR("name", d->config->name),
        F_STR("socket", d->config->api.socket), F_U64("node", node_number(d->node)));
    if (node_view(d->node).clock_ahead_ns)
        warn_of_clock(d);
    (void)sd_notify(0, "READY=1");
}

/* What should start with the host has: a daemon that starts after this one need not see to it. */
static void settle_boot(struct daemon *d)
{
    struct node_view v = node_view(d->node);
    if (!v.reconciled || v.news || v.vms_starting)
        return;
    d->boot_unsettled = false;
    /* If this fails the next start takes itself for a boot's first, and starts what should run. */
    IGNORE(file_write(AT_FDCWD, PATH_BOOT_ID, buf_view(&d->boot_id), 0600, NULL));
}

/* After every event: let node and operations do what is due, then sleep until the next deadline. */
static void drive(void *ctx)
{
    struct daemon *d = ctx;
    uint64_t now = d->clock.now_ms(&d->clock);
    if (node_deadline_ms(d->node) <= now)
        node_step(d->node);
    if (ops_deadline_ms(d->ops) <= now)
        ops_step(d->ops);
    links_look(d->links);
    if (node_dead(d->node)) {
        stop(d, node_dead(d->node)->status, node_dead(d->node));
        return;
    }
    if (!d->ready && node_view(d->node).reconciled && node_number(d->node))
        tell_ready(d);
    if (d->boot_unsettled)
        settle_boot(d);
    uint64_t at = MIN(node_deadline_ms(d->node), ops_deadline_ms(d->ops));
    if (at <= d->clock.now_ms(&d->clock))
        loop_defer_arm(d->again);
    else
        loop_timer_at(d->timer, at);
}

static void wake(void *ctx)
{
    (void)ctx; /* drive() comes after it, as after every event */
}

static void on_signal(void *ctx, int signal)
{
    struct daemon *d = ctx;
    LOG(d->log, LOG_INFO, "daemon.stopping", F_I64("signal", signal),
        F_STR("msg", "VMs go on; `blixard node shutdown` stops them"));
    stop(d, ST_OK, NULL);
}

/* SIGHUP: take what may change while the node runs. */
static void on_hangup(void *ctx, int signal)
{
    struct daemon *d = ctx;
    struct config fresh;
    struct fault why;
    AUTO(buf_done) struct buf restart;
    buf_init(&restart, CONFIG_TEXT_MAX);
    (void)signal;
    if (d->reread(d->reread_ctx, &fresh, &why) != ST_OK) {
        log_fault(d->log, LOG_ERROR, "config.refused", &why);
        return;
    }
    config_adopt(d->config, &fresh, &restart);
    log_set(d->log, (enum log_level)d->config->log.level, d->config->log.rate_per_s);
    meters_show_vms(d->meters, d->config->metrics.vm_series);
    LOG(d->log, LOG_INFO, "config.reloaded",
        F_STR("need_restart", restart.len ? buf_cstr(&restart) : NULL));
}

static void on_helper_lost(void *ctx)
{
    struct daemon *d = ctx;
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "the helper process ended");
    fault_hint(&why, "VMs go on; start the daemon again");
    stop(d, why.status, &why);
}

static enum status open_loop(struct daemon *d, struct fault *why)
{
    enum status s = loop_open(&d->loop, why);
    if (s == ST_OK)
        s = loop_signal_open(d->loop, SIGTERM, on_signal, d, &d->term, why);
    if (s == ST_OK)
        s = loop_signal_open(d->loop, SIGINT, on_signal, d, &d->interrupt, why);
    if (s == ST_OK)
        s = loop_signal_open(d->loop, SIGHUP, on_hangup, d, &d->hangup, why);
    if (s == ST_OK)
        s = loop_timer_open(d->loop, LOOP_MONOTONIC, 1, wake, d, &d->timer, why);
    if (s == ST_OK)
        s = loop_defer_open(d->loop, wake, d, &d->again, why);
    if (s == ST_OK && d->config->watchdog)
        s = loop_watchdog(d->loop, why);
    clock_os_init(&d->clock);
    entropy_os_init(&d->entropy);
    return s;
}

/* --- while there may still be rights --- */

static enum status open_socket(struct daemon *d, struct fault *why)
{
    const struct config *c = d->config;
    enum status s =
        net_unix_listen(c->api.socket, c->api.socket_mode, d->who->api_group, &d->listen_fd, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "listen on %s", c->api.socket);
    if (c->api.listen.port)
        s = net_tcp_listen(&c->api.listen, &d->network_fd, why);
    return s == ST_OK ? s : fault_wrap(why, s, "api.listen");
}

/* Cgroups and network devices are named by it: another daemon on this machine has another. */
static void make_tag(const char *data_dir, char out[REQUEST_TAG_MAX])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint64_t h = hash_mix(hash_fnv(HASH_FNV_START, data_dir, strlen(data_dir)));
    for (int i = 0; i < REQUEST_TAG_MAX - 1; i++, h /= 36)
        out[i] = digits[h % 36];
    out[REQUEST_TAG_MAX - 1] = 0;
}

static enum status open_helper(struct daemon *d, struct fault *why)
{
    const struct config *c = d->config;
    struct request_init i;
    helper_defaults(&i);
    make_tag(c->data_dir, i.tag);
    (void)snprintf(i.qemu, sizeof i.qemu, "%s", d->probe.qemu_path);
    (void)snprintf(i.shim, sizeof i.shim, "%s", d->paths.shim);
    /* The range's first id is the daemon's where it has no user of its own. */
    i.id_first = c->vm.uid_base + 1;
    i.id_count = c->vm.uid_count - 1;
    i.own_id = d->who->uid;
    i.own_group = d->who->gid;
    i.subnet = c->vm.subnet.addr;
    i.subnet_bits = c->vm.subnet.bits;
    enum status s = helper_start(d->loop, d->paths.helper, &i, on_helper_lost, d, &d->host, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "start the helper process");
    const struct host_facts *f = &d->host->facts;
    LOG(d->log, LOG_INFO, "helper.ready", F_STR("tag", i.tag), F_BOOL("privileged", f->privileged),
        F_BOOL("tap", f->tap), F_BOOL("filter", f->filter), F_U64("cgroup", f->cgroup),
        F_STR("missing", f->why[0] ? f->why : NULL));
    return ST_OK;
}

/* --- as the daemon's own user --- */

static enum status make_key(struct daemon *d, struct fault *why)
{
    AUTO(secret_done) struct secret file = {0};
    uint8_t bytes[KEY_SEED_SIZE];
    d->entropy.fill(&d->entropy, bytes, sizeof bytes);
    key_init(&d->key, bytes);
    secret_wipe(bytes, sizeof bytes);
    key_encode(&d->key, &file);
    return file_write(AT_FDCWD, PATH_KEY, secret_view(&file), 0600, why);
}

static enum status open_key(struct daemon *d, struct fault *why)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, KEY_FILE_MAX);
    enum status s = file_read(AT_FDCWD, PATH_KEY, &text, why);
    if (s == ST_OK)
        s = key_decode(buf_view(&text), &d->key, why);
    else if (s == ST_NOT_FOUND)
        s = make_key(d, why);
    if (text.ptr)
        secret_wipe(text.ptr, text.len);
    return s == ST_OK ? s : fault_wrap(why, s, "read %s", PATH_KEY);
}

/* For the names and addresses that we know to lead here. Clients that pin its key need none. */
static enum status make_cert(struct daemon *d, struct fault *why)
{
    AUTO(secret_done) struct secret file = {0};
    char address[IP_TEXT_MAX];
    const char *names[CERT_NAMES_MAX] = {d->config->name, "localhost", "127.0.0.1", "::1"};
    size_t count = 4;
    ip_format(&d->config->api.listen.ip, address);
    if (strcmp(address, "0.0.0.0") != 0 && strcmp(address, "::") != 0)
        names[count++] = address;
    enum status s = cert_make(d->config->name, names, count, &file, why);
    if (s == ST_OK)
        s = file_write(AT_FDCWD, PATH_API_CRT, cert_public_part(secret_view(&file)), 0644, why);
    if (s == ST_OK) /* last: once it is there, neither is made again */
        s = file_write(AT_FDCWD, PATH_API_PEM, secret_view(&file), 0600, why);
    return s == ST_OK ? cert_open(secret_view(&file), &d->cert, why) : s;
}

static enum status open_cert(struct daemon *d, struct fault *why)
{
    AUTO(buf_done) struct buf text;
    if (d->network_fd < 0)
        return ST_OK;
    buf_init(&text, CERT_FILE_MAX);
    enum status s = file_read(AT_FDCWD, PATH_API_PEM, &text, why);
    if (s == ST_OK)
        s = cert_open(buf_view(&text), &d->cert, why);
    else if (s == ST_NOT_FOUND)
        s = make_cert(d, why);
    if (text.ptr)
        secret_wipe(text.ptr, text.len);
    return s == ST_OK ? s : fault_wrap(why, s, "read %s", PATH_API_PEM);
}

static enum status open_store(struct daemon *d, const char *program, struct fault *why)
{
    struct store_config c = {
        .dir = PATH_IMAGES,
        .program = program,
        .cache_dir = d->config->image.cache_dir,
        .guest = d->paths.guest,
        .busybox = d->paths.busybox,
    };
    return store_open(d->loop, &c, &d->store, why);
}

static void on_log_not_cut(void *ctx, const struct fault *why)
{
    const struct daemon *d = ctx;
    log_fault(d->log, LOG_WARN, "console.not_cut", why);
}

static enum status open_vmm(struct daemon *d, struct fault *why)
{
    static const enum vmm_qemu_network networks[] = {VMM_QEMU_AUTO, VMM_QEMU_USER, VMM_QEMU_TAP};
    const struct config *c = d->config;
    char dir[CONFIG_PATH_MAX + 16], blobs[CONFIG_PATH_MAX + 32];
    struct fault no_tsc;
    (void)snprintf(dir, sizeof dir, "%s/" PATH_VMS, c->data_dir);
    (void)snprintf(blobs, sizeof blobs, "%s/" PATH_IMAGES "/blobs", c->data_dir);
    struct vmm_qemu_config v = {
        .dir = dir,
        .blob_dir = blobs,
        .qemu = d->probe.qemu_path,
        .kvm = d->probe.accel == PROBE_KVM,
        .profile = c->vm.profile == CONFIG_PROFILE_TEST ? CMDLINE_TEST : CMDLINE_PRODUCTION,
        .network = networks[c->vm.network],
        .console_log_max = c->vm.console_log_max_size,
        .warn = on_log_not_cut,
        .warn_ctx = d,
    };
    if (tsc_measure_khz(&v.tsc_khz, &no_tsc) != ST_OK)
        log_fault(d->log, LOG_WARN, "tsc.unknown", &no_tsc);
    if (c->vm.dns.count == 0)
        resolv_servers(v.dns, VMM_QEMU_DNS_MAX, &v.dns_count);
    for (size_t i = 0; i < c->vm.dns.count; i++)
        v.dns[v.dns_count++] = ip_v4(&c->vm.dns.item[i]);
    return vmm_qemu_new(d->loop, d->host, &d->clock, &d->entropy, &v, &d->vmm, why);
}

static enum status open_mark(struct daemon *d, struct fault *why)
{
    AUTO(close_fd) int fd = open(d->paths.mark, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *d->mark) < 0)
        return fault_errno(why, errno, "open %s", d->paths.mark);
    void *at = mmap(NULL, sizeof *d->mark, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return fault_errno(why, errno, "map %s", d->paths.mark);
    d->mark = at;
    return ST_OK;
}

/* Has the machine booted since its VMs were last settled? */
static bool host_booted(struct daemon *d)
{
    AUTO(buf_done) struct buf before;
    buf_init(&before, BOOT_ID_MAX);
    buf_init(&d->boot_id, BOOT_ID_MAX);
    if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &d->boot_id, NULL) != ST_OK)
        return false;
    IGNORE(file_read(AT_FDCWD, PATH_BOOT_ID, &before, NULL)); /* absent at the first start */
    return !str_eq(buf_view(&d->boot_id), buf_view(&before));
}

static void make_facts(struct daemon *d)
{
    const struct config *c = d->config;
    char key_hex[KEY_HEX_MAX];
    key_public_hex(&d->key, key_hex);
    d->facts =
        facts_new(".", &d->probe, &d->host->facts, key_hex, &c->api.listen, d->cert.fingerprint);
    if (!d->links)
        return;
    struct ip_endpoint bound = links_addr(d->links), at[ADDRESSES_MAX];
    facts_add_addresses(d->facts, at, addresses_find(&bound, &c->cluster.advertise, at));
}

static enum status open_links(struct daemon *d, struct fault *why)
{
    struct links_config c = {
        .loop = d->loop,
        .clock = &d->clock,
        .entropy = &d->entropy,
        .log = d->log,
        .key = &d->key,
        .bind = &d->config->cluster.listen,
    };
    if (c.bind->port == 0)
        return ST_OK;
    enum status s = links_open(&c, &d->links, why);
    if (s == ST_IN_USE)
        fault_hint(why, "another program, or another node on this machine, uses that port: set "
                        "cluster.listen");
    return s;
}

/* Of the ticket's cluster already: then it goes on as that node. */
static enum status check_ticket(const struct daemon *d, const struct ticket *t, struct fault *why)
{
    char cluster[2 * TICKET_CLUSTER_SIZE + 1];
    str_hex(t->cluster, sizeof t->cluster, cluster);
    if (d->member && strcmp(d->member->cluster, cluster) == 0)
        return ST_OK;
    if (d->member || access(PATH_JOURNAL, F_OK) == 0) {
        (void)fault_set(why, ST_EXISTS, "this node is in a cluster already, or began one: %s",
                        d->config->data_dir);
        fault_hint(why, "a machine joins with an empty data_dir");
        return ST_EXISTS;
    }
    return ST_OK;
}

static enum status join(struct daemon *d, const struct ticket *t, struct fault *why)
{
    enum status s = check_ticket(d, t, why);
    if (s != ST_OK || d->member)
        return s;
    s = links_join(d->links, t, d->config->name, d->facts, &d->member, why);
    if (s == ST_OK)
        s = member_write(d->member, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "join the cluster");
    LOG(d->log, LOG_INFO, "cluster.joined", F_STR("cluster", d->member->cluster_name),
        F_U64("node", d->member->number));
    return ST_OK;
}

static enum status open_member(struct daemon *d, const struct ticket *t, struct fault *why)
{
    enum status s = member_read(&d->member, why);
    if (s != ST_OK)
        return s;
    if ((t || d->member) && !d->links) {
        (void)fault_set(why, ST_PRECONDITION, "a node of a cluster needs cluster.listen");
        return ST_PRECONDITION;
    }
    return t ? join(d, t, why) : ST_OK;
}

static void open_node(struct daemon *d)
{
    static const struct raft_members nobody; /* it waits to be taken in */
    struct node_config c;
    node_config_default(&c);
    c.name = d->config->name;
    c.cluster_name = "blixard";
    c.facts = d->facts;
    d->entropy.fill(&d->entropy, &c.seed, sizeof c.seed);
    c.snapshot_entries = d->config->journal.snapshot_entries;
    c.trailing_entries = d->config->journal.trailing_entries;
    c.start_timeout_ms = d->config->vm.start_timeout_ms;
    c.host_booted = d->boot_unsettled = host_booted(d);
    c.keep_roles = d->links != NULL;
    if (d->member && d->member->number > 1) { /* number 1 began the cluster, alone */
        c.member = d->member->number;
        c.members = &nobody;
    }
    struct node_ports p = {
        .clock = &d->clock,
        .entropy = &d->entropy,
        .vmm = d->vmm,
        .blob = store_blob(d->store),
        .mark = d->mark,
        .peers = d->links ? links_peers(d->links) : NULL,
    };
    d->node = node_new(&c, &p);
}

static void log_report(struct daemon *d, const struct journal_report *r)
{
    if (r->torn_bytes)
        LOG(d->log, LOG_WARN, "journal.torn", F_STR("file", r->torn_file),
            F_U64("offset", r->torn_offset), F_U64("bytes", r->torn_bytes),
            F_STR("msg", "the end of a write that a crash cut off was dropped"));
    if (r->bad_snapshot[0])
        LOG(d->log, LOG_ERROR, "journal.bad_snapshot", F_STR("file", r->bad_snapshot),
            F_STR("msg", "the snapshot before it and the log replaced it"));
    LOG(d->log, LOG_INFO, "journal.open", F_BOOL("created", r->created),
        F_U64("entries", r->entries));
}

static enum status open_journal(struct daemon *d, struct fault *why)
{
    struct journal_config c = {.segment_size = d->config->journal.segment_size};
    struct log_load load = node_loader(d->node);
    struct journal_report report = {0};
    d->entropy.fill(&d->entropy, c.new_id, sizeof c.new_id);
    enum status s = file_mkdirs(AT_FDCWD, PATH_JOURNAL, 0700, why);
    if (s == ST_OK)
        s = disk_os_open(PATH_JOURNAL, &d->disk, why);
    if (s == ST_OK)
        s = journal_thread_open(d->loop, d->disk, &c, &load, meters_journal(d->meters), &d->journal,
                                &report, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "open the journal");
    log_report(d, &report);
    return node_start(d->node, journal_thread_log(d->journal), why);
}

static enum status open_network(struct daemon *d, struct http_config *h, struct fault *why)
{
    char listen[IP_ENDPOINT_TEXT_MAX];
    ip_endpoint_format(&d->config->api.listen, listen);
    h->cert = &d->cert;
    h->per_address_max = d->config->api.max_clients_per_address;
    int fd = d->network_fd;
    d->network_fd = -1;
    enum status s = http_open(d->loop, fd, d->ops, h, &d->https, why);
    if (s == ST_OK)
        LOG(d->log, LOG_INFO, "api.network", F_STR("listen", listen),
            F_STR("fingerprint", d->cert.fingerprint));
    return s;
}

static enum status open_api(struct daemon *d, struct fault *why)
{
    struct http_config h;
    struct ops_config o = {
        .version = BLIXARD_VERSION,
        .feature_level = FEATURE_LEVEL,
        .timeout_ms = OPS_TIMEOUT_MS,
        .metrics = meters_text,
        .metrics_ctx = d->meters,
        .remote = d->links ? links_remote(d->links) : NULL,
    };
    d->ops = ops_new(d->node, &o);
    if (d->links)
        links_start(d->links, d->node, d->ops, d->member);
    http_config_default(&h);
    h.owner = d->who->uid;
    h.group = d->who->api_group;
    h.connections_max = d->config->api.max_clients;
    h.seen = meters_request;
    h.seen_ctx = d->meters;
    int fd = d->listen_fd;
    d->listen_fd = -1;
    enum status s = http_open(d->loop, fd, d->ops, &h, &d->http, why);
    if (s == ST_OK && d->network_fd >= 0)
        s = open_network(d, &h, why);
    if (s == ST_OK)
        meters_watch(d->meters, d->node, d->journal, d->http, d->https);
    return s;
}

enum status daemon_open(struct config *config, daemon_reread *reread, void *reread_ctx,
                        const struct identity *who, const char *program,
                        const struct ticket *ticket, struct logger *log, struct daemon **ret,
                        struct fault *why)
{
    struct daemon *d = NEW(struct daemon);
    *d = (struct daemon){.config = config,
                         .reread = reread,
                         .reread_ctx = reread_ctx,
                         .who = who,
                         .log = log,
                         .listen_fd = -1,
                         .network_fd = -1};
    LOG(log, LOG_INFO, "daemon.starting", F_STR("version", BLIXARD_VERSION),
        F_STR("name", config->name), F_STR("data_dir", config->data_dir));
    bool fresh = false;
    enum status s = paths_find(config, program, &d->paths, why);
    if (s == ST_OK)
        s = open_loop(d, why);
    if (s == ST_OK)
        s = open_socket(d, why);
    if (s == ST_OK) {
        probe_cache_get(config, &d->probe, &fresh);
        LOG(log, LOG_INFO, "probe", F_STR("qemu", d->probe.qemu_version),
            F_STR("why", d->probe.why), F_STR("hint", d->probe.problem));
        s = open_helper(d, why);
    }
    if (s == ST_OK)
        s = identity_assume(who, why);
    if (s == ST_OK && fresh)
        probe_cache_save(config, &d->probe);
    if (s == ST_OK)
        s = open_key(d, why);
    if (s == ST_OK)
        s = open_cert(d, why);
    if (s == ST_OK)
        s = open_store(d, program, why);
    if (s == ST_OK)
        s = open_mark(d, why);
    if (s == ST_OK)
        s = open_vmm(d, why);
    if (s == ST_OK)
        s = open_links(d, why);
    if (s == ST_OK) {
        make_facts(d);
        s = open_member(d, ticket, why);
    }
    if (s == ST_OK) {
        d->meters = meters_new(d->loop, config->metrics.vm_series, log);
        open_node(d);
        s = open_journal(d, why);
    }
    if (s == ST_OK)
        s = open_api(d, why);
    if (s == ST_OK)
        s = loop_post_open(d->loop, drive, d, &d->post, why);
    if (s != ST_OK) {
        daemon_close(d);
        return s;
    }
    *ret = d;
    return ST_OK;
}

void daemon_close(struct daemon *d)
{
    if (!d)
        return;
    loop_source_close(d->post);
    http_close(d->https);
    http_close(d->http);
    if (d->ops)
        ops_free(d->ops);
    links_stop(d->links);
    journal_thread_close(d->journal);
    if (d->node)
        node_free(d->node);
    links_close(d->links);
    meters_free(d->meters);
    disk_os_close(d->disk);
    helper_stop(d->host);
    vmm_qemu_free(d->vmm);
    store_close(d->store);
    key_done(&d->key);
    proto_free(d->facts ? &d->facts->base : NULL);
    proto_free(d->member ? &d->member->base : NULL);
    if (d->mark)
        (void)munmap(d->mark, sizeof *d->mark);
    cert_close(&d->cert);
    close_fd(&d->listen_fd);
    close_fd(&d->network_fd);
    buf_done(&d->boot_id);
    loop_source_close(d->term);
    loop_source_close(d->interrupt);
    loop_source_close(d->hangup);
    loop_source_close(d->timer);
    loop_source_close(d->again);
    loop_close(d->loop);
    free(d);
}

enum status daemon_run(struct daemon *d, struct fault *why)
{
    loop_defer_arm(d->again);
    enum status s = loop_run(d->loop, why);
    (void)sd_notify(0, "STOPPING=1");
    if (s == ST_OK && d->end != ST_OK) {
        *why = d->why;
        s = d->end;
    }
    return s;
}
