#include "fuse/confine.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/confine.h"

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
static const struct confine_condition conditional[] = {
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

int confine_calls(struct tp_error *err)
{
    return confine_allow_calls(allowed, COUNT(allowed), conditional,
                               COUNT(conditional), err);
}

int confine_files(struct tp_error *err)
{
    return confine_deny_call(SYS_openat, err);
}
