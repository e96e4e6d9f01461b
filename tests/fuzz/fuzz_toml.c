/* Any bytes are either refused or a tree that keeps the promises of toml.h. */
#include "base/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_quoting(struct str text)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, TOML_SIZE_MAX);
    buf_text(&b, "x=");
    toml_quote(&b, text);
    if (b.full) /* escapes can be six times as long */
        return;
    struct toml *root;
    ensure(toml_parse(buf_view(&b), &root, NULL) == ST_OK);
    ensure(str_eq(text, root->first->string));
    toml_free(root);
}

static void check_tree(const struct toml *t, size_t size, unsigned depth)
{
    size_t count = 0;
    ensure(depth <= TOML_DEPTH_MAX);
    ensure(t->at.line >= 1 && t->at.column >= 1 && t->at.line + t->at.column <= size + 2);
    ensure(str_utf8(t->key) && t->key.ptr[t->key.len] == 0);
    if (t->type == TOML_STRING) {
        ensure(str_utf8(t->string) && t->string.ptr[t->string.len] == 0);
        check_quoting(t->string);
    }
    TOML_EACH(c, t) {
        ensure(t->type == TOML_TABLE || c->key.len == 0);
        ensure(t->type != TOML_TABLE || toml_find(t, c->key) == c);
        check_tree(c, size, depth + 1);
        count++;
    }
    ensure(count == t->count && (t->last == NULL) == (count == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct toml *root;
    struct fault why = {0};
    if (toml_parse((struct str){(const char *)data, size}, &root, &why) == ST_OK) {
        check_tree(root, size, 0);
        toml_free(root);
    } else {
        ensure(why.status == ST_INVALID || why.status == ST_TOO_BIG);
        ensure(why.text[0] != 0);
    }
    return 0;
}
