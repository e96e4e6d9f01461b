#include "daemon/addresses.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "quic/addr.h"

static bool is_all(const struct ip *ip)
{
    static const uint8_t all[sizeof ip->byte] = {0};
    return memcmp(ip->byte, all, sizeof all) == 0;
}

/* fe80::/10 means something else on each machine. */
static bool is_link_local(const struct ip *ip)
{
    return ip->family == 6 && ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80;
}

static bool is_usable(const struct ifaddrs *i, const struct ip *bound, bool loopback,
                      struct quic_addr *ret)
{
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
        ((i->ifa_flags & IFF_LOOPBACK) != 0) != loopback ||
        !quic_addr_from_sys(i->ifa_addr, sizeof(struct sockaddr_storage), ret))
        return false;
    return !is_link_local(&ret->ip) && (bound->family == 6 || ret->ip.family == 4);
}

static size_t list_devices(const struct ifaddrs *all, const struct ip_endpoint *at, bool loopback,
                           struct ip_endpoint ret[ADDRESSES_MAX])
{
    size_t count = 0;
    for (const struct ifaddrs *i = all; i && count < ADDRESSES_MAX; i = i->ifa_next) {
        struct quic_addr a;
        if (is_usable(i, &at->ip, loopback, &a))
            ret[count++] = (struct ip_endpoint){a.ip, at->port};
    }
    return count;
}

size_t addresses_find(const struct ip_endpoint *at, const struct ip_endpoint *advertise,
                      struct ip_endpoint ret[ADDRESSES_MAX])
{
    struct ifaddrs *all = NULL;
    if (advertise->port || !is_all(&at->ip)) {
        ret[0] = advertise->port ? *advertise : *at;
        return 1;
    }
    if (getifaddrs(&all) < 0)
        return 0;
    size_t count = list_devices(all, at, false, ret);
    if (count == 0)
        count = list_devices(all, at, true, ret);
    freeifaddrs(all);
    return count;
}
