#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/server.h"
#include "guest/util.h"

static char *text_of(struct str s)
{
    char *t = mem_new(s.len + 1);
    memcpy(t, s.ptr, s.len);
    return t;
}

/* ---- from the host ---- */

/* The name under which a file grows, beside the one it will have. */
static char *temp_name(const char *path, uint32_t id)
{
    struct buf b;
    buf_init(&b, AGENT_PATH_MAX + 32);
    buf_fmt(&b, "%s.blixard-%" PRIu32, path, id);
    return buf_take(&b, NULL);
}

enum status push_start(struct chan *c, const struct agent_file *f, struct fault *why)
{
    struct transfer t = {.fd = -1, .path = text_of(f->path), .want = f->size};
    struct stat st;
    t.temp = temp_name(t.path, c->id);
    enum status s = ST_OK;
    if (stat(t.path, &st) == 0 && S_ISDIR(st.st_mode)) {
        s = fault_set(why, ST_EXISTS, "%s is a folder", t.path);
    } else {
        (void)unlink(t.temp); /* of an agent that died */
        t.fd = open(t.temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (t.fd < 0)
            s = fault_errno(why, errno, "create %s", t.path);
    }
    if (s == ST_OK && (fchown(t.fd, f->uid, f->gid) != 0 || fchmod(t.fd, (mode_t)f->mode) != 0))
        s = fault_errno(why, errno, "set owner and permissions of %s", t.path);
    c->transfer = t;
    c->kind = CHAN_PUSH;
    if (s != ST_OK)
        transfer_done(c);
    return s;
}

enum status push_data(struct chan *c, struct str data, struct fault *why)
{
    struct transfer *t = &c->transfer;
    if (data.len > t->want - t->have) /* want is the largest number there is when it is unknown */
        return fault_set(why, ST_INVALID, "%s: more than %" PRIu64 " bytes came", t->path, t->want);
    while (data.len > 0) {
        ssize_t n = write(t->fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "write %s", t->path);
        data.ptr += n;
        data.len -= (size_t)n;
        t->have += (uint64_t)n;
    }
    return ST_OK;
}

enum status push_finish(struct chan *c, struct fault *why)
{
    struct transfer *t = &c->transfer;
    if (t->want != AGENT_UNKNOWN && t->have != t->want)
        return fault_set(why, ST_INVALID, "%s: %" PRIu64 " of %" PRIu64 " bytes came", t->path,
                         t->have, t->want);
    if (rename(t->temp, t->path) != 0)
        return fault_errno(why, errno, "rename to %s", t->path);
    free(t->temp);
    t->temp = NULL;
    return ST_OK;
}

/* ---- to the host ---- */

enum status pull_start(struct server *s, struct chan *c, struct str path, struct fault *why)
{
    AUTO(auto_free) char *name = text_of(path);
    struct stat st;
    AUTO(close_fd) int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return fault_errno(why, errno, "open %s", name);
    if (!S_ISREG(st.st_mode)) /* the others may have no end, or block us */
        return fault_set(why, ST_INVALID, "%s is not a regular file", name);
    struct agent_file info = {.mode = st.st_mode & 07777,
                              .uid = st.st_uid,
                              .gid = st.st_gid,
                              .size = (uint64_t)st.st_size};
    server_sent(agent_put_file(&s->out, AGENT_FILE_INFO, c->id, &info, NULL));
    c->transfer = (struct transfer){.fd = fd, .path = name};
    c->kind = CHAN_PULL;
    fd = -1;
    name = NULL;
    return ST_OK;
}

bool pull_ready(const struct server *s, const struct chan *c)
{
    return server_roomy(s) && c->flow.may_send > 0;
}

void pull_step(struct server *s, struct chan *c)
{
    char data[AGENT_DATA_MAX];
    struct transfer *t = &c->transfer;
    if (!pull_ready(s, c))
        return;
    ssize_t n = read(t->fd, data, MIN(sizeof data, (size_t)c->flow.may_send));
    if (n > 0) {
        server_data(s, c, AGENT_FILE_DATA, data, (size_t)n);
        return;
    }
    if (n < 0 && errno == EINTR)
        return;
    if (n < 0) {
        struct fault why;
        (void)fault_errno(&why, errno, "read %s", t->path);
        server_error(s, c->id, &why);
    } else {
        server_sent(agent_put_plain(&s->out, AGENT_FILE_EOF, c->id));
    }
    transfer_done(c);
}

void transfer_done(struct chan *c)
{
    struct transfer *t = &c->transfer;
    if (t->temp)
        (void)unlink(t->temp);
    close_fd(&t->fd);
    free(t->temp);
    free(t->path);
    *c = (struct chan){0};
}
