/*
 * confine.h - a process that parses foreign bytes gives up what it does not
 * need: capabilities(7), seccomp(2)
 */
#ifndef TP_BASE_CONFINE_H
#define TP_BASE_CONFINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A call that is allowed only if (argument & mask) == value, of the low 32
 * bits. Several for one call: any of them. */
struct confine_condition {
    int call;
    unsigned argument;
    uint32_t mask, value;
};

/* No capability is effective, permitted or ambient; what is executed may have
 * some again. */
int confine_empty_sets(struct tp_error *err);

/* No capability, in no set, for good; no_new_privs; not dumpable. */
int confine_drop_capabilities(struct tp_error *err);

/* Only these calls from now on; everything else is EPERM, and clone3() ENOSYS,
 * as its flags are where no filter looks and the C library has another way.
 * Needs no_new_privs. At most CONFINE_CALLS_MAX calls and conditions. */
#define CONFINE_CALLS_MAX 128
int confine_allow_calls(const int *calls, size_t n_calls,
                        const struct confine_condition *conditions,
                        size_t n_conditions, struct tp_error *err);

/* One call less, besides what is refused already: EPERM. */
int confine_deny_call(int call, struct tp_error *err);

#endif
