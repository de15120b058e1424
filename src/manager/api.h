/*
 * api.h - requests to the API server off the loop
 *
 * Work runs in libuv's thread pool with a client of its own; what it shares
 * with the loop travels in `arg`. Idle clients, and their memory, are given up
 * after some seconds.
 */
#ifndef TP_MANAGER_API_H
#define TP_MANAGER_API_H

#include <uv.h>

#include "base/error.h"
#include "kube/client.h"

#define API_TIMEOUT_MS 5000

struct api;

/* ep is borrowed for the object's life. NULL if out of memory. */
struct api *api_create(uv_loop_t *loop, const struct kube_endpoint *ep);
/* Work that is under way is finished, with its callback; then the memory goes.
 * NULL is fine. */
void api_close(struct api *api);

/* In a worker thread. */
typedef void api_work(void *arg, struct kube_client *client);
/* On the loop, after the work, or with why it could not be done. */
typedef void api_done_cb(void *arg, const struct tp_error *err);

/* 0 or -ENOMEM; then done_cb comes exactly once, always from the loop. */
int api_run(struct api *api, api_work *work, api_done_cb *done_cb, void *arg);

#endif
