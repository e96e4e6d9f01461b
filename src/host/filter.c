#include "host/filter.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/child.h"
#include "os/file.h"

enum { NAME_MAX_LEN = 32, NFT_TIMEOUT_MS = 10000, PRIORITY_RAW = -300 };

/* {"add": {kind: object}}; the reference to object is taken. */
static void command(json_t *list, const char *verb, const char *kind, json_t *object)
{
    json_t *c = json_pack("{s:{s:o}}", verb, kind, object);
    ensure(c && json_array_append_new(list, c) == 0);
}

static json_t *table(const char *name)
{
    return json_pack("{s:s, s:s}", "family", "inet", "name", name);
}

/* A rule that drops what meets `match` on the taps. The reference is taken. */
static void drop(json_t *list, const char *name, const char *taps, json_t *match)
{
    json_t *expr =
        json_pack("[{s:{s:s, s:{s:{s:s}}, s:s}}, o, {s:n}, {s:n}]", "match", "op", "==", "left",
                  "meta", "key", "iifname", "right", taps, match, "counter", "drop");
    command(list, "add", "rule",
            json_pack("{s:s, s:s, s:s, s:o}", "family", "inet", "table", name, "chain", "guard",
                      "expr", expr));
}

/* Remove the table if it is there: add it, which is fine if it is, then delete it. */
static void forget(json_t *list, const char *name)
{
    command(list, "add", "table", table(name));
    command(list, "delete", "table", table(name));
}

static void rules(json_t *list, const char *name, const char *taps)
{
    command(list, "add", "table", table(name));
    command(list, "add", "chain",
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "family", "inet", "table", name,
                      "name", "guard", "type", "filter", "hook", "prerouting", "prio", PRIORITY_RAW,
                      "policy", "accept"));
    drop(list, name, taps,
         json_pack("{s:{s:s, s:{s:{s:s}}, s:s}}", "match", "op", "==", "left", "meta", "key",
                   "nfproto", "right", "ipv6"));
    drop(list, name, taps,
         json_pack("{s:{s:s, s:{s:{s:s, s:[s,s]}}, s:b}}", "match", "op", "==", "left", "fib",
                   "result", "oif", "flags", "saddr", "iif", "right", 0));
}

/* nft reads the whole of its standard input before it does anything. */
static enum status run(const char *nft, const char *text, struct fault *why)
{
    AUTO(close_fd) int fd = memfd_create("nft", MFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "make a memory file");
    if (!file_write_at(fd, 0, text, strlen(text)))
        return fault_errno(why, errno, "write a memory file");
    const char *const argv[] = {nft, "-j", "-f", "-", NULL};
    struct child_run r = {.argv = argv, .timeout_ms = NFT_TIMEOUT_MS, .stdin_fd = fd};
    return child_run(&r, NULL, why);
}

static enum status apply(const char *nft, json_t *list, struct fault *why)
{
    json_t *all = json_pack("{s:o}", "nftables", list);
    ensure(all != NULL);
    char *text = json_dumps(all, JSON_COMPACT);
    ensure(text != NULL);
    enum status s = run(nft, text, why);
    free(text);
    json_decref(all);
    return s;
}

enum status filter_install(const char *nft, const char *tag, struct fault *why)
{
    char name[NAME_MAX_LEN], taps[NAME_MAX_LEN];
    (void)snprintf(name, sizeof name, "blixard_%s", tag);
    (void)snprintf(taps, sizeof taps, "bx%s-*", tag);
    json_t *list = json_array();
    forget(list, name);
    rules(list, name, taps);
    return apply(nft, list, why);
}

enum status filter_remove(const char *nft, const char *tag, struct fault *why)
{
    char name[NAME_MAX_LEN];
    (void)snprintf(name, sizeof name, "blixard_%s", tag);
    json_t *list = json_array();
    forget(list, name);
    return apply(nft, list, why);
}
