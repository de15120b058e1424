#include "daemon/files_ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/join.h"

#define ANSWER_MAX (1U << 20)
#define ANSWER_MS  20000 /* the daemon's own limit comes first */

static int write_line(int fd, struct json_object *obj)
{
    cleanup_free char *text = NULL;
    int len = asprintf(&text, "%s\n", json_to_text(obj));

    if (len < 0) {
        text = NULL;
        return -ENOMEM;
    }
    /* Short, and nobody writes beside it. */
    return write(fd, text, (size_t)len) == len ? 0 : -EPIPE;
}

static int read_answer(int fd, struct buf *in, struct json_object **out,
                       struct tp_error *err)
{
    uint8_t data[16384], *end;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;

        end = buf_used(in) ? memchr(buf_head(in), '\n', buf_used(in)) : NULL;
        if (end)
            break;
        if (poll(&p, 1, ANSWER_MS) <= 0)
            return tp_error_set(err, -ETIMEDOUT, "tp-daemon does not answer");
        n = read(fd, data, sizeof(data));
        if (n <= 0 || buf_append(in, data, (size_t)n) < 0)
            return tp_error_set(err, -EPIPE, "tp-daemon does not answer");
    }
    *out = json_parse_text((char *)buf_head(in), (size_t)(end - buf_head(in)),
                           err);
    return *out ? 0 : -EBADMSG;
}

static int ask(const char *path, const char *name, struct json_object **out,
               struct tp_error *err)
{
    cleanup_json struct json_object *request = json_object_new_object();
    cleanup_close int fd = join_connect(path);
    struct buf in;
    int rc;

    if (fd < 0)
        return tp_error_errno(err, fd, "tp-daemon does not answer at %s", path);
    json_put_str(request, "op", "files");
    json_put_str(request, "name", name);
    if (write_line(fd, request) < 0)
        return tp_error_set(err, -EPIPE, "tp-daemon does not answer");
    buf_init(&in, ANSWER_MAX);
    rc = read_answer(fd, &in, out, err);
    buf_release(&in);
    return rc;
}

/* What the caller needs, and no more. */
static int say(int out, struct json_object *answer)
{
    cleanup_json struct json_object *line = json_object_new_object();
    static const char *const keys[] = {"hostKey", "id", "error", "code"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        json_put_str(line, keys[i], json_get_str(answer, keys[i], NULL));
    return write_line(out, line);
}

int files_ctl_run(const char *control_path, const char *name, int in, int out,
                  struct tp_error *err)
{
    cleanup_json struct json_object *answer = NULL;
    cleanup_close int fd = -1;
    const char *error;
    int rc = ask(control_path, name, &answer, err);

    if (rc < 0)
        return rc;
    error = json_get_str(answer, "error", NULL);
    if (!error) {
        fd = join_connect(json_get_str(answer, "socket", ""));
        if (fd < 0)
            return tp_error_errno(err, fd, "files of %s", name);
    }
    rc = say(out, answer);
    if (error)
        return tp_error_set(err, -EPROTO, "%s", error);
    if (rc == 0)
        rc = join_run(fd, in, out);
    return rc < 0 ? tp_error_errno(err, rc, "files of %s", name) : 0;
}
