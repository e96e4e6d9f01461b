/*
 * daemon: the node wired up. The only place that names real adapters.
 *
 *     loop - log - helper - journal - image store - monitors - node - operations - HTTP
 *
 * They are opened in this order, which is that of who stands on whom, and closed in reverse. VMs are
 * not touched by closing: they go on, and the next daemon adopts them.
 */
#pragma once

#include "base/config.h"
#include "crypto/ticket.h"
#include "daemon/identity.h"
#include "telemetry/log.h"

struct daemon;

/* Read the configuration again, as at the start. */
typedef enum status daemon_reread(void *ctx, struct config *ret, struct fault *why);

/*
 * Open everything, in the working directory, which must be the data directory.
 *
 * config   kept and, at a reload (SIGHUP), changed.
 * reread   called then; it and its context are kept.
 * program  path of this program, to run it again for helper processes.
 * ticket   to join a cluster by, before anything else; NULL: the node is what it was.
 */
MUST_USE enum status daemon_open(struct config *config, daemon_reread *reread, void *reread_ctx,
                                 const struct identity *who, const char *program,
                                 const struct ticket *ticket, struct logger *log,
                                 struct daemon **ret, struct fault *why);
void daemon_close(struct daemon *d); /* NULL is fine */

/* Serve until SIGTERM or SIGINT (ST_OK), or until the node cannot go on. */
MUST_USE enum status daemon_run(struct daemon *d, struct fault *why);
