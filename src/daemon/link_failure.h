/*
 * link_failure.h - why there is no link, in words that help
 */
#ifndef TP_DAEMON_LINK_FAILURE_H
#define TP_DAEMON_LINK_FAILURE_H

#include <stdbool.h>

struct dial_result;

struct link_failure {
    const char *code;   /* of doc/control.md */
    bool permanent;     /* trying again is of no use */
    bool from_server;   /* the API server or the manager said so itself */
    bool unauthorized;  /* fresh credentials may help */
    bool try_websocket; /* something on the way may want that */
    char text[512];     /* one line */
};

/* Judges an upgrade that failed. */
void link_failure_from_dial(struct link_failure *f,
                            const struct dial_result *result);

/* Judges the answer to hello: an HTTP status or a negative errno. */
void link_failure_from_hello(struct link_failure *f, int status,
                             const char *body);

#endif
