/*
 * watch_lines.h - the stream of a watch: one JSON object a line
 *
 * https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
#ifndef TP_KUBE_WATCH_LINES_H
#define TP_KUBE_WATCH_LINES_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct json_object;

#define WATCH_LINE_MAX (4u * 1024 * 1024)

enum watch_line {
    WATCH_LINE_PUT,      /* ADDED or MODIFIED */
    WATCH_LINE_DELETED,  /* obj is what it was */
    WATCH_LINE_BOOKMARK, /* obj has nothing but its resourceVersion */
    WATCH_LINE_EXPIRED,  /* ERROR 410: list again */
    WATCH_LINE_ERROR,    /* another ERROR; obj is a Status */
};

/* Takes obj over. Non-zero stops the parser, which returns it. */
typedef int watch_line_cb(void *arg, enum watch_line type,
                          struct json_object *obj);

struct watch_lines {
    struct buf line; /* not complete yet */
    watch_line_cb *cb;
    void *arg;
};

void watch_lines_init(struct watch_lines *w, watch_line_cb *cb, void *arg);
void watch_lines_release(struct watch_lines *w);

/* Takes the next bytes. 0; -EBADMSG for a line that is no event, -ENOBUFS for
 * one that is too long, -ENOMEM, or what the callback said. Not to be fed again
 * after that. */
int watch_lines_feed(struct watch_lines *w, const void *data, size_t len);

#endif
