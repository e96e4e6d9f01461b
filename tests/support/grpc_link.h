/*
 * grpc_link: a connection over which one method of a gRPC server is called, many times at once. HTTP/2 without
 * TLS (RFC 9113), as much of it as that needs, and cheap: what calls a server to measure it must not be
 * what is measured.
 *
 * The head of every request after the first is a handful of bytes, as with other clients: its fields stand in the
 * table that both ends keep (RFC 7541). What the server's heads say is not read: an answer counts as one
 * if it brought a message, which a call that failed does not.
 */
#pragma once

#include "base/str.h"

struct grpc_link;

/* Connect to that port of 127.0.0.1, for calls of `path`, such as "/etcdserverpb.KV/Put".
 * ST_UNAVAILABLE if nobody listens, ST_IO. */
MUST_USE enum status grpc_open(uint16_t port, const char *path, struct grpc_link **ret,
                               struct fault *why);
void grpc_close(struct grpc_link *l); /* NULL is fine */

int grpc_fd(const struct grpc_link *l);      /* to poll(2) */
bool grpc_unsent(const struct grpc_link *l); /* poll it for POLLOUT too */

/* Call, with that message; sent by the next grpc_turn(). false: not now, the server is to answer first. */
bool grpc_ask(struct grpc_link *l, struct str message);

/* Send what waits and take in what has come, without waiting for either. *ret_answered: calls that were
 * answered. ST_IO: the server broke off, refused a call, or spoke otherwise than it should. */
MUST_USE enum status grpc_turn(struct grpc_link *l, size_t *ret_answered, struct fault *why);

/* The message of the last answer; borrowed until the next turn. */
struct str grpc_answer(const struct grpc_link *l);
