/*
 * program.h - a child: its messages line by line, its one result, its end
 *
 * It gets nothing but: standard error (lines for said_cb), PROGRAM_SHARED_FD,
 * and PROGRAM_LINES_FD, where it writes its result as lines, each ended by a
 * newline or a zero byte. It is the leader of a process group of its own.
 */
#ifndef TP_VOLUME_PROGRAM_H
#define TP_VOLUME_PROGRAM_H

#include <uv.h>

#define PROGRAM_SHARED_FD 3
#define PROGRAM_LINES_FD  4
#define PROGRAM_LINE_MAX  (256 * 1024)

struct program;

typedef void program_line_cb(void *arg, const char *line);

struct program_config {
    uv_loop_t *loop;
    const char *const *argv; /* argv[0]: its path */
    int shared_fd;           /* borrowed */
    program_line_cb *said_cb, *line_cb;
    /* Last of all; the object is gone then. status: 128 + signal if one did
     * it. */
    void (*ended_cb)(void *arg, int status);
    void *arg;
};

/* NULL: it could not be started; no callback comes. */
struct program *program_start(const struct program_config *config);

/* SIGKILL: its whole group. NULL is fine. */
void program_kill(struct program *p, int signal);

#endif
