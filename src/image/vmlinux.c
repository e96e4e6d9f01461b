#include "image/vmlinux.h"

#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>

#include "os/file.h"
#include "wire/cursor.h"

/* Offsets in the first sectors of a bzImage (Documentation/arch/x86/boot.rst). */
enum {
    SETUP_SECTS_AT = 0x1f1,
    BOOT_FLAG_AT = 0x1fe,
    MAGIC_AT = 0x202,
    VERSION_AT = 0x206,
    PAYLOAD_OFFSET_AT = 0x248,
    PAYLOAD_LENGTH_AT = 0x24c,
    HEADER_END = 0x250,
    BOOT_FLAG = 0xaa55,
    VERSION_WITH_PAYLOAD = 0x0208,
    SECTOR = 512,
};

enum {
    LZ4_MAGIC = 0x184c2102,
    LZ4_BLOCK = 8 * 1024 * 1024,
    PVH_NOTE = 18,
    PHDRS_MAX = 128,
    NOTES_MAX = 64
};

static uint64_t number_at(struct str s, size_t at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = len; i-- > 0;)
        v = v << 8 | (uint8_t)s.ptr[at + i];
    return v;
}

/* ---- the bzImage ---- */

static const char lz4_magic[] = "\x02\x21\x4c\x18";
static const char zstd_magic[] = "\x28\xb5\x2f\xfd";

static const struct {
    const char *magic;
    const char *name;
} other_packings[] = {
    {"\x1f\x8b", "gzip"},
    {"\xfd"
     "7zXZ",
     "xz"},
    {"BZh", "bzip2"},
    {"\x5d\x00\x00", "lzma"},
    {"\x89LZO", "lzo"},
};

static enum status find_packing(struct str payload, enum vmlinux_packing *ret, struct fault *why)
{
    if (str_starts(payload, lz4_magic)) {
        *ret = VMLINUX_LZ4;
        return ST_OK;
    }
    if (str_starts(payload, zstd_magic)) {
        *ret = VMLINUX_ZSTD;
        return ST_OK;
    }
    const char *name = "something unknown";
    for (size_t i = 0; i < ARRAY_COUNT(other_packings); i++)
        if (str_starts(payload, other_packings[i].magic))
            name = other_packings[i].name;
    enum status s = fault_set(why, ST_UNSUPPORTED,
                              "the kernel is packed with %s; lz4 and zstd are supported", name);
    fault_hint(why, "give an unpacked vmlinux, for example from extract-vmlinux");
    return s;
}

enum status vmlinux_payload(struct str bzimage, enum vmlinux_packing *ret_packing,
                            struct str *ret_payload, size_t *ret_size, struct fault *why)
{
    if (bzimage.len < HEADER_END || number_at(bzimage, BOOT_FLAG_AT, 2) != BOOT_FLAG ||
        memcmp(bzimage.ptr + MAGIC_AT, "HdrS", 4) != 0)
        return fault_set(why, ST_INVALID, "this is no Linux kernel for x86");
    if (number_at(bzimage, VERSION_AT, 2) < VERSION_WITH_PAYLOAD)
        return fault_set(why, ST_UNSUPPORTED, "the kernel is older than Linux 2.6.30");
    uint64_t setup = number_at(bzimage, SETUP_SECTS_AT, 1);
    uint64_t start = ((setup ? setup : 4) + 1) * SECTOR + number_at(bzimage, PAYLOAD_OFFSET_AT, 4);
    uint64_t len = number_at(bzimage, PAYLOAD_LENGTH_AT, 4);
    if (start > bzimage.len || len > bzimage.len - start || len < 8)
        return fault_set(why, ST_INVALID, "the kernel is cut off, or its header is damaged");
    struct str payload = {bzimage.ptr + start, (size_t)len};
    enum vmlinux_packing packing = 0;
    enum status s = find_packing(payload, &packing, why);
    if (s != ST_OK)
        return s;
    uint64_t size = number_at(payload, payload.len - 4, 4); /* the build appends it */
    if (size == 0 || size > VMLINUX_MAX)
        return fault_set(why, ST_TOO_BIG, "the kernel would unpack to %" PRIu64 " bytes", size);
    *ret_packing = packing;
    *ret_payload = (struct str){payload.ptr, payload.len - 4};
    *ret_size = (size_t)size;
    return ST_OK;
}

/* ---- the ELF file ---- */

/* Look for the note "Xen", type 18: where a PVH guest starts. */
static bool has_pvh_note(struct str notes)
{
    struct cursor c;
    cursor_init(&c, notes);
    for (unsigned i = 0; i < NOTES_MAX && cursor_left(&c) > 0; i++) {
        uint32_t name_size = cursor_u32(&c), desc_size = cursor_u32(&c), type = cursor_u32(&c);
        struct str name = cursor_bytes(&c, name_size);
        (void)cursor_bytes(&c, (4 - name_size % 4) % 4);
        (void)cursor_bytes(&c, desc_size);
        bool xen = str_eq(name, (struct str){"Xen", 4}); /* with its NUL */
        if (cursor_ok(&c) && xen && type == PVH_NOTE && desc_size >= 4)
            return true;
        size_t padding = (4 - desc_size % 4) % 4;
        (void)cursor_bytes(&c, MIN(padding, cursor_left(&c))); /* the last one's may be missing */
    }
    return false;
}

enum status vmlinux_check(struct str elf, struct fault *why)
{
    Elf64_Ehdr h;
    if (elf.len < sizeof h)
        return fault_set(why, ST_INVALID, "this is no ELF file");
    memcpy(&h, elf.ptr, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != EM_X86_64)
        return fault_set(why, ST_INVALID, "this is no kernel for 64-bit x86");
    if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0 || h.e_phnum > PHDRS_MAX ||
        h.e_phoff > elf.len || (size_t)h.e_phnum * sizeof(Elf64_Phdr) > elf.len - h.e_phoff)
        return fault_set(why, ST_INVALID, "the kernel's program headers are damaged");
    for (size_t i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, elf.ptr + h.e_phoff + i * sizeof p, sizeof p);
        if (p.p_offset > elf.len || p.p_filesz > elf.len - p.p_offset)
            return fault_set(why, ST_INVALID, "the kernel is cut off");
        if (p.p_type == PT_NOTE &&
            has_pvh_note((struct str){elf.ptr + p.p_offset, (size_t)p.p_filesz}))
            return ST_OK;
    }
    return fault_set(why, ST_UNSUPPORTED, "the kernel was built without CONFIG_PVH");
}

/* ---- unpacking ---- */

/* The "legacy" format of lz4: magic, then blocks of 8 MiB, each after its packed size. */
static bool unlz4(struct str packed, char *out, size_t size)
{
    struct cursor c;
    size_t at = 0;
    cursor_init(&c, packed);
    (void)cursor_bytes(&c, 4);
    while (cursor_ok(&c) && cursor_left(&c) > 0) {
        uint32_t len = cursor_u32(&c);
        if (len == LZ4_MAGIC) /* archives may be joined */
            continue;
        struct str block = cursor_bytes(&c, len);
        int room = (int)MIN(size - at, (size_t)LZ4_BLOCK);
        if (!cursor_ok(&c) || block.len == 0 || block.len > VMLINUX_PACKED_MAX)
            return false;
        int n = LZ4_decompress_safe(block.ptr, out + at, (int)block.len, room);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return cursor_ok(&c) && at == size;
}

static bool unzstd(struct str packed, char *out, size_t size)
{
    size_t frame = ZSTD_findFrameCompressedSize(packed.ptr, packed.len);
    if (ZSTD_isError(frame))
        return false;
    size_t n = ZSTD_decompress(out, size, packed.ptr, frame);
    return !ZSTD_isError(n) && n == size;
}

/* ---- files ---- */

/* Pages of our own rather than the allocator's: some 50 MB that go back to the system afterwards. Not a
 * map of the file: that may be cut short by others while we read. */
struct pages {
    char *ptr;
    size_t len;
};

static void pages_free(struct pages *p)
{
    if (p->ptr)
        (void)munmap(p->ptr, p->len);
}

static enum status pages_new(size_t len, struct pages *ret, struct fault *why)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return fault_errno(why, errno, "memory for the kernel");
    *ret = (struct pages){p, len};
    return ST_OK;
}

static enum status read_kernel(int fd, struct pages *ret, struct fault *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fault_errno(why, errno, "stat");
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return fault_set(why, ST_INVALID, "it is no file with a kernel");
    if (st.st_size > VMLINUX_MAX)
        return fault_set(why, ST_TOO_BIG, "it has more than %d bytes", VMLINUX_MAX);
    enum status s = pages_new((size_t)st.st_size, ret, why);
    size_t len;
    if (s == ST_OK && !file_read_at(fd, 0, ret->ptr, ret->len, &len))
        s = fault_errno(why, errno, "read");
    else if (s == ST_OK && len != ret->len)
        s = fault_set(why, ST_INVALID, "it became shorter while it was read");
    return s;
}

static enum status unpack(struct str bzimage, struct pages *ret, struct fault *why)
{
    enum vmlinux_packing packing;
    struct str payload;
    size_t size;
    enum status s = vmlinux_payload(bzimage, &packing, &payload, &size, why);
    if (s == ST_OK)
        s = pages_new(size, ret, why);
    if (s != ST_OK)
        return s;
    bool ok =
        packing == VMLINUX_LZ4 ? unlz4(payload, ret->ptr, size) : unzstd(payload, ret->ptr, size);
    return ok ? ST_OK : fault_set(why, ST_INVALID, "the kernel within the bzImage is damaged");
}

enum status vmlinux_extract(int fd, const char *name, int dir, const char *to, struct fault *why)
{
    AUTO(pages_free) struct pages in = {0};
    AUTO(pages_free) struct pages out = {0};
    enum status s = read_kernel(fd, &in, why);
    struct str kernel = {in.ptr, in.len};
    if (s == ST_OK && !str_starts(kernel, ELFMAG)) {
        s = unpack(kernel, &out, why);
        kernel = (struct str){out.ptr, out.len};
    }
    if (s == ST_OK)
        s = vmlinux_check(kernel, why);
    if (s == ST_OK)
        s = file_write(dir, to, kernel, 0644, why);
    return s == ST_OK ? s : fault_wrap(why, s, "kernel %s", name);
}
