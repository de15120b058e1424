#include "sftpd/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define ARCH AUDIT_ARCH_ARM
#else
#error "name the architecture for the filter"
#endif

#define DENY(call)                                                             \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1),                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* A list of what is forbidden, not of what is allowed: which calls the C
 * library makes depends on its version, and this process has no capability. */
static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#if defined(__x86_64__)
    /* The x32 numbers of the same calls. */
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    DENY(SYS_fork),
    DENY(SYS_vfork),
#endif
    DENY(SYS_clone),
    DENY(SYS_clone3),
    DENY(SYS_execve),
    DENY(SYS_execveat),
    DENY(SYS_socket),
    DENY(SYS_socketpair),
    DENY(SYS_connect),
    DENY(SYS_bind),
    DENY(SYS_listen),
    DENY(SYS_ptrace),
    DENY(SYS_process_vm_readv),
    DENY(SYS_process_vm_writev),
    DENY(SYS_kill),
    DENY(SYS_tkill),
    DENY(SYS_mount),
    DENY(SYS_umount2),
    DENY(SYS_pivot_root),
    DENY(SYS_chroot),
    DENY(SYS_unshare),
    DENY(SYS_setns),
    DENY(SYS_bpf),
    DENY(SYS_perf_event_open),
    DENY(SYS_keyctl),
    DENY(SYS_add_key),
    DENY(SYS_io_uring_setup),
    DENY(SYS_userfaultfd),
    DENY(SYS_open_by_handle_at),
    DENY(SYS_setuid),
    DENY(SYS_setgid),
    DENY(SYS_mknodat),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int sftpd_sandbox(struct tp_error *err)
{
    struct sock_fprog program = {
        .len = sizeof(filter) / sizeof(*filter),
        .filter = filter,
    };

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return tp_error_errno(err, -errno, "seccomp filter");
    return 0;
}
