#include <errno.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "guest/shim/shim.h"

static void drop(struct shim *s, int i)
{
    (void)close(s->client[i]);
    s->client[i] = -1;
}

/* A free place, or that of the client that came first: the newest daemon is the one that counts. */
static int place(struct shim *s)
{
    for (int i = 0; i < SHIM_CLIENTS_MAX; i++)
        if (s->client[i] < 0)
            return i;
    (void)close(s->client[0]);
    for (int i = 1; i < SHIM_CLIENTS_MAX; i++)
        s->client[i - 1] = s->client[i];
    return SHIM_CLIENTS_MAX - 1;
}

void talk_accept(struct shim *s)
{
    int fd = accept4(SHIM_FD_LISTEN, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        (void)close(fd);
        return;
    }
    s->client[place(s)] = fd;
}

static void send_answer(struct shim *s, int i, uint8_t type, uint32_t id)
{
    struct shim_answer a = {.type = type, .id = id, .record = s->record};
    struct buf b;
    buf_init(&b, SHIM_MESSAGE_MAX);
    bool ok = shim_put_answer(&b, &a, NULL) == ST_OK &&
              send(s->client[i], b.ptr, b.len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.len;
    buf_done(&b);
    if (!ok)
        drop(s, i);
}

void talk_deadline(struct shim *s, uint64_t deadline_ms)
{
    s->record.deadline_ms = deadline_ms;
    struct itimerspec t = {0}; /* all zero: none */
    if (deadline_ms != SHIM_NONE) {
        uint64_t seconds = deadline_ms / 1000;
        t.it_value.tv_sec = seconds > INT64_MAX ? INT64_MAX : (time_t)seconds;
        t.it_value.tv_nsec = (long)(deadline_ms % 1000 * 1000000);
        if (deadline_ms == 0)
            t.it_value.tv_nsec = 1; /* long past, but not "none" */
    }
    /* A deadline that cannot be kept is one that has passed. */
    if (timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &t, NULL) != 0)
        monitor_kill(s, SHIM_LEASE);
}

void talk_answer(struct shim *s, int i)
{
    char message[SHIM_REQUEST + 1];
    ssize_t n = recv(s->client[i], message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    struct shim_request r;
    if (n <= 0 || shim_get_request((struct str){message, (size_t)n}, &r, NULL) != ST_OK) {
        drop(s, i);
        return;
    }
    bool known = r.type == SHIM_STATUS || r.type == SHIM_DEADLINE || r.type == SHIM_KILL;
    if (r.type == SHIM_DEADLINE)
        talk_deadline(s, r.value);
    if (r.type == SHIM_KILL)
        monitor_kill(s, SHIM_KILLED);
    send_answer(s, i, known ? SHIM_DONE : SHIM_REFUSED, r.id);
}

void talk_ended(struct shim *s)
{
    for (int i = 0; i < SHIM_CLIENTS_MAX; i++)
        if (s->client[i] >= 0)
            send_answer(s, i, SHIM_ENDED, 0);
}
