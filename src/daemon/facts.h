/*
 * facts: what this node says of itself.
 */
#pragma once

#include "pb/node.pb-c.h"
#include "port/host.h"
#include "vmm/probe.h"

enum { FEATURE_LEVEL = 1 };

/* The caller's, to proto_free(). data_dir: whose file system is measured. */
MUST_USE Pb__NodeFacts *facts_new(const char *data_dir, const struct probe *probe,
                                  const struct host_facts *host, const char *key_hex);
