#include "engine/exec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/exec_internal.h"

static int create(struct engine_exec *x, const char *container,
                  const char *const *argv, struct tp_error *err)
{
    cleanup_json struct json_object *body = json_object_new_object();
    cleanup_json struct json_object *out = NULL;
    cleanup_free char *name = engine_escape(container), *path = NULL;
    struct json_object *cmd = json_object_new_array();
    int rc;

    for (size_t i = 0; argv[i]; i++)
        json_object_array_add(cmd, json_object_new_string(argv[i]));
    json_object_object_add(body, "Cmd", cmd);
    json_object_object_add(body, "AttachStdin", json_object_new_boolean(1));
    json_object_object_add(body, "AttachStdout", json_object_new_boolean(1));
    json_object_object_add(body, "AttachStderr", json_object_new_boolean(1));
    if (asprintf(&path, "/containers/%s/exec", name) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    rc = engine_call(x->engine, "POST", path, body, &out, err);
    if (rc < 0)
        return rc;
    x->id = strdup(json_get_str(out, "Id", ""));
    if (!x->id || !*x->id)
        return tp_error_set(err, -EIO, "Docker gave no exec id");
    return 0;
}

int engine_exec_frame(void *arg, unsigned stream, const uint8_t *data,
                      size_t len)
{
    struct engine_exec *x = arg;
    size_t room = ENGINE_EXEC_STDERR - x->error_len;

    if (stream == 1)
        return buf_append(&x->out, data, len);
    if (stream == 2) {
        len = len < room ? len : room;
        memcpy(x->error + x->error_len, data, len);
        x->error_len += len;
    }
    return 0;
}

static int refused(struct engine_reply *reply, struct tp_error *err)
{
    cleanup_json struct json_object *obj = NULL;
    cleanup_free char *text = NULL;
    size_t len = 0;

    if (engine_http_read_all(reply, 65536, &text, &len) == 0 && len > 0)
        obj = json_parse_text(text, len, NULL);
    return engine_refused(reply->head.status, obj, err);
}

/* Old engines answer 200, newer ones 101: both hand the connection over. */
static int take_over(struct engine_exec *x, struct tp_error *err)
{
    struct engine_reply reply;
    int rc = engine_http_receive(x->conn, &reply, ENGINE_TIMEOUT_MS);

    if (rc < 0)
        return engine_broken(x->engine, rc, err);
    if (reply.head.status != 101 && reply.head.status != 200)
        rc = reply.head.status >= 400 ? refused(&reply, err)
                                      : engine_broken(x->engine, -EBADMSG, err);
    else if (buf_used(&reply.in) > 0)
        rc = engine_frames_feed(&x->frames, buf_head(&reply.in),
                                buf_used(&reply.in), engine_exec_frame, x);
    engine_http_release(&reply);
    return rc;
}

static int start(struct engine_exec *x, struct tp_error *err)
{
    static const char body[] = "{\"Detach\":false,\"Tty\":false}";
    cleanup_free char *path = NULL, *full = NULL;
    struct engine_request req = {.method = "POST",
                                 .type = "application/json",
                                 .upgrade = "tcp",
                                 .body = body,
                                 .length = sizeof(body) - 1};
    int rc;

    if (asprintf(&path, "/exec/%s/start", x->id) < 0)
        path = NULL;
    full = path ? engine_versioned(x->engine, path) : NULL;
    if (!full)
        return tp_error_set(err, -ENOMEM, "out of memory");
    req.path = full;
    x->conn = engine_dial(x->engine, err);
    if (!x->conn)
        return -ECONNREFUSED;
    rc = engine_http_send(x->conn, &req, ENGINE_TIMEOUT_MS);
    if (rc < 0)
        return engine_broken(x->engine, rc, err);
    return take_over(x, err);
}

struct engine_exec *engine_exec_start(struct engine *e, const char *container,
                                      const char *const *argv,
                                      struct tp_error *err)
{
    struct engine_exec *x = calloc(1, sizeof(*x));

    if (!x) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    x->engine = e;
    buf_init(&x->out, ENGINE_EXEC_MAX_LINE + 65536);
    if (create(x, container, argv, err) == 0 && start(x, err) == 0)
        return x;
    engine_exec_close(x);
    return NULL;
}

void engine_exec_close(struct engine_exec *x)
{
    if (!x)
        return;
    engine_conn_close(x->conn);
    buf_release(&x->out);
    free(x->id);
    free(x);
}

int engine_exec_write(struct engine_exec *x, const void *data, size_t len,
                      struct tp_error *err)
{
    int rc = engine_conn_write(x->conn, data, len, ENGINE_TIMEOUT_MS);

    return rc < 0 ? engine_broken(x->engine, rc, err) : 0;
}

int engine_exec_end_input(struct engine_exec *x, struct tp_error *err)
{
    int rc = engine_conn_shutdown(x->conn);

    return rc < 0 ? engine_broken(x->engine, rc, err) : 0;
}

/* Takes a line out of what is there; also an unfinished one at the end. */
static char *take_line(struct engine_exec *x)
{
    size_t used = buf_used(&x->out), len;
    const uint8_t *end;
    char *line;

    if (used == 0)
        return NULL;
    end = memchr(buf_head(&x->out), '\n', used);
    if (!end && !x->ended)
        return NULL;
    len = end ? (size_t)(end - buf_head(&x->out)) : used;
    line = strndup((char *)buf_head(&x->out), len);
    buf_consume(&x->out, len + (end != NULL));
    return line;
}

int engine_exec_read_line(struct engine_exec *x, int timeout_ms, char **line,
                          struct tp_error *err)
{
    uint8_t data[16384];

    for (;;) {
        ssize_t n;
        int rc;

        *line = take_line(x);
        if (*line)
            return 1;
        if (x->ended)
            return 0;
        n = engine_conn_read(x->conn, data, sizeof(data), timeout_ms);
        if (n == -ETIMEDOUT)
            return tp_error_set(err, -ETIMEDOUT, "no answer in time");
        if (n < 0)
            return engine_broken(x->engine, (int)n, err);
        x->ended = n == 0;
        rc = engine_frames_feed(&x->frames, data, (size_t)n, engine_exec_frame,
                                x);
        if (rc < 0)
            return engine_broken(x->engine, rc == -ENOBUFS ? -EMSGSIZE : rc,
                                 err);
    }
}

const char *engine_exec_stderr(struct engine_exec *x)
{
    size_t len = x->error_len;

    while (len > 0 && strchr("\r\n ", x->error[len - 1]))
        len--;
    x->error[len] = '\0';
    return x->error;
}

int engine_exec_status(struct engine_exec *x, int *status, struct tp_error *err)
{
    cleanup_free char *path = NULL;

    if (asprintf(&path, "/exec/%s/json", x->id) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    for (int i = 0; i < 250; i++) {
        cleanup_json struct json_object *out = NULL;
        int rc = engine_call(x->engine, "GET", path, NULL, &out, err);

        if (rc < 0)
            return rc;
        if (!json_get_bool(out, "Running", false)) {
            *status = (int)json_get_int(out, "ExitCode", -1);
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return tp_error_set(err, -ETIMEDOUT, "the program does not end");
}
