#include "daemon/facts.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "os/file.h"
#include "wire/proto.h"

static Pb__Accel accel_of(enum probe_accel a)
{
    switch (a) {
    case PROBE_KVM: return PB__ACCEL__ACCEL_KVM;
    case PROBE_TCG: return PB__ACCEL__ACCEL_TCG;
    case PROBE_NONE: return PB__ACCEL__ACCEL_NONE;
    }
    defs_unreachable("accelerator");
}

Pb__NodeFacts *facts_new(const char *data_dir, const struct probe *probe,
                         const struct host_facts *host, const char *key_hex,
                         const struct ip_endpoint *api_listen, const char *api_fingerprint)
{
    Pb__NodeFacts *f = (Pb__NodeFacts *)proto_new(&pb__node_facts__descriptor);
    struct utsname u;
    struct file_space space;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES),
         page = sysconf(_SC_PAGESIZE);
    if (uname(&u) == 0) {
        proto_set(&f->hostname, u.nodename);
        proto_set(&f->kernel, u.release);
    }
    proto_set(&f->version, BLIXARD_VERSION);
    if (cpus > 0)
        PROTO_SET(f, cpus, (uint32_t)cpus);
    if (pages > 0 && page > 0)
        PROTO_SET(f, mem_mib, (uint64_t)pages * (uint64_t)page >> 20);
    if (file_space(AT_FDCWD, data_dir, &space, NULL) == ST_OK)
        PROTO_SET(f, disk_mib, space.total_bytes >> 20);
    PROTO_SET(f, accel, accel_of(probe->accel));
    proto_set(&f->accel_why, probe->why);
    PROTO_SET(f, privileged, host->privileged);
    PROTO_SET(f, feature_level_max, FEATURE_LEVEL);
    proto_set(&f->key, key_hex);
    if (api_listen->port) {
        char text[IP_ENDPOINT_TEXT_MAX];
        ip_endpoint_format(api_listen, text);
        proto_set(&f->api_listen, text);
        proto_set(&f->api_fingerprint, api_fingerprint);
    }
    return f;
}

void facts_add_addresses(Pb__NodeFacts *f, const struct ip_endpoint *at, size_t count)
{
    f->addresses = mem_grow(f->addresses, f->n_addresses + count + 1, sizeof *f->addresses);
    for (size_t i = 0; i < count; i++) {
        char text[IP_ENDPOINT_TEXT_MAX];
        ip_endpoint_format(&at[i], text);
        f->addresses[f->n_addresses++] = mem_strdup(text);
    }
}
