/*
 * manager.h - the manager as a whole
 */
#ifndef TP_MANAGER_MANAGER_H
#define TP_MANAGER_MANAGER_H

#include <uv.h>

#include "base/error.h"

struct manager;
struct options;

/* Listens, reads the files, starts to read the cluster; options outlive it.
 * NULL with err filled: then the loop must be run once more, for what was
 * begun to be closed. */
struct manager *manager_create(uv_loop_t *loop, const struct options *options,
                               struct tp_error *err);
/* Not ready any more, links are asked to go; ends by itself within 10 s. The
 * second call ends it now. */
void manager_drain(struct manager *m);
/* After the loop has ended. NULL is fine. */
void manager_destroy(struct manager *m);

#endif
