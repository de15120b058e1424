#include "manager/claims.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/engagement_json.h"
#include "manager/lease.h"

#define ATTEMPTS 5

/* ---- names ----------------------------------------------------------------
 */

static void name_claim(struct claim *c, const struct workload_ref *w,
                       const char *proto, unsigned port)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char text[480];
    int n = snprintf(text, sizeof(text), "%s/%s/%s/%s/%u", w->ns, w->kind,
                     w->name, proto, port);

    EVP_Digest(text, (size_t)n, digest, &len, EVP_sha256(), NULL);
    n = snprintf(c->name, sizeof(c->name), "tp-claim-");
    for (int i = 0; i < 16; i++)
        n += snprintf(c->name + n, sizeof(c->name) - (size_t)n, "%02x",
                      digest[i]);
    if (port)
        snprintf(c->what, sizeof(c->what), "%u/%s", port, proto);
    else
        snprintf(c->what, sizeof(c->what), "%s", proto);
}

size_t claims_of(const struct engagement *eng, struct claim out[CLAIMS_MAX])
{
    size_t n = 0;

    if (eng->type != ENGAGEMENT_INTERCEPT && eng->type != ENGAGEMENT_REPLACE)
        return 0;
    if (eng->type == ENGAGEMENT_REPLACE)
        name_claim(&out[n++], &eng->workload, "replace", 0);
    for (size_t i = 0; i < eng->port_count; i++)
        name_claim(&out[n++], &eng->workload, eng->ports[i].udp ? "udp" : "tcp",
                   eng->ports[i].port);
    return n;
}

struct json_object *claim_build(const struct claim *claim, const char *ns,
                                const char *id, const char *owner_uid)
{
    struct json_object *lease = lease_build(claim->name, ns, id, 0);
    struct json_object *owners = json_object_new_array();
    struct json_object *owner = json_object_new_object();

    json_put_str(owner, "apiVersion", CR_GROUP_VERSION);
    json_put_str(owner, "kind", "Engagement");
    json_put_str(owner, "name", id);
    json_put_str(owner, "uid", owner_uid);
    json_object_array_add(owners, owner);
    json_object_object_add(json_get(lease, "metadata"), "ownerReferences",
                           owners);
    return lease;
}

/* ---- taking ---------------------------------------------------------------
 */

/* Takes away a Lease that is nobody's, unless it has changed meanwhile. */
static void sweep(struct kube_client *client, const char *path,
                  struct json_object *lease)
{
    cleanup_json struct json_object *options = lease_precondition(lease);

    kube_call(client, "DELETE", path, NULL, options, NULL, NULL);
}

static bool is_over(struct json_object *engagement)
{
    return !strcmp(json_get_str(engagement, "status.phase", ""), "ended") ||
           json_get(engagement, "metadata.deletionTimestamp");
}

/* Who has it? 0: nobody any more, or we; try again. */
static int look(struct kube_client *client, const char *ns,
                const struct claim *claim, const char *id,
                struct claim_conflict *conflict, bool *mine,
                struct tp_error *err)
{
    cleanup_json struct json_object *lease = NULL;
    struct json_object *holder = NULL;
    char path[LEASE_PATH_MAX], other[512];
    const char *name;
    int rc;

    lease_path(path, ns, claim->name);
    rc = kube_get(client, path, &lease, err);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    name = json_get_str(lease, "spec.holderIdentity", "");
    *mine = !strcmp(name, id);
    if (*mine)
        return 0;
    if (engagement_id_is_valid(name)) {
        snprintf(other, sizeof(other),
                 "/apis/" CR_GROUP_VERSION "/namespaces/%s/engagements/%s", ns,
                 name);
        rc = kube_get(client, other, &holder, err);
        if (rc < 0 && rc != -ENOENT)
            return rc;
    }
    if (!holder || is_over(holder)) {
        json_object_put(holder);
        sweep(client, path, lease);
        return 0;
    }
    memcpy(conflict->what, claim->what, sizeof(conflict->what));
    conflict->holder = holder;
    return -EBUSY;
}

static int take_one(struct kube_client *client, const char *ns,
                    const struct claim *claim, const char *id,
                    const char *owner_uid, struct claim_conflict *conflict,
                    struct tp_error *err)
{
    cleanup_json struct json_object *lease =
        claim_build(claim, ns, id, owner_uid);
    char path[LEASE_PATH_MAX];
    bool mine = false;

    lease_path(path, ns, "");
    for (int i = 0; i < ATTEMPTS; i++) {
        int rc = kube_call(client, "POST", path, NULL, lease, NULL, err);

        if (rc != -EEXIST)
            return rc;
        rc = look(client, ns, claim, id, conflict, &mine, err);
        if (rc < 0 || mine)
            return rc;
    }
    return tp_error_set(err, -EAGAIN, "claim of %s: it changes all the time",
                        claim->what);
}

int claims_take(struct kube_client *client, const char *ns,
                const struct engagement *eng, const char *owner_uid,
                struct claim_conflict *conflict, struct tp_error *err)
{
    struct claim claims[CLAIMS_MAX];
    size_t n = claims_of(eng, claims);
    int rc = 0;

    memset(conflict, 0, sizeof(*conflict));
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc =
            take_one(client, ns, &claims[i], eng->id, owner_uid, conflict, err);
    return rc;
}

void claims_drop(struct kube_client *client, const char *ns,
                 const struct engagement *eng)
{
    struct claim claims[CLAIMS_MAX];
    size_t n = claims_of(eng, claims);

    for (size_t i = 0; i < n; i++) {
        cleanup_json struct json_object *lease = NULL;
        char path[LEASE_PATH_MAX];

        lease_path(path, ns, claims[i].name);
        if (kube_get(client, path, &lease, NULL) == 0 &&
            !strcmp(json_get_str(lease, "spec.holderIdentity", ""), eng->id))
            sweep(client, path, lease);
    }
}

/* ---- the text -------------------------------------------------------------
 */

void claim_explain(const struct claim_conflict *conflict, char *out,
                   size_t size)
{
    struct json_object *holder = conflict->holder;
    time_t since = (time_t)object_created(holder);
    bool today = time(NULL) - since < 86400;
    char when[32];
    struct tm tm;

    gmtime_r(&since, &tm);
    strftime(when, sizeof(when), today ? "%H:%M UTC" : "%Y-%m-%d %H:%M UTC",
             &tm);
    snprintf(out, size,
             "%s of %s %.100s is held by %.100s (%s) since %s; wait, use tp "
             "mirror, or --force with the right engagements/takeover",
             conflict->what,
             json_get_str(holder, "spec.workload.kind", "workload"),
             json_get_str(holder, "spec.workload.name", ""),
             json_get_str(holder, "spec.user", "somebody"),
             json_get_str(holder, "spec.type", ""), when);
}
