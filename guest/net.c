#include "guest/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/util.h"

enum { MESSAGE_MAX = 256, DUMP_SIZE = 8192, ADDRESSES_MAX = 16 };

struct request {
    struct nlmsghdr head;
    char rest[MESSAGE_MAX];
};

/* Begin a request: its body is a zeroed struct of `size` bytes, which is returned. */
static void *begin(struct request *r, uint16_t type, uint16_t flags, size_t size)
{
    *r = (struct request){.head = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                                   .nlmsg_type = type,
                                   .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)}};
    return NLMSG_DATA(&r->head);
}

static void add(struct request *r, uint16_t type, const void *data, size_t len)
{
    size_t at = NLMSG_ALIGN(r->head.nlmsg_len);
    require(at + RTA_SPACE(len) <= sizeof *r);
    struct rtattr *a = (struct rtattr *)(void *)((char *)r + at);
    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    r->head.nlmsg_len = (uint32_t)(at + RTA_SPACE(len));
}

static void add_u32(struct request *r, uint16_t type, uint32_t v)
{
    add(r, type, &v, sizeof v);
}

/* Send it and wait for the kernel's word; 0 or an errno. */
static int ask(int fd, struct request *r)
{
    r->head.nlmsg_flags |= NLM_F_ACK;
    if (send(fd, r, r->head.nlmsg_len, 0) < 0)
        return errno;
    struct {
        struct nlmsghdr head;
        struct nlmsgerr err;
        char echo[MESSAGE_MAX * 2];
    } answer;
    ssize_t n = recv(fd, &answer, sizeof answer, 0);
    if (n < 0)
        return errno;
    if ((size_t)n < sizeof answer.head + sizeof answer.err.error ||
        answer.head.nlmsg_type != NLMSG_ERROR)
        return EPROTO;
    return -answer.err.error;
}

static int open_route(struct fault *why, enum status *ret)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    *ret = fd < 0 ? fault_errno(why, errno, "netlink socket") : ST_OK;
    return fd;
}

static enum status set_link(int fd, unsigned index, const uint8_t *mac, struct fault *why)
{
    struct request r;
    struct ifinfomsg *m = begin(&r, RTM_NEWLINK, 0, sizeof *m);
    m->ifi_index = (int)index;
    m->ifi_flags = IFF_UP;
    m->ifi_change = IFF_UP;
    if (mac)
        add(&r, IFLA_ADDRESS, mac, 6);
    int err = ask(fd, &r);
    return err ? fault_errno(why, err, "bring network device %u up", index) : ST_OK;
}

enum status net_loopback(struct fault *why)
{
    enum status s;
    AUTO(close_fd) int fd = open_route(why, &s);
    return s == ST_OK ? set_link(fd, 1, NULL, why) : s; /* lo is always number 1 */
}

struct address {
    uint32_t ip; /* network order */
    uint8_t prefix;
};

/* The IPv4 addresses of a device; their number. */
static size_t list_addresses(int fd, unsigned index, struct address out[ADDRESSES_MAX])
{
    struct request r;
    struct ifaddrmsg *m = begin(&r, RTM_GETADDR, NLM_F_DUMP, sizeof *m);
    m->ifa_family = AF_INET;
    size_t count = 0;
    if (send(fd, &r, r.head.nlmsg_len, 0) < 0)
        return 0;
    for (;;) {
        char data[DUMP_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
        ssize_t n = recv(fd, data, sizeof data, 0);
        if (n <= 0)
            return count;
        uint32_t left = (uint32_t)n;
        for (struct nlmsghdr *h = (void *)data; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type != RTM_NEWADDR)
                return count; /* done, or an error */
            struct ifaddrmsg *a = NLMSG_DATA(h);
            size_t attrs = IFA_PAYLOAD(h);
            for (struct rtattr *t = IFA_RTA(a); RTA_OK(t, attrs); t = RTA_NEXT(t, attrs))
                if (t->rta_type == IFA_LOCAL && a->ifa_index == index && count < ADDRESSES_MAX) {
                    out[count].prefix = a->ifa_prefixlen;
                    memcpy(&out[count++].ip, RTA_DATA(t), 4);
                }
        }
    }
}

static int change_address(int fd, unsigned index, uint16_t type, uint16_t flags, struct address a)
{
    struct request r;
    struct ifaddrmsg *m = begin(&r, type, flags, sizeof *m);
    m->ifa_family = AF_INET;
    m->ifa_prefixlen = a.prefix;
    m->ifa_index = index;
    add_u32(&r, IFA_LOCAL, a.ip);
    add_u32(&r, IFA_ADDRESS, a.ip);
    return ask(fd, &r);
}

static enum status set_address(int fd, unsigned index, struct address want, struct fault *why)
{
    struct address have[ADDRESSES_MAX];
    size_t count = list_addresses(fd, index, have);
    for (size_t i = 0; i < count; i++)
        if (have[i].ip != want.ip || have[i].prefix != want.prefix)
            (void)change_address(fd, index, RTM_DELADDR, 0, have[i]);
    int err = change_address(fd, index, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, want);
    return err ? fault_errno(why, err, "set the address") : ST_OK;
}

static enum status set_gateway(int fd, unsigned index, uint32_t gateway, bool on_link,
                               struct fault *why)
{
    struct request r;
    struct rtmsg *m = begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof *m);
    m->rtm_family = AF_INET;
    m->rtm_table = RT_TABLE_MAIN;
    m->rtm_protocol = RTPROT_BOOT;
    m->rtm_scope = RT_SCOPE_UNIVERSE;
    m->rtm_type = RTN_UNICAST;
    m->rtm_flags = on_link ? RTNH_F_ONLINK : 0;
    add_u32(&r, RTA_GATEWAY, htonl(gateway));
    add_u32(&r, RTA_OIF, index);
    int err = ask(fd, &r);
    return err ? fault_errno(why, err, "set the default route") : ST_OK;
}

static bool same_subnet(const struct guestcfg *c)
{
    uint32_t mask = c->prefix ? ~UINT32_C(0) << (32 - c->prefix) : 0;
    return (c->address & mask) == (c->gateway & mask);
}

static unsigned index_of(const char *name)
{
    AUTO(close_fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {0};
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    return fd >= 0 && ioctl(fd, SIOCGIFINDEX, &r) == 0 ? (unsigned)r.ifr_ifindex : 0;
}

static void parse_mac(const char *text, uint8_t out[6])
{
    for (size_t i = 0; i < 6; i++) { /* its form was checked when it was read */
        enum status s = str_unhex((struct str){text + 3 * i, 2}, &out[i], 1, NULL);
        ensure(s == ST_OK);
    }
}

enum status net_apply(const struct guestcfg *c, struct fault *why)
{
    if (!c->address && !c->gateway && !c->mac[0])
        return ST_OK;
    unsigned index = index_of("eth0");
    if (!index)
        return fault_set(why, ST_NOT_FOUND, "there is no network device eth0");
    enum status s;
    AUTO(close_fd) int fd = open_route(why, &s);
    uint8_t mac[6];
    if (c->mac[0])
        parse_mac(c->mac, mac);
    if (s == ST_OK)
        s = set_link(fd, index, c->mac[0] ? mac : NULL, why);
    if (s == ST_OK && c->address)
        s = set_address(fd, index, (struct address){htonl(c->address), c->prefix}, why);
    if (s == ST_OK && c->gateway)
        s = set_gateway(fd, index, c->gateway, !same_subnet(c), why);
    return s;
}
