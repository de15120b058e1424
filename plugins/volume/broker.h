/*
 * broker.h - the process between tp-daemon and tp-mount
 *
 * It has the plugin's private key, speaks TLS with the daemon's control socket,
 * and has neither a capability nor a way to open a file (confine.h). First it
 * says on PROGRAM_LINES_FD what the engagement serves; then it answers each
 * request of tp-mount (base/broker.h, on PROGRAM_SHARED_FD) with a connection
 * to the engagement's files and with the key for it, which nobody else sees.
 */
#ifndef TP_VOLUME_BROKER_H
#define TP_VOLUME_BROKER_H

#include <stdbool.h>

/* dir: the control volume of the daemon. again: it takes the place of one that
 * ended, and what is served has been said. Returns the program's status. */
int broker_run(const char *dir, const char *engagement, bool again);

#endif
