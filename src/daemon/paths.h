/*
 * paths: where things are. Those of the data directory are relative to it, which is the daemon's
 * working directory: so they work whoever may look into the directories above.
 */
#pragma once

#include "base/config.h"

#define PATH_LOCK    "lock"
#define PATH_KEY     "node.key"
#define PATH_API_PEM "api.pem" /* key and certificate */
#define PATH_API_CRT "api.crt" /* the certificate alone, for clients that want a file */
#define PATH_BOOT_ID "host-boot-id"
#define PATH_PROBE   "probe"
#define PATH_JOURNAL "journal"
#define PATH_IMAGES  "images"
#define PATH_VMS     "vms"

struct paths {
    char helper[CONFIG_PATH_MAX + 32];
    char shim[CONFIG_PATH_MAX + 32];
    char guest[CONFIG_PATH_MAX + 32];
    char busybox[64]; /* "" when there is none */
    char mark[CONFIG_PATH_MAX + 32];
};

/* ST_NOT_FOUND when one of blixard-helper, blixard-shim and blixard-guest is nowhere; the hint says where it was looked for. */
MUST_USE enum status paths_find(const struct config *c, const char *program, struct paths *ret,
                                struct fault *why);
