/*
 * engage_replicas.c - which replicas live, and which of them is the janitor
 *
 * Each replica renews one Lease, `tp-replica-<pod>`, each 10 s: the only thing
 * that is written without anything having happened (KUBERNETES 19). In the same
 * job it reads those of the others and tries to be, or to stay, the holder of
 * `tp-janitor`.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/client.h"
#include "manager/engage_internal.h"
#include "manager/lease.h"

#define JANITOR_LEASE "tp-janitor"
#define REPLICA_LABEL "tp.internal/lease"

struct renewal {
    struct engage_job job;
    char ns[64];
    char replica[REPLICA_NAME];
    struct json_object *alive; /* {"pod": true} */
    bool janitor;
};

/* ---- in the worker thread -------------------------------------------------
 */

static void label(struct json_object *lease)
{
    struct json_object *labels = json_object_new_object();

    json_put_str(labels, REPLICA_LABEL, "replica");
    json_object_object_add(json_get(lease, "metadata"), "labels", labels);
}

static void lease_name(char out[REPLICA_NAME + 16], const char *replica)
{
    snprintf(out, REPLICA_NAME + 16, "tp-replica-%s", replica);
}

static int renew_own(struct renewal *r, struct kube_client *client)
{
    cleanup_json struct json_object *lease = NULL;
    char name[REPLICA_NAME + 16], path[LEASE_PATH_MAX];
    int rc;

    lease_name(name, r->replica);
    lease_path(path, r->ns, name);
    rc = kube_get(client, path, &lease, &r->job.err);
    if (rc == 0) {
        lease_renew(lease, r->replica, REPLICA_LEASE_S);
        return kube_call(client, "PUT", path, NULL, lease, NULL, &r->job.err);
    }
    if (rc != -ENOENT)
        return rc;
    lease = lease_build(name, r->ns, r->replica, REPLICA_LEASE_S);
    label(lease);
    lease_path(path, r->ns, "");
    return kube_call(client, "POST", path, NULL, lease, NULL, &r->job.err);
}

static void take_lease(struct renewal *r, struct kube_client *client,
                       struct json_object *lease)
{
    const char *holder = json_get_str(lease, "spec.holderIdentity", "");
    int64_t at = lease_time(json_get_str(lease, "spec.renewTime", ""));

    if (lease_is_fresh(lease, wall_ms())) {
        json_object_object_add(r->alive, holder, json_object_new_boolean(true));
    } else if (at > 0 && wall_ms() - at > REPLICA_FORGET_MS) {
        cleanup_json struct json_object *options = lease_precondition(lease);
        char path[LEASE_PATH_MAX];

        lease_path(path, r->ns, json_get_str(lease, "metadata.name", ""));
        kube_call(client, "DELETE", path, NULL, options, NULL, NULL);
    }
}

static int read_others(struct renewal *r, struct kube_client *client)
{
    cleanup_json struct json_object *list = NULL;
    char path[LEASE_PATH_MAX], query[LEASE_PATH_MAX + 64];
    struct json_object *items;
    int rc;

    lease_path(path, r->ns, "");
    snprintf(query, sizeof(query),
             "%s?labelSelector=tp.internal%%2Flease%%3D"
             "replica&limit=500",
             path);
    rc = kube_get(client, query, &list, &r->job.err);
    if (rc < 0)
        return rc;
    r->alive = json_object_new_object();
    items = json_get_array(list, "items");
    for (size_t i = 0; i < json_array_len(items); i++)
        take_lease(r, client, json_object_array_get_idx(items, i));
    return 0;
}

/* The API server lets one of those win who write the same version. */
static bool be_janitor(struct renewal *r, struct kube_client *client)
{
    cleanup_json struct json_object *lease = NULL;
    char path[LEASE_PATH_MAX];
    int rc;

    lease_path(path, r->ns, JANITOR_LEASE);
    rc = kube_get(client, path, &lease, NULL);
    if (rc == -ENOENT) {
        lease = lease_build(JANITOR_LEASE, r->ns, r->replica, REPLICA_LEASE_S);
        lease_path(path, r->ns, "");
        return kube_call(client, "POST", path, NULL, lease, NULL, NULL) == 0;
    }
    if (rc < 0 || (lease_is_fresh(lease, wall_ms()) &&
                   strcmp(json_get_str(lease, "spec.holderIdentity", ""),
                          r->replica) != 0))
        return false;
    lease_renew(lease, r->replica, REPLICA_LEASE_S);
    return kube_call(client, "PUT", path, NULL, lease, NULL, NULL) == 0;
}

static void work(struct engage_job *job, struct kube_client *client)
{
    struct renewal *r = (struct renewal *)job;

    job->status = renew_own(r, client);
    if (job->status == 0)
        job->status = read_others(r, client);
    if (job->status == 0)
        r->janitor = be_janitor(r, client);
}

/* ---- on the loop ----------------------------------------------------------
 */

static void done(struct engage_job *job)
{
    struct renewal *r = (struct renewal *)job;
    struct engagements *e = job->e;

    e->renewing = false;
    if (job->status < 0) {
        log_warn("replica's Lease: %s", job->err.text);
    } else if (r->alive) {
        json_object_put(e->replicas);
        e->replicas = r->alive;
        r->alive = NULL;
        e->replicas_known = true;
    }
    if (e->janitor != r->janitor)
        log_info(r->janitor ? "this replica is the janitor"
                            : "this replica is the janitor no more");
    e->janitor = r->janitor; /* who cannot renew it does nothing either */
    json_object_put(r->alive);
    free(r);
}

void engage_replicas_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    struct renewal *r;

    if (e->closing || e->renewing || now < e->renew_due)
        return;
    r = calloc(1, sizeof(*r));
    if (!r)
        return;
    e->renew_due = now + REPLICA_RENEW_MS;
    e->renewing = true;
    snprintf(r->ns, sizeof(r->ns), "%s", e->env.ns);
    memcpy(r->replica, e->replica, sizeof(r->replica));
    r->job.work = work;
    r->job.done = done;
    engage_run(e, &r->job);
}

bool engage_replica_is_alive(const struct engagements *e, const char *name)
{
    return !strcmp(name, e->replica) || !e->replicas_known ||
           json_member(e->replicas, name) != NULL;
}
