/*
 * completion: a script for a shell, and __complete, which the scripts ask what may come next.
 *
 * The scripts know nothing of our words, so that they fit every version.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/commands_by_hand.h"
#include "cli/contexts.h"
#include "cli/request.h"
#include "cli/run.h"
#include "wire/column.h"
#include "wire/field.h"

enum { OUT_MAX = 1 << 20, NAMES_MS = 300, NAMES_MAX = 1000 };

static const char bash_script[] =
    "# blixard: completion for bash. In ~/.bashrc: source <(blixard completion bash)\n"
    "_blixard() {\n"
    "    local line\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
    "    done < <(blixard __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -o default -F _blixard blixard\n";

static const char zsh_script[] =
    "#compdef blixard\n"
    "# blixard: completion for zsh. In ~/.zshrc: source <(blixard completion zsh)\n"
    "_blixard() {\n"
    "    local word doc\n"
    "    local -a found\n"
    "    while IFS=$'\\t' read -r word doc; do\n"
    "        found+=(\"${word//:/\\\\:}${doc:+:$doc}\")\n"
    "    done < <(blixard __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    if (( $#found )); then\n"
    "        _describe blixard found\n"
    "    else\n"
    "        _files\n"
    "    fi\n"
    "}\n"
    "if [[ \"${funcstack[1]}\" = _blixard ]]; then\n"
    "    _blixard \"$@\"\n"
    "else\n"
    "    compdef _blixard blixard\n"
    "fi\n";

static const char fish_script[] =
    "# blixard: completion for fish.\n"
    "# blixard completion fish > ~/.config/fish/completions/blixard.fish\n"
    "function __blixard_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l word (commandline -ct)\n"
    "    set -l found (blixard __complete $words[2..-1] \"$word\" 2>/dev/null)\n"
    "    if set -q found[1]\n"
    "        printf '%s\\n' $found\n"
    "    else\n"
    "        __fish_complete_path \"$word\"\n"
    "    end\n"
    "end\n"
    "complete -c blixard -f -a '(__blixard_complete)'\n";

int completion_run(struct cli *c)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(scripts); i++)
        if (strcmp(scripts[i].shell, c->given.arg[0]) == 0)
            return cli_write(c, str_from(scripts[i].script));
    (void)fault_set(&why, ST_INVALID,
                    "there is no completion for %.40s, but for bash, zsh and fish",
                    c->given.arg[0]);
    return cli_fail(c, &why);
}

/* --- what may come next --- */

struct offer {
    struct cli *c;
    const char *begun; /* of the word that is to be completed */
    struct buf out;
};

static void offer(struct offer *o, const char *before, const char *word, const char *doc)
{
    AUTO(buf_done) struct buf whole;
    buf_init(&whole, 1024);
    buf_fmt(&whole, "%s%s", before, word);
    if (str_starts(buf_view(&whole), o->begun))
        buf_fmt(&o->out, "%s\t%s\n", buf_cstr(&whole), doc);
}

static void offer_list(struct offer *o, const char *const *words)
{
    for (; *words; words++)
        offer(o, "", *words, "");
}

static void offer_commands(struct offer *o)
{
    struct str last = {"", 0};
    for (size_t i = 0; i < o->c->commands.count; i++) {
        const struct command *c = &o->c->commands.at[i];
        char noun[COMMAND_WORDS_MAX];
        struct str here = command_noun(c);
        if (str_eq(here, last))
            continue;
        last = here;
        (void)snprintf(noun, sizeof noun, STR_FMT, STR_ARG(here));
        offer(o, "", noun, strchr(c->name, '.') ? "" : c->doc);
    }
    for (const struct command_short *s = command_shorts; s->word; s++)
        offer(o, "", s->word, s->stands_for);
}

static void offer_verbs(struct offer *o, struct str noun)
{
    for (size_t i = 0; i < o->c->commands.count; i++) {
        const struct command *c = &o->c->commands.at[i];
        const char *dot = strchr(c->name, '.');
        if (dot && str_eq(command_noun(c), noun))
            offer(o, "", dot + 1, c->doc);
    }
}

static void offer_flags(struct offer *o, const struct flags *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const struct flag *f = &all->at[i];
        offer(o, "--", f->name, f->doc);
        if (!f->word && f->id == FLAG_FIELD && strncmp(o->begun, "--no", 4) == 0)
            offer(o, "--no-", f->name, f->doc);
    }
}

/* The names of a noun's objects, if a node answers soon; of operations their ids. */
static void offer_names(struct offer *o, const char *noun, const char *project)
{
    char name[COMMAND_WORDS_MAX];
    struct fault why;
    struct answer a = {0};
    bool ids = strcmp(noun, "op") == 0;
    (void)snprintf(name, sizeof name, "%.40s.ls", noun);
    const struct op *row = op_find(name);
    if (!row)
        return;
    AUTO(buf_done) struct buf target;
    buf_init(&target, 4096);
    json_t *query = json_pack("{s:s,s:i,s:s*}", "fields", ids ? "id" : "meta.name", "limit",
                              NAMES_MAX, "project", project);
    request_target(row, "", query, &target);
    json_decref(query);
    if (cli_ask(o->c,
                &(struct ask){.method = "GET", .target = buf_cstr(&target), .timeout_ms = NAMES_MS},
                &a, &why) != ST_OK)
        return;
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        const json_t *at = ids ? item : json_object_get(item, "meta");
        const char *text = json_string_value(json_object_get(at, ids ? "id" : "name"));
        if (text)
            offer(o, "", text, "");
    }
    answer_done(&a);
}

static void offer_contexts(struct offer *o)
{
    AUTO(auto_free) struct contexts *all = NEW(struct contexts);
    if (contexts_load(all, NULL) != ST_OK)
        return;
    for (size_t i = 0; i < all->count; i++)
        offer(o, "", all->at[i].name, all->at[i].place.host);
    offer(o, "", CONTEXT_LOCAL, "the node of this machine");
}

static void offer_columns(struct offer *o, const struct op *op)
{
    struct columns all;
    column_list(op->response, &all);
    for (size_t i = 0; i < all.count; i++)
        offer(o, "", all.at[i].path[all.at[i].depth - 1]->name, all.at[i].about->doc);
}

static void offer_words(struct offer *o, const ProtobufCEnumDescriptor *desc)
{
    const struct schema_enum *e = schema_enum(desc);
    for (unsigned i = 0; i < desc->n_values; i++)
        offer(o, "", e->word[i].word, e->word[i].doc);
}

static void offer_values(struct offer *o, const struct command *c, const struct flag *f)
{
    static const char *const forms[] = {"table", "wide", "json", "jsonl",
                                        "yaml",  "csv",  "name", NULL};
    if (f->id == FLAG_OUTPUT) {
        offer_list(o, forms);
    } else if (f->id == FLAG_CONTEXT) {
        offer_contexts(o);
    } else if (f->id == FLAG_COLUMNS || f->id == FLAG_SORT) {
        offer_columns(o, c->op);
    } else if (f->id == FLAG_PROJECT || strcmp(f->name, "project") == 0) {
        offer_names(o, "project", NULL);
    } else if (strcmp(f->name, "image") == 0 || strcmp(f->name, "tenant") == 0) {
        offer_names(o, f->name, NULL);
    } else if (f->id == FLAG_FIELD && flag_field(f)->type == PROTOBUF_C_TYPE_ENUM) {
        offer_words(o, flag_field(f)->descriptor);
    }
}

/* The argument at `index` of "NAME FILE PATH"; nothing is offered for files: the shell does that. */
static void offer_argument(struct offer *o, const struct command *c, size_t index,
                           const char *project)
{
    static const char *const shells[] = {"bash", "zsh", "fish", NULL};
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", NULL};
    char noun[COMMAND_WORDS_MAX];
    struct str rest = str_from(c->args), word = {"", 0};
    bool more = rest.len > 0;
    for (size_t i = 0; i <= index; i++) {
        word = (struct str){"", 0};
        if (more)
            more = str_cut(&rest, ' ', &word);
    }
    (void)snprintf(noun, sizeof noun, STR_FMT, STR_ARG(command_noun(c)));
    bool makes = c->op && !strstr(c->op->path, "{name}"); /* a name of its own, that is not taken */
    if (str_is(word, "SHELL"))
        offer_list(o, shells);
    else if (str_is(word, "METHOD"))
        offer_list(o, methods);
    else if (str_is(word, "[IMAGE]"))
        offer_names(o, "image", project);
    else if (str_is(word, "[NOUN]"))
        offer_commands(o);
    else if (strcmp(noun, "context") == 0 && strcmp(c->name, "context.add") != 0 && word.len > 0)
        offer_contexts(o);
    else if (!makes && (str_is(word, "NAME") || str_is(word, "[NAME]") || str_is(word, "ID")))
        offer_names(o, noun, project);
}

/* Is `word` a flag that takes its value from the word after it? */
static const struct flag *takes_next(const struct flags *all, const char *word)
{
    const struct flag *f = NULL;
    if (word[0] == '-' && word[1] == '-' && !strchr(word, '='))
        f = flag_find(all, str_from(word + 2));
    else if (word[0] == '-' && word[1] && !word[2])
        f = flag_find_letter(all, word[1]);
    return f && f->word ? f : NULL;
}

/* What comes behind the name of a command. */
static void offer_rest(struct offer *o, const struct command *c, size_t count,
                       const char *const *word)
{
    AUTO(auto_free) struct flags *all = NEW(struct flags);
    const struct flag *wants = NULL;
    const char *project = NULL;
    size_t index = 0;
    bool flags = true;
    command_flags(c, all);
    for (size_t i = 0; i + 1 < count; i++) {
        if (wants) {
            project = wants->letter == 'p' ? word[i] : project;
            wants = NULL;
        } else if (flags && strcmp(word[i], "--") == 0) {
            flags = false;
        } else if (flags && word[i][0] == '-' && word[i][1]) {
            wants = takes_next(all, word[i]);
        } else {
            flags = flags && index < arity_of(c->args).greedy;
            index++;
        }
    }
    if (wants)
        offer_values(o, c, wants);
    else if (flags && o->begun[0] == '-')
        offer_flags(o, all);
    else
        offer_argument(o, c, index, project);
}

int complete_run(struct cli *c)
{
    struct offer o = {.c = c, .begun = ""};
    const char *const *word = c->given.arg;
    size_t count = c->given.arg_count, used;
    const struct command *command = NULL;
    struct str noun;
    struct fault why;
    buf_init(&o.out, OUT_MAX);
    if (count > 0)
        o.begun = word[count - 1];
    if (count <= 1)
        offer_commands(&o);
    else if (command_match(&c->commands, count - 1, word, &command, &used, &noun, &why) == ST_OK)
        offer_rest(&o, command, count - used, word + used);
    else if (noun.len > 0 && count == 2)
        offer_verbs(&o, noun);
    int code = cli_write(c, buf_view(&o.out));
    buf_done(&o.out);
    return code;
}
