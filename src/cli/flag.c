#include "cli/flag.h"

#include <stdio.h>
#include <string.h>

#include "wire/field.h"

/* --- flags --- */

const ProtobufCFieldDescriptor *flag_field(const struct flag *f)
{
    require(f->id == FLAG_FIELD && f->depth > 0);
    return f->path[f->depth - 1];
}

void flag_path(const struct flag *f, char out[FAULT_FIELD_MAX])
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < f->depth && len < FAULT_FIELD_MAX; i++)
        len += (size_t)snprintf(out + len, FAULT_FIELD_MAX - len, "%s%s", i > 0 ? "." : "",
                                f->path[i]->name);
}

bool flag_takes_file(const struct flag *f)
{
    enum { LONG = 1024 };
    return f->id == FLAG_FIELD && flag_field(f)->type == PROTOBUF_C_TYPE_STRING &&
           f->about->format == SCHEMA_TEXT && f->about->max_len >= LONG;
}

const struct flag *flag_find(const struct flags *all, struct str name)
{
    for (size_t i = 0; i < all->count; i++)
        if (str_is(name, all->at[i].name))
            return &all->at[i];
    return NULL;
}

const struct flag *flag_find_letter(const struct flags *all, char letter)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].letter == letter)
            return &all->at[i];
    return NULL;
}

void flag_add(struct flags *all, const struct flag *f)
{
    require(all->count < FLAGS_MAX);
    require(!flag_find(all, str_from(f->name)));
    require(!f->letter || !flag_find_letter(all, f->letter));
    all->at[all->count++] = *f;
}

/* --- fields as flags --- */

static const char *word_of_text(const struct schema_field *about)
{
    switch (about->format) {
    case SCHEMA_NAME: return "NAME";
    case SCHEMA_PATH: return "PATH";
    case SCHEMA_UID: return "UID";
    case SCHEMA_DIGEST: return "DIGEST";
    case SCHEMA_IPV4: return "ADDRESS";
    default: return "TEXT";
    }
}

static const char *word_of_message(const ProtobufCMessageDescriptor *desc)
{
    if (desc == &pb__label__descriptor)
        return "KEY=VALUE";
    if (desc == &pb__port_forward__descriptor)
        return "[ADDRESS:]HOST:GUEST[/udp]";
    return "FIELD=VALUE,...";
}

static const char *word_of(const ProtobufCFieldDescriptor *f, const struct schema_field *about)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: return NULL;
    case PROTOBUF_C_TYPE_ENUM: return "WORD";
    case PROTOBUF_C_TYPE_STRING: return word_of_text(about);
    case PROTOBUF_C_TYPE_BYTES: return "HEX";
    case PROTOBUF_C_TYPE_MESSAGE: return word_of_message(f->descriptor);
    default: break;
    }
    switch (about->format) {
    case SCHEMA_MEBIBYTES:
    case SCHEMA_BYTES: return "SIZE";
    case SCHEMA_DURATION_MS: return "TIME";
    default: return "NUMBER";
    }
}

static char letter_of(const char *name)
{
    static const struct {
        const char *name;
        char letter;
    } letters[] = {{"follow", 'f'}, {"project", 'p'}, {"tty", 't'}, {"env", 'e'}};
    for (size_t i = 0; i < ARRAY_COUNT(letters); i++)
        if (strcmp(name, letters[i].name) == 0)
            return letters[i].letter;
    return 0;
}

struct laying {
    struct flags *all;
    struct flag next; /* its path and depth are of the message that is laid flat */
    bool (*skip)(const void *ctx, const ProtobufCFieldDescriptor *field);
    const void *ctx;
};

static void lay(struct laying *l, const ProtobufCMessageDescriptor *desc)
{
    require(l->next.depth < SCHEMA_DEPTH_MAX);
    size_t depth = l->next.depth++;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        const struct schema_field *about = schema_field(desc, f);
        l->next.path[depth] = f;
        if (about->output || l->skip(l->ctx, f))
            continue;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !field_is_repeated(f)) {
            lay(l, f->descriptor);
            continue;
        }
        l->next.name = about->flag;
        l->next.letter = letter_of(about->flag);
        l->next.word = word_of(f, about);
        l->next.doc = about->doc;
        l->next.about = about;
        flag_add(l->all, &l->next);
    }
    l->next.depth = depth;
}

void flag_add_fields(struct flags *all, const ProtobufCMessageDescriptor *request,
                     bool (*skip)(const void *ctx, const ProtobufCFieldDescriptor *field),
                     const void *ctx)
{
    struct laying l = {.all = all, .next = {.id = FLAG_FIELD}, .skip = skip, .ctx = ctx};
    lay(&l, request);
}

/* --- the line --- */

struct arity arity_of(const char *args)
{
    struct arity a = {0, 0, SIZE_MAX};
    struct str rest = str_from(args), word;
    bool more = rest.len > 0;
    while (more) {
        more = str_cut(&rest, ' ', &word);
        if (str_ends(word, "...") || str_ends(word, "...]")) {
            a.greedy = a.max;
            a.max = ARGS_MAX;
        } else {
            a.max++;
        }
        if (word.ptr[0] != '[')
            a.min++;
    }
    return a;
}

struct line {
    struct given *g;
    const struct flags *all;
    size_t count, at;
    const char *const *word;
};

static void give(struct line *l, const struct flag *f, const char *value)
{
    l->g->flag[l->g->flag_count++] = (struct given_flag){f, value};
}

static enum status refuse_unknown(const struct flags *all, struct str name, struct fault *why)
{
    const char *known[FLAGS_MAX];
    for (size_t i = 0; i < all->count; i++)
        known[i] = all->at[i].name;
    enum status s = fault_set(why, ST_INVALID, "there is no flag --" STR_FMT " here",
                              (int)MIN(name.len, 60), name.ptr);
    const char *meant = str_nearest(name, known, all->count);
    if (meant)
        fault_hint(why, "did you mean --%s?", meant);
    return s;
}

/* The value of a flag that was given as `shown`: what stands beside it, or the next word. */
static enum status take_value(struct line *l, const struct flag *f, const char *shown,
                              const char *beside, struct fault *why)
{
    if (beside) {
        give(l, f, beside);
        return ST_OK;
    }
    if (l->at == l->count)
        return fault_set(why, ST_INVALID, "%s needs a value, %s", shown, f->word);
    give(l, f, l->word[l->at++]);
    return ST_OK;
}

static enum status take_switch(struct line *l, const struct flag *f, bool on, const char *beside,
                               struct fault *why)
{
    bool yes = !beside || strcmp(beside, "true") == 0;
    if (!yes && strcmp(beside, "false") != 0)
        return fault_set(why, ST_INVALID, "--%s is a switch: it takes no value but true or false",
                         f->name);
    give(l, f, yes == on ? "true" : "false");
    return ST_OK;
}

/* --name, --name=value, --no-name */
static enum status take_long(struct line *l, const char *word, struct fault *why)
{
    struct str name = str_from(word + 2);
    const char *equal = strchr(word, '=');
    const char *beside = equal ? equal + 1 : NULL;
    if (equal)
        name.len = (size_t)(equal - name.ptr);
    const struct flag *f = flag_find(l->all, name);
    bool on = true;
    if (!f && str_starts(name, "no-")) {
        f = flag_find(l->all, (struct str){name.ptr + 3, name.len - 3});
        if (f && f->word)
            f = NULL;
        on = false;
    }
    if (!f)
        return refuse_unknown(l->all, name, why);
    char shown[80];
    (void)snprintf(shown, sizeof shown, "--%s", f->name);
    return f->word ? take_value(l, f, shown, beside, why) : take_switch(l, f, on, beside, why);
}

/* -x, -xy for two switches, -xVALUE */
static enum status take_letters(struct line *l, const char *word, struct fault *why)
{
    for (const char *p = word + 1; *p; p++) {
        const struct flag *f = flag_find_letter(l->all, *p);
        if (!f)
            return fault_set(why, ST_INVALID, "there is no flag -%c here", *p);
        char shown[] = {'-', *p, 0};
        if (f->word)
            return take_value(l, f, shown, p[1] ? p + 1 : NULL, why);
        give(l, f, "true");
    }
    return ST_OK;
}

enum status given_parse(struct given *g, const struct flags *all, const char *args, size_t count,
                        const char *const *word, struct fault *why)
{
    struct line l = {g, all, count, 0, word};
    size_t greedy = arity_of(args).greedy;
    bool flags = true;
    g->flag_count = g->arg_count = 0;
    if (count > ARGS_MAX)
        return fault_set(why, ST_TOO_BIG, "more than %d words", ARGS_MAX);
    while (l.at < count) {
        const char *w = word[l.at++];
        enum status s = ST_OK;
        if (flags && strcmp(w, "--") == 0) {
            flags = false;
        } else if (flags && w[0] == '-' && w[1] == '-') {
            s = take_long(&l, w, why);
        } else if (flags && w[0] == '-' && w[1]) {
            s = take_letters(&l, w, why);
        } else {
            flags = flags && g->arg_count < greedy;
            g->arg[g->arg_count++] = w;
        }
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

const char *given_get(const struct given *g, enum flag_id id)
{
    for (size_t i = g->flag_count; i-- > 0;)
        if (g->flag[i].flag->id == id)
            return g->flag[i].value;
    return NULL;
}

bool given_has(const struct given *g, enum flag_id id)
{
    const char *value = given_get(g, id);
    return value && strcmp(value, "false") != 0;
}

const char *given_field(const struct given *g, const char *name)
{
    for (size_t i = g->flag_count; i-- > 0;)
        if (g->flag[i].flag->id == FLAG_FIELD && g->flag[i].flag->depth == 1 &&
            strcmp(g->flag[i].flag->path[0]->name, name) == 0)
            return g->flag[i].value;
    return NULL;
}
