#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"

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

static const struct confine_condition conditional[] = {
    {SYS_mmap, 2, PROT_EXEC, 0},
    {SYS_mprotect, 2, PROT_EXEC, 0},
    {SYS_socket, 0, ~0u, AF_UNIX},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int keep_sys_admin(struct tp_error *err)
{
    const uint32_t kept = 1u << CAP_SYS_ADMIN;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = kept, .permitted = kept}};

    for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
        if (cap != CAP_SYS_ADMIN)
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
    return keep_sys_admin(err);
}

int confine_broker(struct tp_error *err)
{
    int rc = confine_drop_capabilities(err);

    return rc < 0 ? rc
                  : confine_allow_calls(allowed, COUNT(allowed), conditional,
                                        COUNT(conditional), err);
}
