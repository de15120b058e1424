/* exec_internal.h - a program in a container, between exec.c and exec_join.c */
#ifndef TP_ENGINE_EXEC_INTERNAL_H
#define TP_ENGINE_EXEC_INTERNAL_H

#include "base/buf.h"
#include "engine/engine_internal.h"
#include "engine/exec.h"
#include "engine/frames.h"

#define ENGINE_EXEC_STDERR 4096

struct engine_exec {
    struct engine *engine; /* borrowed */
    struct engine_conn *conn;
    char *id;
    struct engine_frames frames;
    struct buf out;
    char error[ENGINE_EXEC_STDERR + 1]; /* the first bytes of standard error */
    size_t error_len;
    bool ended;
};

/* An engine_frame_cb whose arg is the exec: output goes to `out`. */
int engine_exec_frame(void *arg, unsigned stream, const uint8_t *data,
                      size_t len);

#endif
