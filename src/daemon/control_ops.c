/*
 * What can be asked for: one row each, see doc/control.md. A request that is no
 * row is refused.
 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/control_internal.h"

#define WAIT_DEFAULT_S 30
#define WAIT_MAX_S     3600
#define STATUS_POLL_MS 5

enum op_policy {
    OP_READS = 0,
    OP_CHANGES = 1, /* logged */
    OP_LASTS = 2,   /* the connection goes on after the first answer */
};

struct op {
    const char *name;
    unsigned policy;
    void (*run)(struct control_conn *conn, struct json_object *request);
};

static struct json_object *make_ok(void)
{
    struct json_object *obj = json_object_new_object();

    json_object_object_add(obj, "ok", json_object_new_boolean(true));
    return obj;
}

static const char *code_of(int error)
{
    return error == -EBUSY ? "busy" : error == -EINVAL ? "invalid" : "internal";
}

static void op_connect(struct control_conn *conn, struct json_object *request)
{
    struct tp_error err = {0};
    struct json_object *ok;
    bool already = false;
    int rc = session_connect(conn->c->session, json_get(request, "session"),
                             &already, &err);

    if (rc < 0) {
        control_send_error(conn, code_of(rc), err.text);
        return;
    }
    ok = make_ok();
    if (already)
        json_object_object_add(ok, "already", json_object_new_boolean(true));
    control_send(conn, ok);
}

static void status_timer_cb(uv_timer_t *timer)
{
    struct control_conn *conn = timer->data;
    int64_t silence = session_silence(conn->c->session);

    if (silence > 0 && silence < SESSION_SILENT_MS)
        return;
    control_send(conn, session_status(conn->c->session));
    control_finish(conn);
}

/* A link that has just died looks as it did before: it is asked first. */
static void op_status(struct control_conn *conn, struct json_object *request)
{
    (void)request;
    session_probe(conn->c->session);
    uv_timer_start(&conn->timer, status_timer_cb, 0, STATUS_POLL_MS);
}

static void op_disconnect(struct control_conn *conn,
                          struct json_object *request)
{
    (void)request;
    session_disconnect(conn->c->session);
    if (conn->c->helper)
        control_finish(conn->c->helper);
    control_send(conn, make_ok());
}

static void op_log(struct control_conn *conn, struct json_object *request)
{
    enum log_level level;

    if (log_parse_level(json_get_str(request, "level", ""), &level) < 0) {
        control_send_error(conn, "invalid",
                           "level is one of error, warn, info, debug");
        return;
    }
    log_set_level(level);
    control_send(conn, make_ok());
}

/* ---- wait ---- */

/* True if there is nothing to wait for any more. */
static bool wait_is_over(struct control_conn *conn)
{
    struct session *s = conn->c->session;

    switch (session_state(s)) {
    case SESSION_CONNECTED:
        control_send(conn, session_status(s));
        return true;
    case SESSION_REFUSED:
        control_send_error(conn, session_error_code(s), session_error_text(s));
        return true;
    case SESSION_IDLE:
        control_send_error(conn, "invalid", "the session has been ended");
        return true;
    default:
        return false;
    }
}

static void wait_changed_cb(void *arg, const char *progress)
{
    struct control_conn *conn = arg;
    struct json_object *line = json_object_new_object();

    json_put_str(line, "progress", progress);
    control_send(conn, line);
    if (!conn->finishing && !conn->closing && wait_is_over(conn))
        control_finish(conn);
}

static void wait_timeout_cb(uv_timer_t *timer)
{
    struct control_conn *conn = timer->data;
    struct session *s = conn->c->session;
    const char *code = session_error_code(s);
    const char *text = session_error_text(s);

    control_send_error(conn, *code ? code : "unreachable",
                       *text ? text : "the cluster does not answer in time");
    control_finish(conn);
}

static void op_wait(struct control_conn *conn, struct json_object *request)
{
    int64_t seconds = json_get_int(request, "timeout", WAIT_DEFAULT_S);

    if (wait_is_over(conn)) {
        control_finish(conn);
        return;
    }
    if (seconds < 1 || seconds > WAIT_MAX_S)
        seconds = WAIT_DEFAULT_S;
    conn->watcher.changed_cb = wait_changed_cb;
    conn->watcher.arg = conn;
    conn->watching = true;
    session_add_watcher(conn->c->session, &conn->watcher);
    uv_timer_start(&conn->timer, wait_timeout_cb, (uint64_t)seconds * 1000, 0);
}

/* ---- the exec helper ---- */

static void need_credentials_cb(void *arg)
{
    struct control_conn *conn = arg;
    struct json_object *line = json_object_new_object();

    json_put_str(line, "need", "credentials");
    control_send(conn, line);
}

static void op_credentials(struct control_conn *conn,
                           struct json_object *request)
{
    struct control *c = conn->c;
    struct control_conn *former = c->helper;

    (void)request;
    if (session_state(c->session) == SESSION_IDLE) {
        control_send_error(conn, "invalid", "there is no session");
        control_finish(conn);
        return;
    }
    c->helper = conn;
    if (former) {
        control_send_error(former, "busy", "a newer helper is there");
        control_finish(former);
    }
    session_set_helper(c->session, need_credentials_cb, conn);
}

void control_more(struct control_conn *conn, struct json_object *line)
{
    struct json_object *credentials = json_get(line, "credentials");
    struct session *s = conn->c->session;
    struct tp_error err = {0};

    if (conn->c->helper != conn)
        return; /* after the one request nothing more is expected */
    if (json_get(line, "error"))
        session_helper_failed(s, json_get_str(line, "error", "unknown"));
    else if (!credentials)
        control_send_error(conn, "invalid", "neither credentials nor error");
    else if (session_set_credentials(s, credentials, &err) < 0)
        control_send_error(conn, "invalid", err.text);
}

bool control_client_ended(struct control_conn *conn)
{
    return conn->c->helper == conn;
}

void control_forget(struct control_conn *conn)
{
    struct control *c = conn->c;

    if (conn->watching)
        session_remove_watcher(c->session, &conn->watcher);
    conn->watching = false;
    control_engage_forget(conn);
    if (c->helper == conn) {
        c->helper = NULL;
        session_set_helper(c->session, NULL, NULL);
    }
}

/* ---- the table ---- */

static const struct op ops[] = {
    {"connect", OP_CHANGES, op_connect},
    {"wait", OP_READS | OP_LASTS, op_wait},
    {"status", OP_READS | OP_LASTS, op_status},
    {"disconnect", OP_CHANGES, op_disconnect},
    {"credentials", OP_CHANGES | OP_LASTS, op_credentials},
    {"log", OP_CHANGES, op_log},
    {"engage", OP_CHANGES | OP_LASTS, op_engage},
    {"disengage", OP_CHANGES | OP_LASTS, op_disengage},
    {"disengage-all", OP_CHANGES | OP_LASTS, op_disengage_all},
    {"engagements", OP_READS, op_engagements},
    {"environment", OP_READS | OP_LASTS, op_environment},
    {"limits", OP_READS | OP_LASTS, op_limits},
    {"files", OP_READS | OP_LASTS, op_files},
    {"workloads", OP_READS | OP_LASTS, op_workloads},
    {"logs", OP_READS | OP_LASTS, op_logs},
    {"uninstall", OP_CHANGES | OP_LASTS, op_uninstall},
};

void control_request(struct control_conn *conn, struct json_object *request)
{
    const char *name = json_get_str(request, "op", "");

    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        if (strcmp(ops[i].name, name) != 0)
            continue;
        if (ops[i].policy & OP_CHANGES)
            log_info("control: %s", name);
        ops[i].run(conn, request);
        if (!(ops[i].policy & OP_LASTS))
            control_finish(conn);
        return;
    }
    control_send_error(conn, "invalid", "this tp-daemon knows no such request");
    control_finish(conn);
}
