/*
 * agent_review.c - TokenReview, then the pod, then its ReplicaSet
 *
 * No answer is kept, and no token: it is gone once the API server was asked.
 */
#include "manager/agent_review.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/api.h"

struct review {
    char *secret; /* NULL: only the pod is looked at */
    struct agent_token token;
    struct agent_pod pod;
    agent_review_cb *cb;
    void *arg;
    int status;
    struct tp_error err;
};

/* GET; a 404 is -EACCES: what is not there vouches for nobody. */
static int get(struct kube_client *client, const char *path,
               struct json_object **out, struct tp_error *err)
{
    int status = kube_request(client, "GET", path, NULL, NULL, out, err);

    if (status == 200 && *out)
        return 0;
    if (status < 0)
        return tp_error_wrap(err, "GET %s", path) == -EACCES ? -EIO : status;
    if (status == 404)
        return tp_error_set(err, -EACCES, "the token's pod is gone");
    return tp_error_set(err, -EREMOTEIO, "GET %s: status %d: %s", path, status,
                        json_get_str(*out, "message", ""));
}

static int review_token(struct review *r, struct kube_client *client)
{
    cleanup_json struct json_object *review = agent_token_review(r->secret);
    cleanup_json struct json_object *answer = NULL;
    int status;

    if (!review)
        return tp_error_errno(&r->err, -ENOMEM, "TokenReview");
    status = kube_request(client, "POST", AGENT_TOKENREVIEW_PATH, NULL, review,
                          &answer, &r->err);
    if (status < 0)
        return status == -EACCES ? -EIO : status;
    /* The message is not repeated: it may quote what was posted. */
    if (status != 200 && status != 201)
        return tp_error_set(&r->err, -EREMOTEIO, "TokenReview: status %d",
                            status);
    return agent_token_parse(&r->token, answer, &r->err);
}

static int read_owner(struct review *r, struct kube_client *client)
{
    cleanup_json struct json_object *set = NULL;
    char path[AGENT_PATH_MAX];
    int rc;

    if (!agent_pod_has_replicaset(&r->pod, path))
        return 0;
    rc = get(client, path, &set, &r->err);
    return rc < 0 ? rc : agent_pod_set_replicaset(&r->pod, set, &r->err);
}

static int read_pod(struct review *r, struct kube_client *client)
{
    cleanup_json struct json_object *pod = NULL;
    char path[AGENT_PATH_MAX];
    int rc;

    agent_pod_path(&r->token, path);
    rc = get(client, path, &pod, &r->err);
    return rc < 0 ? rc : agent_pod_parse(&r->pod, &r->token, pod, &r->err);
}

/* In a worker thread. */
static void identify_work(void *arg, struct kube_client *client)
{
    struct review *r = arg;

    r->status = review_token(r, client);
    secret_free(r->secret);
    r->secret = NULL;
    if (r->status == 0)
        r->status = read_pod(r, client);
    if (r->status == 0)
        r->status = read_owner(r, client);
}

static void recheck_work(void *arg, struct kube_client *client)
{
    struct review *r = arg;

    r->status = read_pod(r, client);
}

static void done_cb(void *arg, const struct tp_error *err)
{
    struct review *r = arg;

    if (err) {
        r->status = err->code == -EACCES ? -EIO : err->code;
        r->err = *err;
    }
    if (r->status < 0 && r->status != -EACCES)
        log_warn("agent: %s", r->err.text);
    r->cb(r->arg, r->status, &r->pod, &r->err);
    agent_pod_release(&r->pod);
    secret_free(r->secret);
    free(r);
}

static int start(struct api *api, struct review *r, api_work *work,
                 agent_review_cb *cb, void *arg)
{
    int rc;

    r->cb = cb;
    r->arg = arg;
    rc = api_run(api, work, done_cb, r);
    if (rc < 0) {
        secret_free(r->secret);
        free(r);
    }
    return rc;
}

static int identify(void *judge, const char *token, agent_review_cb *cb,
                    void *arg)
{
    struct review *r = calloc(1, sizeof(*r));

    if (!r || !(r->secret = strdup(token))) {
        free(r);
        return -ENOMEM;
    }
    return start(judge, r, identify_work, cb, arg);
}

static int recheck(void *judge, const struct agent_token *pod,
                   agent_review_cb *cb, void *arg)
{
    struct review *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->token = *pod;
    return start(judge, r, recheck_work, cb, arg);
}

const struct agent_judge agent_api_judge = {identify, recheck};
