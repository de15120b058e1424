/* control_files.c - the request "files" (doc/control.md) */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "daemon/control_internal.h"

static void answered_cb(void *arg, int status, const char *body, size_t len)
{
    struct control_conn *conn = control_later_end(arg);
    struct json_object *answer =
        status > 0 ? json_parse_text(body, len, NULL) : NULL;
    struct engagement *eng =
        conn ? engagements_find(conn->c->engagements, conn->files) : NULL;
    char path[108];

    if (!conn) {
        json_object_put(answer);
        return;
    }
    if (!answer || !eng) {
        control_send_error(conn, "unreachable", "the manager does not answer");
        json_object_put(answer);
    } else {
        engagement_files_socket(eng, path);
        if (status == 200) {
            json_put_str(answer, "socket", path);
            json_put_str(answer, "id", engagement_id(eng));
            if (conn->files_secret)
                json_put_str(answer, "key", engagement_files_key(eng));
        }
        control_send(conn, answer); /* an error has the same form here */
    }
    control_finish(conn);
}

void op_files(struct control_conn *conn, struct json_object *request)
{
    const char *name = json_get_str(request, "name", "");
    struct engagement *eng = engagements_find(conn->c->engagements, name);
    struct control_later *l;
    int rc;

    if (!eng || strlen(name) >= sizeof(conn->files)) {
        control_send_error(conn, "invalid", "there is no such engagement");
        control_finish(conn);
        return;
    }
    strcpy(conn->files, name);
    conn->files_secret = json_get_bool(request, "secret", false);
    l = control_later_new(conn);
    if (!l)
        return;
    rc = engagement_files_ask(eng, answered_cb, l);
    if (rc == 0) {
        control_later_limit(conn);
        return;
    }
    control_later_end(l);
    control_send_error(conn, rc == -ENOTCONN ? "not-connected" : "internal",
                       "there is no link to the cluster now");
    control_finish(conn);
}
