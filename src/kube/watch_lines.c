#include "kube/watch_lines.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

void watch_lines_init(struct watch_lines *w, watch_line_cb *cb, void *arg)
{
    buf_init(&w->line, WATCH_LINE_MAX);
    w->cb = cb;
    w->arg = arg;
}

void watch_lines_release(struct watch_lines *w)
{
    buf_release(&w->line);
}

static int type_of(const char *name, struct json_object *obj,
                   enum watch_line *type)
{
    if (!strcmp(name, "ADDED") || !strcmp(name, "MODIFIED"))
        *type = WATCH_LINE_PUT;
    else if (!strcmp(name, "DELETED"))
        *type = WATCH_LINE_DELETED;
    else if (!strcmp(name, "BOOKMARK"))
        *type = WATCH_LINE_BOOKMARK;
    else if (!strcmp(name, "ERROR"))
        *type = json_get_int(obj, "code", 0) == 410 ? WATCH_LINE_EXPIRED
                                                    : WATCH_LINE_ERROR;
    else
        return -EBADMSG;
    return 0;
}

static int take_line(struct watch_lines *w, const char *text, size_t len)
{
    cleanup_json struct json_object *event = NULL;
    struct json_object *obj;
    enum watch_line type;

    if (len == 0)
        return 0;
    event = json_parse_text(text, len, NULL);
    obj = json_get(event, "object");
    if (!obj || !json_object_is_type(obj, json_type_object) ||
        type_of(json_get_str(event, "type", ""), obj, &type) < 0)
        return -EBADMSG;
    return w->cb(w->arg, type, json_object_get(obj));
}

/* The end of a line whose start is kept. */
static int take_rest(struct watch_lines *w, const void *data, size_t len)
{
    int rc = buf_append(&w->line, data, len);

    if (rc == 0)
        rc = take_line(w, (const char *)buf_head(&w->line), buf_used(&w->line));
    buf_consume(&w->line, buf_used(&w->line));
    return rc;
}

int watch_lines_feed(struct watch_lines *w, const void *data, size_t len)
{
    const char *text = data, *end;
    int rc = 0;

    while (rc == 0 && len > 0 && (end = memchr(text, '\n', len))) {
        size_t n = (size_t)(end - text);

        rc = buf_used(&w->line) > 0 ? take_rest(w, text, n)
                                    : take_line(w, text, n);
        text = end + 1;
        len -= n + 1;
    }
    if (rc == 0 && len > 0)
        rc = buf_append(&w->line, text, len);
    return rc;
}
