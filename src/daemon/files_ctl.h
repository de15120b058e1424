/*
 * files_ctl.h - `tp-daemon files NAME`: standard input and output joined to the
 * files of an engagement
 *
 * The first line of output is {"hostKey", "id"} of doc/control.md, op "files",
 * or {"error", "code"}; after the former comes the SSH conversation with the
 * pod that has that key.
 */
#ifndef TP_DAEMON_FILES_CTL_H
#define TP_DAEMON_FILES_CTL_H

#include "base/error.h"

/* control_path: of the daemon. Returns when the conversation has ended; a
 * negative errno with err filled, also after an {"error"} line. */
int files_ctl_run(const char *control_path, const char *name, int in, int out,
                  struct tp_error *err);

#endif
