/*
 * record: the bytes of the journal's files (docs/explanation/journal.md is the reference).
 *
 * Pure: encodes and decodes, reads no file. Numbers are little-endian.
 */
#pragma once

#include "base/buf.h"
#include "port/log.h"

enum {
    RECORD_HEAD_SIZE = 48,
    RECORD_ALIGN = 8,
    RECORD_START_SIZE = 40, /* payload of RECORD_START */
    JOURNAL_ID_SIZE = 16,
    JOURNAL_FORMAT = 1,
};

/* Which log it is: drawn at random when the directory is made. No record of another log, nor bytes
 * that a user put into an entry, pass for one of ours. */
struct journal_id {
    uint8_t bytes[JOURNAL_ID_SIZE];
};

enum record_kind {
    RECORD_START = 1,   /* first of each segment, whose number is its index: how the log stood */
    RECORD_ENTRY = 2,   /* index, term; arg is the entry's type */
    RECORD_HARD = 3,    /* term; arg is the vote */
    RECORD_RESTART = 4, /* all entries before it are void; the log goes on after (index, term) */
    RECORD_KIND_COUNT,
};

struct record {
    uint32_t crc; /* of the head, which holds data_crc; `prev` of the record after it */
    uint32_t data_crc;
    uint32_t len; /* of the payload, without padding */
    uint32_t kind;
    uint32_t offset;  /* of this record in its segment */
    uint32_t durable; /* the bytes of the segment before this were synced when it was written */
    uint32_t prev;    /* crc of the record before it; 0 for the first record of all */
    uint32_t arg;
    uint64_t index;
    uint64_t term;
};

/* Payload of RECORD_START: the last entry and the hard state when the segment was begun. */
struct record_start {
    uint64_t last_index;
    uint64_t last_term;
    struct log_hard hard;
};

/* What the checksums of segment `seq` start from. */
uint32_t record_seed(const struct journal_id *id, uint64_t seq);

uint64_t record_align(uint64_t size); /* up to a multiple of RECORD_ALIGN */
/* How many bytes a record with a payload of len takes. */
uint64_t record_size(uint64_t len);

/* Append r with its payload. len, data_crc and crc of r are set. */
void record_encode(struct buf *b, uint32_t seed, struct record *r, const void *data, size_t len);

/* Is this the head of a record that was written at `offset` of the segment? head has
 * RECORD_HEAD_SIZE bytes. Cheap where there is none. */
bool record_decode(const void *head, uint32_t seed, uint64_t offset, struct record *out);

/* Are these its payload and padding? data has record_size(r->len) - RECORD_HEAD_SIZE bytes. */
bool record_data_good(const struct record *r, uint32_t seed, const void *data);

void record_start_encode(const struct record_start *s, uint8_t out[RECORD_START_SIZE]);
MUST_USE enum status record_start_decode(struct str data, struct record_start *out,
                                         struct fault *why);

/* --- the format file: what the directory is --- */

void record_format_encode(struct buf *b, const struct journal_id *id);
/*
 * Returns  ST_CORRUPT       it is damaged.
 *          ST_UNSUPPORTED   a newer program wrote this directory.
 */
MUST_USE enum status record_format_decode(struct str text, struct journal_id *out,
                                          struct fault *why);

/* --- snapshot files --- */

enum { CHUNK_HEAD_SIZE = 24 };

enum chunk_kind { CHUNK_DATA = 1, CHUNK_END = 2 };

struct chunk {
    uint32_t crc;
    uint32_t len;
    uint32_t kind;
    uint32_t number; /* from 0; of CHUNK_END: how many chunks there are */
    uint64_t before; /* bytes of data in the chunks before it */
};

uint32_t chunk_seed(const struct journal_id *id, uint64_t index, uint64_t term);
/* Append c with its data, padded. len and crc of c are set. */
void chunk_encode(struct buf *b, uint32_t seed, struct chunk *c, struct str data);
/* Lengths only; chunk_good() tells whether all of it is true. */
void chunk_decode(const void *head, struct chunk *out);
/* bytes hold head, data and padding: record_align(CHUNK_HEAD_SIZE + c->len). */
bool chunk_good(const struct chunk *c, uint32_t seed, const void *bytes);
