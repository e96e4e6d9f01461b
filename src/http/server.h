/*
 * server: what the files of http/ share.
 *
 * libmicrohttpd 0.9.75 has ways of its own; where they matter a comment begins with "MHD:".
 */
#pragma once

#include <microhttpd.h>

#include "base/list.h"
#include "http/guard.h"
#include "http/http.h"
#include "http/peer.h"
#include "http/tls.h"
#include "ops/event_ops.h"

struct http {
    struct loop *loop;
    struct ops *ops;
    struct http_config config;
    struct MHD_Daemon *mhd;
    int listen_fd;
    struct loop_source *listen; /* accepts */
    struct loop_source *io;     /* the daemon's own epoll descriptor */
    struct loop_source *run;    /* deferred: let the daemon run */
    struct loop_source *timer;  /* the earliest deadline of a connection */
    struct loop_source *beat;   /* heartbeats, while there are feeds */
    uint64_t timer_ms;          /* when timer comes; UINT64_MAX: it is off */
    struct list conns;          /* struct http_conn */
    struct list feeds;          /* struct feed */
    struct list sockets;        /* struct socket */
    struct node_watch watch;
    struct http_view view;
    struct peer_names names;
    struct tls_server tls; /* on the network, and so are the three after it */
    struct list links;     /* struct http_link */
    size_t link_count;
    struct guard *guard;
    bool accepting;
    bool closing;
};

/* One client on the network. Its connection comes after its handshake and goes before it. */
struct http_link {
    struct list item;
    struct http *h;
    struct tls *tls;
    struct ip from;
    struct sockaddr_storage address; /* the same */
};

/* One connection. */
struct http_conn {
    struct list item;
    struct http *h;
    struct MHD_Connection *mhd;
    int fd;                  /* MHD's */
    struct peer peer;        /* on a unix socket */
    struct ip from;          /* on the network */
    uint64_t deadline_ms;    /* it is shut down then; UINT64_MAX: never */
    struct request *request; /* under way, or NULL */
};

void http_deadline(struct http_conn *c, uint64_t ms); /* from now; UINT64_MAX: never */
void http_kick(struct http *h);                       /* let the daemon run soon */
uint64_t http_now_ms(const struct http *h);

enum request_phase {
    REQUEST_NEW,     /* its headers were not looked at yet */
    REQUEST_OPENING, /* an upload sleeps until its target is open */
    REQUEST_BODY,    /* its body comes */
    REQUEST_CALLED,  /* it waits for its answer */
    REQUEST_QUEUED,  /* MHD has the answer */
};

/* Ways to answer that take longer than one answer; each has a file. */
struct stream; /* stream.c: bytes from and to a VM */
struct feed;   /* feed.c: events */
struct socket; /* socket.c: WebSockets */

/* One request. */
struct request {
    struct http_conn *conn;
    char *uri; /* as it came */
    struct str path, query, name;
    const struct op *op;
    struct op_bearer who; /* on a unix socket its uid is "" */
    bool head;
    enum request_phase phase;
    struct buf body;
    bool opened; /* the target of an upload is */
    bool asleep; /* suspended */
    bool gone;   /* the client hung up meanwhile */
    struct loop_source *hangup;
    uint64_t start_ns;

    unsigned status; /* of the answer; 0: there is none yet */
    struct MHD_Response *answer;
    bool endless;     /* the answer is a stream: it may take its time */
    struct fault why; /* if why.status is not ST_OK */

    struct stream *stream;
    struct feed *feed;
    struct socket *socket;
};

/* Suspend the connection until request_wake(). The handler or reader that MHD has called then returns
 * at once; it is called again after. */
void request_sleep(struct request *q);
void request_wake(struct request *q); /* does nothing if it is awake */

/* The answer, to be queued when MHD calls for it. */
void request_answer(struct request *q, struct op_answer *a); /* takes the body */
void request_refuse(struct request *q, unsigned http, const struct fault *why);
void request_response(struct request *q, unsigned http, struct MHD_Response *r); /* r is taken */

/* An answer whose bytes `read` gives as they come; it may sleep. HTTP/1.1 clients get it in chunks. */
void request_stream(struct request *q, const char *type, uint64_t index,
                    MHD_ContentReaderCallback read, void *ctx);

/* Who asks? ST_OK; or the answer is there. auth.c. */
MUST_USE bool auth_request(struct request *q);
/* Say in the answer what credential it lacks. */
void auth_add_header(const struct request *q, unsigned http, struct MHD_Response *r);
/* Close what tokens have opened that are gone: now, or if an applied command took one. */
void auth_check(struct http *h);
void auth_applied(struct http *h, const struct apply_result *r);
/* How long what the request has opened may stay; UINT64_MAX: for ever. */
uint64_t auth_left_ms(const struct request *q);

/* A request header, or the empty view. */
struct str request_header(const struct request *q, const char *name);
bool request_has_token(const struct request *q, const char *header, const char *token);
/* Everything that ops wants to know. */
struct op_call request_call(const struct request *q);

/* --- callbacks of the daemon, with h as their context --- */

void *request_begin(void *h, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result request_handle(void *h, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *len, void **slot);
void request_end(void *h, struct MHD_Connection *mhd, void **slot,
                 enum MHD_RequestTerminationCode code);

/* --- streams of a VM: vm.logs, vm.pull, vm.push --- */

/* Open it, and but for an upload find an answer, at once or later. */
void stream_open(struct request *q, uint64_t upload_size);
/* Some of an upload; returns how many bytes were taken. When fewer, the request sleeps. */
size_t stream_push(struct request *q, struct str bytes);
void stream_push_end(struct request *q); /* all was pushed: an answer comes */
void stream_free(struct stream *s);

/* --- events --- */

void feed_open(struct request *q);
void feed_free(struct feed *f);
void feed_applied(struct http *h); /* the state has new events */
void feed_beat(struct http *h);

/* --- consoles and processes --- */

void socket_open(struct request *q);
void socket_free(struct socket *s);
void socket_end_all(struct http *h); /* close what was upgraded, now */
