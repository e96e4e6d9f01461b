/*
 * facts: what this node says of itself.
 */
#pragma once

#include "daemon/addresses.h"
#include "pb/node.pb-c.h"
#include "port/host.h"
#include "vmm/probe.h"

enum { FEATURE_LEVEL = 1 };

/* The caller's, to proto_free(). data_dir: whose file system is measured.
 * api_listen of port 0: the API is not on the network. */
MUST_USE Pb__NodeFacts *facts_new(const char *data_dir, const struct probe *probe,
                                  const struct host_facts *host, const char *key_hex,
                                  const struct ip_endpoint *api_listen,
                                  const char *api_fingerprint);
/* Where other nodes reach it. */
void facts_add_addresses(Pb__NodeFacts *f, const struct ip_endpoint *at, size_t count);
