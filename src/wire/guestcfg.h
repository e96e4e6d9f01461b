/*
 * guestcfg: what a guest is told when it boots (by fw_cfg, opt/blixard/cfg) and what of it changes later
 * (agent message IDENTITY). Shared by host and guest; pure.
 *
 *     blixard=1
 *     hostname=web-1
 *     address=10.1.0.7/32
 *     gateway=169.254.1.1
 *     dns=10.1.0.1
 *     root=vda ext4 rw
 *     volume=data ext4 rw /mnt/data
 *
 *     #!/bin/sh
 *     what follows the first empty line is the user data, byte for byte
 *
 * Keys may come in any order after the first line; only dns and volume may repeat. Keys that are not
 * known are skipped, so that an older guest boots under a newer host; a known key with a bad value is
 * refused.
 */
#pragma once

#include "base/buf.h"

enum {
    GUESTCFG_USER_DATA_MAX = 16384,
    GUESTCFG_TEXT_MAX = 8192 + GUESTCFG_USER_DATA_MAX,
    GUESTCFG_VOLUMES_MAX = 8,
    GUESTCFG_DNS_MAX = 3,
    GUESTCFG_SEED = 32,
    GUESTCFG_PATH_MAX = 255,
};

/* A disk and where it goes. */
struct guestcfg_disk {
    char device[33]; /* its name in /dev ("vda"), or its serial number; "": no disk */
    char fs[17];     /* type of its file system, or "none": not mounted, only linked */
    bool read_only;
    char path[GUESTCFG_PATH_MAX + 1]; /* where it is mounted; "/" for the root */
};

/* An empty text, a zero and a false flag mean: not given. Addresses are IPv4 in host order. */
struct guestcfg {
    char hostname[65];
    char machine_id[33]; /* 32 hex digits */
    char mac[18];        /* 02:00:00:00:00:01 */
    uint32_t address;
    uint8_t prefix;   /* 0 to 32 */
    uint32_t gateway; /* may lie outside of address/prefix: then it is on the link */
    uint32_t dns[GUESTCFG_DNS_MAX];
    size_t dns_count;
    uint64_t time_ns; /* wall clock, since 1970 */
    bool has_seed;
    uint8_t seed[GUESTCFG_SEED];
    struct guestcfg_disk root; /* device "": the initramfs stays the root */
    struct guestcfg_disk volume[GUESTCFG_VOLUMES_MAX];
    size_t volume_count;
    struct str user_data; /* a script, run once; borrowed from the text, or kept by who encodes */
};

/* Append the text to out. ST_INVALID names the field that breaks a rule; ST_TOO_BIG: it does not fit. */
MUST_USE enum status guestcfg_encode(const struct guestcfg *c, struct buf *out, struct fault *why);

/* Read a text of at most GUESTCFG_TEXT_MAX bytes. ret is set on success only; its user_data points
 * into text. ST_INVALID names key and line. */
MUST_USE enum status guestcfg_decode(struct str text, struct guestcfg *ret, struct fault *why);

enum { GUESTCFG_IPV4_TEXT = 16 };
void guestcfg_ipv4_text(uint32_t address, char out[GUESTCFG_IPV4_TEXT]);
MUST_USE enum status guestcfg_ipv4_parse(struct str text, uint32_t *ret_address, struct fault *why);
