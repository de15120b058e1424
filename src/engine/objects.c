/* objects.c - containers, networks and images */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "engine/engine_internal.h"
#include "engine/frames.h"
#include "engine/upload.h"

#define GONE_TRIES    200
#define GONE_PAUSE_NS 50000000L
#define LOG_MAX       (4U << 20)

/* engine_call() with a path made by printf. */
static int call(struct engine *e, struct tp_error *err,
                struct json_object *body, struct json_object **out,
                const char *method, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

static int call(struct engine *e, struct tp_error *err,
                struct json_object *body, struct json_object **out,
                const char *method, const char *fmt, ...)
{
    cleanup_free char *path = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&path, fmt, ap);
    va_end(ap);
    if (n < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    return engine_call(e, method, path, body, out, err);
}

int engine_container_inspect(struct engine *e, const char *name,
                             struct json_object **out, struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name);

    return call(e, err, NULL, out, "GET", "/containers/%s/json", id);
}

int engine_container_list(struct engine *e, const char *filters, bool all,
                          struct json_object **out, struct tp_error *err)
{
    cleanup_free char *value = engine_escape(filters ? filters : "{}");

    return call(e, err, NULL, out, "GET", "/containers/json?all=%d&filters=%s",
                all, value);
}

int engine_container_create(struct engine *e, const char *name,
                            struct json_object *spec, char **id,
                            struct tp_error *err)
{
    cleanup_free char *value = engine_escape(name);
    cleanup_json struct json_object *out = NULL;
    int cancel_fd = e->cancel_fd, rc;

    *id = NULL;
    engine_set_cancel(e, -1);
    rc = call(e, err, spec, &out, "POST", "/containers/create?name=%s", value);
    engine_set_cancel(e, cancel_fd);
    if (rc < 0)
        return rc;
    *id = strdup(json_get_str(out, "Id", name));
    return *id ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

int engine_container_start(struct engine *e, const char *name,
                           struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name);

    return call(e, err, NULL, NULL, "POST", "/containers/%s/start", id);
}

/* Waits while somebody else is removing it. -ENOENT when it is gone. */
static int wait_gone(struct engine *e, const char *name, struct tp_error *err)
{
    for (int tries = 0; tries < GONE_TRIES; tries++) {
        cleanup_json struct json_object *info = NULL;
        int rc = engine_container_inspect(e, name, &info, err);

        if (rc < 0)
            return rc;
        nanosleep(&(struct timespec){.tv_nsec = GONE_PAUSE_NS}, NULL);
    }
    return tp_error_set(err, -ETIMEDOUT,
                        "Docker does not finish removing the container '%s'",
                        name);
}

int engine_container_remove(struct engine *e, const char *name,
                            struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name);
    struct tp_error why = {0};
    int rc =
        call(e, &why, NULL, NULL, "DELETE", "/containers/%s?force=1&v=1", id);

    if (rc == -EEXIST && strstr(why.text, "already in progress"))
        rc = wait_gone(e, name, &why);
    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? tp_error_set(err, rc, "%s", why.text) : 0;
}

struct log_text {
    char text[301];
    size_t len;
};

static int on_log(void *arg, unsigned stream, const uint8_t *data, size_t len)
{
    struct log_text *log = arg;

    (void)stream;
    for (size_t i = 0; i < len && log->len < sizeof(log->text) - 1; i++)
        log->text[log->len++] = data[i] < 0x20 ? ' ' : (char)data[i];
    return 0;
}

/* Hands the last lines over in the pieces that they come in. */
static int read_log(struct engine *e, const char *name, unsigned lines,
                    size_t max, engine_frame_cb *cb, void *arg,
                    struct tp_error *err)
{
    cleanup_free char *id = engine_escape(name), *path = NULL, *raw = NULL;
    struct engine_frames frames = {0};
    size_t len;

    if (asprintf(&path, "/containers/%s/logs?stdout=1&stderr=1&tail=%u", id,
                 lines) < 0) {
        path = NULL;
        return tp_error_set(err, -ENOMEM, "out of memory");
    }
    if (engine_get_text(e, path, max, &raw, &len, err) < 0)
        return err ? err->code : -EIO;
    engine_frames_feed(&frames, (uint8_t *)raw, len, cb, arg);
    return 0;
}

int engine_container_log(struct engine *e, const char *name, unsigned lines,
                         char **out, struct tp_error *err)
{
    struct log_text log = {0};
    int rc = read_log(e, name, lines, 65536, on_log, &log, err);

    if (rc < 0)
        return rc;
    *out = strdup(log.text);
    return *out ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

static int on_log_text(void *arg, unsigned stream, const uint8_t *data,
                       size_t len)
{
    (void)stream;
    return buf_append(arg, data, len);
}

int engine_container_log_text(struct engine *e, const char *name,
                              unsigned lines, char **out, struct tp_error *err)
{
    struct buf text;
    int rc;

    buf_init(&text, LOG_MAX + 1);
    rc = read_log(e, name, lines, LOG_MAX, on_log_text, &text, err);
    if (rc == 0 && buf_append(&text, "", 1) == 0)
        *out = strdup((char *)buf_head(&text));
    else
        *out = NULL;
    buf_release(&text);
    return rc < 0 || *out ? rc : tp_error_set(err, -ENOMEM, "out of memory");
}

int engine_network_list(struct engine *e, struct json_object **out,
                        struct tp_error *err)
{
    return engine_call(e, "GET", "/networks", NULL, out, err);
}

int engine_network_connect(struct engine *e, const char *network,
                           const char *container, struct tp_error *err)
{
    cleanup_free char *id = engine_escape(network);
    cleanup_json struct json_object *body = json_object_new_object();

    json_put_str(body, "Container", container);
    return call(e, err, body, NULL, "POST", "/networks/%s/connect", id);
}

int engine_image_inspect(struct engine *e, const char *ref,
                         struct json_object **out, struct tp_error *err)
{
    return call(e, err, NULL, out, "GET", "/images/%s/json", ref);
}

int engine_image_load(struct engine *e, const char *path, struct tp_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = fd < 0 ? tp_error_errno(err, -errno, "cannot read %s", path)
                    : engine_upload(e, "/images/load?quiet=1", fd, err);

    return rc < 0 && fd >= 0
               ? tp_error_wrap(err, "cannot load the image %s", path)
               : rc;
}
