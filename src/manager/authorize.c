#include "manager/authorize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "manager/api.h"
#include "manager/metrics.h"
#include "manager/review.h"

struct authorization {
    struct metrics *metrics;
    struct json_object *review; /* the worker's while it runs */
    authorize_cb *cb;           /* NULL: cancelled */
    void *arg;
    int status;
    struct tp_error err;
};

/* In a worker thread. */
static void ask(void *arg, struct kube_client *client)
{
    struct authorization *a = arg;
    struct json_object *answer = NULL;
    bool allowed = false;
    int rc = kube_request(client, "POST", REVIEW_PATH, NULL, a->review, &answer,
                          &a->err);

    if (rc < 0) {
        a->status = rc;
    } else if (rc != 200 && rc != 201) {
        a->status = tp_error_set(&a->err, -EREMOTEIO, "status %d: %s", rc,
                                 json_get_str(answer, "message", ""));
    } else {
        rc = review_parse(answer, &allowed);
        if (rc < 0)
            tp_error_set(&a->err, rc, "no SubjectAccessReview in the answer");
        a->status = rc < 0 ? rc : allowed ? 0 : -EACCES;
    }
    json_object_put(answer);
}

static void answered_cb(void *arg, const struct tp_error *err)
{
    struct authorization *a = arg;

    if (err) {
        a->status = err->code == -EACCES ? -EIO : err->code;
        a->err = *err;
    }
    if (a->status < 0 && a->status != -EACCES)
        log_warn("SubjectAccessReview: %s", a->err.text);
    a->metrics->reviews[metrics_review_result(a->status)]++;
    if (a->cb)
        a->cb(a->arg, a->status);
    json_object_put(a->review);
    free(a);
}

/* json-c counts references without atomics: the worker gets a copy that shares
 * nothing with the loop's objects. */
static struct json_object *build_private(const struct identity *id,
                                         const struct right *right)
{
    struct json_object *review = review_build_right(id, right), *copy = NULL;

    if (review && json_object_deep_copy(review, &copy, NULL) < 0)
        copy = NULL;
    json_object_put(review);
    return copy;
}

struct authorization *authorize_right(struct api *api, struct metrics *metrics,
                                      const struct identity *id,
                                      const struct right *right,
                                      authorize_cb *cb, void *arg)
{
    struct authorization *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->metrics = metrics;
    a->cb = cb;
    a->arg = arg;
    a->review = build_private(id, right);
    if (!a->review || api_run(api, ask, answered_cb, a) < 0) {
        json_object_put(a->review);
        free(a);
        return NULL;
    }
    return a;
}

struct authorization *authorize_start(struct api *api, struct metrics *metrics,
                                      const struct identity *id, const char *ns,
                                      authorize_cb *cb, void *arg)
{
    const struct right right = {
        .group = "connect.tp.internal",
        .resource = "connections",
        .ns = ns,
    };

    return authorize_right(api, metrics, id, &right, cb, arg);
}

void authorize_cancel(struct authorization *a)
{
    if (a)
        a->cb = NULL;
}
