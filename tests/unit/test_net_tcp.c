#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/net_tcp.h"
#include "support/tap.h"

static const struct ip_endpoint loopback = {.ip = {4, {127, 0, 0, 1}}}; /* of any port */

/* Accept the connection that is there or comes. */
static int accept_one(int fd, struct ip *ret_from)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, 5000));
    int got = accept4(fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC);
    CHECK(got >= 0);
    net_tcp_from(&a, ret_from);
    return got;
}

TEST(net_tcp_listens_and_connects)
{
    AUTO(close_fd) int listener = -1, client = -1, server = -1;
    struct ip from;
    char text[IP_TEXT_MAX];
    CHECK_EQ(ST_OK, net_tcp_listen(&loopback, &listener, NULL));
    uint16_t port = net_tcp_port(listener);
    CHECK(port > 0);
    CHECK_EQ(ST_OK, net_tcp_connect("127.0.0.1", port, 5000, &client, NULL));
    server = accept_one(listener, &from);
    net_tcp_tune(server);
    ip_format(&from, text);
    CHECK_STR("127.0.0.1", text);
    CHECK_EQ(2, write(client, "hi", 2));
    char got[4] = "";
    CHECK_EQ(2, read(server, got, sizeof got));
    CHECK_STR("hi", got);
}

TEST(net_tcp_all_addresses_take_both_families)
{
    static const struct ip_endpoint all = {.ip = {.family = 6}};
    AUTO(close_fd) int listener = -1, client = -1, server = -1;
    struct ip from;
    if (net_tcp_listen(&all, &listener, NULL) != ST_OK)
        return; /* a machine without IPv6 */
    CHECK_EQ(ST_OK, net_tcp_connect("127.0.0.1", net_tcp_port(listener), 5000, &client, NULL));
    server = accept_one(listener, &from);
    CHECK_EQ(4, from.family);
}

TEST(net_tcp_says_what_is_wrong)
{
    AUTO(close_fd) int listener = -1, other = -1, client = -1;
    struct fault why;
    CHECK_EQ(ST_OK, net_tcp_listen(&loopback, &listener, NULL));
    uint16_t port = net_tcp_port(listener);
    struct ip_endpoint same = loopback;
    same.port = port;
    CHECK_EQ(ST_IN_USE, net_tcp_listen(&same, &other, &why));
    CHECK(strstr(why.text, "something listens on 127.0.0.1:") == why.text);
    close_fd(&listener);
    CHECK_EQ(ST_UNAVAILABLE, net_tcp_connect("127.0.0.1", port, 5000, &client, &why));
    CHECK(strstr(why.text, "nobody listens on port ") == why.text);
    CHECK_EQ(ST_UNAVAILABLE, net_tcp_connect("nowhere.invalid", 1, 5000, &client, &why));
    static const struct ip_endpoint foreign = {.ip = {4, {192, 0, 2, 1}}, .port = 1};
    CHECK_EQ(ST_UNAVAILABLE, net_tcp_listen(&foreign, &other, &why));
    CHECK_STR("this machine has no address for 192.0.2.1:1", why.text);
}
