/* engine_internal.h - between the files of engine/ */
#ifndef TP_ENGINE_ENGINE_INTERNAL_H
#define TP_ENGINE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/http.h"

#define ENGINE_TIMEOUT_MS 60000
#define ENGINE_LOAD_MS    300000
#define ENGINE_MAX_BODY   (16U << 20)
#define ENGINE_API_MIN    41
#define ENGINE_API_MAX    45

struct engine {
    struct engine_target target;
    struct engine_conn *idle; /* one that can be used again, or NULL */
    int cancel_fd;
    char api[16]; /* "1.41" */
};

/* A fresh connection that is not kept. */
struct engine_conn *engine_dial(struct engine *e, struct tp_error *err);

/* "/v1.41" + path. Owned. */
char *engine_versioned(const struct engine *e, const char *path);

/* GET whose answer is not JSON: owned text of at most max bytes. */
int engine_get_text(struct engine *e, const char *path, size_t max, char **out,
                    size_t *len, struct tp_error *err);

/* Turns a failed exchange (a negative errno) into a line. */
int engine_broken(const struct engine *e, int code, struct tp_error *err);

/* Turns an answer of 400 and above into a line and an errno; body may be
 * NULL. */
int engine_refused(int status, struct json_object *body, struct tp_error *err);

#endif
