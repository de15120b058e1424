/*
 * exec.h - a program in a running container, attached by its standard streams
 *
 * POST /containers/ID/exec, then /exec/ID/start with an upgrade to a raw
 * connection. Lines of standard output are read one at a time; standard error
 * is kept (its end) for messages.
 */
#ifndef TP_ENGINE_EXEC_H
#define TP_ENGINE_EXEC_H

#include "engine/engine.h"

#define ENGINE_EXEC_MAX_LINE (1U << 20)

struct engine_exec;

/* argv: NULL-terminated. NULL with err filled. */
struct engine_exec *engine_exec_start(struct engine *e, const char *container,
                                      const char *const *argv,
                                      struct tp_error *err);

/* Ends the connection; the program sees the end of its input. */
void engine_exec_close(struct engine_exec *x);

int engine_exec_write(struct engine_exec *x, const void *data, size_t len,
                      struct tp_error *err);
/* The program sees the end of its input; its output can still be read. */
int engine_exec_end_input(struct engine_exec *x, struct tp_error *err);

/* 1: *line is the next line without its newline, owned. 0: the output ended.
 * Else a negative errno; -ETIMEDOUT after timeout_ms without one. */
int engine_exec_read_line(struct engine_exec *x, int timeout_ms, char **line,
                          struct tp_error *err);

/* Joins its standard streams to a socket, both directions at once, until its
 * output has ended and all of it is written, or the socket is gone. What was
 * read beyond the last line goes first. The socket becomes non-blocking. 0 or a
 * negative errno with err filled. */
int engine_exec_join(struct engine_exec *x, int fd, struct tp_error *err);

/* What it wrote to standard error, without the last newline. Borrowed. */
const char *engine_exec_stderr(struct engine_exec *x);

/* The exit status, once the output has ended (waits up to 5 s). */
int engine_exec_status(struct engine_exec *x, int *status,
                       struct tp_error *err);

#endif
