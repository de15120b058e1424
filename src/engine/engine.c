#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "engine/engine_internal.h"

const char *engine_api_version(const struct engine *e)
{
    return e->api;
}

void engine_set_cancel(struct engine *e, int cancel_fd)
{
    e->cancel_fd = cancel_fd;
    if (e->idle)
        engine_conn_set_cancel(e->idle, cancel_fd);
}

struct engine_conn *engine_dial(struct engine *e, struct tp_error *err)
{
    return engine_conn_open(&e->target, e->cancel_fd, err);
}

int engine_broken(const struct engine *e, int code, struct tp_error *err)
{
    if (code == -ECANCELED)
        return tp_error_set(err, code, "interrupted");
    if (code == -ETIMEDOUT)
        return tp_error_set(err, code, "Docker at %s does not answer",
                            e->target.url);
    if (code == -EBADMSG || code == -EMSGSIZE)
        return tp_error_set(err, code,
                            "what answers at %s does not speak the Docker "
                            "Engine API",
                            e->target.url);
    return tp_error_errno(err, code, "the connection to Docker at %s broke",
                          e->target.url);
}

int engine_refused(int status, struct json_object *body, struct tp_error *err)
{
    const char *message = json_get_str(body, "message", NULL);
    int code = -EIO;

    if (status == 404)
        code = -ENOENT;
    else if (status == 409)
        code = -EEXIST;
    else if (status == 401 || status == 403)
        code = -EACCES;
    else if (status < 500)
        code = -EINVAL;
    if (!message)
        return tp_error_set(err, code, "Docker answered with status %d",
                            status);
    return tp_error_set(err, code, "Docker: %s", message);
}

char *engine_versioned(const struct engine *e, const char *path)
{
    char *full;

    if (!*e->api)
        return strdup(path);
    return asprintf(&full, "/v%s%s", e->api, path) < 0 ? NULL : full;
}

/* Sends a request and reads the head of its answer, on the idle connection if
 * there is one. That one may have been closed by now: then, if nothing can
 * have been done twice, the request is made again on a new one. */
static int exchange(struct engine *e, const struct engine_request *req,
                    struct engine_conn **conn, struct engine_reply *reply,
                    struct tp_error *err)
{
    bool reused = e->idle != NULL;
    int rc;

    *conn = e->idle ? e->idle : engine_dial(e, err);
    e->idle = NULL;
    if (!*conn)
        return -ECONNREFUSED;
    rc = engine_http_send(*conn, req, ENGINE_TIMEOUT_MS);
    if (rc == 0)
        rc = engine_http_receive(*conn, reply, ENGINE_TIMEOUT_MS);
    if (rc == 0)
        return 0;
    engine_conn_close(*conn);
    *conn = NULL;
    if (reused && !strcmp(req->method, "GET") && rc != -ECANCELED &&
        rc != -ETIMEDOUT)
        return exchange(e, req, conn, reply, err);
    return engine_broken(e, rc, err);
}

/* The answer's body as JSON; NULL where it is empty. */
static int read_json(struct engine *e, struct engine_reply *reply,
                     struct json_object **out, struct tp_error *err)
{
    cleanup_free char *text = NULL;
    size_t len = 0;
    int rc = engine_http_read_all(reply, ENGINE_MAX_BODY, &text, &len);

    *out = NULL;
    if (rc < 0)
        return engine_broken(e, rc, err);
    while (len && strchr(" \r\n", text[len - 1]))
        text[--len] = '\0';
    if (len == 0 || !strcmp(text, "OK") || !strcmp(text, "null"))
        return 0;
    *out = json_parse_text(text, len, err);
    if (!*out && reply->head.status < 400)
        return engine_broken(e, -EBADMSG, err);
    return 0;
}

static int finish_call(struct engine *e, struct engine_reply *reply,
                       struct json_object **out, struct tp_error *err)
{
    cleanup_json struct json_object *body = NULL;
    int rc = read_json(e, reply, &body, err);

    if (rc < 0)
        return rc;
    if (reply->head.status >= 400)
        return engine_refused(reply->head.status, body, err);
    if (out) {
        *out = body;
        body = NULL;
    }
    return 0;
}

int engine_call(struct engine *e, const char *method, const char *path,
                struct json_object *body, struct json_object **out,
                struct tp_error *err)
{
    cleanup_free char *full = engine_versioned(e, path);
    const char *text =
        body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)
             : NULL;
    struct engine_request req = {
        .method = method,
        .path = full,
        .type = text ? "application/json" : NULL,
        .body = text,
        .length = text ? strlen(text) : 0,
    };
    struct engine_conn *conn;
    struct engine_reply reply;
    int rc;

    if (out)
        *out = NULL;
    if (!full)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = exchange(e, &req, &conn, &reply, err);
    if (rc < 0)
        return rc;
    rc = finish_call(e, &reply, out, err);
    if (engine_http_reusable(&reply))
        e->idle = conn;
    else
        engine_conn_close(conn);
    engine_http_release(&reply);
    return rc;
}

int engine_get_text(struct engine *e, const char *path, size_t max, char **out,
                    size_t *len, struct tp_error *err)
{
    cleanup_free char *full = engine_versioned(e, path);
    struct engine_request req = {.method = "GET", .path = full};
    struct engine_conn *conn;
    struct engine_reply reply;
    int rc;

    *out = NULL;
    if (!full)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = exchange(e, &req, &conn, &reply, err);
    if (rc < 0)
        return rc;
    if (reply.head.status >= 400) {
        rc = finish_call(e, &reply, NULL, err);
    } else {
        rc = engine_http_read_all(&reply, max, out, len);
        if (rc < 0)
            engine_broken(e, rc, err);
    }
    engine_conn_close(conn);
    engine_http_release(&reply);
    return rc;
}

/* The engine's version from GET /_ping, ours within the limits. */
static int choose_version(struct engine *e, const char *header,
                          struct tp_error *err)
{
    int major = 0, minor = 0;

    if (!header || sscanf(header, "%d.%d", &major, &minor) != 2)
        return engine_broken(e, -EBADMSG, err);
    if (major == 1 && minor < ENGINE_API_MIN)
        return tp_error_set(err, -EPROTONOSUPPORT,
                            "Docker at %s is too old (API %s): tp needs "
                            "Docker 20.10 (API 1.%d) or later",
                            e->target.url, header, ENGINE_API_MIN);
    if (major > 1 || minor > ENGINE_API_MAX)
        minor = ENGINE_API_MAX;
    snprintf(e->api, sizeof(e->api), "1.%d", minor);
    return 0;
}

static int ping(struct engine *e, struct tp_error *err)
{
    struct engine_request req = {.method = "GET", .path = "/_ping"};
    struct engine_conn *conn;
    struct engine_reply reply;
    int rc = exchange(e, &req, &conn, &reply, err);

    if (rc < 0)
        return rc;
    rc = choose_version(e, http1_get(&reply.head, "Api-Version"), err);
    if (rc == 0)
        rc = finish_call(e, &reply, NULL, err);
    if (rc == 0 && engine_http_reusable(&reply))
        e->idle = conn;
    else
        engine_conn_close(conn);
    engine_http_release(&reply);
    return rc;
}

struct engine *engine_open(struct tp_error *err)
{
    struct engine *e = calloc(1, sizeof(*e));

    if (!e) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    e->cancel_fd = -1;
    if (engine_target_find(&e->target, err) == 0 && ping(e, err) == 0)
        return e;
    engine_close(e);
    return NULL;
}

void engine_close(struct engine *e)
{
    if (!e)
        return;
    engine_conn_close(e->idle);
    engine_target_release(&e->target);
    free(e);
}

char *engine_escape(const char *text)
{
    char *out = malloc(3 * strlen(text) + 1), *to = out;

    for (; out && *text; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
            (c >= 'a' && c <= 'z') || strchr("-._~", c))
            *to++ = (char)c;
        else
            to += sprintf(to, "%%%02X", c);
    }
    if (out)
        *to = '\0';
    return out;
}
