#include "image/cpio.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { ALIGN = 4, BLOCK = 512 };

void cpio_init(struct cpio *c, FILE *out)
{
    *c = (struct cpio){.out = out};
}

static void put(struct cpio *c, const void *data, size_t len)
{
    if (c->bad != ST_OK)
        return;
    if (len > 0 && fwrite(data, 1, len, c->out) != len)
        c->bad = fault_errno(&c->why, errno, "write the initramfs");
    c->written += len;
}

static void pad(struct cpio *c, size_t to)
{
    static const char zeros[BLOCK];
    put(c, zeros, (to - c->written % to) % to);
}

struct entry {
    const char *path;
    unsigned mode; /* with the type */
    unsigned major, minor;
    struct str content;
};

static void refuse(struct cpio *c, const char *path, const char *what)
{
    if (c->bad == ST_OK)
        c->bad = fault_set(&c->why, ST_TOO_BIG, "%s: %s", path, what);
}

static void put_entry(struct cpio *c, struct entry e)
{
    size_t name_size = strlen(e.path) + 1;
    if (name_size > CPIO_PATH_MAX + 1 || name_size == 1)
        refuse(c, e.path, "the path is too long for an initramfs");
    if (e.content.len > CPIO_FILE_MAX)
        refuse(c, e.path, "the file is too big for an initramfs");
    if (c->bad != ST_OK)
        return;
    char head[6 + 13 * 8 + 1];
    unsigned links = S_ISDIR(e.mode) ? 2 : 1;
    int n = snprintf(head, sizeof head,
                     "070701"    /* magic */
                     "%08x%08x"  /* inode, mode */
                     "%08x%08x"  /* uid, gid */
                     "%08x%08x"  /* links, mtime */
                     "%08x"      /* size */
                     "%08x%08x"  /* of the file system: major, minor */
                     "%08x%08x"  /* of a device: major, minor */
                     "%08x%08x", /* name with its NUL, checksum */
                     ++c->inode, e.mode, 0U, 0U, links, 0U, (unsigned)e.content.len, 0U, 0U,
                     e.major, e.minor, (unsigned)name_size, 0U);
    ensure(n == (int)sizeof head - 1);
    put(c, head, sizeof head - 1);
    put(c, e.path, name_size);
    pad(c, ALIGN);
    put(c, e.content.ptr, e.content.len);
    pad(c, ALIGN);
}

void cpio_folder(struct cpio *c, const char *path, unsigned mode)
{
    put_entry(c, (struct entry){.path = path, .mode = S_IFDIR | mode});
}

void cpio_file(struct cpio *c, const char *path, unsigned mode, struct str content)
{
    put_entry(c, (struct entry){.path = path, .mode = S_IFREG | mode, .content = content});
}

void cpio_link(struct cpio *c, const char *path, const char *target)
{
    put_entry(c, (struct entry){.path = path, .mode = S_IFLNK | 0777, .content = str_from(target)});
}

void cpio_node(struct cpio *c, const char *path, unsigned mode, char type, unsigned major,
               unsigned minor)
{
    require(type == 'c' || type == 'b');
    put_entry(c, (struct entry){.path = path,
                                .mode = (type == 'c' ? S_IFCHR : S_IFBLK) | mode,
                                .major = major,
                                .minor = minor});
}

enum status cpio_end(struct cpio *c, struct fault *why)
{
    c->inode = UINT32_MAX; /* the trailer's is 0 */
    put_entry(c, (struct entry){.path = "TRAILER!!!"});
    pad(c, BLOCK);
    if (c->bad == ST_OK && fflush(c->out) != 0)
        c->bad = fault_errno(&c->why, errno, "write the initramfs");
    if (c->bad != ST_OK && why)
        *why = c->why;
    return c->bad;
}
