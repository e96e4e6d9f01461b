#include <elf.h>
#include <lz4.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "image/vmlinux.h"
#include "support/prop.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "wire/cursor.h"

enum { KERNEL_SIZE = 20000, HEADER = 0x260, SETUP = 512 * 2 };

/* A kernel of nothing but headers and a PVH note. */
static struct buf make_elf(bool pvh)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    Elf64_Ehdr h = {.e_machine = EM_X86_64,
                    .e_phoff = sizeof h,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1};
    memcpy(h.e_ident,
           "\x7f"
           "ELF\2\1\1",
           7);
    Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = sizeof h + sizeof p, .p_filesz = 16 + 24};
    buf_add(&b, &h, sizeof h);
    buf_add(&b, &p, sizeof p);
    for (uint32_t i = 0; i < 2; i++) { /* another note comes first */
        cursor_put_u32(&b, 4);
        cursor_put_u32(&b, i ? 8 : 0);
        cursor_put_u32(&b, i && pvh ? 18 : 5);
        buf_add(&b, "Xen", 4);
    }
    cursor_put_u64(&b, 0x1000000);
    while (b.len < KERNEL_SIZE)
        buf_char(&b, (char)(b.len * 7 / 3));
    return b;
}

/* A bzImage around a packed kernel, which claims to unpack to `size`. */
static struct buf make_bzimage(struct str packed, uint32_t size)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    char head[SETUP] = {0};
    head[0x1f1] = 1;
    head[0x1fe] = 0x55;
    head[0x1ff] = (char)0xaa;
    memcpy(head + 0x202, "HdrS", 4);
    head[0x206] = 0x0f;
    head[0x207] = 0x02;
    cursor_store_u32(head + 0x248, 16);
    cursor_store_u32(head + 0x24c, (uint32_t)packed.len + 4);
    buf_add(&b, head, sizeof head);
    buf_add(&b, "sixteen bytes...", 16);
    buf_str(&b, packed);
    cursor_put_u32(&b, size);
    return b;
}

static struct buf pack_lz4(struct str elf)
{
    struct buf b;
    char packed[2 * KERNEL_SIZE];
    buf_init(&b, 1 << 20);
    buf_add(&b, "\x02\x21\x4c\x18", 4);
    int n = LZ4_compress_default(elf.ptr, packed, (int)elf.len, sizeof packed);
    CHECK(n > 0);
    cursor_put_u32(&b, (uint32_t)n);
    buf_add(&b, packed, (size_t)n);
    return b;
}

static struct buf pack_zstd(struct str elf)
{
    struct buf b;
    char packed[2 * KERNEL_SIZE];
    buf_init(&b, 1 << 20);
    size_t n = ZSTD_compress(packed, sizeof packed, elf.ptr, elf.len, 3);
    CHECK(!ZSTD_isError(n));
    buf_add(&b, packed, n);
    return b;
}

/* Extract `kernel` and compare with `want`. */
static enum status extract(struct str kernel, struct str want, struct fault *why)
{
    char from[256];
    (void)snprintf(from, sizeof from, "%s", scratch_file("kernel"));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, from, kernel, 0600, NULL));
    AUTO(close_fd) int fd = open(from, O_RDONLY);
    const char *to = scratch_file("vmlinux");
    (void)unlink(to);
    enum status s = vmlinux_extract(fd, "test", AT_FDCWD, to, why);
    if (s != ST_OK) {
        CHECK(access(to, F_OK) != 0);
        return s;
    }
    struct buf got;
    buf_init(&got, 1 << 20);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, to, &got, NULL));
    CHECK(str_eq(want, buf_view(&got)));
    buf_done(&got);
    return s;
}

TEST(vmlinux_is_found_in_each_packing)
{
    struct buf elf = make_elf(true);
    struct buf lz4 = pack_lz4(buf_view(&elf)), zstd = pack_zstd(buf_view(&elf));
    struct buf a = make_bzimage(buf_view(&lz4), KERNEL_SIZE);
    struct buf b = make_bzimage(buf_view(&zstd), KERNEL_SIZE);
    struct fault why;
    CHECK_EQ(ST_OK, extract(buf_view(&a), buf_view(&elf), &why));
    CHECK_EQ(ST_OK, extract(buf_view(&b), buf_view(&elf), &why));
    CHECK_EQ(ST_OK, extract(buf_view(&elf), buf_view(&elf), &why));
    buf_done(&elf);
    buf_done(&lz4);
    buf_done(&zstd);
    buf_done(&a);
    buf_done(&b);
}

TEST(vmlinux_that_lies_about_its_size_is_refused)
{
    struct buf elf = make_elf(true);
    struct buf lz4 = pack_lz4(buf_view(&elf)), zstd = pack_zstd(buf_view(&elf));
    static const uint32_t sizes[] = {KERNEL_SIZE - 1, KERNEL_SIZE + 1};
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct buf a = make_bzimage(buf_view(&lz4), sizes[i]);
        struct buf b = make_bzimage(buf_view(&zstd), sizes[i]);
        CHECK_EQ(ST_INVALID, extract(buf_view(&a), buf_view(&elf), &why));
        CHECK_EQ(ST_INVALID, extract(buf_view(&b), buf_view(&elf), &why));
        buf_done(&a);
        buf_done(&b);
    }
    struct buf bomb = make_bzimage(buf_view(&zstd), UINT32_MAX);
    CHECK_EQ(ST_TOO_BIG, extract(buf_view(&bomb), buf_view(&elf), &why));
    CHECK_STR("kernel test: the kernel would unpack to 4294967295 bytes", why.text);
    buf_done(&elf);
    buf_done(&lz4);
    buf_done(&zstd);
    buf_done(&bomb);
}

TEST(vmlinux_other_packings_are_named)
{
    struct buf gz = make_bzimage(STR("\x1f\x8b\x08 and so on"), 1000);
    struct fault why;
    CHECK_EQ(ST_UNSUPPORTED, extract(buf_view(&gz), STR(""), &why));
    CHECK_STR("kernel test: the kernel is packed with gzip; lz4 and zstd are supported", why.text);
    buf_done(&gz);
}

TEST(vmlinux_without_pvh_note_is_refused)
{
    struct buf elf = make_elf(false);
    struct fault why;
    CHECK_EQ(ST_UNSUPPORTED, extract(buf_view(&elf), STR(""), &why));
    CHECK_STR("kernel test: the kernel was built without CONFIG_PVH", why.text);
    CHECK_EQ(ST_INVALID, extract(STR("not a kernel"), STR(""), &why));
    buf_done(&elf);
}

/* Any byte of a good kernel changed, or its end cut off: refused or taken, but read in bounds. */
static void damaged_kernel_is_read_in_bounds(struct tape *t)
{
    struct buf elf = make_elf(true), lz4 = pack_lz4(buf_view(&elf));
    struct buf bzimage = make_bzimage(buf_view(&lz4), KERNEL_SIZE);
    struct buf image = draw_below(t, 2) ? bzimage : elf;
    for (uint64_t n = draw_below(t, 8); n > 0; n--)
        image.ptr[draw_below(t, MIN(image.len, (size_t)1200))] = (char)draw_below(t, 256);
    size_t len = draw_below(t, 3) ? image.len : draw_below(t, image.len);
    char *exact = mem_dup(image.ptr, len);
    enum vmlinux_packing packing;
    struct str payload;
    size_t size;
    if (vmlinux_payload((struct str){exact, len}, &packing, &payload, &size, NULL) == ST_OK)
        CHECK(payload.ptr >= exact && payload.ptr + payload.len <= exact + len &&
              size <= VMLINUX_MAX);
    (void)!vmlinux_check((struct str){exact, len}, NULL);
    free(exact);
    buf_done(&elf);
    buf_done(&lz4);
    buf_done(&bzimage);
}

TEST(vmlinux_damaged_kernel_is_read_in_bounds)
{
    prop_run(damaged_kernel_is_read_in_bounds, 1, 300);
}
