#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct map_node {
    struct map_node *left, *right;
    void *value;
    uint64_t priority;
    size_t len;
    char key[];
};

static struct str node_key(const struct map_node *n)
{
    return (struct str){n->key, n->len};
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

static void free_all(struct map_node *n)
{
    while (n) {
        struct map_node *right = n->right;
        free_all(n->left);
        free(n);
        n = right;
    }
}

void map_done(struct map *m)
{
    free_all(m->root);
    map_init(m);
}

static struct map_node *find(const struct map *m, struct str key)
{
    struct map_node *n = m->root;
    while (n) {
        int c = str_cmp(key, node_key(n));
        if (c == 0)
            return n;
        n = c < 0 ? n->left : n->right;
    }
    return NULL;
}

void *map_find(const struct map *m, struct str key)
{
    struct map_node *n = find(m, key);
    return n ? n->value : NULL;
}

/* Split into what is less than key and what is greater; key itself is not in the tree. */
static void split(struct map_node *n, struct str key, struct map_node **less,
                  struct map_node **more)
{
    while (n) {
        if (str_cmp(node_key(n), key) < 0) {
            *less = n;
            less = &n->right;
            n = n->right;
        } else {
            *more = n;
            more = &n->left;
            n = n->left;
        }
    }
    *less = *more = NULL;
}

static struct map_node *join(struct map_node *less, struct map_node *more)
{
    struct map_node *root = NULL, **at = &root;
    while (less && more) {
        if (less->priority > more->priority) {
            *at = less;
            at = &less->right;
            less = less->right;
        } else {
            *at = more;
            at = &more->left;
            more = more->left;
        }
    }
    *at = less ? less : more;
    return root;
}

void *map_put(struct map *m, struct str key, void *value)
{
    require(key.len > 0 && key.len <= MAP_KEY_MAX && value != NULL);
    struct map_node *n = find(m, key);
    if (n) {
        void *before = n->value;
        n->value = value;
        return before;
    }
    n = mem_new(sizeof *n + key.len);
    n->value = value;
    n->len = key.len;
    memcpy(n->key, key.ptr, key.len);
    n->priority = hash_mix(hash_fnv(HASH_FNV_START, key.ptr, key.len));
    struct map_node **at = &m->root;
    while (*at && (*at)->priority >= n->priority)
        at = str_cmp(key, node_key(*at)) < 0 ? &(*at)->left : &(*at)->right;
    split(*at, key, &n->left, &n->right);
    *at = n;
    m->count++;
    return NULL;
}

void *map_take(struct map *m, struct str key)
{
    struct map_node **at = &m->root;
    while (*at) {
        int c = str_cmp(key, node_key(*at));
        if (c == 0)
            break;
        at = c < 0 ? &(*at)->left : &(*at)->right;
    }
    struct map_node *n = *at;
    if (!n)
        return NULL;
    void *value = n->value;
    *at = join(n->left, n->right);
    free(n);
    m->count--;
    return value;
}

bool map_seek(const struct map *m, struct str key, bool after, struct str *ret_key,
              void **ret_value)
{
    const struct map_node *n = m->root, *best = NULL;
    while (n) {
        int c = str_cmp(node_key(n), key);
        if (c > 0 || (c == 0 && !after)) {
            best = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    if (!best)
        return false;
    *ret_key = node_key(best);
    *ret_value = best->value;
    return true;
}
