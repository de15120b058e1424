/*
 * daemon.h - the running tp-daemon: its parts, in the order of their start
 */
#ifndef TP_DAEMON_DAEMON_H
#define TP_DAEMON_DAEMON_H

#include "base/error.h"

/* Runs until SIGTERM or SIGINT (everything is put back as it was) or SIGHUP
 * (everything stays for the next tp-daemon). 0, or a negative errno. */
int daemon_run(struct tp_error *err);

#endif
