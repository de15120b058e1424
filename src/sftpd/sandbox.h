/*
 * sandbox.h - what the file server takes from itself before the first byte
 *
 * A filter of system calls (seccomp(2)): no new process, program or socket, no
 * tracing, no mount, no change of identity. What is not allowed fails with
 * EPERM.
 */
#ifndef TP_SFTPD_SANDBOX_H
#define TP_SFTPD_SANDBOX_H

#include "base/error.h"

/* After prctl(PR_SET_NO_NEW_PRIVS). 0 or a negative errno with err. */
int sftpd_sandbox(struct tp_error *err);

#endif
