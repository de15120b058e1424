/*
 * program.h - running another program in the foreground: helm, docker
 *
 * It has the terminal; signals that tp gets are passed on, those of the
 * terminal reach it by themselves (the same process group).
 */
#ifndef TP_CLI_PROGRAM_H
#define TP_CLI_PROGRAM_H

#include "base/error.h"

/* argv[0] is looked for in PATH unless it has a slash; envp NULL: tp's own.
 * `idle_fd` (-1: none): when it becomes readable, the program gets SIGTERM, and
 * SIGKILL 10 s later. Returns the exit status (128 + the signal that ended it),
 * or a negative errno with err filled. */
int program_run(const char *program, char *const *argv, char *const *envp,
                int idle_fd, struct tp_error *err);

#endif
