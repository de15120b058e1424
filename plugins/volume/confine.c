#include "confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "confine.c: name this architecture for seccomp"
#endif

static const int allowed[] = {
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_fstat,
    SYS_fcntl,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_connect,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_shutdown,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_ppoll,
    SYS_futex,
    SYS_clock_gettime,
    SYS_gettimeofday,
    SYS_getpid,
    SYS_gettid,
    SYS_geteuid,
    SYS_getuid,
    SYS_tgkill,
    SYS_exit,
    SYS_exit_group,
    SYS_getrandom,
    SYS_chdir,
    SYS_ioctl,
    SYS_restart_syscall,
    SYS_sched_yield,
    SYS_membarrier,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
    SYS_poll,
    SYS_time,
#endif
};

static const struct {
    int call;
    unsigned argument;
    uint32_t mask, value; /* allowed if (argument & mask) == value */
} conditional[] = {
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_socket, 0, ~0u, AF_UNIX},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int set_capabilities(uint32_t low, struct tp_error *err)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = low, .permitted = low}};

    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap > 31 || !(low & 1u << cap))
            prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, data) < 0)
        return tp_error_errno(err, -errno, "capabilities");
    return 0;
}

int confine_plugin(struct tp_error *err)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    signal(SIGPIPE, SIG_IGN);
    return set_capabilities(1u << CAP_SYS_ADMIN, err);
}

#define LOAD(offset)                                                           \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offset))
#define SKIP_UNLESS(value, n)                                                  \
    (struct sock_filter)                                                       \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, n)
#define RETURN(action)                                                         \
    (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (uint32_t)(action))
#define LOW_WORD(argument)                                                     \
    (offsetof(struct seccomp_data, args) + 8 * (argument))

static int filter_calls(struct tp_error *err)
{
    struct sock_filter f[4 + 2 * COUNT(allowed) + 6 * COUNT(conditional) + 1];
    struct sock_fprog program = {.filter = f};
    size_t n = 0;

    f[n++] = LOAD(offsetof(struct seccomp_data, arch));
    f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH,
                                          1, 0);
    f[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
    f[n++] = LOAD(offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(allowed); i++) {
        f[n++] = SKIP_UNLESS(allowed[i], 1);
        f[n++] = RETURN(SECCOMP_RET_ALLOW);
    }
    for (size_t i = 0; i < COUNT(conditional); i++) {
        f[n++] = SKIP_UNLESS(conditional[i].call, 5);
        f[n++] = LOAD(LOW_WORD(conditional[i].argument));
        f[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K,
                                              conditional[i].mask);
        f[n++] = SKIP_UNLESS(conditional[i].value, 1);
        f[n++] = RETURN(SECCOMP_RET_ALLOW);
        f[n++] = LOAD(offsetof(struct seccomp_data, nr));
    }
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    program.len = (unsigned short)n;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return tp_error_errno(err, -errno, "seccomp");
    return 0;
}

int confine_broker(struct tp_error *err)
{
    int rc = set_capabilities(0, err);

    if (rc < 0)
        return rc;
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return tp_error_errno(err, -errno, "no_new_privs");
    return filter_calls(err);
}
