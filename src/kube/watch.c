/* watch.c - the loop's side of a watch, and the queue between the two */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "kube/watch_internal.h"

#define QUEUE_MAX  256
#define BATCH_MAX  64    /* events in one turn of the loop */
#define REQUEST_MS 15000 /* one page of a list */

/* ---- the queue ----------------------------------------------------------- */

static void item_free(struct watch_item *item)
{
    json_object_put(item->obj);
    free(item->text);
    free(item);
}

static struct watch_item *item_create(enum watch_event event,
                                      struct json_object *obj, const char *text)
{
    struct watch_item *item = calloc(1, sizeof(*item));

    if (item && text && !(item->text = strdup(text))) {
        free(item);
        item = NULL;
    }
    if (!item) {
        json_object_put(obj);
        return NULL;
    }
    item->event = event;
    item->obj = obj;
    return item;
}

int watch_post(struct watch *w, enum watch_event event, struct json_object *obj,
               const char *text)
{
    struct watch_item *item = item_create(event, obj, text);
    bool stopping;

    if (!item)
        return -ENOMEM;
    uv_mutex_lock(&w->lock);
    while (w->queued >= QUEUE_MAX && !w->stopping)
        uv_cond_wait(&w->cond, &w->lock);
    stopping = w->stopping;
    if (!stopping) {
        STAILQ_INSERT_TAIL(&w->queue, item, entry);
        w->queued++;
    }
    uv_mutex_unlock(&w->lock);
    if (stopping) {
        item_free(item);
        return -ECANCELED;
    }
    uv_async_send(&w->async);
    return 0;
}

static struct watch_item *take_item(struct watch *w)
{
    struct watch_item *item;

    uv_mutex_lock(&w->lock);
    item = w->stopping ? NULL : STAILQ_FIRST(&w->queue);
    if (item) {
        STAILQ_REMOVE_HEAD(&w->queue, entry);
        w->queued--;
        uv_cond_signal(&w->cond);
    }
    uv_mutex_unlock(&w->lock);
    return item;
}

static void async_cb(uv_async_t *async)
{
    struct watch *w = async->data;
    struct watch_item *item;

    for (int i = 0; i < BATCH_MAX; i++) {
        item = take_item(w); /* NULL also if the callback closed it */
        if (!item)
            return;
        w->cb(w->arg, item->event, item->obj, item->text);
        item_free(item);
    }
    if (!watch_is_stopping(w))
        uv_async_send(async); /* the rest at the next turn */
}

bool watch_is_stopping(struct watch *w)
{
    bool stopping;

    uv_mutex_lock(&w->lock);
    stopping = w->stopping;
    uv_mutex_unlock(&w->lock);
    return stopping;
}

void watch_pause(struct watch *w, unsigned ms)
{
    uint64_t left = (uint64_t)ms * 1000000;

    uv_mutex_lock(&w->lock);
    while (!w->stopping && left > 0) {
        uint64_t start = uv_hrtime(), passed;

        uv_cond_timedwait(&w->cond, &w->lock, left);
        passed = uv_hrtime() - start;
        left = passed < left ? left - passed : 0;
    }
    uv_mutex_unlock(&w->lock);
}

/* ---- life ---------------------------------------------------------------- */

static void release(struct watch *w)
{
    struct watch_item *item;

    while ((item = STAILQ_FIRST(&w->queue))) {
        STAILQ_REMOVE_HEAD(&w->queue, entry);
        item_free(item);
    }
    kube_client_destroy(w->client);
    if (w->multi)
        curl_multi_cleanup(w->multi);
    uv_cond_destroy(&w->cond);
    uv_mutex_destroy(&w->lock);
    free(w->path);
    free(w);
}

static void closed_cb(uv_handle_t *handle)
{
    release(handle->data);
}

static struct watch *create(const char *path, watch_cb *cb, void *arg)
{
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    if (uv_mutex_init(&w->lock) < 0) {
        free(w);
        return NULL;
    }
    if (uv_cond_init(&w->cond) < 0) {
        uv_mutex_destroy(&w->lock);
        free(w);
        return NULL;
    }
    STAILQ_INIT(&w->queue);
    w->cb = cb;
    w->arg = arg;
    w->path = strdup(path);
    w->multi = curl_multi_init();
    if (w->path && w->multi)
        return w;
    release(w);
    return NULL;
}

struct watch *watch_create(uv_loop_t *loop, const struct kube_endpoint *ep,
                           const char *path, watch_cb *cb, void *arg,
                           struct tp_error *err)
{
    struct watch *w = create(path, cb, arg);
    int rc;

    if (!w) {
        tp_error_errno(err, -ENOMEM, "watch of %s", path);
        return NULL;
    }
    w->client = kube_client_create(ep, REQUEST_MS, err);
    if (!w->client) {
        release(w);
        return NULL;
    }
    uv_async_init(loop, &w->async, async_cb);
    w->async.data = w;
    rc = uv_thread_create(&w->thread, watch_thread, w);
    if (rc == 0)
        return w;
    tp_error_errno(err, rc, "watch of %s", path);
    w->stopping = true;
    uv_close((uv_handle_t *)&w->async, closed_cb);
    return NULL;
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    uv_mutex_lock(&w->lock);
    w->stopping = true;
    uv_cond_broadcast(&w->cond);
    uv_mutex_unlock(&w->lock);
    curl_multi_wakeup(w->multi);
    uv_thread_join(&w->thread);
    uv_close((uv_handle_t *)&w->async, closed_cb);
}
