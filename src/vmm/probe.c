#include "vmm/probe.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/child.h"
#include "os/file.h"

enum {
    LOAD_AT = 0x100000,
    EXIT_VALUE = 0x2a,
    EXIT_STATUS = EXIT_VALUE << 1 | 1, /* what QEMU's isa-debug-exit makes of the value */
    PROBE_TIMEOUT_MS = 4000,
};

/* A 32-bit ELF with one segment and the note that PVH boot asks for: type 18, name "Xen", the entry
 * point (Xen's public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY). */
static const struct __attribute__((packed)) {
    Elf32_Ehdr head;
    Elf32_Phdr load, note;
    struct __attribute__((packed)) {
        Elf32_Nhdr head;
        char name[4];
        uint32_t entry;
    } pvh;
    uint8_t code[8];
} kernel = {
    .head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
             .e_type = ET_EXEC,
             .e_machine = EM_386,
             .e_version = EV_CURRENT,
             .e_entry = LOAD_AT + 136,
             .e_phoff = sizeof(Elf32_Ehdr),
             .e_ehsize = sizeof(Elf32_Ehdr),
             .e_phentsize = sizeof(Elf32_Phdr),
             .e_phnum = 2},
    .load = {.p_type = PT_LOAD,
             .p_vaddr = LOAD_AT,
             .p_paddr = LOAD_AT,
             .p_filesz = 144,
             .p_memsz = 144,
             .p_flags = PF_R | PF_X,
             .p_align = 4096},
    .note = {.p_type = PT_NOTE,
             .p_offset = 116,
             .p_vaddr = LOAD_AT + 116,
             .p_paddr = LOAD_AT + 116,
             .p_filesz = 20,
             .p_memsz = 20,
             .p_flags = PF_R,
             .p_align = 4},
    .pvh = {.head = {.n_namesz = 4, .n_descsz = 4, .n_type = 18}, "Xen", LOAD_AT + 136},
    .code = {0xb0, EXIT_VALUE, /* mov al, value */
             0xe6, 0xf4,       /* out 0xf4, al */
             0xf4,             /* hlt */
             0xeb, 0xfd},      /* jmp back to hlt */
};

/* "QEMU emulator version 7.2.22 (Debian ...)" */
static enum status ask_version(const char *qemu, struct probe *p, struct fault *why)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 4096);
    const char *argv[] = {qemu, "-version", NULL};
    enum status s =
        child_run(&(struct child_run){.argv = argv, .timeout_ms = 5000, .out = &out}, NULL, why);
    if (s != ST_OK)
        return s;
    char version[64] = "";
    (void)sscanf(buf_cstr(&out), "QEMU emulator version %63[0-9.]", version);
    (void)snprintf(p->qemu_version, sizeof p->qemu_version, "%s", version);
    return ST_OK;
}

static bool boots(const char *qemu, const char *accel, const char *cpu, int file, char *ret_how,
                  size_t size)
{
    const char *argv[] = {qemu,
                          "-M",
                          "microvm,acpi=on",
                          "-accel",
                          accel,
                          "-cpu",
                          cpu,
                          "-m",
                          "32",
                          "-nodefaults",
                          "-no-user-config",
                          "-display",
                          "none",
                          "-no-reboot",
                          "-kernel",
                          "/proc/self/fd/3", /* where child_run() puts `file` */
                          "-device",
                          "isa-debug-exit,iobase=0xf4,iosize=1",
                          NULL};
    struct child_result r = {0};
    struct fault why = {0};
    struct child_run run = {.argv = argv, .timeout_ms = PROBE_TIMEOUT_MS, .pass_fd = {file}};
    enum status s = child_run(&run, &r, &why);
    if (r.exit_code == EXIT_STATUS)
        return true;
    if (s == ST_TIMEOUT)
        (void)snprintf(ret_how, size, "the probe VM did not come up within %d s",
                       PROBE_TIMEOUT_MS / 1000);
    else
        (void)snprintf(ret_how, size, "%.200s", s == ST_OK ? "the probe VM ended early" : why.text);
    return false;
}

static void choose(struct probe *p, enum probe_want want, int file)
{
    char kvm[250] = "", tcg[250] = "";
    if (want == PROBE_WANT_TCG)
        (void)snprintf(kvm, sizeof kvm, "vm.accel says tcg");
    else if (access("/dev/kvm", R_OK | W_OK) != 0)
        (void)snprintf(kvm, sizeof kvm, "/dev/kvm: %s", strerrordesc_np(errno));
    else if (boots(p->qemu_path, "kvm", "host", file, kvm, sizeof kvm)) {
        p->accel = PROBE_KVM;
        (void)snprintf(p->why, sizeof p->why, "a probe VM booted with KVM");
        return;
    }
    if (want == PROBE_WANT_KVM) {
        p->accel = PROBE_NONE;
        (void)snprintf(p->why, sizeof p->why, "vm.accel says kvm, but %s", kvm);
        (void)snprintf(p->problem, sizeof p->problem, "set vm.accel to auto to use emulation");
    } else if (boots(p->qemu_path, "tcg,tb-size=32", "qemu64,+arat", file, tcg, sizeof tcg)) {
        p->accel = PROBE_TCG;
        (void)snprintf(p->why, sizeof p->why, "emulation, since KVM is of no use here: %s", kvm);
    } else {
        p->accel = PROBE_NONE;
        (void)snprintf(p->why, sizeof p->why, "no probe VM booted: %.180s; emulation: %.180s", kvm,
                       tcg);
        (void)snprintf(p->problem, sizeof p->problem, "check that qemu-system-x86 is whole");
    }
}

/* The kernel as a file that nobody else has a name for. */
static int make_kernel(struct fault *why)
{
    int fd = memfd_create("blixard-probe", MFD_CLOEXEC);
    if (fd < 0 || !file_write_at(fd, 0, &kernel, sizeof kernel)) {
        (void)fault_errno(why, errno, "write the probe's kernel");
        close_fd(&fd);
        return -1;
    }
    return fd;
}

void probe_run(const char *qemu, enum probe_want want, struct probe *ret)
{
    *ret = (struct probe){.accel = PROBE_NONE};
    struct fault why = {0};
    (void)snprintf(ret->qemu_path, sizeof ret->qemu_path, "%s", qemu);
    if (access(qemu, X_OK) != 0) {
        (void)snprintf(ret->why, sizeof ret->why, "no QEMU: %s is not there", qemu);
        (void)snprintf(ret->problem, sizeof ret->problem, "apt-get install qemu-system-x86");
        return;
    }
    if (ask_version(qemu, ret, &why) != ST_OK) {
        (void)snprintf(ret->why, sizeof ret->why, "QEMU does not run: %.300s", why.text);
        return;
    }
    AUTO(close_fd) int fd = make_kernel(&why);
    if (fd < 0)
        (void)snprintf(ret->why, sizeof ret->why, "no probe VM could be tried: %.300s", why.text);
    else
        choose(ret, want, fd);
}
