#include "image/modules.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "image/tree.h"

enum { BUILTIN_MAX = 1 << 20, SECTIONS_MAX = 1024, DEPTH_MAX = 16 };

/* ---- one module's file ---- */

static bool section_at(struct str elf, const Elf64_Ehdr *h, size_t i, Elf64_Shdr *ret)
{
    if (i >= h->e_shnum)
        return false;
    memcpy(ret, elf.ptr + h->e_shoff + i * sizeof *ret, sizeof *ret);
    bool has_bytes = ret->sh_type != SHT_NOBITS;
    return has_bytes && ret->sh_offset <= elf.len && ret->sh_size <= elf.len - ret->sh_offset;
}

/* The section of that name; false when there is none. */
static bool find_section(struct str elf, const char *name, struct str *ret)
{
    Elf64_Ehdr h;
    Elf64_Shdr names, s;
    if (elf.len < sizeof h)
        return false;
    memcpy(&h, elf.ptr, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_shentsize != sizeof s ||
        h.e_shnum > SECTIONS_MAX || h.e_shoff > elf.len ||
        h.e_shnum * sizeof s > elf.len - h.e_shoff || !section_at(elf, &h, h.e_shstrndx, &names))
        return false;
    for (size_t i = 0; i < h.e_shnum; i++) {
        size_t len = strlen(name) + 1; /* with its NUL */
        if (!section_at(elf, &h, i, &s) || s.sh_name > names.sh_size ||
            len > names.sh_size - s.sh_name ||
            memcmp(elf.ptr + names.sh_offset + s.sh_name, name, len) != 0)
            continue;
        *ret = (struct str){elf.ptr + s.sh_offset, (size_t)s.sh_size};
        return true;
    }
    return false;
}

enum status modules_depends(struct str elf, struct str *ret, struct fault *why)
{
    struct str info, line;
    if (!find_section(elf, ".modinfo", &info))
        return fault_set(why, ST_INVALID, "this is no kernel module");
    for (bool more = info.len > 0; more;) {
        more = str_cut(&info, '\0', &line);
        if (!str_starts(line, "depends="))
            continue;
        *ret = (struct str){line.ptr + 8, line.len - 8};
        return ST_OK;
    }
    *ret = (struct str){"", 0};
    return ST_OK;
}

/* ---- all of them ---- */

struct finder {
    int tree;
    struct map paths; /* name to path, of every module in the tree; "": built in */
    struct modules *out;
    bool packed;  /* some are compressed */
    size_t depth; /* of take() in itself: a chain longer than this is a circle */
};

/* "kernel/drivers/char/virtio_console.ko" to "virtio_console"; false when that is no module. */
static bool name_of(struct str path, char out[MODULE_NAME_MAX + 1])
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    struct str base = path;
    if (slash)
        base = (struct str){slash + 1, path.len - (size_t)(slash + 1 - path.ptr)};
    if (!str_ends(base, ".ko"))
        return false;
    base.len -= 3;
    if (base.len == 0 || str_copy(base, out, MODULE_NAME_MAX + 1, NULL) != ST_OK)
        return false;
    for (char *p = out; *p; p++)
        if (*p == '-')
            *p = '_';
    return true;
}

static bool remember(void *ctx, const char *path)
{
    struct finder *f = ctx;
    char name[MODULE_NAME_MAX + 1];
    struct str p = str_from(path);
    f->packed |= str_ends(p, ".ko.xz") || str_ends(p, ".ko.zst") || str_ends(p, ".ko.gz");
    if (name_of(p, name) && p.len <= MODULE_PATH_MAX && !map_find(&f->paths, str_from(name)))
        (void)map_put(&f->paths, str_from(name), mem_strdup(path));
    return true;
}

static enum status remember_built_in(struct finder *f, struct fault *why)
{
    AUTO(buf_done) struct buf list;
    buf_init(&list, BUILTIN_MAX);
    enum status s = tree_read(f->tree, "modules.builtin", &list, why);
    struct str rest = buf_view(&list), line;
    for (bool more = s == ST_OK; more;) {
        char name[MODULE_NAME_MAX + 1];
        more = str_cut(&rest, '\n', &line);
        if (name_of(line, name) && !map_find(&f->paths, str_from(name)))
            (void)map_put(&f->paths, str_from(name), mem_strdup(""));
    }
    return s;
}

static void forget(struct finder *f)
{
    MAP_EACH(&f->paths, name, path)
        free(path);
    map_done(&f->paths);
}

static bool is_taken(const struct modules *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->item[i].name, name) == 0)
            return true;
    return false;
}

static enum status take(struct finder *f, struct str wanted, struct fault *why);

static enum status take_depends(struct finder *f, const char *path, struct fault *why)
{
    AUTO(buf_done) struct buf elf;
    buf_init(&elf, MODULE_FILE_MAX);
    enum status s = tree_read(f->tree, path, &elf, why);
    struct str depends, name;
    if (s == ST_OK)
        s = modules_depends(buf_view(&elf), &depends, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "module %s", path);
    for (bool more = depends.len > 0; s == ST_OK && more;) {
        more = str_cut(&depends, ',', &name);
        if (name.len > 0)
            s = take(f, name, why);
    }
    return s;
}

/* Add the module to the list, after what it needs. */
static enum status take(struct finder *f, struct str wanted, struct fault *why)
{
    char name[MODULE_NAME_MAX + 1];
    enum status s = str_copy(wanted, name, sizeof name, why);
    if (s != ST_OK)
        return s;
    for (char *p = name; *p; p++)
        if (*p == '-')
            *p = '_';
    if (is_taken(f->out, name))
        return ST_OK;
    const char *path = map_find(&f->paths, str_from(name));
    if (!path && f->packed)
        return fault_set(why, ST_UNSUPPORTED, "module %s: the kernel's modules are compressed",
                         name);
    if (!path)
        return fault_set(why, ST_NOT_FOUND, "the kernel has no module %s", name);
    if (path[0] == 0) /* built in */
        return ST_OK;
    if (f->depth == DEPTH_MAX)
        return fault_set(why, ST_INVALID, "module %s depends on itself", name);
    f->depth++;
    s = take_depends(f, path, why);
    f->depth--;
    if (s != ST_OK)
        return s;
    if (f->out->count == MODULES_MAX)
        return fault_set(why, ST_TOO_BIG, "more than %d modules are needed", MODULES_MAX);
    struct module *m = &f->out->item[f->out->count++];
    memcpy(m->name, name, sizeof name);
    strcpy(m->path, path); /* it was measured when it was found */
    return ST_OK;
}

enum status modules_find(int tree, const char *const *names, size_t count, struct modules *ret,
                         struct fault *why)
{
    struct modules found = {.count = 0};
    struct finder f = {.tree = tree, .out = &found};
    map_init(&f.paths);
    enum status s = tree_walk(tree, remember, &f, why);
    if (s == ST_OK)
        s = remember_built_in(&f, why);
    for (size_t i = 0; s == ST_OK && i < count; i++)
        s = take(&f, str_from(names[i]), why);
    forget(&f);
    if (s == ST_OK)
        *ret = found;
    return s;
}
