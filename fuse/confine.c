#include "fuse/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

/* Always allowed. */
static const int allowed[] = {
    SYS_read,          SYS_write,
    SYS_readv,         SYS_writev,
    SYS_close,         SYS_fstat,
    SYS_lseek,         SYS_newfstatat,
    SYS_ioctl,         SYS_fcntl,
    SYS_munmap,        SYS_mremap,
    SYS_brk,           SYS_madvise,
    SYS_rt_sigaction,  SYS_rt_sigprocmask,
    SYS_rt_sigreturn,  SYS_sigaltstack,
    SYS_connect,       SYS_getsockopt,
    SYS_setsockopt,    SYS_getsockname,
    SYS_getpeername,   SYS_shutdown,
    SYS_sendto,        SYS_recvfrom,
    SYS_sendmsg,       SYS_recvmsg,
    SYS_sendmmsg,      SYS_bind,
    SYS_epoll_ctl,     SYS_epoll_pwait,
    SYS_ppoll,         SYS_futex,
    SYS_clock_gettime, SYS_clock_nanosleep,
    SYS_nanosleep,     SYS_gettimeofday,
    SYS_getpid,        SYS_gettid,
    SYS_getuid,        SYS_geteuid,
    SYS_getgid,        SYS_getegid,
    SYS_tgkill,        SYS_exit,
    SYS_exit_group,    SYS_getrandom,
    SYS_uname,         SYS_prlimit64,
    SYS_sched_yield,   SYS_restart_syscall,
    SYS_membarrier,    SYS_sysinfo,
    SYS_rseq,          SYS_set_robust_list,
    SYS_eventfd2,      SYS_sched_getaffinity,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,    SYS_poll,
    SYS_time,
#endif
};

/* As pthread_create() says it: what is made is no process. */
#define THREAD_FLAGS                                                           \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |        \
     CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |                      \
     CLONE_CHILD_CLEARTID)

/* Allowed with a condition on one argument. */
static const struct {
    int call;
    unsigned argument;
    uint32_t mask, value; /* allowed if (argument & mask) == value */
} conditional[] = {
    {SYS_prctl, 0, ~0u, PR_SET_SECCOMP}, /* only ever less */
    {SYS_openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_socket, 0, ~0u, AF_INET},
    {SYS_socket, 0, ~0u, AF_INET6},
    {SYS_socket, 0, ~0u, AF_UNIX},
    {SYS_socket, 0, ~0u, AF_NETLINK},  /* the resolver asks for addresses */
    {SYS_clone, 0, ~0u, THREAD_FLAGS}, /* threads, which inherit the filter */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void clear_sets(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}};

    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    syscall(SYS_capset, &head, none);
}

static int check_sets(struct tp_error *err)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}};

    syscall(SYS_capget, &head, data);
    if (data[0].effective || data[1].effective || data[0].permitted ||
        data[1].permitted)
        return tp_error_set(err, -EPERM, "cannot drop capabilities");
    return 0;
}

int confine_drop_capabilities(struct tp_error *err)
{
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    clear_sets();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return tp_error_errno(err, -errno, "no_new_privs");
    prctl(PR_SET_DUMPABLE, 0);
    return check_sets(err);
}

int confine_mounter(struct tp_error *err)
{
    clear_sets();
    return check_sets(err);
}

static int install(struct sock_filter *filter, size_t n, struct tp_error *err)
{
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return tp_error_errno(err, -errno, "seccomp");
    return 0;
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

static size_t start_filter(struct sock_filter *f)
{
    f[0] = LOAD(offsetof(struct seccomp_data, arch));
    f[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 1,
                                        0);
    f[2] = RETURN(SECCOMP_RET_KILL_PROCESS);
    f[3] = LOAD(offsetof(struct seccomp_data, nr));
    return 4;
}

int confine_calls(struct tp_error *err)
{
    struct sock_filter f[4 + 2 * COUNT(allowed) + 6 * COUNT(conditional) + 4];
    size_t n = start_filter(f);

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
    /* Its flags are in memory, where no filter looks; glibc has another way. */
    f[n++] = SKIP_UNLESS(SYS_clone3, 1);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    return install(f, n, err);
}

int confine_files(struct tp_error *err)
{
    struct sock_filter f[8];
    size_t n = start_filter(f);

    f[n++] = SKIP_UNLESS(SYS_openat, 1);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    f[n++] = RETURN(SECCOMP_RET_ALLOW);
    return install(f, n, err);
}
