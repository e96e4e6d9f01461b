#include "cli/command.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/commands_by_hand.h"
#include "wire/field.h"

/* --- common flags --- */

static const struct {
    unsigned use;
    struct flag flag;
} common[] = {
    {USE_OUTPUT,
     {.id = FLAG_OUTPUT,
      .name = "output",
      .letter = 'o',
      .word = "FORM",
      .doc = "table, wide, json, jsonl, yaml, csv or name"}},
    {USE_TABLE,
     {.id = FLAG_COLUMNS,
      .name = "columns",
      .word = "LIST",
      .doc = "Only these columns, such as name,phase"}},
    {USE_TABLE, {.id = FLAG_NO_HEADER, .name = "no-header", .doc = "No headings"}},
    {USE_TABLE,
     {.id = FLAG_SORT,
      .name = "sort",
      .word = "COLUMN",
      .doc = "Sort by this column; -COLUMN: the largest first"}},
    {USE_OBJECTS, {.id = FLAG_QUIET, .name = "quiet", .letter = 'q', .doc = "Print ids only"}},
    {USE_PROJECT,
     {.id = FLAG_PROJECT,
      .name = "project",
      .letter = 'p',
      .word = "NAME",
      .doc = "Project of what is named; default if left out"}},
    {USE_BODY,
     {.id = FLAG_FILE,
      .name = "file",
      .letter = 'f',
      .word = "FILE",
      .doc = "Read the request as JSON from a file, or - for stdin; flags add to it"}},
    {USE_ASK, {.id = FLAG_YES, .name = "yes", .letter = 'y', .doc = "Do not ask"}},
    {USE_WAIT,
     {.id = FLAG_NO_WAIT,
      .name = "no-wait",
      .doc = "Do not wait for the end; print the operation's id"}},
    {USE_WAIT | USE_TIMEOUT,
     {.id = FLAG_TIMEOUT,
      .name = "timeout",
      .word = "TIME",
      .doc = "Wait at most so long (30m); the operation goes on"}},
    {USE_CHANGE,
     {.id = FLAG_IF_MATCH,
      .name = "if-match",
      .word = "INDEX",
      .doc = "Only if the object is still this version (its meta.index)"}},
    {USE_CHANGE,
     {.id = FLAG_KEY,
      .name = "idempotency-key",
      .word = "TEXT",
      .doc = "A repeated request with the same key is carried out once"}},
    {USE_CONFIG,
     {.id = FLAG_CONFIG,
      .name = "config",
      .word = "FILE",
      .doc = "Configuration of the node (/etc/blixard/blixard.toml)"}},
    {USE_NODE,
     {.id = FLAG_CONTEXT,
      .name = "context",
      .word = "NAME",
      .doc =
          "Node to ask, as in `blixard context ls` ($BLIXARD_CONTEXT, or the one in use); local: "
          "that of this machine"}},
    {USE_NODE | USE_LOCAL,
     {.id = FLAG_SOCKET,
      .name = "socket",
      .word = "PATH",
      .doc = "Socket of the node ($BLIXARD_API_SOCKET, or /run/blixard/api.sock)"}},
    {~0u, {.id = FLAG_HELP, .name = "help", .letter = 'h', .doc = "Show this"}},
};

static void add_common(struct flags *out, unsigned uses)
{
    for (size_t i = 0; i < ARRAY_COUNT(common); i++) {
        struct flag f = common[i].flag;
        f.common = true;
        if (common[i].use & uses)
            flag_add(out, &f);
    }
}

void command_front_flags(struct flags *out)
{
    static const struct flag version = {
        .id = FLAG_VERSION, .name = "version", .doc = "Show the version of this program"};
    out->count = 0;
    add_common(out, ~0u);
    flag_add(out, &version);
}

/* --- commands that are not of the table --- */

#define FOLLOW_HINT \
    "While it follows, each event is a line (with -o json too), and Ctrl-C ends it.\n"

static const struct flag wait_flags[] = {
    {.id = FLAG_FOR,
     .name = "for",
     .word = "CONDITION",
     .doc = "What to wait for, such as phase==running or 'restarts>=1'; as in --filter"},
    {0},
};
static const struct flag context_flags[] = {
    {.id = FLAG_SERVER,
     .name = "server",
     .word = "URL",
     .doc = "Where it is: https://HOST:7003 (required)"},
    {.id = FLAG_FINGERPRINT,
     .name = "fingerprint",
     .word = "SHA256",
     .doc = "What `blixard node show` there says as facts.api_fingerprint (required)"},
    {.id = FLAG_TOKEN_FILE,
     .name = "token-file",
     .word = "FILE",
     .doc = "File that holds the token; stdin if left out"},
    {0},
};
static const struct flag push_flags[] = {
    {.id = FLAG_MODE,
     .name = "mode",
     .word = "OCTAL",
     .doc = "Permissions, such as 0644; those of the file if left out"},
    {0},
};

/* Rows of the table that have code of their own, or more to tell. */
static const struct {
    enum op_id op;
    unsigned uses; /* besides those that follow from the row */
    const struct flag *own;
    const char *more;
    command_run *run;
} by_hand[] = {
    {OP_VM_LOGS, 0, NULL, NULL, vm_logs_run},
    {OP_VM_CONSOLE, 0, NULL, "Ctrl-] leaves the console; the VM goes on.\n", vm_console_run},
    {OP_VM_EXEC, 0, NULL,
     "What stands after NAME is the command, flags included; -- makes that plain. Between terminals\n"
     "the command gets one too, unless --no-tty says otherwise. Its exit status becomes ours.\n",
     vm_exec_run},
    {OP_VM_PUSH, 0, push_flags, "FILE may be -: stdin.\n", vm_push_run},
    {OP_VM_PULL, 0, NULL, "FILE may be -: stdout.\n", vm_pull_run},
    {OP_NODE_TOKEN, 0, NULL,
     "Prints the ticket alone, for a file or a pipe; with -o json the whole token. Whoever has it can join\n"
     "one machine until it ends: hand it over as you would a key. `blixard token ls` lists those that are\n"
     "open, and `blixard token revoke` ends one.\n",
     node_token_run},
    {OP_TOKEN_CREATE, 0, NULL,
     "Prints the token alone, for a file or a pipe; with -o json the whole object. The cluster keeps\n"
     "only a hash of it: a lost one is revoked, and another made.\n",
     token_create_run},
    {OP_OP_WAIT, USE_TIMEOUT, NULL,
     "Exits as the command that began it would: 0 when it succeeded, 7 when the time is over.\n",
     op_wait_run},
    {OP_EVENTS, 0, NULL, FOLLOW_HINT, events_run},
    {OP_VERSION, 0, NULL, NULL, version_run},
};

/* `after`: the row of the table that it stands behind; NULL: at the end. */
static const struct {
    const char *after;
    struct command command;
} added[] = {
    {"vm.pull",
     {.name = "vm.cp",
      .args = "FROM TO",
      .doc = "Copy a file into a VM or out of it",
      .examples = {"blixard vm cp app.conf web-1:/etc/app.conf",
                   "blixard vm cp web-1:/var/log/dmesg ."},
      .uses = USE_NODE | USE_PROJECT,
      .more = "One of the two is NAME:/PATH. A path that ends with / is a directory.\n",
      .run = vm_cp_run}},
    {"vm.stats",
     {.name = "vm.wait",
      .args = "NAME",
      .doc = "Wait until a VM is as you say",
      .examples = {"blixard vm wait web-1 --for phase==running",
                   "blixard vm wait web-1 --for 'restarts>=1' --timeout 30s"},
      .uses = USE_NODE | USE_OUTPUT | USE_OBJECTS | USE_PROJECT | USE_TIMEOUT,
      .own = wait_flags,
      .run = vm_wait_run}},
    {NULL,
     {.name = "api",
      .args = "METHOD PATH [BODY]",
      .doc = "Send a request to the API and print what it answers",
      .examples = {"blixard api GET /v1/vms",
                   "blixard api POST /v1/tenants '{\"name\": \"acme\"}'"},
      .uses = USE_NODE,
      .more = "BODY is JSON, @FILE or - for stdin. Exits as the answer's status says.\n",
      .run = api_run}},
    {NULL,
     {.name = "up",
      .args = "",
      .doc = "Start the node; its first start makes a cluster of one",
      .examples = {"blixard up", "blixard up --config node.toml"},
      .uses = USE_CONFIG,
      .run = up_run}},
    {NULL,
     {.name = "join",
      .args = "TICKET",
      .doc = "Make this machine a node of a cluster, and start it",
      .examples = {"blixard join blxjoin_...", "blixard join - --config node.toml"},
      .uses = USE_CONFIG,
      .more =
          "The ticket is what `blixard node token` printed on a node of the cluster; - reads it from stdin.\n"
          "It is good once. From then on `blixard up` starts the node.\n",
      .run = join_run}},
    {NULL,
     {.name = "config.check",
      .args = "",
      .doc = "Check the configuration of the node",
      .examples = {"blixard config check", "blixard config check --config node.toml"},
      .uses = USE_CONFIG,
      .run = config_check_run}},
    {NULL,
     {.name = "config.show",
      .args = "",
      .doc = "Show the configuration in effect, and where each value is from",
      .examples = {"blixard config show", "BLIXARD_LOG_LEVEL=debug blixard config show"},
      .uses = USE_CONFIG,
      .run = config_show_run}},
    {NULL,
     {.name = "config.docs",
      .args = "",
      .doc = "Explain every key of the configuration",
      .examples = {"blixard config docs", "blixard config docs | less"},
      .run = config_docs_run}},
    {NULL,
     {.name = "context.add",
      .args = "NAME",
      .doc = "Note a node elsewhere, and the token to send there",
      .examples = {"blixard context add lab --server https://n1:7003 --fingerprint sha256:... "
                   "--token-file ci.token",
                   "blixard context add lab --server https://10.0.0.7 --fingerprint sha256:..."},
      .own = context_flags,
      .more =
          "The token is kept in ~/.config/blixard/contexts.json, which only you may read. A node that shows\n"
          "another key than that of the fingerprint is sent nothing.\n",
      .run = context_add_run}},
    {NULL,
     {.name = "context.ls",
      .args = "",
      .doc = "List the nodes that were noted",
      .examples = {"blixard context ls", "blixard context ls -o wide"},
      .uses = USE_OUTPUT | USE_TABLE,
      .run = context_ls_run}},
    {NULL,
     {.name = "context.use",
      .args = "NAME",
      .doc = "Ask that node from now on; local is the one of this machine",
      .examples = {"blixard context use lab", "blixard context use local"},
      .run = context_use_run}},
    {NULL,
     {.name = "context.show",
      .args = "[NAME]",
      .doc = "Show a node that was noted, or the one in use; tokens are not shown",
      .examples = {"blixard context show", "blixard context show lab -o json"},
      .uses = USE_OUTPUT,
      .run = context_show_run}},
    {NULL,
     {.name = "context.rm",
      .args = "NAME",
      .doc = "Forget a node, and its token; the token itself stays good until it is revoked",
      .examples = {"blixard context rm lab", "blixard context rm context/lab"},
      .run = context_rm_run}},
    {NULL,
     {.name = "doctor",
      .args = "",
      .doc = "Look whether this machine has what a node needs",
      .examples = {"blixard doctor", "blixard doctor -o json"},
      .uses = USE_LOCAL | USE_OUTPUT | USE_CONFIG,
      .run = doctor_run}},
    {NULL,
     {.name = "completion",
      .args = "SHELL",
      .doc = "Print what makes a shell complete our words: bash, zsh or fish",
      .examples = {"source <(blixard completion bash)",
                   "blixard completion fish > ~/.config/fish/completions/blixard.fish"},
      .run = completion_run}},
    {NULL,
     {.name = "help",
      .args = "[NOUN] [VERB]",
      .doc = "Tell what can be done, and how",
      .examples = {"blixard help", "blixard help vm create"},
      .run = help_run}},
};

const struct command_short command_shorts[] = {
    {"ps", "vm ls"},     {"ls", "vm ls"},           {"exec", "vm exec"},
    {"logs", "vm logs"}, {"console", "vm console"}, {NULL, NULL},
};

/* Other words for verbs. */
static const struct command_short verbs[] = {
    {"rm", "delete"}, {"remove", "delete"}, {"list", "ls"}, {"get", "show"}, {NULL, NULL},
};

/* --- all of them --- */

/* Nouns whose objects are in a project have operations that look their names up in one. */
static bool has_projects(const struct op *op)
{
    size_t count, noun = strcspn(op->name, ".");
    const struct op *row = op_table(&count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(row[i].name, op->name, noun + 1) == 0 && row[i].flags & OP_PROJECT)
            return true;
    return op->response && protobuf_c_message_descriptor_get_field_by_name(op->response, "project");
}

static unsigned uses_of(const struct op *op)
{
    unsigned uses = USE_NODE;
    bool body = strcmp(op->method, "POST") == 0 || strcmp(op->method, "PATCH") == 0;
    if (op->response)
        uses |= USE_OUTPUT;
    if (op->response && op->id != OP_VM_STATS && op->id != OP_VERSION)
        uses |= USE_OBJECTS;
    if (op->flags & OP_LIST || op->id == OP_EVENTS)
        uses |= USE_TABLE;
    if (op->flags & OP_PROJECT)
        uses |= USE_PROJECT;
    if (body && op->request->n_fields > 0)
        uses |= USE_BODY;
    if (op->flags & OP_DESTROYS)
        uses |= USE_ASK;
    if (op->flags & OP_SLOW)
        uses |= USE_WAIT;
    if (op->flags & OP_MUTATES)
        uses |= USE_CHANGE;
    return uses;
}

static void add(struct commands *all, const struct command *c)
{
    require(all->count < COMMANDS_MAX);
    all->at[all->count++] = *c;
}

static void add_row(struct commands *all, const struct op *op)
{
    struct command c = {
        .name = op->name,
        .args = op->args,
        .doc = op->doc,
        .examples = {op->examples[0], op->examples[1]},
        .op = op,
        .uses = uses_of(op),
        .run = call_run,
    };
    for (size_t i = 0; i < ARRAY_COUNT(by_hand); i++)
        if (by_hand[i].op == op->id) {
            c.uses |= by_hand[i].uses;
            c.own = by_hand[i].own;
            c.more = by_hand[i].more;
            c.run = by_hand[i].run;
        }
    add(all, &c);
}

static void add_behind(struct commands *all, const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(added); i++) {
        const char *after = added[i].after;
        if (name ? after && strcmp(after, name) == 0 : !after)
            add(all, &added[i].command);
    }
}

static void add_run(struct commands *all)
{
    const struct op *create = op_get(OP_VM_CREATE);
    const struct command run = {
        .name = "run",
        .args = "[IMAGE]",
        .doc = "Make a VM and start it, from the image `default` if none is named",
        .examples = {"blixard run", "blixard run debian --name web-1 --memory 1GiB"},
        .op = create,
        .uses = uses_of(create),
        .run = call_run,
    };
    add(all, &run);
}

void commands_init(struct commands *all)
{
    size_t count;
    const struct op *op = op_table(&count);
    all->count = 0;
    add_run(all);
    for (size_t i = 0; i < count; i++) {
        if (op[i].flags & OP_RAW)
            continue;
        add_row(all, &op[i]);
        add_behind(all, op[i].name);
    }
    add_behind(all, NULL);
}

const struct command *command_find(const struct commands *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->at[i].name, name) == 0)
            return &all->at[i];
    return NULL;
}

void command_words(const struct command *c, char out[COMMAND_WORDS_MAX])
{
    (void)snprintf(out, COMMAND_WORDS_MAX, "%s", c->name);
    char *dot = strchr(out, '.');
    if (dot)
        *dot = ' ';
}

void command_usage(const struct command *c, const char *words, struct buf *out)
{
    /* Behind a command that is passed on, flags would be passed on with it. */
    bool greedy = arity_of(c->args).greedy != SIZE_MAX;
    buf_fmt(out, "blixard %s%s%s%s%s", words, greedy ? " [FLAGS]" : "", c->args[0] ? " " : "",
            c->args, greedy ? "" : " [FLAGS]");
}

struct str command_noun(const struct command *c)
{
    return (struct str){c->name, strcspn(c->name, ".")};
}

/* --- the flags of one --- */

/* Does an argument stand for the field? NAME for `name`, FILE PATH for `path`. */
static bool is_argument(const char *args, const char *name)
{
    struct str rest = str_from(args), word;
    bool more = rest.len > 0;
    while (more) {
        more = str_cut(&rest, ' ', &word);
        if (word.len > 1 && word.ptr[0] == '[')
            word = (struct str){word.ptr + 1, word.len - 2};
        if (word.len == strlen(name) && strncasecmp(word.ptr, name, word.len) == 0)
            return true;
    }
    return false;
}

/* Fields of a request that are no flags: arguments, and those that we know ourselves. */
static bool is_no_flag(const void *ctx, const ProtobufCFieldDescriptor *f)
{
    static const struct {
        enum op_id op;
        const char *name;
    } known[] = {
        {OP_VM_EXEC, "argv"}, {OP_VM_EXEC, "rows"}, {OP_VM_EXEC, "cols"},
        {OP_VM_PUSH, "mode"}, {OP_VM_PULL, "mode"}, {OP_OP_WAIT, "timeout_ms"},
    };
    const struct command *c = ctx;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (known[i].op == c->op->id && strcmp(known[i].name, f->name) == 0)
            return true;
    if (c->op->flags & OP_LIST && strcmp(f->name, "cursor") == 0)
        return true;
    if (c->op->flags & OP_LIST && strcmp(f->name, "project") == 0)
        return !has_projects(c->op);
    return is_argument(c->args, f->name);
}

void command_flags(const struct command *c, struct flags *out)
{
    out->count = 0;
    if (c->op)
        flag_add_fields(out, c->op->request, is_no_flag, c);
    for (const struct flag *f = c->own; f && f->name; f++)
        flag_add(out, f);
    add_common(out, c->uses);
}

void command_example(const struct command *c, char out[COMMAND_EXAMPLE_MAX])
{
    static const struct {
        unsigned use;
        const char *tail;
    } tails[] = {
        {USE_ASK, "--yes"},      {USE_TABLE, "-o wide"},   {USE_WAIT, "--no-wait"},
        {USE_OUTPUT, "-o json"}, {USE_PROJECT, "-p shop"}, {USE_NODE, "--socket /tmp/api.sock"},
    };
    if (c->examples[1]) {
        (void)snprintf(out, COMMAND_EXAMPLE_MAX, "%s", c->examples[1]);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(tails); i++)
        if (c->uses & tails[i].use) {
            (void)snprintf(out, COMMAND_EXAMPLE_MAX, "%s %s", c->examples[0], tails[i].tail);
            return;
        }
    defs_unreachable("a command of one example that uses nothing");
}

/* --- which one is meant --- */

static const char *stands_for(const struct command_short *list, const char *word)
{
    for (; list->word; list++)
        if (strcmp(list->word, word) == 0)
            return list->stands_for;
    return NULL;
}

/* "vm ls", or a noun and a verb as they came, to "vm.ls". */
static const struct command *find_words(const struct commands *all, const char *noun,
                                        const char *verb)
{
    char name[COMMAND_WORDS_MAX];
    int len = snprintf(name, sizeof name, "%s%s%s", noun, verb ? "." : "", verb ? verb : "");
    return len < (int)sizeof name ? command_find(all, name) : NULL;
}

static bool is_noun(const struct commands *all, const char *word)
{
    for (size_t i = 0; i < all->count; i++) {
        const char *dot = strchr(all->at[i].name, '.');
        if (dot && str_is((struct str){all->at[i].name, (size_t)(dot - all->at[i].name)}, word))
            return true;
    }
    return false;
}

/* Add a word that is not there yet. */
static void note(const char **known, size_t *count, const char *word)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(known[i], word) == 0)
            return;
    known[(*count)++] = word;
}

static enum status refuse_word(const struct commands *all, const char *word, struct fault *why)
{
    char nouns[COMMANDS_MAX][COMMAND_WORDS_MAX];
    const char *known[COMMANDS_MAX + 16];
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct str noun = command_noun(&all->at[i]);
        enum status s = str_copy(noun, nouns[i], sizeof nouns[i], NULL);
        ensure(s == ST_OK);
        note(known, &count, nouns[i]);
    }
    for (const struct command_short *s = command_shorts; s->word; s++)
        note(known, &count, s->word);
    enum status s = fault_set(why, ST_INVALID, "there is no command %.60s", word);
    const char *meant = str_nearest(str_from(word), known, count);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    else
        fault_hint(why, "blixard help lists all");
    return s;
}

static enum status refuse_verb(const struct commands *all, const char *noun, const char *verb,
                               struct fault *why)
{
    const char *known[COMMANDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        if (str_is(command_noun(&all->at[i]), noun))
            known[count++] = strchr(all->at[i].name, '.') + 1;
    enum status s = fault_set(why, ST_INVALID, "%s has no verb %.60s", noun, verb);
    const char *meant = str_nearest(str_from(verb), known, count);
    if (meant)
        fault_hint(why, "did you mean %s %s?", noun, meant);
    else
        fault_hint(why, "blixard help %s lists them", noun);
    return s;
}

enum status command_match(const struct commands *all, size_t count, const char *const *word,
                          const struct command **ret, size_t *ret_used, struct str *ret_noun,
                          struct fault *why)
{
    require(count > 0);
    *ret_noun = (struct str){"", 0};
    const char *whole = stands_for(command_shorts, word[0]);
    if (whole) {
        char noun[COMMAND_WORDS_MAX];
        const char *verb = strchr(whole, ' ') + 1;
        (void)snprintf(noun, sizeof noun, "%.*s", (int)(verb - whole - 1), whole);
        *ret = find_words(all, noun, verb);
        *ret_used = 1;
        ensure(*ret);
        return ST_OK;
    }
    *ret = strchr(word[0], '.') ? NULL : find_words(all, word[0], NULL);
    *ret_used = 1;
    if (*ret)
        return ST_OK;
    if (!is_noun(all, word[0]))
        return refuse_word(all, word[0], why);
    *ret_noun = str_from(word[0]);
    if (count == 1)
        return fault_set(why, ST_INVALID, "%s needs a verb", word[0]);
    const char *verb = stands_for(verbs, word[1]);
    *ret = find_words(all, word[0], word[1]);
    if (!*ret && verb)
        *ret = find_words(all, word[0], verb);
    *ret_used = 2;
    return *ret ? ST_OK : refuse_verb(all, word[0], word[1], why);
}
