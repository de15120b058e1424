/*
 * control_internal.h - control.c moves lines, control_ops.c and
 * control_engage.c know requests
 */
#ifndef TP_DAEMON_CONTROL_INTERNAL_H
#define TP_DAEMON_CONTROL_INTERNAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "daemon/control.h"
#include "daemon/engagement.h"
#include "daemon/session.h"

struct json_object;
struct control_conn;
struct control_later;

struct control {
    uv_loop_t *loop;
    struct session *session;
    struct engagements *engagements; /* NULL: tests without */
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

    /* control_engage.c */
    bool eng_watching, already;
    struct engagement_watcher eng_watcher;
    char engagement[32];      /* id of the one that is waited for */
    char progress[512];       /* what was said last */
    uint64_t begun, patience; /* control_disengage.c: uv_now(), ms */
    struct control_later *later;
    char files[254]; /* control_files.c: name of the engagement */
    bool files_secret;
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

/* Says what the engagement is waiting for, if that is news. */
void control_progress(struct control_conn *conn, const char *text);

/* control_disengage.c: rows of the table. */
void op_disengage(struct control_conn *conn, struct json_object *request);
void op_disengage_all(struct control_conn *conn, struct json_object *request);

/* control_engage.c: rows of the table, and their part of control_forget(). */
void control_refuse_unknown(struct control_conn *conn);
void op_engage(struct control_conn *conn, struct json_object *request);
void op_engagements(struct control_conn *conn, struct json_object *request);
void op_environment(struct control_conn *conn, struct json_object *request);
void op_uninstall(struct control_conn *conn, struct json_object *request);
void op_limits(struct control_conn *conn, struct json_object *request);
void op_workloads(struct control_conn *conn, struct json_object *request);
void op_logs(struct control_conn *conn, struct json_object *request);
/* Something is to be answered when the manager has. NULL: it is answered (out
 * of memory). Once: the connection, if it is still there. */
struct control_later *control_later_new(struct control_conn *conn);
struct control_conn *control_later_end(struct control_later *l);
/* Nobody waits for a dead link for ever: an error after some seconds. */
void control_later_limit(struct control_conn *conn);
void control_engage_forget(struct control_conn *conn);

/* control_files.c */
void op_files(struct control_conn *conn, struct json_object *request);

#endif
