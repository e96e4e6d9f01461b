#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/peer.h"
#include "support/scratch.h"
#include "support/tap.h"

/* Both ends are ours. */
static void look(struct peer_names *names, struct peer *out)
{
    int fd[2];
    CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
    peer_of(fd[0], geteuid(), (gid_t)-1, names, out);
    CHECK(out->admin);
    close_fd(&fd[0]);
    close_fd(&fd[1]);
}

/* A file of users in which we have this name. */
static void name_us(const char *name)
{
    char line[200];
    (void)snprintf(line, sizeof line, "other:x:%u:1::/:/bin/sh\n%s:x:%u:1::/:/bin/sh\n",
                   (unsigned)geteuid() + 1, name, (unsigned)geteuid());
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("passwd"), str_from(line), 0644, NULL));
}

static void check_actor(struct peer_names *names, const char *name)
{
    struct peer p;
    char want[PEER_ACTOR_MAX];
    (void)snprintf(want, sizeof want, name[0] ? "uid:%u(%s)" : "uid:%u", (unsigned)geteuid(), name);
    look(names, &p);
    CHECK_STR(want, p.actor);
}

TEST(peer_name_is_read_once_until_the_file_changes)
{
    struct peer_names names = {.file = scratch_file("passwd")};
    check_actor(&names, ""); /* there is no such file */
    name_us("ann");
    check_actor(&names, "ann");
    check_actor(&names, "ann");
    CHECK_EQ(1, names.lookups);
    name_us("bob"); /* of the same length */
    check_actor(&names, "bob");
    CHECK_EQ(2, names.lookups);
    CHECK_EQ(0, unlink(names.file));
    check_actor(&names, "");
    CHECK_EQ(2, names.lookups);
}

TEST(peer_without_a_plain_name_has_its_number_and_is_not_looked_up_again)
{
    struct peer_names names = {.file = scratch_file("passwd")};
    static const char *const bad[] = {"a(b)", "an \x01", "123456789012345678901234567890123"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        name_us(bad[i]);
        check_actor(&names, "");
        check_actor(&names, "");
        CHECK_EQ(i + 1, names.lookups);
    }
}
