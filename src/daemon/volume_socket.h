/*
 * volume_socket.h - where the volume plugin asks for files (doc/control.md)
 *
 * A unix socket in the plugin's control volume, which `tp connect` mounts into
 * the daemon's container; TLS 1.3, each side by the key that it was given by
 * `tp volume install` (the session's "volumes"). Whoever reaches the socket
 * without the plugin's key learns nothing.
 */
#ifndef TP_DAEMON_VOLUME_SOCKET_H
#define TP_DAEMON_VOLUME_SOCKET_H

#include <uv.h>

#include "base/error.h"

/* The control volume, if the container has one, and the socket in it. */
#define VOLUME_DIR    "/run/tp-volume"
#define VOLUME_SOCKET VOLUME_DIR "/control.sock"

struct engagements;
struct session;
struct volume_socket;

/* Listens at path. Session and engagements are borrowed. NULL with err. */
struct volume_socket *volume_socket_create(uv_loop_t *loop,
                                           struct session *session,
                                           struct engagements *engagements,
                                           const char *path,
                                           struct tp_error *err);
void volume_socket_destroy(struct volume_socket *v);

#endif
