/*
 * proxy_relay.h - connections of this machine into the session's network
 *
 * Each connection to a socket here is joined to a program in the daemon's
 * container, by an exec of the Engine API: no port is published, and a remote
 * engine does as well.
 */
#ifndef TP_CLI_PROXY_RELAY_H
#define TP_CLI_PROXY_RELAY_H

#include <stdbool.h>
#include <sys/types.h>

struct proxy_relay_to {
    const char *container;
    const char *const *argv; /* of the program, NULL-terminated */
    bool head; /* it begins with a line, {} or {"error"} (dial_ctl.h) */
};

/* Serves the listening socket until it is killed; a process for each
 * connection. Never returns but for an error of the socket: a negative errno.
 */
int proxy_relay_run(int listener, const struct proxy_relay_to *to);

/* The same in a process of its own, which ends with this one. Its id, or a
 * negative errno. */
pid_t proxy_relay_start(int listener, const struct proxy_relay_to *to);

#endif
