/*
 * memory.h - small objects
 *
 * Each is a request or a node, whose numbers are bounded elsewhere; a system
 * that has no memory for one of them cannot be served: the process ends and
 * says so.
 */
#ifndef TP_FUSE_MEMORY_H
#define TP_FUSE_MEMORY_H

#include <stdlib.h>

#include "base/log.h"

static inline void *mem_check(void *p)
{
    if (!p) {
        log_error("out of memory");
        abort();
    }
    return p;
}

static inline void *mem_alloc(size_t size)
{
    return mem_check(calloc(1, size ? size : 1));
}

#endif
