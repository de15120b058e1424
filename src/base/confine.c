#include "base/confine.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#error "confine.c: name this architecture for seccomp"
#endif

/* ---- capabilities -------------------------------------------------------- */

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

int confine_empty_sets(struct tp_error *err)
{
    clear_sets();
    return check_sets(err);
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

/* ---- system calls ---------------------------------------------------------
 */

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

static size_t put_call(struct sock_filter *f, int call)
{
    f[0] = SKIP_UNLESS(call, 1);
    f[1] = RETURN(SECCOMP_RET_ALLOW);
    return 2;
}

static size_t put_condition(struct sock_filter *f,
                            const struct confine_condition *c)
{
    f[0] = SKIP_UNLESS(c->call, 5);
    f[1] = LOAD(LOW_WORD(c->argument));
    f[2] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask);
    f[3] = SKIP_UNLESS(c->value, 1);
    f[4] = RETURN(SECCOMP_RET_ALLOW);
    f[5] = LOAD(offsetof(struct seccomp_data, nr));
    return 6;
}

int confine_allow_calls(const int *calls, size_t n_calls,
                        const struct confine_condition *conditions,
                        size_t n_conditions, struct tp_error *err)
{
    struct sock_filter f[4 + 6 * CONFINE_CALLS_MAX + 3];
    size_t n = start_filter(f);

    if (n_calls + n_conditions > CONFINE_CALLS_MAX)
        return tp_error_set(err, -E2BIG, "seccomp: too many calls");
    for (size_t i = 0; i < n_calls; i++)
        n += put_call(f + n, calls[i]);
    for (size_t i = 0; i < n_conditions; i++)
        n += put_condition(f + n, &conditions[i]);
    f[n++] = SKIP_UNLESS(SYS_clone3, 1);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    return install(f, n, err);
}

int confine_deny_call(int call, struct tp_error *err)
{
    struct sock_filter f[8];
    size_t n = start_filter(f);

    f[n++] = SKIP_UNLESS(call, 1);
    f[n++] = RETURN(SECCOMP_RET_ERRNO | EPERM);
    f[n++] = RETURN(SECCOMP_RET_ALLOW);
    return install(f, n, err);
}
