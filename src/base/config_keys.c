#include "base/config_keys.h"

#define KIB    (UINT64_C(1) << 10)
#define MIB    (UINT64_C(1) << 20)
#define GIB    (UINT64_C(1) << 30)
#define SEC    UINT64_C(1000)
#define MINUTE (60 * SEC)

/* Where a key's value is. It does not compile if the field is not of the type. */
#define FIELD(f, c_type)                           \
    .at = _Generic(((struct config *)0)->f, c_type \
                   : offsetof(struct config, f)),  \
    .size = sizeof(((struct config *)0)->f)

#define BOOL(f)             .type = CONFIG_BOOL, FIELD(f, bool)
#define INTEGER(f, lo, hi)  .type = CONFIG_INTEGER, .min = (lo), .max = (hi), FIELD(f, uint32_t)
#define SIZE(f, lo, hi)     .type = CONFIG_SIZE, .min = (lo), .max = (hi), FIELD(f, uint64_t)
#define DURATION(f, lo, hi) .type = CONFIG_DURATION, .min = (lo), .max = (hi), FIELD(f, uint64_t)
#define WORD(f, list)       .type = CONFIG_WORD, .words = (list), FIELD(f, unsigned)
#define MODE(f)             .type = CONFIG_MODE, FIELD(f, uint32_t)
#define NAME(f)             .type = CONFIG_NAME, FIELD(f, char *)
#define ACCOUNT(f)          .type = CONFIG_ACCOUNT, FIELD(f, char *)
#define PATH(f)             .type = CONFIG_PATH, FIELD(f, char *)
#define ADDRESSES(f)        .type = CONFIG_ADDRESSES, FIELD(f, struct config_addresses)
#define ENDPOINT(f)         .type = CONFIG_ENDPOINT, FIELD(f, struct ip_endpoint)
#define SUBNET(f, lo, hi)   .type = CONFIG_SUBNET, .min = (lo), .max = (hi), FIELD(f, struct ip_net)

/* In the order of their enums. */
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const formats[] = {"auto", "logfmt", "json", "journald", NULL};
static const char *const accels[] = {"auto", "kvm", "tcg", NULL};
static const char *const profiles[] = {"production", "test", NULL};
static const char *const networks[] = {"auto", "user", "tap", NULL};

const struct config_key config_keys[] = {
    {"name", NAME(name), .initial = "", .unset = "the first part of the host's name",
     .doc = "Name of this node, unique in its cluster."},
    {"data_dir", PATH(data_dir), .initial = "/var/lib/blixard",
     .doc =
         "Directory of all that must last: keys, log, VMs, images. One daemon at a time uses it."},
    {"run_dir", PATH(run_dir), .initial = "/run/blixard",
     .doc = "Directory of sockets and of other things that need not outlive a boot of the host."},
    {"libexec_dir", PATH(libexec_dir), .initial = "",
     .unset = "beside the program, or else ../libexec/blixard from there",
     .doc = "Directory of `blixard-shim` and of the guest's init."},
    {"user", ACCOUNT(user), .initial = "blixard",
     .doc =
         "User that a daemon started by root runs as. Started by another user, it stays that one."},
    {"group", ACCOUNT(group), .initial = "blixard",
     .doc = "Group whose members, like root, may use the API socket."},
    {"watchdog", BOOL(watchdog), .initial = "true",
     .doc = "Report to the watchdog of systemd, if the unit has one. Off helps under a debugger."},

    {"api.socket", PATH(api.socket), .initial = "", .unset = "`api.sock` in `run_dir`",
     .doc = "Unix socket on which the API is served."},
    {"api.socket_mode", MODE(api.socket_mode), .initial = "0660",
     .doc = "Permissions of that socket."},
    {"api.max_clients", INTEGER(api.max_clients, 1, 65536), .initial = "256",
     .doc = "Connections open at a time, on the socket and once more on the network; further ones "
            "wait."},
    {"api.listen", ENDPOINT(api.listen), .initial = "", .unset = "the API is not on the network",
     .doc = "Address and port on which the API is served over HTTPS, to those who have a token; "
            "`0.0.0.0:7003` and `[::]:7003` are all addresses of the machine."},
    {"api.max_clients_per_address", INTEGER(api.max_clients_per_address, 1, 65536), .initial = "64",
     .doc = "Of the connections on the network, how many one address (of IPv6: one network of 64 "
            "bits) may have; further ones are closed at once."},

    {"cluster.listen", ENDPOINT(cluster.listen), .initial = "0.0.0.0:7001",
     .unset = "this node stays alone",
     .doc = "Address and UDP port on which other nodes reach this one; `0.0.0.0:7001` and "
            "`[::]:7001` are all addresses of the machine. Only who holds the key of a node of the "
            "cluster, or a ticket to join it, is let in."},
    {"cluster.advertise", ENDPOINT(cluster.advertise), .initial = "",
     .unset = "`cluster.listen`, or the machine's addresses if that is all of them",
     .doc = "Where other nodes are told to reach this one, if that is another address."},

    {"image.cache_dir", PATH(image.cache_dir), .initial = "", .unset = "`cache` in `data_dir`",
     .doc =
         "Directory of downloaded kernel packages. One outside of `data_dir` must be writable by "
         "the daemon's user."},

    {"journal.segment_size", SIZE(journal.segment_size, 8 * MIB, 1 * GIB), .initial = "16MiB",
     .doc = "Size of one file of the log; its space is taken from the disk in advance."},
    {"journal.snapshot_entries", INTEGER(journal.snapshot_entries, 10, 1000000), .initial = "1000",
     .doc = "Log entries after which the state is saved anew, once they are as large as it; it is "
            "saved after 16 MiB of them in any case."},
    {"journal.trailing_entries", INTEGER(journal.trailing_entries, 0, 1000000), .initial = "500",
     .doc = "Log entries kept behind a saved state, for members that are a little late; 4 MiB of "
            "them at most, or twice as many of both while such a member is heard from."},

    {"log.level", WORD(log.level, levels), .initial = "info", .live = true,
     .doc = "Least severe events that are written."},
    {"log.format", WORD(log.format, formats), .initial = "auto",
     .doc = "How events are written. `auto`: to journald if systemd started the daemon, as logfmt "
            "on a terminal, as JSON lines elsewhere."},
    {"log.rate_per_s", INTEGER(log.rate_per_s, 0, 100000), .initial = "100", .live = true,
     .doc = "Events a second that one place in the program may write; what is beyond is counted "
            "instead. 0: no limit."},

    {"metrics.vm_series", BOOL(metrics.vm_series), .initial = "true", .live = true,
     .doc = "Have metrics of each VM, not only of the node."},

    {"vm.accel", WORD(vm.accel, accels), .initial = "auto",
     .doc =
         "How guests are run. `auto`: by KVM if a probe VM boots with it, else emulated (`tcg`)."},
    {"vm.profile", WORD(vm.profile, profiles), .initial = "production",
     .doc =
         "Kernel command line of guests. `test` switches off what guards against hostile "
         "programs in the guest (`mitigations=off`, `init_on_alloc=0`), for faster boots in tests."},
    {"vm.qemu", PATH(vm.qemu), .initial = "", .unset = "`qemu-system-x86_64` in the search path",
     .doc = "Program that runs guests."},
    {"vm.uid_base", INTEGER(vm.uid_base, 1000, 4294000000), .initial = "1900000000",
     .doc = "First of the user ids that guests run under, each VM its own, when the daemon was "
            "started by root. Nobody else may have them."},
    {"vm.uid_count", INTEGER(vm.uid_count, 1, 1000000), .initial = "10000",
     .doc = "How many of these user ids there are."},
    {"vm.network", WORD(vm.network, networks), .initial = "auto",
     .doc = "How guests are connected. `tap`: a routed address of `vm.subnet`, which needs root; "
            "`user`: by QEMU, out through the host, in by forwarded ports; `auto`: `tap` if "
            "possible."},
    {"vm.subnet", SUBNET(vm.subnet, 8, 30), .initial = "10.83.0.0/16",
     .doc = "Network of which guests with `tap` get their addresses. The host routes it; nothing "
            "else on the site may use it."},
    {"vm.dns", ADDRESSES(vm.dns), .initial = "", .unset = "the name servers of the host",
     .doc = "Name servers of guests with `tap`."},
    {"vm.start_timeout", DURATION(vm.start_timeout_ms, 1 * SEC, 60 * MINUTE), .initial = "1m",
     .doc = "How long a guest may take from its start until its agent answers; then the start has "
            "failed."},
    {"vm.console_log_max", SIZE(vm.console_log_max_size, 64 * KIB, 1 * GIB), .initial = "1MiB",
     .doc = "How much of each console's output is kept; the oldest goes first."},
    {.name = NULL},
};
_Static_assert(ARRAY_COUNT(config_keys) <= CONFIG_KEYS_MAX, "struct config has an origin for each");
