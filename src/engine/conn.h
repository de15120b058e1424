/*
 * conn.h - one connection to an engine, as bytes
 *
 * Blocking with time-outs: the descriptor is non-blocking and every wait is a
 * poll() that also watches the caller's cancel descriptor, if there is one
 * (readable: -ECANCELED).
 */
#ifndef TP_ENGINE_CONN_H
#define TP_ENGINE_CONN_H

#include <stddef.h>
#include <sys/types.h>

#include "engine/target.h"

struct engine_conn;

/* NULL with err filled: a line that says what to do. cancel_fd may be -1. */
struct engine_conn *engine_conn_open(const struct engine_target *t,
                                     int cancel_fd, struct tp_error *err);
void engine_conn_close(struct engine_conn *c);
void engine_conn_set_cancel(struct engine_conn *c, int cancel_fd);

/* > 0 bytes, 0 at the end, -ETIMEDOUT, -ECANCELED, or another errno. */
ssize_t engine_conn_read(struct engine_conn *c, void *data, size_t len,
                         int timeout_ms);

/* All of it: 0 or a negative errno. */
int engine_conn_write(struct engine_conn *c, const void *data, size_t len,
                      int timeout_ms);

/* Ends the writing direction. */
int engine_conn_shutdown(struct engine_conn *c);

#endif
