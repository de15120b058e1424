#include "manager/api.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define IDLE_MS     10000
#define CLIENTS_MAX 4 /* kept; as many as the pool has threads */

struct idle_client {
    struct kube_client *client;
    uint64_t since; /* uv_now() */
};

struct api {
    uv_loop_t *loop;
    const struct kube_endpoint *ep;
    uv_timer_t timer;
    size_t jobs; /* under way */
    bool closing;
    uv_mutex_t lock; /* protects the members below */
    struct idle_client idle[CLIENTS_MAX];
    size_t idle_count;
};

struct api_job {
    uv_work_t work;
    struct api *api;
    struct kube_client *client; /* back from the worker */
    api_work *run;
    api_done_cb *done_cb;
    void *arg;
    struct tp_error err;
};

/* The oldest is at the front, the busiest at the end. */
static struct kube_client *take_client(struct api *api)
{
    struct kube_client *client = NULL;

    uv_mutex_lock(&api->lock);
    if (api->idle_count > 0)
        client = api->idle[--api->idle_count].client;
    uv_mutex_unlock(&api->lock);
    return client;
}

/* On the loop. Takes the oldest client off the list if it is idle too long. */
static struct kube_client *take_expired(struct api *api)
{
    struct kube_client *client = NULL;

    uv_mutex_lock(&api->lock);
    if (api->idle_count > 0 &&
        uv_now(api->loop) - api->idle[0].since >= IDLE_MS) {
        client = api->idle[0].client;
        api->idle_count--;
        for (size_t i = 0; i < api->idle_count; i++)
            api->idle[i] = api->idle[i + 1];
    }
    uv_mutex_unlock(&api->lock);
    return client;
}

static void timer_cb(uv_timer_t *timer)
{
    struct api *api = timer->data;
    struct kube_client *client;

    while ((client = take_expired(api)))
        kube_client_destroy(client);
    if (api->idle_count == 0)
        uv_timer_stop(timer);
}

static void give_back(struct api *api, struct kube_client *client)
{
    uv_mutex_lock(&api->lock);
    if (api->idle_count < CLIENTS_MAX) {
        api->idle[api->idle_count].client = client;
        api->idle[api->idle_count++].since = uv_now(api->loop);
        client = NULL;
    }
    uv_mutex_unlock(&api->lock);
    kube_client_destroy(client);
    if (!uv_is_active((uv_handle_t *)&api->timer))
        uv_timer_start(&api->timer, timer_cb, IDLE_MS, IDLE_MS / 2);
}

struct api *api_create(uv_loop_t *loop, const struct kube_endpoint *ep)
{
    struct api *api = calloc(1, sizeof(*api));

    if (!api)
        return NULL;
    api->loop = loop;
    api->ep = ep;
    if (uv_mutex_init(&api->lock) < 0) {
        free(api);
        return NULL;
    }
    uv_timer_init(loop, &api->timer);
    api->timer.data = api;
    return api;
}

static void closed_cb(uv_handle_t *handle)
{
    struct api *api = handle->data;

    for (size_t i = 0; i < api->idle_count; i++)
        kube_client_destroy(api->idle[i].client);
    uv_mutex_destroy(&api->lock);
    free(api);
}

static void close_if_done(struct api *api)
{
    if (api->closing && api->jobs == 0)
        uv_close((uv_handle_t *)&api->timer, closed_cb);
}

void api_close(struct api *api)
{
    if (!api)
        return;
    api->closing = true;
    close_if_done(api);
}

static void work_cb(uv_work_t *work)
{
    struct api_job *job = work->data;

    job->client = take_client(job->api);
    if (!job->client)
        job->client =
            kube_client_create(job->api->ep, API_TIMEOUT_MS, &job->err);
    if (job->client)
        job->run(job->arg, job->client);
}

static void after_work_cb(uv_work_t *work, int status)
{
    struct api_job *job = work->data;

    if (status < 0)
        tp_error_set(&job->err, status, "API request: %s", uv_strerror(status));
    if (job->client)
        give_back(job->api, job->client);
    job->done_cb(job->arg, job->err.code ? &job->err : NULL);
    job->api->jobs--;
    close_if_done(job->api);
    free(job);
}

int api_run(struct api *api, api_work *work, api_done_cb *done_cb, void *arg)
{
    struct api_job *job = api->closing ? NULL : calloc(1, sizeof(*job));
    int rc;

    if (!job)
        return -ENOMEM;
    job->api = api;
    job->run = work;
    job->done_cb = done_cb;
    job->arg = arg;
    job->work.data = job;
    rc = uv_queue_work(api->loop, &job->work, work_cb, after_work_cb);
    if (rc < 0)
        free(job);
    else
        api->jobs++;
    return rc;
}
