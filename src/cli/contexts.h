/*
 * contexts: the nodes elsewhere that a user knows, in a file of theirs.
 *
 *     {"current": "prod", "contexts": [{"name": "prod", "server": "https://n1.example:7003",
 *      "fingerprint": "sha256:...", "token": "blx_svc_..."}]}
 *
 * The file holds tokens: it has mode 0600, and one that others may read is refused.
 */
#pragma once

#include "base/buf.h"
#include "cli/link.h"

enum {
    CONTEXTS_MAX = 64,
    CONTEXT_NAME_MAX = 64,
    CONTEXTS_TEXT_MAX = 64 << 10,
};

/* Stands for the unix socket of this machine; no context has this name. */
#define CONTEXT_LOCAL "local"

struct context {
    char name[CONTEXT_NAME_MAX];
    struct place place;
};

struct contexts {
    char current[CONTEXT_NAME_MAX]; /* or "": the unix socket */
    size_t count;
    struct context at[CONTEXTS_MAX];
};

/* One of what a user or the file says. ST_INVALID tells what is wrong; the token is not quoted. */
MUST_USE enum status context_make(struct str name, struct str server, struct str fingerprint,
                                  struct str token, struct context *ret, struct fault *why);

/* Of the file's text. ST_INVALID tells what is wrong; texts of tokens are not quoted. */
MUST_USE enum status contexts_parse(struct str text, struct contexts *ret, struct fault *why);
/* And back. */
void contexts_write(const struct contexts *c, struct buf *out);

/* "https://HOST" or "https://HOST:PORT", with brackets around an IPv6 address. */
MUST_USE enum status context_parse_server(struct str text, struct place *ret, struct fault *why);
void context_server(const struct place *p, struct buf *out);

/* NULL when there is none. */
struct context *contexts_find(struct contexts *c, const char *name);
/* The same, or ST_NOT_FOUND with what was likely meant. */
MUST_USE enum status contexts_get(struct contexts *c, const char *name, struct context **ret,
                                  struct fault *why);

/* $XDG_CONFIG_HOME/blixard/contexts.json, or below ~/.config. One that is absent holds none. */
MUST_USE enum status contexts_load(struct contexts *ret, struct fault *why);
/* Replaced as a whole. */
MUST_USE enum status contexts_save(const struct contexts *c, struct fault *why);
