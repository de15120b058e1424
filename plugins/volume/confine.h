/*
 * confine.h - what the plugin's processes may do
 *
 * Docker gives a plugin its usual capabilities beside those that it asks for.
 */
#ifndef TP_VOLUME_CONFINE_H
#define TP_VOLUME_CONFINE_H

#include "base/error.h"

/* CAP_SYS_ADMIN alone is left, also to children. */
int confine_plugin(struct tp_error *err);

/* No capability, no_new_privs, and a seccomp filter: memory, the loop, unix
 * sockets, chdir; no file is opened, nothing is executed. */
int confine_broker(struct tp_error *err);

#endif
