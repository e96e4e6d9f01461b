#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/net_unix.h"
#include "support/scratch.h"
#include "support/tap.h"

TEST(net_unix_peers_know_each_other)
{
    int listener, client;
    struct fault why = {0};
    struct net_unix_peer peer;
    CHECK_EQ(ST_OK, net_unix_listen(scratch_file("s"), 0660, (gid_t)-1, &listener, &why));
    CHECK_EQ(ST_OK, net_unix_connect(scratch_file("s"), 1000, &client, &why));
    int server = accept(listener, NULL, NULL);
    CHECK(server >= 0);
    CHECK_EQ(ST_OK, net_unix_peer(server, &peer, &why));
    CHECK_EQ(getpid(), peer.pid);
    CHECK_EQ(getuid(), peer.uid);
    CHECK_EQ(getgid(), peer.gid);
}

TEST(net_unix_mode_and_group_are_as_asked)
{
    int fd;
    struct stat st;
    (void)umask(0077);
    CHECK_EQ(ST_OK, net_unix_listen(scratch_file("s"), 0660, getgid(), &fd, NULL));
    CHECK(stat(scratch_file("s"), &st) == 0);
    CHECK_EQ(0660, st.st_mode & 07777);
    CHECK_EQ(getgid(), st.st_gid);
}

TEST(net_unix_stale_socket_is_replaced_a_live_one_is_not)
{
    int first, second;
    struct fault why = {0};
    CHECK_EQ(ST_OK, net_unix_listen(scratch_file("s"), 0600, (gid_t)-1, &first, &why));
    CHECK_EQ(ST_IN_USE, net_unix_listen(scratch_file("s"), 0600, (gid_t)-1, &second, &why));
    (void)close(first);
    CHECK_EQ(ST_UNAVAILABLE, net_unix_connect(scratch_file("s"), 1000, &second, &why));
    CHECK_EQ(ST_OK, net_unix_listen(scratch_file("s"), 0600, (gid_t)-1, &second, &why));
}

TEST(net_unix_leaves_other_files_alone)
{
    int fd;
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("f"), STR("mine"), 0600, NULL));
    CHECK_EQ(ST_EXISTS, net_unix_listen(scratch_file("f"), 0600, (gid_t)-1, &fd, NULL));
    CHECK(access(scratch_file("f"), F_OK) == 0);
}

TEST(net_unix_long_path_is_refused_with_its_limit)
{
    char path[200];
    int fd;
    struct fault why = {0};
    (void)snprintf(path, sizeof path, "%s/%0*d", scratch_dir(), NET_UNIX_PATH_MAX, 1);
    CHECK_EQ(ST_INVALID, net_unix_listen(path, 0600, (gid_t)-1, &fd, &why));
    CHECK(strstr(why.text, "at most 107 work") != NULL);
    CHECK_EQ(ST_INVALID, net_unix_connect(path, 1000, &fd, &why));

    size_t left = NET_UNIX_PATH_MAX - strlen(scratch_dir()) - 1;
    (void)snprintf(path, sizeof path, "%s/%0*d", scratch_dir(), (int)left, 1);
    CHECK_EQ(ST_OK, net_unix_listen(path, 0600, (gid_t)-1, &fd, &why)); /* the longest works */
    CHECK_EQ(ST_OK, net_unix_connect(path, 1000, &fd, &why));
}

TEST(net_unix_nobody_there_is_unavailable)
{
    int fd;
    struct fault why = {0};
    CHECK_EQ(ST_UNAVAILABLE, net_unix_connect(scratch_file("none"), 1000, &fd, &why));
    CHECK(strstr(why.text, "nobody listens on") != NULL);
}

TEST(net_unix_full_queue_times_out)
{
    int listener, fd;
    CHECK_EQ(ST_OK, net_unix_listen(scratch_file("s"), 0600, (gid_t)-1, &listener, NULL));
    enum status s = ST_OK;
    for (int i = 0; s == ST_OK && i < NET_UNIX_BACKLOG + 2; i++)
        s = net_unix_connect(scratch_file("s"), 20, &fd, NULL);
    CHECK_EQ(ST_TIMEOUT, s);
}
