/*
 * node_config: the configuration of the node on this machine, as its daemon would read it.
 */
#pragma once

#include "base/config.h"

enum { NODE_CONFIG_MAX = 1 << 20 };

/*
 * file     NULL: CONFIG_FILE, which need not be there.
 *
 * Returns  as config_read() and file_read().
 */
MUST_USE enum status node_config_read(const char *file, struct config *ret, struct fault *why);
