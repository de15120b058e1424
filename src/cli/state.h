/*
 * state.h - where tp keeps what it must remember: $XDG_STATE_HOME/tp, or
 * ~/.local/state/tp
 */
#ifndef TP_CLI_STATE_H
#define TP_CLI_STATE_H

#include <stdbool.h>

#include "base/error.h"

/* The path of a file there; makes the directories (0700) with `make`. Owned;
 * NULL if there is no home. */
char *state_path(const char *file, bool make);

/* The directories above a path, 0700; it is changed meanwhile. */
void state_make_parents(char *path);

/* A whole file, mode 0600, written anew and renamed into place. */
int state_write(const char *path, const char *text, struct tp_error *err);

#endif
