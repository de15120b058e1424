/*
 * control_internal.h - control.c moves lines, control_ops.c knows requests
 */
#ifndef TP_DAEMON_CONTROL_INTERNAL_H
#define TP_DAEMON_CONTROL_INTERNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "daemon/control.h"
#include "daemon/session.h"

struct json_object;
struct control_conn;

struct control {
    uv_loop_t *loop;
    struct session *session;
    uv_pipe_t *listener;
    struct control_conn *conns;
    unsigned n_conns;
    struct control_conn *helper; /* of the credentials; NULL: none */
    char *path;
};

struct control_conn {
    uv_pipe_t pipe;
    uv_timer_t timer; /* for the request line, then for `wait` */
    unsigned handles; /* that are not closed yet */
    struct control *c;
    struct control_conn *prev, *next;
    struct buf in;
    bool asked;     /* the request line has come */
    bool ended;     /* the client sends nothing more */
    bool finishing; /* only what is queued goes out */
    bool closing;   /* no more callbacks */
    bool watching;
    struct session_watcher watcher;
};

/* Queues one line; takes the object. */
void control_send(struct control_conn *conn, struct json_object *obj);
void control_send_error(struct control_conn *conn, const char *code,
                        const char *text);
/* Ends the connection when all that was queued is out. */
void control_finish(struct control_conn *conn);

/* The request line; the object is borrowed. */
void control_request(struct control_conn *conn, struct json_object *request);
/* A later line of the same connection. */
void control_more(struct control_conn *conn, struct json_object *line);
/* The client's end of sending; true: nothing is left to be done for it. */
bool control_client_ended(struct control_conn *conn);
/* The connection goes; lets go of what the request holds. */
void control_forget(struct control_conn *conn);

#endif
