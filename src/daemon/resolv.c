#include "daemon/resolv.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/ip.h"
#include "os/file.h"

enum { RESOLV_MAX = 64 * 1024 };

void resolv_parse(struct str text, uint32_t *out, size_t max, size_t *ret_count)
{
    struct str line;
    *ret_count = 0;
    for (bool more = true; more && *ret_count < max;) {
        more = str_cut(&text, '\n', &line);
        struct ip ip;
        if (!str_starts(line, "nameserver"))
            continue;
        struct str server = {line.ptr + strlen("nameserver"), line.len - strlen("nameserver")};
        if (ip_parse(str_trim(server), &ip) && ip.family == 4 && ip.byte[0] != 127)
            out[(*ret_count)++] = ip_v4(&ip);
    }
}

void resolv_servers(uint32_t *out, size_t max, size_t *ret_count)
{
    /* systemd-resolved puts itself, on loopback, into the usual file, and the real ones into its own. */
    static const char *const files[] = {"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"};
    *ret_count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(files) && *ret_count == 0; i++) {
        AUTO(buf_done) struct buf text;
        AUTO(auto_free) char *path = realpath(files[i], NULL); /* it may be a link */
        buf_init(&text, RESOLV_MAX);
        if (path && file_read(AT_FDCWD, path, &text, NULL) == ST_OK)
            resolv_parse(buf_view(&text), out, max, ret_count);
    }
}
