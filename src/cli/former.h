/*
 * former.h - the containers that a session had in its former lives
 *
 * A container that joined one of them has lost its network, and only its
 * session is to say so. Docker knows the ids that containers joined, but not
 * whose they were: tp connect notes them in
 * $XDG_STATE_HOME/tp/NAME.former (~/.local/state), one a line. Without that
 * file nothing is known, and nothing fails.
 */
#ifndef TP_CLI_FORMER_H
#define TP_CLI_FORMER_H

#include <stdbool.h>

/* The container of the session `name` has this id (64 hexadecimal digits). */
void former_note(const char *name, const char *id);
bool former_has(const char *name, const char *id);

#endif
