#include "engine/upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"

static int send_file(struct engine_conn *conn, int fd, uint64_t left)
{
    cleanup_free char *chunk = malloc(65536);

    while (chunk && left > 0) {
        ssize_t n = read(fd, chunk, left < 65536 ? (size_t)left : 65536);
        int rc;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it became shorter */
        rc = engine_conn_write(conn, chunk, (size_t)n, ENGINE_LOAD_MS);
        if (rc < 0)
            return rc;
        left -= (uint64_t)n;
    }
    return chunk ? 0 : -ENOMEM;
}

/* The answer is a row of JSON lines; one with `error` is a failure. */
static int check_progress(struct engine_reply *reply, struct tp_error *err)
{
    cleanup_free char *text = NULL;
    char *rest, *line;
    size_t len;
    int rc = engine_http_read_all(reply, ENGINE_MAX_BODY, &text, &len);

    if (rc < 0)
        return tp_error_errno(err, rc, "Docker broke off");
    if (reply->head.status >= 400) {
        cleanup_json struct json_object *obj = json_parse_text(text, len, NULL);

        return engine_refused(reply->head.status, obj, err);
    }
    rest = text;
    while ((line = strsep(&rest, "\n"))) {
        cleanup_json struct json_object *obj =
            *line ? json_parse_text(line, strlen(line), NULL) : NULL;
        const char *error = json_get_str(obj, "error", NULL);

        if (error)
            return tp_error_set(err, -EIO, "Docker: %s", error);
    }
    return 0;
}

static int post_on(struct engine *e, struct engine_conn *conn,
                   const char *below, int fd, uint64_t size,
                   struct tp_error *err)
{
    cleanup_free char *path = engine_versioned(e, below);
    struct engine_request req = {.method = "POST",
                                 .path = path,
                                 .type = "application/x-tar",
                                 .length = (size_t)size,
                                 .send_body_later = true};
    struct engine_reply reply;
    int rc;

    if (!path)
        return tp_error_set(err, -ENOMEM, "out of memory");
    rc = engine_http_send(conn, &req, ENGINE_LOAD_MS);
    if (rc == 0)
        rc = send_file(conn, fd, size);
    /* A refusal may come before all is sent: what it says is better. */
    if (rc == 0 || rc == -EPIPE || rc == -ECONNRESET) {
        rc = engine_http_receive(conn, &reply, ENGINE_LOAD_MS);
        if (rc == 0) {
            rc = check_progress(&reply, err);
            engine_http_release(&reply);
            return rc;
        }
    }
    return engine_broken(e, rc, err);
}

int engine_upload(struct engine *e, const char *path, int fd,
                  struct tp_error *err)
{
    struct engine_conn *conn;
    struct stat st;
    int rc;

    if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return tp_error_errno(err, -errno, "cannot read the archive");
    conn = engine_dial(e, err);
    if (!conn)
        return -ECONNREFUSED;
    rc = post_on(e, conn, path, fd, (uint64_t)st.st_size, err);
    engine_conn_close(conn);
    return rc;
}
