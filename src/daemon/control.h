/*
 * control.h - the control socket of doc/control.md
 *
 * A unix socket in the container's own mount namespace, for uid 0 and the
 * daemon's own. Requests are rows of one table in control_ops.c.
 */
#ifndef TP_DAEMON_CONTROL_H
#define TP_DAEMON_CONTROL_H

#include <uv.h>

#include "base/error.h"

#define CONTROL_PATH      "/run/tp/control"
#define CONTROL_LINE_MAX  (1024 * 1024)
#define CONTROL_CONNS_MAX 32

struct control;
struct engagements;
struct session;

/* Listens at path, whose directory is made (0700) if it is missing. NULL with
 * err filled. Session and engagements are borrowed. */
struct control *control_create(uv_loop_t *loop, struct session *session,
                               struct engagements *engagements,
                               const char *path, struct tp_error *err);
void control_destroy(struct control *c);

#endif
