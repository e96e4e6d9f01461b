/*
 * doctor: does this machine have what a node needs?
 *
 * A table of probes. They only look: nothing is made or changed.
 */
#pragma once

#include <jansson.h>

#include "base/config.h"

enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_NOTE,     /* it works, but with less than it could */
    DOCTOR_UNTESTED, /* it exists, and nothing here can show that it works */
    DOCTOR_MISSING,  /* a node needs it */
};

/* What the probes know beforehand. All of it is borrowed. */
struct doctor {
    const char *root;            /* before all paths of the system: "" but in tests */
    const char *path;            /* where programs are looked for, as $PATH */
    const char *program_dir;     /* of this program, or "" */
    unsigned uid;                /* who we are */
    const struct config *config; /* NULL: it cannot be read */
    const char *config_text;     /* where it is from, or why it cannot be read */
    const char *socket;
    const json_t *version;    /* of the node that answers; NULL: none does */
    const char *version_text; /* why none does */
    bool ready;
    const char *ready_text; /* what is lacking */
    const json_t *node;     /* its object, or NULL */
};

enum { DOCTOR_TEXT_MAX = 600, DOCTOR_PROBES_MAX = 32 };

struct doctor_finding {
    const char *name;
    enum doctor_verdict verdict;
    char text[DOCTOR_TEXT_MAX];
    char hint[DOCTOR_TEXT_MAX]; /* or "" */
};

/* Run all probes; returns how many findings there are. */
size_t doctor_look(const struct doctor *d, struct doctor_finding out[DOCTOR_PROBES_MAX]);

const char *doctor_word(enum doctor_verdict v); /* "ok" */
