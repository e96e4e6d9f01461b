#include "sim/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEMS_MAX = 300000,    /* of a kind */
    COMMIT_STEP_US = 2000, /* commits closer than that are one */
    LANE = 40,
    BAR = 26,
    LEFT = 80,
    RIGHT = 40,
    TOP = 70,
    BOTTOM = 70, /* pixels */
    PX_PER_S = 60,
    WIDTH_MIN = 1200,
    WIDTH_MAX = 16000,
    LABEL_MIN = 24, /* a bar this wide has room for its term */
};

/* A member was so for a time. */
struct bar {
    uint32_t number;
    uint64_t from_us, to_us;
    struct timeline_state s;
};

enum mark_kind { CRASHED, INSTALLED };
struct mark {
    enum mark_kind kind;
    uint32_t number;
    uint64_t at_us, index;
};

struct commit {
    uint64_t at_us, index;
};
struct band {
    uint64_t from_us, to_us; /* to_us 0: it is not over */
    uint64_t cut[TIMELINE_MEMBERS_MAX];
};

struct line {
    uint64_t sent_us, at_us;
    struct raft_message m; /* its entries are gone */
    bool lost;
};

/* Of one kind, in the order in which they came. */
struct items {
    void *at;
    size_t count, room;
};

struct timeline {
    uint64_t began_us, calm_us;
    uint64_t full_us; /* from here on something is left out; 0: nothing is */
    uint32_t number_last;
    struct bar open[TIMELINE_MEMBERS_MAX];      /* of each member; number 0: none yet */
    struct items commits[TIMELINE_MEMBERS_MAX]; /* struct commit */
    struct items bars, marks, bands, lines;
    uint64_t messages;
};

struct timeline *timeline_new(uint64_t now_us)
{
    struct timeline *t = NEW(struct timeline);
    t->began_us = now_us;
    return t;
}

void timeline_free(struct timeline *t)
{
    for (size_t i = 0; i < TIMELINE_MEMBERS_MAX; i++)
        free(t->commits[i].at);
    free(t->bars.at);
    free(t->marks.at);
    free(t->bands.at);
    free(t->lines.at);
    free(t);
}

/* --- what is kept --- */

/* Keep a copy, unless there is too much. */
static void keep(struct timeline *t, uint64_t now_us, struct items *all, const void *item,
                 size_t size)
{
    if (all->count == ITEMS_MAX) {
        t->full_us = t->full_us ? t->full_us : now_us;
        return;
    }
    if (all->count == all->room) {
        all->room = MIN(MAX(2 * all->room, (size_t)64), (size_t)ITEMS_MAX);
        all->at = mem_grow(all->at, all->room, size);
    }
    memcpy((char *)all->at + all->count++ * size, item, size);
}

static void keep_commit(struct timeline *t, uint64_t now_us, uint32_t number, uint64_t index)
{
    struct items *all = &t->commits[number];
    struct commit *last = all->count ? (struct commit *)all->at + all->count - 1 : NULL;
    if (last && last->index == index)
        return;
    if (last && now_us - last->at_us < COMMIT_STEP_US)
        last->index = index;
    else
        keep(t, now_us, all, &(struct commit){now_us, index}, sizeof *last);
}

static void keep_mark(struct timeline *t, struct mark m)
{
    keep(t, m.at_us, &t->marks, &m, sizeof m);
}

/* Would it look the same? */
static bool alike(const struct timeline_state *a, const struct timeline_state *b)
{
    if (!a->up && !b->up)
        return true;
    return a->up == b->up && a->paused == b->paused && a->installing == b->installing &&
           a->role == b->role && a->term == b->term;
}

void timeline_member(struct timeline *t, uint64_t now_us, uint32_t number,
                     const struct timeline_state *s)
{
    require(number > 0 && number < TIMELINE_MEMBERS_MAX);
    struct bar *open = &t->open[number];
    const struct timeline_state before = open->s;
    t->number_last = MAX(t->number_last, number);
    if (s->up)
        keep_commit(t, now_us, number, s->commit);
    if (open->number && alike(&before, s)) {
        open->s = *s;
        return;
    }
    open->to_us = now_us;
    if (open->number && open->from_us < now_us)
        keep(t, now_us, &t->bars, open, sizeof *open);
    if (before.up && !s->up)
        keep_mark(t, (struct mark){CRASHED, number, now_us, 0});
    if (before.up && s->up && before.installing && !s->installing)
        keep_mark(t, (struct mark){INSTALLED, number, now_us, s->snapshot});
    *open = (struct bar){.number = number, .from_us = now_us, .s = *s};
}

void timeline_cuts(struct timeline *t, uint64_t now_us,
                   const uint64_t cut[static TIMELINE_MEMBERS_MAX])
{
    struct band none = {0};
    struct band *last = t->bands.count ? (struct band *)t->bands.at + t->bands.count - 1 : &none;
    bool open = last->to_us == 0;
    if (memcmp(open ? last->cut : none.cut, cut, sizeof none.cut) == 0)
        return;
    if (open)
        last->to_us = now_us;
    if (memcmp(none.cut, cut, sizeof none.cut) == 0)
        return;
    struct band b = {.from_us = now_us};
    memcpy(b.cut, cut, sizeof b.cut);
    keep(t, now_us, &t->bands, &b, sizeof b);
}

void timeline_message(struct timeline *t, uint64_t sent_us, uint64_t now_us,
                      const struct raft_message *m, bool lost)
{
    require(m->from < TIMELINE_MEMBERS_MAX && m->to < TIMELINE_MEMBERS_MAX);
    if (t->messages++ >= TIMELINE_MESSAGES_MAX)
        return;
    struct line l = {sent_us, now_us, *m, lost};
    l.m.entries = NULL;
    keep(t, now_us, &t->lines, &l, sizeof l);
}

void timeline_calm(struct timeline *t, uint64_t now_us)
{
    if (!t->calm_us)
        t->calm_us = now_us;
}

/* --- the picture --- */

struct picture {
    const struct timeline *t;
    struct buf *out;
    uint64_t end_us;
    uint64_t width, height; /* pixels; of the width, the part that is time */
    uint64_t commit_max;
};

/* Tenths of a pixel: lengths are whole numbers here, and are printed as F. */
#define F    "%" PRIu64 ".%" PRIu64
#define A(x) (x) / 10, (x) % 10
/* Seconds since the run began. */
#define S         "%" PRIu64 ".%03" PRIu64
#define SA(t, us) ((us) - (t)->began_us) / 1000000, ((us) - (t)->began_us) / 1000 % 1000

static uint64_t x_of(const struct picture *p, uint64_t us)
{
    uint64_t whole = MAX(p->end_us - p->t->began_us, UINT64_C(1));
    return LEFT * 10 + (us - p->t->began_us) * p->width * 10 / whole;
}

/* The bottom of a lane's bars. */
static uint64_t y_of(uint32_t number)
{
    return (TOP + (uint64_t)number * LANE - 6) * 10;
}

/* No bar is too thin to be seen. */
static uint64_t width_of(const struct picture *p, uint64_t from_us, uint64_t to_us)
{
    return MAX(x_of(p, to_us) - x_of(p, from_us), UINT64_C(5));
}

static void put_text(struct buf *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': buf_text(out, "&amp;"); break;
        case '<': buf_text(out, "&lt;"); break;
        case '>': buf_text(out, "&gt;"); break;
        case '"': buf_text(out, "&quot;"); break;
        default:
            /* What is not ASCII is nothing of ours, and perhaps no UTF-8. */
            buf_char(out, *text < ' ' || *text > '~' ? '?' : *text);
        }
}

static const char *const term_colour[] = {"#0072b2", "#009e73", "#e69f00",
                                          "#cc79a7", "#56b4e9", "#7b61c4"};

static const struct {
    const char *name, *opacity;
    uint64_t height;
} look[] = {
    [RAFT_FOLLOWER] = {"follows in", "0.35", 8},
    [RAFT_PRECANDIDATE] = {"asks whether to stand after", "0.6", 14},
    [RAFT_CANDIDATE] = {"stands in", "0.8", 18},
    [RAFT_LEADER] = {"leads", "1", BAR},
};

static void put_rect(struct picture *p, const struct bar *b, uint64_t height, const char *style)
{
    buf_fmt(p->out, "<rect x=\"" F "\" y=\"" F "\" width=\"" F "\" height=\"%" PRIu64 "\" %s>",
            A(x_of(p, b->from_us)), A(y_of(b->number) - height * 10),
            A(width_of(p, b->from_us, b->to_us)), height, style);
}

static void put_title(struct picture *p, const struct bar *b, const char *what)
{
    buf_fmt(p->out, "<title>member %u %s term %" PRIu64 ", " S " to " S " s</title></rect>\n",
            b->number, what, b->s.term, SA(p->t, b->from_us), SA(p->t, b->to_us));
}

static void put_bar(struct picture *p, const struct bar *b)
{
    char style[100];
    if (!b->s.up)
        return;
    const char *colour = term_colour[b->s.term % ARRAY_COUNT(term_colour)];
    (void)snprintf(style, sizeof style, "fill=\"%s\" fill-opacity=\"%s\"", colour,
                   look[b->s.role].opacity);
    put_rect(p, b, look[b->s.role].height, style);
    put_title(p, b, look[b->s.role].name);
    if (b->s.role == RAFT_LEADER && width_of(p, b->from_us, b->to_us) >= LABEL_MIN * 10)
        buf_fmt(p->out, "<text class=\"term\" x=\"" F "\" y=\"" F "\">%" PRIu64 "</text>\n",
                A(x_of(p, b->from_us) + 30), A(y_of(b->number) - BAR * 10 + 110), b->s.term);
    if (b->s.paused) {
        put_rect(p, b, BAR, "fill=\"url(#paused)\"");
        put_title(p, b, "is paused in");
    }
    if (b->s.installing) {
        put_rect(p, b, BAR, "fill=\"url(#installs)\"");
        put_title(p, b, "installs a snapshot in");
    }
}

static void put_bars(struct picture *p)
{
    const struct timeline *t = p->t;
    const struct bar *bar = t->bars.at;
    for (size_t i = 0; i < t->bars.count; i++)
        put_bar(p, &bar[i]);
    for (uint32_t n = 1; n <= t->number_last; n++) {
        struct bar open = t->open[n];
        open.to_us = p->end_us;
        if (open.number)
            put_bar(p, &open);
    }
}

static void put_lanes(struct picture *p)
{
    for (uint32_t n = 1; n <= p->t->number_last; n++)
        buf_fmt(p->out,
                "<text x=\"10\" y=\"" F "\">member %u</text>"
                "<line class=\"lane\" x1=\"%d\" x2=\"" F "\" y1=\"" F "\" y2=\"" F "\"/>\n",
                A(y_of(n) - 20), n, LEFT, A(x_of(p, p->end_us)), A(y_of(n)), A(y_of(n)));
}

/* Each commit index as a height in its lane. */
static void put_commits(struct picture *p, uint32_t number)
{
    size_t count = p->t->commits[number].count;
    const struct commit *c = p->t->commits[number].at;
    if (!count)
        return;
    buf_text(p->out, "<path class=\"commit\" d=\"");
    for (size_t i = 0; i < count; i++) {
        uint64_t x = x_of(p, c[i].at_us);
        uint64_t y = y_of(number) - c[i].index * BAR * 10 / MAX(p->commit_max, UINT64_C(1));
        buf_fmt(p->out, i ? "H" F "V" F : "M" F " " F, A(x), A(y));
    }
    buf_fmt(p->out, "H" F "\"><title>member %u: committed up to %" PRIu64 "</title></path>\n",
            A(x_of(p, p->end_us)), number, c[count - 1].index);
}

static void put_mark(struct picture *p, const struct mark *m)
{
    uint64_t x = x_of(p, m->at_us), y = y_of(m->number) - BAR * 5;
    if (m->kind == CRASHED)
        buf_fmt(p->out,
                "<path class=\"crash\" d=\"M" F " " F
                "l8 8m0 -8l-8 8\"><title>member %u crashes, " S " s</title></path>\n",
                A(x - 40), A(y - 40), m->number, SA(p->t, m->at_us));
    else
        buf_fmt(p->out,
                "<path class=\"snapshot\" d=\"M" F " " F "l5 -9h-10z\"><title>member %u has "
                "installed a snapshot of entry %" PRIu64 ", " S " s</title></path>\n",
                A(x), A(y_of(m->number)), m->number, m->index, SA(p->t, m->at_us));
}

/* Members by their numbers: "1 4 5". */
static void put_members(struct buf *out, uint64_t set)
{
    for (uint32_t n = 0; n < TIMELINE_MEMBERS_MAX; n++)
        if (set >> n & 1)
            buf_fmt(out, " %u", n);
}

/* Behind all lanes; darker, those who are cut off in the same way as the first that is. */
static void put_band(struct picture *p, const struct band *b)
{
    uint64_t to_us = b->to_us ? b->to_us : p->end_us, side = 0;
    for (uint32_t n = 1; n <= p->t->number_last && !side; n++)
        side = b->cut[n];
    buf_fmt(p->out,
            "<g class=\"cut\"><rect x=\"" F "\" y=\"%d\" width=\"" F "\" height=\"%" PRIu64 "\"/>",
            A(x_of(p, b->from_us)), TOP, A(width_of(p, b->from_us, to_us)),
            (uint64_t)p->t->number_last * LANE);
    for (uint32_t n = 1; n <= p->t->number_last; n++)
        if (side >> n & 1)
            buf_fmt(p->out, "<rect x=\"" F "\" y=\"" F "\" width=\"" F "\" height=\"%d\"/>",
                    A(x_of(p, b->from_us)), A(y_of(n) - (LANE - 6) * 10),
                    A(width_of(p, b->from_us, to_us)), LANE);
    buf_fmt(p->out, "<title>cut, " S " to " S " s", SA(p->t, b->from_us), SA(p->t, to_us));
    for (uint32_t n = 1; n <= p->t->number_last; n++)
        if (b->cut[n]) {
            buf_fmt(p->out, "\n%u is not heard by", n);
            put_members(p->out, b->cut[n]);
        }
    buf_text(p->out, "</title></g>\n");
}

static void put_message(struct picture *p, const struct line *l)
{
    static const char *const names[RAFT_MESSAGE_TYPE_COUNT] = {
        [RAFT_VOTE_ASK] = "asks for a vote",
        [RAFT_VOTE] = "votes",
        [RAFT_APPEND] = "append",
        [RAFT_APPENDED] = "appended",
        [RAFT_OFFER] = "offers a snapshot",
        [RAFT_TAKE_OVER] = "take over",
        [RAFT_LEND] = "lends",
    };
    const struct raft_message *m = &l->m;
    bool known = (unsigned)m->type < RAFT_MESSAGE_TYPE_COUNT;
    buf_fmt(p->out,
            "<path class=\"%s\" d=\"M" F " " F "L" F " " F
            "\"><title>%u to %u: %s%s%s, term %" PRIu64 ", index %" PRIu64 " +%zu, " S " to " S
            " s%s</title></path>\n",
            l->lost ? "lost" : "message", A(x_of(p, l->sent_us)), A(y_of(m->from) - 40),
            A(x_of(p, l->at_us)), A(y_of(m->to) - 40), m->from, m->to, known ? names[m->type] : "?",
            m->pre ? " (pre-vote)" : "", m->refused ? " refused" : "", m->term, m->index, m->count,
            SA(p->t, l->sent_us), SA(p->t, l->at_us), l->lost ? ", lost" : "");
}

static void put_messages(struct picture *p)
{
    const struct timeline *t = p->t;
    if (t->messages <= TIMELINE_MESSAGES_MAX)
        for (size_t i = 0; i < t->lines.count; i++)
            put_message(p, (const struct line *)t->lines.at + i);
}

static void put_axis(struct picture *p)
{
    static const uint64_t steps_ms[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                        500, 1000, 2000, 5000, 10000, 60000, 600000};
    uint64_t whole_ms = (p->end_us - p->t->began_us) / 1000, step = 0;
    for (size_t i = 0; i < ARRAY_COUNT(steps_ms) && whole_ms * 80 > step * p->width; i++)
        step = steps_ms[i];
    for (uint64_t ms = 0; step && ms <= whole_ms; ms += step) {
        uint64_t us = p->t->began_us + ms * 1000;
        buf_fmt(p->out,
                "<line class=\"axis\" x1=\"" F "\" x2=\"" F "\" y1=\"%d\" y2=\"%" PRIu64
                "\"/><text class=\"axis\" x=\"" F "\" y=\"%d\">" S " s</text>\n",
                A(x_of(p, us)), A(x_of(p, us)), TOP - 5, p->height - BOTTOM, A(x_of(p, us) + 20),
                TOP - 6, SA(p->t, us));
    }
}

/* A line through all lanes. */
static void put_moment(struct picture *p, const char *class, uint64_t at_us, const char *text)
{
    buf_fmt(p->out,
            "<line class=\"%s\" x1=\"" F "\" x2=\"" F "\" y1=\"%d\" y2=\"%" PRIu64 "\"><title>",
            class, A(x_of(p, at_us)), A(x_of(p, at_us)), TOP - 20, p->height - BOTTOM + 4);
    put_text(p->out, text);
    buf_fmt(p->out, ", " S " s</title></line>\n", SA(p->t, at_us));
}

static void put_legend(struct picture *p)
{
    static const char *const lines[] = {
        "high bars lead, middle ones stand for election, low ones follow; a colour for each term; black "
        "line: commits; dashed line: all is well from there",
        "cross: a crash; hatched: paused; dotted, then a triangle: a snapshot is installed; reddish: "
        "the network is cut; thin lines: messages, red if lost",
    };
    const struct timeline *t = p->t;
    uint64_t y = p->height - BOTTOM + 28;
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++, y += 16)
        buf_fmt(p->out, "<text x=\"10\" y=\"%" PRIu64 "\">%s</text>\n", y, lines[i]);
    buf_fmt(p->out, "<text x=\"10\" y=\"%" PRIu64 "\">%" PRIu64 " messages%s", y, t->messages,
            t->messages > TIMELINE_MESSAGES_MAX ? ", too many to be drawn" : "");
    if (t->full_us)
        buf_fmt(p->out, "; what came after " S " s is not drawn whole", SA(t, t->full_us));
    buf_text(p->out, "</text>\n");
}

static void put_head(struct picture *p, const char *title, const char *why)
{
    uint64_t w = LEFT + p->width + RIGHT, h = p->height;
    buf_fmt(p->out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%" PRIu64 "\" height=\"%" PRIu64
            "\" viewBox=\"0 0 %" PRIu64 " %" PRIu64
            "\" font-family=\"sans-serif\" font-size=\"12\">\n",
            w, h, w, h);
    buf_text(
        p->out,
        "<style>.lane{stroke:#bbb}.axis{stroke:#eee}text.axis{stroke:none;fill:#777;font-size:10px}"
        ".term{fill:#fff;font-size:10px}.commit{fill:none;stroke:#222;stroke-width:.8}"
        ".crash{stroke:#c00;stroke-width:2;fill:none}.snapshot{fill:#222}"
        ".cut rect{fill:#d55e00;fill-opacity:.13}.message{stroke:#555;stroke-width:.5}"
        ".lost{stroke:#c00;stroke-width:.5;stroke-dasharray:3 2}"
        ".calm{stroke:#333;stroke-dasharray:6 4}.failed{stroke:#c00;stroke-width:2}"
        ".why{fill:#c00;font-weight:bold}</style>\n"
        "<defs><pattern id=\"paused\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
        "<path d=\"M0 5L5 0\" stroke=\"#333\"/></pattern>"
        "<pattern id=\"installs\" width=\"4\" height=\"4\" patternUnits=\"userSpaceOnUse\">"
        "<circle cx=\"2\" cy=\"2\" r=\"1\"/></pattern></defs>\n"
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"18\">");
    put_text(p->out, title);
    buf_text(p->out, "</text>\n<text class=\"why\" x=\"10\" y=\"36\">");
    put_text(p->out, why ? why : "");
    buf_text(p->out, "</text>\n");
}

static uint64_t commit_max(const struct timeline *t)
{
    uint64_t max = 0;
    for (size_t i = 0; i < TIMELINE_MEMBERS_MAX; i++)
        if (t->commits[i].count) {
            const struct commit *c = t->commits[i].at;
            max = MAX(max, c[t->commits[i].count - 1].index);
        }
    return max;
}

void timeline_svg(const struct timeline *t, uint64_t end_us, const char *title, const char *why,
                  struct buf *out)
{
    require(end_us >= t->began_us);
    struct picture p = {.t = t, .out = out, .end_us = end_us, .commit_max = commit_max(t)};
    p.width = (end_us - t->began_us) * PX_PER_S / 1000000;
    p.width = MIN(MAX(p.width, (uint64_t)WIDTH_MIN), (uint64_t)WIDTH_MAX);
    p.height = TOP + (uint64_t)t->number_last * LANE + BOTTOM;
    put_head(&p, title, why);
    put_axis(&p);
    for (size_t i = 0; i < t->bands.count; i++)
        put_band(&p, (const struct band *)t->bands.at + i);
    put_lanes(&p);
    put_messages(&p);
    put_bars(&p);
    for (uint32_t n = 1; n <= t->number_last; n++)
        put_commits(&p, n);
    for (size_t i = 0; i < t->marks.count; i++)
        put_mark(&p, (const struct mark *)t->marks.at + i);
    if (t->calm_us)
        put_moment(&p, "calm", t->calm_us, "all is well");
    if (why)
        put_moment(&p, "failed", end_us, why);
    put_legend(&p);
    buf_text(out, "</svg>\n");
}
