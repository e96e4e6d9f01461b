/*
 * problem: a fault as the body of an answer (RFC 9457, application/problem+json).
 *
 *     {"type":"urn:blixard:problem:not_found","title":"Not found","status":404,
 *      "code":"not_found","detail":"there is no vm web-2","hint":"did you mean web-1?"}
 */
#pragma once

#include "base/buf.h"

#define PROBLEM_TYPE "application/problem+json"

/* A status in words: "Not found". */
const char *problem_title(enum status s);

/* http      the status of the answer, mostly status_http(why->status).
 * trace_id  or "". */
void problem_json(const struct fault *why, unsigned http, const char *trace_id, struct buf *out);
