/*
 * ctl.h - `tp-daemon ctl`: standard input and output joined to the control
 * socket of the daemon that runs in this container
 */
#ifndef TP_DAEMON_CTL_H
#define TP_DAEMON_CTL_H

#include "base/error.h"

/* Waits up to wait_ms for the daemon (it may be restarting). Returns when the
 * socket has ended: 0, or a negative errno. */
int ctl_run(const char *path, int in, int out, unsigned wait_ms,
            struct tp_error *err);

#endif
