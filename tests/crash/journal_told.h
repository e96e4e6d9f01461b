/*
 * journal_told: what crash/journal_victim.c tells.
 */
#pragma once

#include "journal/journal.h"
#include "support/log_work.h"

enum journal_told {
    TOLD_LOADED, /* struct told_loaded: the log is open */
    TOLD_STEP,   /* struct step: will be asked for */
    TOLD_ACK,    /* size_t: so many steps since TOLD_LOADED are durable */
};

struct told_loaded {
    struct loaded log;
    struct journal_report report;
    uint64_t base_index; /* compaction got so far */
    uint64_t segment_count;
};
