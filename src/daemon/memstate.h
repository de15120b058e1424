/*
 * memstate.h - the session in the supervisor's memory file
 *
 * tp-init holds a memory file (TP_STATE_FD) that each tp-daemon inherits, so
 * that a session outlives the process without ever lying on a disk. Layout:
 * "TPST", a length in 4 bytes (network order), that many bytes of JSON. The
 * length is written last: a process killed in between leaves nothing or all.
 */
#ifndef TP_DAEMON_MEMSTATE_H
#define TP_DAEMON_MEMSTATE_H

#include "base/error.h"

struct json_object;

/* The inherited descriptor, made close-on-exec; -1 if there is none. */
int memstate_inherit(void);

/* NULL obj clears (and overwrites) what was there. fd -1 does nothing. */
int memstate_save(int fd, struct json_object *obj, struct tp_error *err);

/* NULL if there is nothing, or nothing that is whole. The caller owns it. */
struct json_object *memstate_load(int fd);

#endif
