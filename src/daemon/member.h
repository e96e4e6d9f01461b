/*
 * member: which node of which cluster this is, and where the others were known to be last, in a file of the data
 * directory. Who began its cluster is number 1, and has none at first.
 */
#pragma once

#include "base/fault.h"
#include "pb/join.pb-c.h"

#define PATH_MEMBER "member.json"

/* ret: the caller's, to proto_free(); NULL if there is no file. ST_CORRUPT when it says nothing that can be. */
MUST_USE enum status member_read(Pb__Membership **ret, struct fault *why);
MUST_USE enum status member_write(const Pb__Membership *m, struct fault *why);
