/*
 * watch_thread.c - lists, watches, and does it again
 *
 * The thread is always in one of three places, and leaves each at once when it
 * is to stop: in curl_multi_poll() (woken up), in watch_post() waiting for
 * room, or in watch_pause().
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/watch_internal.h"
#include "kube/watch_lines.h"

#define PAGE         250
#define PAGES_MAX    400
#define WATCH_S      290 /* then the server ends it and it goes on */
#define SILENCE_S    150 /* bookmarks come each minute */
#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 8000
#define POLL_MS      1000

/* ---- one request --------------------------------------------------------- */

static int failed(struct kube_client *c, CURLcode code, struct tp_error *err)
{
    return tp_error_set(err,
                        code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO,
                        "%s", c->text[0] ? c->text : curl_easy_strerror(code));
}

static int poll_until_done(struct watch *w, CURLcode *code)
{
    int running = 1, left;
    CURLMsg *msg;

    for (;;) {
        if (watch_is_stopping(w))
            return -ECANCELED;
        if (curl_multi_perform(w->multi, &running) != CURLM_OK)
            return -EIO;
        if (!running)
            break;
        if (curl_multi_poll(w->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK)
            return -EIO;
    }
    *code = CURLE_OK;
    while ((msg = curl_multi_info_read(w->multi, &left))) {
        if (msg->msg == CURLMSG_DONE)
            *code = msg->data.result;
    }
    return 0;
}

/* The answer's status, or a negative errno. */
static int request(struct watch *w, const char *path, struct tp_error *err)
{
    struct curl_slist *headers = NULL;
    CURL *curl = w->client->curl;
    CURLcode code = CURLE_OK;
    long status = 0;
    int rc =
        kube_client_prepare(w->client, "GET", path, NULL, NULL, &headers, err);

    w->client->text[0] = '\0';
    if (rc == 0) {
        curl_multi_add_handle(w->multi, curl);
        rc = poll_until_done(w, &code);
        curl_multi_remove_handle(w->multi, curl);
        if (rc < 0)
            tp_error_errno(err, rc, "request");
        else if (code != CURLE_OK)
            rc = failed(w->client, code, err);
    }
    if (rc == 0) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        rc = (int)status;
    }
    kube_client_finish(w->client, headers);
    return rc;
}

/* ---- list ---------------------------------------------------------------- */

/* The collection's path may select already. */
static const char *separator(const struct watch *w)
{
    return strchr(w->path, '?') ? "&" : "?";
}

static char *page_path(const struct watch *w, const char *token)
{
    char *escaped = curl_easy_escape(w->client->curl, token, 0), *path = NULL;

    if (escaped && asprintf(&path, "%s%slimit=%d%s%s", w->path, separator(w),
                            PAGE, *token ? "&continue=" : "", escaped) < 0)
        path = NULL;
    curl_free(escaped);
    return path;
}

static int get_page(struct watch *w, const char *token,
                    struct json_object **page, struct tp_error *err)
{
    struct buf *body = &w->client->body;
    cleanup_free char *path = page_path(w, token);
    int rc = path ? request(w, path, err) : -ENOMEM;

    *page = NULL;
    if (rc > 0 && buf_used(body) > 0)
        *page =
            json_parse_text((const char *)buf_head(body), buf_used(body), NULL);
    buf_consume(body, buf_used(body));
    if (rc < 0)
        return rc;
    if (rc == 200 && json_get_array(*page, "items"))
        return 0;
    rc =
        tp_error_set(err, rc == 410 ? -ESTALE : -EREMOTEIO, "status %d: %.200s",
                     rc, json_get_str(*page, "message", ""));
    json_object_put(*page);
    *page = NULL;
    return rc;
}

static int post_items(struct watch *w, struct json_object *page)
{
    struct json_object *items = json_get_array(page, "items");
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < json_array_len(items); i++) {
        struct json_object *item = NULL;

        /* Shares nothing with the page, which this thread frees later. */
        if (json_object_deep_copy(json_object_array_get_idx(items, i), &item,
                                  NULL) < 0)
            return -ENOMEM;
        rc = watch_post(w, WATCH_PUT, item, NULL);
    }
    return rc;
}

static void set_version(struct watch *w, struct json_object *obj)
{
    const char *version = json_get_str(obj, "metadata.resourceVersion", "");

    if (*version)
        snprintf(w->version, sizeof(w->version), "%s", version);
}

static int list(struct watch *w, struct tp_error *err)
{
    cleanup_free char *token = strdup("");
    int rc = watch_post(w, WATCH_LIST, NULL, NULL);

    for (int n = 0; rc == 0 && n < PAGES_MAX; n++) {
        cleanup_json struct json_object *page = NULL;

        rc = token ? get_page(w, token, &page, err) : -ENOMEM;
        if (rc == 0)
            rc = post_items(w, page);
        if (rc < 0)
            break;
        set_version(w, page);
        free(token);
        token = strdup(json_get_str(page, "metadata.continue", ""));
        if (token && !*token)
            return watch_post(w, WATCH_LISTED, NULL, w->version);
    }
    return rc < 0 ? rc : tp_error_set(err, -EMSGSIZE, "the list has no end");
}

/* ---- watch --------------------------------------------------------------- */

static int line_cb(void *arg, enum watch_line type, struct json_object *obj)
{
    struct watch *w = arg;

    if (type == WATCH_LINE_PUT || type == WATCH_LINE_DELETED) {
        set_version(w, obj);
        w->pause_ms = 0;
        return watch_post(w, type == WATCH_LINE_PUT ? WATCH_PUT : WATCH_DELETED,
                          obj, NULL);
    }
    if (type == WATCH_LINE_BOOKMARK)
        set_version(w, obj);
    json_object_put(obj);
    return type == WATCH_LINE_BOOKMARK  ? 0
           : type == WATCH_LINE_EXPIRED ? -ESTALE
                                        : -EREMOTEIO;
}

struct streaming {
    struct watch *w;
    struct watch_lines lines;
    int status; /* why the parser stopped */
};

static size_t bytes_cb(char *data, size_t size, size_t count, void *arg)
{
    struct streaming *s = arg;
    long status = 0;

    curl_easy_getinfo(s->w->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) /* a Status object, on one line or several */
        return size * count;
    s->status = watch_lines_feed(&s->lines, data, size * count);
    return s->status < 0 ? 0 : size * count;
}

/* What is other than for short requests. The client's own are set again by
 * set_short(). */
static void set_long(struct streaming *s)
{
    CURL *curl = s->w->client->curl;

    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, bytes_cb);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 0L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void set_short(struct watch *w)
{
    curl_easy_setopt(w->client->curl, CURLOPT_LOW_SPEED_TIME, 0L);
    kube_client_collect(w->client);
}

static int stream(struct watch *w, struct tp_error *err)
{
    struct streaming s = {.w = w};
    cleanup_free char *path = NULL;
    int rc;

    if (asprintf(&path,
                 "%s%swatch=1&allowWatchBookmarks=true&timeoutSeconds=%d"
                 "&resourceVersion=%s",
                 w->path, separator(w), WATCH_S, w->version) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    watch_lines_init(&s.lines, line_cb, w);
    set_long(&s);
    rc = request(w, path, err);
    set_short(w);
    watch_lines_release(&s.lines);
    if (s.status < 0)
        return tp_error_errno(err, s.status, "watch");
    if (rc == 200)
        return 0;
    return rc < 0      ? rc
           : rc == 410 ? -ESTALE
                       : tp_error_set(err, -EREMOTEIO, "status %d", rc);
}

/* ---- again --------------------------------------------------------------- */

/* Full jitter in the upper half, so that replicas do not come all at once. */
static void back_off(struct watch *w, const struct tp_error *err)
{
    char text[640];
    unsigned ms = w->pause_ms ? w->pause_ms * 2 : PAUSE_MIN_MS;
    unsigned seed = (unsigned)uv_hrtime();

    w->pause_ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
    snprintf(text, sizeof(text), "watch of %s: %s", w->path, err->text);
    watch_post(w, WATCH_TROUBLE, NULL, text);
    watch_pause(w, w->pause_ms / 2 +
                       (unsigned)rand_r(&seed) % (w->pause_ms / 2 + 1));
}

/* A broken connection is mended where it broke; after all else, also 410, what
 * is known is no base to go on from. */
static bool can_go_on(int rc)
{
    return rc == -EIO || rc == -ETIMEDOUT || rc == -EAGAIN;
}

void watch_thread(void *arg)
{
    struct watch *w = arg;
    bool listed = false;

    while (!watch_is_stopping(w)) {
        struct tp_error err = {0};
        uint64_t start = uv_hrtime();
        int rc = listed ? stream(w, &err) : list(w, &err);

        if (rc == -ECANCELED)
            return;
        if (rc == 0 && listed && uv_hrtime() - start < 1000000000)
            rc = tp_error_set(&err, -EAGAIN, "ended at once by the server");
        if (rc == 0) {
            w->pause_ms = listed ? 0 : w->pause_ms;
            listed = true;
            continue;
        }
        listed = listed && can_go_on(rc);
        if (!err.code)
            tp_error_errno(&err, rc, "request");
        back_off(w, &err);
    }
}
