/*
 * expand.h - `$(NAME)` in the value of a container's variable
 *
 * Kubernetes' rules (third_party/forked/golang/expansion): `$(NAME)` is the
 * variable of that name, or stays as it is if there is none; `$$` is `$`;
 * every other `$` is itself. What is put in is not looked at again.
 */
#ifndef TP_AGENT_EXPAND_H
#define TP_AGENT_EXPAND_H

#include "base/buf.h"

/* The value of a variable (len bytes of name, no NUL behind), or NULL. */
typedef const char *expand_lookup_fn(void *arg, const char *name, size_t len);

/* Appends the expanded value to out. 0, -ENOBUFS beyond out's maximum,
 * -ENOMEM. */
int expand_value(struct buf *out, const char *value, expand_lookup_fn *lookup,
                 void *arg);

#endif
