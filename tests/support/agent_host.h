/*
 * agent_host: the host's side of the agent protocol, for tests. Blocking, with a deadline for each wait;
 * what goes wrong fails the test.
 */
#pragma once

#include "wire/agent.h"

struct agent_host {
    int fd; /* taken */
    struct agent_decoder in;
    struct buf out;
    uint32_t channel; /* the last one given out */
    int wait_ms;      /* for one frame */
    uint8_t nonce[AGENT_NONCE];
    uint8_t boot_id[16]; /* as HELLO told it */
    char trouble[AGENT_TEXT_MAX + 1];
};

void agent_host_open(struct agent_host *h, int fd, int wait_ms);
void agent_host_close(struct agent_host *h);

/* A new session on the same stream. */
void agent_host_hello(struct agent_host *h);
/* Write what is in h->out. */
void agent_host_flush(struct agent_host *h);
/* The next frame. Its payload lives until the next call. */
struct agent_frame agent_host_next(struct agent_host *h);
/* The next frame, which must be of this type and channel. */
struct agent_frame agent_host_want(struct agent_host *h, enum agent_type type, uint32_t channel);
/* The round trip of a PING. */
void agent_host_ping(struct agent_host *h);

struct agent_output {
    struct buf out, err;
    struct agent_exit exit;
    bool failed; /* ERROR instead of EXIT */
    struct fault why;
};
void agent_output_done(struct agent_output *o);
/* Run `sh -c line` to its end, with this input. */
void agent_host_sh(struct agent_host *h, const char *line, struct str input,
                   struct agent_output *ret);
/* Collect the output of a channel to its end. */
void agent_host_collect(struct agent_host *h, uint32_t channel, struct agent_output *ret);

/* Write and read a whole file. The status is the guest's. */
enum status agent_host_push(struct agent_host *h, const char *path, uint32_t mode,
                            struct str content, struct fault *why);
enum status agent_host_pull(struct agent_host *h, const char *path, struct buf *out,
                            struct agent_file *info, struct fault *why);
/* Wait for DONE or ERROR on the channel. */
enum status agent_host_done(struct agent_host *h, uint32_t channel, struct fault *why);
