#include "host/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/sysfile.h"
#include "os/file.h"

enum { MESSAGE_MAX = 1024, PATH_LEN = 96 };

void tap_prefix(const char *tag, char out[TAP_NAME_MAX])
{
    int n = snprintf(out, TAP_NAME_MAX, "bx%s-", tag);
    require(n > 0 && n < TAP_NAME_MAX);
}

void tap_name(const char *tag, uint32_t slot, char out[TAP_NAME_MAX])
{
    int n = snprintf(out, TAP_NAME_MAX, "bx%s-%" PRIu32, tag, slot);
    require(n > 0 && n < TAP_NAME_MAX);
}

/* ---- netlink ---- */

/* Send one request and wait for the kernel's word on it, which comes at once. */
static enum status ask(struct mnl_socket *nl, struct nlmsghdr *h, const char *what,
                       struct fault *why)
{
    char answer[MESSAGE_MAX];
    h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    h->nlmsg_seq = 1;
    if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
        return fault_errno(why, errno, "%s", what);
    ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof answer);
    if (n < 0)
        return fault_errno(why, errno, "%s", what);
    if (mnl_cb_run(answer, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL) < 0)
        return fault_errno(why, errno, "%s", what);
    return ST_OK;
}

static enum status set_up(struct mnl_socket *nl, unsigned index, struct fault *why)
{
    char message[MESSAGE_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(message);
    h->nlmsg_type = RTM_NEWLINK;
    struct ifinfomsg *i = mnl_nlmsg_put_extra_header(h, sizeof *i);
    i->ifi_family = AF_UNSPEC;
    i->ifi_index = (int)index;
    i->ifi_change = i->ifi_flags = IFF_UP;
    return ask(nl, h, "set the tap up", why);
}

static enum status add_address(struct mnl_socket *nl, unsigned index, uint32_t address,
                               struct fault *why)
{
    char message[MESSAGE_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(message);
    h->nlmsg_type = RTM_NEWADDR;
    h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof *a);
    a->ifa_family = AF_INET;
    a->ifa_prefixlen = 32;
    a->ifa_scope = RT_SCOPE_LINK;
    a->ifa_index = index;
    mnl_attr_put_u32(h, IFA_LOCAL, htonl(address));
    mnl_attr_put_u32(h, IFA_ADDRESS, htonl(address));
    return ask(nl, h, "give the tap its address", why);
}

/* Replaces a route to the same address: there is one VM with it. */
static enum status add_route(struct mnl_socket *nl, unsigned index, uint32_t address,
                             struct fault *why)
{
    char message[MESSAGE_MAX];
    struct nlmsghdr *h = mnl_nlmsg_put_header(message);
    h->nlmsg_type = RTM_NEWROUTE;
    h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
    struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof *r);
    r->rtm_family = AF_INET;
    r->rtm_dst_len = 32;
    r->rtm_table = RT_TABLE_MAIN;
    r->rtm_protocol = RTPROT_STATIC;
    r->rtm_scope = RT_SCOPE_LINK;
    r->rtm_type = RTN_UNICAST;
    mnl_attr_put_u32(h, RTA_DST, htonl(address));
    mnl_attr_put_u32(h, RTA_OIF, index);
    return ask(nl, h, "route to the VM", why);
}

static enum status connect_it(unsigned index, uint32_t address, uint32_t gateway, struct fault *why)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!nl)
        return fault_errno(why, errno, "open rtnetlink");
    enum status s = ST_OK;
    if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
        s = fault_errno(why, errno, "bind rtnetlink");
    if (s == ST_OK)
        s = add_address(nl, index, gateway, why);
    if (s == ST_OK)
        s = set_up(nl, index, why);
    if (s == ST_OK)
        s = add_route(nl, index, address, why);
    (void)mnl_socket_close(nl);
    return s;
}

/* ---- the device ---- */

/* Answer from this tap only to where a route leads through it: a guest cannot lend itself another
 * address. Nor does it get an IPv6 one, for which there is no such check. Where the kernel has
 * no such switch there is nothing to switch off. */
static enum status guard(const char *name, struct fault *why)
{
    char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    if (access(path, F_OK) == 0) {
        enum status s = sysfile_write(AT_FDCWD, path, "1", why);
        if (s != ST_OK)
            return s;
    }
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/rp_filter", name);
    return sysfile_write(AT_FDCWD, path, "1", why);
}

static enum status make(const char *name, int fd, unsigned *ret_index, struct fault *why)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &r) != 0)
        return errno == EBUSY
                   ? fault_set(why, ST_IN_USE, "an older monitor still holds tap %s", name)
                   : fault_errno(why, errno, "make tap %s", name);
    if (ioctl(fd, SIOCGIFINDEX, &r) == 0) {
        *ret_index = (unsigned)r.ifr_ifindex;
        return ST_OK;
    }
    /* A tun descriptor answers only some of the questions of a socket. */
    AUTO(close_fd) int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0 || ioctl(s, SIOCGIFINDEX, &r) != 0)
        return fault_errno(why, errno, "find tap %s", name);
    *ret_index = (unsigned)r.ifr_ifindex;
    return ST_OK;
}

enum status tap_open(const char *name, uint32_t address, uint32_t gateway, int *ret_fd,
                     struct fault *why)
{
    AUTO(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fault_errno(why, errno, "open /dev/net/tun");
    unsigned index = 0;
    enum status s = make(name, fd, &index, why);
    if (s == ST_OK)
        s = guard(name, why);
    if (s == ST_OK)
        s = connect_it(index, address, gateway, why);
    if (s != ST_OK)
        return s; /* and with the descriptor goes the device */
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}
