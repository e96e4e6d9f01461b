/*
 * config: what an operator can set for one node.
 *
 * One table (config_keys.c) has every key with its type, default, limits and meaning; the file, the
 * environment, what `config show` prints and the reference page all follow from it. A value comes from
 * the environment (BLIXARD_LOG_LEVEL for log.level), else from the file, else it is the default.
 *
 *     struct config c;
 *     enum status s = config_read(&c, CONFIG_FILE, text, environ, hostname, &why);
 *
 * The file is strict TOML: a key that is unknown, of a wrong type or out of range is refused with
 * line, column, what was expected and, for a typing error, what was likely meant.
 *
 * Pure: file, environment and host's name are read by the caller.
 */
#pragma once

#include "base/buf.h"
#include "base/ip.h"

#define CONFIG_FILE "/etc/blixard/blixard.toml"

enum {
    CONFIG_PATH_MAX = 256,   /* with the NUL */
    CONFIG_SOCKET_MAX = 108, /* what a unix socket's address holds, with the NUL */
    CONFIG_NAME_MAX = 64,
    CONFIG_ADDRESSES_MAX = 3,
    CONFIG_KEYS_MAX = 64,
    CONFIG_TEXT_MAX = 64 * 1024, /* room that config_show and config_docs never pass */
};

enum config_origin { CONFIG_DEFAULT, CONFIG_DERIVED, CONFIG_FROM_FILE, CONFIG_FROM_ENV };

enum config_log_level { CONFIG_LOG_DEBUG, CONFIG_LOG_INFO, CONFIG_LOG_WARN, CONFIG_LOG_ERROR };
enum config_log_format {
    CONFIG_FORMAT_AUTO,
    CONFIG_FORMAT_LOGFMT,
    CONFIG_FORMAT_JSON,
    CONFIG_FORMAT_JOURNALD,
};
enum config_accel { CONFIG_ACCEL_AUTO, CONFIG_ACCEL_KVM, CONFIG_ACCEL_TCG };
enum config_profile { CONFIG_PROFILE_PRODUCTION, CONFIG_PROFILE_TEST };
enum config_network { CONFIG_NETWORK_AUTO, CONFIG_NETWORK_USER, CONFIG_NETWORK_TAP };

struct config_addresses {
    size_t count;
    struct ip item[CONFIG_ADDRESSES_MAX];
};

/* Texts are NUL-terminated and filled with NULs; "" is "not set". docs/reference/config.md says
 * what each key means. */
struct config {
    char name[CONFIG_NAME_MAX];
    char data_dir[CONFIG_PATH_MAX];
    char run_dir[CONFIG_PATH_MAX];
    char libexec_dir[CONFIG_PATH_MAX];
    char user[CONFIG_NAME_MAX];
    char group[CONFIG_NAME_MAX];
    bool watchdog;
    struct {
        char socket[CONFIG_SOCKET_MAX];
        uint32_t socket_mode;
        uint32_t max_clients;
        struct ip_endpoint listen;
        uint32_t max_clients_per_address;
    } api;
    struct {
        struct ip_endpoint listen, advertise;
    } cluster;
    struct {
        char cache_dir[CONFIG_PATH_MAX];
    } image;
    struct {
        uint64_t segment_size;
        uint32_t snapshot_entries;
        uint32_t trailing_entries;
    } journal;
    struct {
        enum config_log_level level;
        enum config_log_format format;
        uint32_t rate_per_s;
    } log;
    struct {
        bool vm_series;
    } metrics;
    struct {
        enum config_accel accel;
        enum config_profile profile;
        char qemu[CONFIG_PATH_MAX];
        uint32_t uid_base;
        uint32_t uid_count;
        enum config_network network;
        struct ip_net subnet;
        struct config_addresses dns;
        uint64_t start_timeout_ms;
        uint64_t console_log_max_size;
    } vm;
    uint8_t origin[CONFIG_KEYS_MAX]; /* enum config_origin of each key, in the order of the table */
};

/*
 * All steps at once, as the daemon and the command line take them. On failure c is as it was.
 *
 * file       named in faults; text is what it holds, empty if there is none. Both are borrowed.
 * env        as environ(7): "NAME=value" texts, ended by NULL.
 * hostname   the machine's; it names the node when `name` is not set.
 */
MUST_USE enum status config_read(struct config *c, const char *file, struct str text,
                                 char *const *env, struct str hostname, struct fault *why);

/* The steps. Those that may fail leave c unchanged then, and set the fault's field to the key. */
void config_init(struct config *c); /* every key at its default */
MUST_USE enum status config_load(struct config *c, const char *file, struct str text,
                                 struct fault *why);
/* Variables that are no key's are somebody else's, unless they begin as a section does: BLIXARD_LOG_... */
MUST_USE enum status config_env(struct config *c, char *const *env, struct fault *why);
/* Give a value to what is not set but follows: name, api.socket, image.cache_dir. */
void config_derive(struct config *c, struct str hostname);
/* What no key can tell alone: names that are still missing, limits that contradict each other. */
MUST_USE enum status config_check(const struct config *c, struct fault *why);

/* The values in effect as TOML, each with its origin in a comment. Loaded again they give the same. */
void config_show(const struct config *c, struct buf *out);
/* The reference page, docs/reference/config.md. */
void config_docs(struct buf *out);

/*
 * Take from `fresh` the keys that may change while the node runs. Names of others that differ, and
 * so need a restart, are appended to ret_restart with commas between.
 */
void config_adopt(struct config *c, const struct config *fresh, struct buf *ret_restart);
