#include "daemon/probe_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "daemon/paths.h"
#include "os/file.h"

enum { KEY_MAX = 700, TEXT_MAX = 4096 };

/* Everything on which the answer depends, on one line. */
static void key_of(const struct config *c, const struct probe *p, char out[KEY_MAX])
{
    struct utsname u = {0};
    struct stat qemu = {0}, kvm = {0};
    (void)uname(&u);
    (void)stat(p->qemu_path, &qemu);
    (void)stat("/dev/kvm", &kvm);
    (void)snprintf(out, KEY_MAX, "3 %s %s %lld %lld %llu %d", u.release, p->qemu_path,
                   (long long)qemu.st_size, (long long)qemu.st_mtime,
                   (unsigned long long)kvm.st_rdev, (int)c->vm.accel);
}

/* Lines: key, accelerator, version, why. */
static bool load(const struct config *c, struct probe *p)
{
    AUTO(buf_done) struct buf text;
    char key[KEY_MAX];
    uint64_t accel;
    buf_init(&text, TEXT_MAX);
    key_of(c, p, key);
    if (file_read(AT_FDCWD, PATH_PROBE, &text, NULL) != ST_OK)
        return false;
    struct str rest = buf_view(&text), line[4];
    for (size_t i = 0; i < ARRAY_COUNT(line); i++)
        if (!str_cut(&rest, '\n', &line[i]))
            return false;
    if (!str_is(line[0], key) || str_u64(line[1], 0, PROBE_TCG, &accel, NULL) != ST_OK ||
        str_copy(line[2], p->qemu_version, sizeof p->qemu_version, NULL) != ST_OK ||
        str_copy(line[3], p->why, sizeof p->why, NULL) != ST_OK)
        return false;
    p->accel = (enum probe_accel)accel;
    return true;
}

void probe_cache_save(const struct config *c, const struct probe *p)
{
    AUTO(buf_done) struct buf text;
    char key[KEY_MAX];
    buf_init(&text, TEXT_MAX);
    key_of(c, p, key);
    buf_fmt(&text, "%s\n%d\n%s\n%s\n", key, (int)p->accel, p->qemu_version, p->why);
    if (!text.full)
        IGNORE(file_write(AT_FDCWD, PATH_PROBE, buf_view(&text), 0644, NULL)); /* tried again */
}

void probe_cache_get(const struct config *c, struct probe *ret, bool *ret_fresh)
{
    static const enum probe_want wants[] = {PROBE_WANT_AUTO, PROBE_WANT_KVM, PROBE_WANT_TCG};
    char qemu[PROGRAM_PATH_MAX];
    *ret = (struct probe){0};
    *ret_fresh = false;
    if (program_find_qemu("", program_path(), c->vm.qemu, qemu)) {
        memcpy(ret->qemu_path, qemu, sizeof qemu);
        if (load(c, ret))
            return;
    }
    probe_run(qemu, wants[c->vm.accel], ret);
    /* What failed is tried again at the next start: something may have been installed. */
    *ret_fresh = ret->accel != PROBE_NONE;
}
