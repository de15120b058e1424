/* control_engage.c - requests about engagements (doc/control.md) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/control_internal.h"
#include "daemon/engagement.h"

#define ENGAGE_DEFAULT_S 120
#define ENGAGE_MAX_S     3600
#define ASK_MS           8000

/* Something is to be answered later; conn is NULL once it is gone. */
struct control_later {
    struct control_conn *conn;
};

static struct engagements *table_of(struct control_conn *conn)
{
    return conn->c->engagements;
}

/* ---- engage ---- */

static void send_engagement(struct control_conn *conn, struct engagement *eng)
{
    struct json_object *line = json_object_new_object();

    if (conn->already)
        json_object_object_add(line, "already", json_object_new_boolean(true));
    json_object_object_add(line, "engagement", engagement_to_json(eng));
    control_send(conn, line);
}

void control_progress(struct control_conn *conn, const char *text)
{
    struct json_object *line;

    if (!*text || !strcmp(text, conn->progress))
        return;
    snprintf(conn->progress, sizeof(conn->progress), "%s", text);
    line = json_object_new_object();
    json_put_str(line, "progress", text);
    control_send(conn, line);
}

static bool is_ready(struct engagement *eng)
{
    cleanup_json struct json_object *now = engagement_to_json(eng);

    return !strcmp(json_get_str(now, "phase", ""), "ready") &&
           !engagement_is_checking(eng);
}

/* True if there is nothing to wait for any more. */
static bool engage_is_over(struct control_conn *conn, struct engagement *eng)
{
    if (engagement_state(eng) == ENG_FAILED) {
        control_send_error(conn, engagement_code(eng), engagement_message(eng));
        return true;
    }
    if (is_ready(eng)) {
        send_engagement(conn, eng);
        return true;
    }
    control_progress(conn, engagement_message(eng));
    return false;
}

static void engage_changed_cb(void *arg, struct engagement *eng)
{
    struct control_conn *conn = arg;

    if (strcmp(conn->engagement, engagement_id(eng)) != 0)
        return;
    if (engage_is_over(conn, eng))
        control_finish(conn);
}

/* The engagement stays: the pods may need longer than the caller waits. */
static void engage_timeout_cb(uv_timer_t *timer)
{
    struct control_conn *conn = timer->data;
    const char *reason = conn->progress;
    char text[640];

    if (session_state(conn->c->session) != SESSION_CONNECTED)
        reason = session_error_text(conn->c->session);
    snprintf(text, sizeof(text), "not ready in time%s%s", *reason ? ": " : "",
             reason);
    control_send_error(conn, "timeout", text);
    control_finish(conn);
}

static const char *code_of(int error)
{
    return error == -EBUSY        ? "busy"
           : error == -EINVAL     ? "invalid"
           : error == -EEXIST     ? "name-taken"
           : error == -ENOTCONN   ? "not-connected"
           : error == -EOPNOTSUPP ? "cannot"
                                  : "internal";
}

static void watch(struct control_conn *conn, struct engagement *eng)
{
    snprintf(conn->engagement, sizeof(conn->engagement), "%s",
             engagement_id(eng));
    conn->eng_watcher.changed_cb = engage_changed_cb;
    conn->eng_watcher.arg = conn;
    conn->eng_watching = true;
    engagements_add_watcher(table_of(conn), &conn->eng_watcher);
}

void op_engage(struct control_conn *conn, struct json_object *request)
{
    int64_t seconds = json_get_int(request, "timeout", ENGAGE_DEFAULT_S);
    struct tp_error err = {0};
    struct engagement *eng;
    int rc = engagements_add(table_of(conn), json_get(request, "engagement"),
                             &eng, &conn->already, &err);

    if (rc < 0) {
        control_send_error(conn, code_of(rc), err.text);
        control_finish(conn);
        return;
    }
    if (engage_is_over(conn, eng)) {
        control_finish(conn);
        return;
    }
    if (seconds < 1 || seconds > ENGAGE_MAX_S)
        seconds = ENGAGE_DEFAULT_S;
    watch(conn, eng);
    uv_timer_start(&conn->timer, engage_timeout_cb, (uint64_t)seconds * 1000,
                   0);
}

/* ---- lists ---- */

void op_engagements(struct control_conn *conn, struct json_object *request)
{
    struct engagements *e = table_of(conn);
    struct json_object *line = json_object_new_object();
    struct json_object *array = json_object_new_array();

    (void)request;
    json_object_object_add(line, "engagements", array);
    for (size_t i = 0; i < engagements_count(e); i++)
        json_object_array_add(array, engagement_to_json(engagements_nth(e, i)));
    json_object_object_add(line, "ending", engagements_withdrawn(e));
    control_send(conn, line);
}

/* ---- what the manager is asked ---- */

struct control_later *control_later_new(struct control_conn *conn)
{
    struct control_later *l = calloc(1, sizeof(*l));

    if (!l) {
        control_send_error(conn, "internal", "out of memory");
        control_finish(conn);
        return NULL;
    }
    l->conn = conn;
    conn->later = l;
    return l;
}

/* The connection if it is still there. */
struct control_conn *control_later_end(struct control_later *l)
{
    struct control_conn *conn = l->conn;

    if (conn)
        conn->later = NULL;
    free(l);
    return conn;
}

static void answered_cb(void *arg, int status, const char *body, size_t len)
{
    struct control_conn *conn = control_later_end(arg);
    struct json_object *answer =
        status > 0 ? json_parse_text(body, len, NULL) : NULL;

    if (!conn) {
        json_object_put(answer);
        return;
    }
    session_translate(conn->c->session, json_get(answer, "environment"));
    if (answer)
        control_send(conn, answer); /* an error has the same form here */
    else
        control_send_error(conn, "unreachable", "the manager does not answer");
    control_finish(conn);
}

/* A dead link is not told before its pings say so; people do not wait that
 * long. */
static void ask_timeout_cb(uv_timer_t *timer)
{
    struct control_conn *conn = timer->data;

    if (conn->later)
        conn->later->conn = NULL; /* answered_cb() frees it */
    conn->later = NULL;
    control_send_error(conn, "unreachable", "the manager does not answer");
    control_finish(conn);
}

void control_later_limit(struct control_conn *conn)
{
    uv_timer_start(&conn->timer, ask_timeout_cb, ASK_MS, 0);
}

/* body NULL: a GET. */
static void ask_with(struct control_conn *conn, const char *path,
                     const char *body)
{
    struct control_later *l = control_later_new(conn);
    int rc;

    if (!l)
        return;
    rc = body ? engagements_post(table_of(conn), path, body, answered_cb, l)
              : engagements_ask(table_of(conn), path, answered_cb, l);
    if (rc == 0) {
        control_later_limit(conn);
        return;
    }
    control_later_end(l);
    control_send_error(conn, rc == -ENOTCONN ? "not-connected" : "internal",
                       "there is no link to the cluster now");
    control_finish(conn);
}

static void ask(struct control_conn *conn, const char *path)
{
    ask_with(conn, path, NULL);
}

static void refuse_idle(struct control_conn *conn)
{
    control_send_error(conn, "not-connected", "not connected: run tp connect");
    control_finish(conn);
}

static bool is_idle(const struct control_conn *conn)
{
    return session_state(conn->c->session) == SESSION_IDLE;
}

void control_refuse_unknown(struct control_conn *conn)
{
    if (is_idle(conn)) {
        refuse_idle(conn);
        return;
    }
    control_send_error(conn, "invalid", "there is no such engagement");
    control_finish(conn);
}

/* /tp/v1/engagements/ID/WHAT */
static void ask_of_engagement(struct control_conn *conn,
                              struct json_object *request, const char *what)
{
    struct engagement *eng =
        engagements_find(table_of(conn), json_get_str(request, "name", ""));
    char path[128];

    if (!eng) {
        control_refuse_unknown(conn);
        return;
    }
    snprintf(path, sizeof(path), "/tp/v1/engagements/%s/%s", engagement_id(eng),
             what);
    ask(conn, path);
}

void op_environment(struct control_conn *conn, struct json_object *request)
{
    ask_of_engagement(conn, request, "environment");
}

void op_limits(struct control_conn *conn, struct json_object *request)
{
    ask_of_engagement(conn, request, "limits");
}

/* Of the request or of the session; NULL: there is no session, and that has
 * been said. */
static const char *namespace_of(struct control_conn *conn,
                                struct json_object *request)
{
    const char *ns = json_get_str(request, "namespace", "");

    if (is_idle(conn)) {
        refuse_idle(conn);
        return NULL;
    }
    return *ns ? ns : session_namespace(conn->c->session);
}

/* Names become parts of a path. */
static bool is_name(const char *text)
{
    return *text && strlen(text) < 254 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-.") == strlen(text);
}

void op_workloads(struct control_conn *conn, struct json_object *request)
{
    const char *ns = namespace_of(conn, request);
    char path[320];

    if (!ns)
        return;
    if (!is_name(ns)) {
        control_send_error(conn, "invalid", "that is no namespace's name");
        control_finish(conn);
        return;
    }
    snprintf(path, sizeof(path), "/tp/v1/workloads/%s", ns);
    ask(conn, path);
}

void op_logs(struct control_conn *conn, struct json_object *request)
{
    const char *ns = namespace_of(conn, request);
    const char *kind = json_get_str(request, "kind", "");
    const char *name = json_get_str(request, "name", "");
    char path[800];

    if (!ns)
        return;
    if (!is_name(ns) || !is_name(kind) || !is_name(name)) {
        control_send_error(conn, "invalid", "no such workload");
        control_finish(conn);
        return;
    }
    snprintf(path, sizeof(path), "/tp/v1/logs/%s/%s/%s", ns, kind, name);
    ask(conn, path);
}

void op_uninstall(struct control_conn *conn, struct json_object *request)
{
    cleanup_json struct json_object *body = json_object_new_object();
    const char *ns = namespace_of(conn, request);

    if (!ns)
        return;
    json_put_str(body, "namespace", ns);
    json_put_str(body, "workload", json_get_str(request, "workload", ""));
    json_object_object_add(
        body, "yes",
        json_object_new_boolean(json_get_bool(request, "yes", false)));
    ask_with(conn, "/tp/v1/uninstall", json_object_to_json_string(body));
}

void control_engage_forget(struct control_conn *conn)
{
    if (conn->eng_watching)
        engagements_remove_watcher(table_of(conn), &conn->eng_watcher);
    conn->eng_watching = false;
    if (conn->later)
        conn->later->conn = NULL;
    conn->later = NULL;
}
