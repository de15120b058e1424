#include "manager/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client.h"
#include "manager/direct.h"
#include "manager/options.h"

/* Nodes are large objects: small pages keep the peak of memory low. */
#define NODE_PAGE  20
#define PAGES_MAX  2000
#define PATH_SPACE 8192 /* a continue token is 2 to 4 KiB */

static void read_frontproxy(struct snapshot *s, struct kube_client *client,
                            bool allow_any)
{
    cleanup_json struct json_object *map = NULL;

    if (kube_get(client, FRONTPROXY_PATH, &map, &s->frontproxy_error) == 0)
        frontproxy_parse(&s->frontproxy, map, allow_any, &s->frontproxy_error);
}

static void read_service_cidrs(struct snapshot *s, struct kube_client *client)
{
    cleanup_json struct json_object *list = NULL;
    int rc = kube_get(client, "/apis/networking.k8s.io/v1/servicecidrs", &list,
                      &s->service_error);

    if (rc == -ENOENT) /* 1.31, 1.32 */
        rc = kube_get(client, "/apis/networking.k8s.io/v1beta1/servicecidrs",
                      &list, &s->service_error);
    if (rc < 0)
        return;
    s->service_error.code = 0;
    rc = cluster_add_service_cidrs(&s->service, list);
    if (rc < 0)
        tp_error_errno(&s->service_error, rc, "servicecidrs");
    subnets_merge(&s->service);
}

static int read_node_page(struct snapshot *s, struct kube_client *client,
                          char token[PATH_SPACE])
{
    cleanup_json struct json_object *list = NULL;
    cleanup_free char *path = NULL;
    int rc;

    if (asprintf(&path, "/api/v1/nodes?limit=%d%s%s", NODE_PAGE,
                 *token ? "&continue=" : "", token) < 0) {
        path = NULL;
        return tp_error_errno(&s->node_error, -ENOMEM, "nodes");
    }
    rc = kube_get(client, path, &list, &s->node_error);
    if (rc < 0)
        return rc;
    cluster_name_nodes(s->nodes_named, list, DIRECT_ENDPOINTS_MAX);
    rc = cluster_add_nodes(&s->pod, &s->nodes, list);
    if (rc < 0)
        return tp_error_errno(&s->node_error, rc, "nodes");
    /* Tokens are unpadded base64url and need no escaping. */
    if (snprintf(token, PATH_SPACE, "%s", cluster_continue(list)) >= PATH_SPACE)
        return tp_error_set(&s->node_error, -EMSGSIZE,
                            "nodes: continue token too long");
    return 0;
}

static void read_nodes(struct snapshot *s, struct kube_client *client)
{
    char token[PATH_SPACE] = "";

    for (int page = 0; page < PAGES_MAX; page++) {
        if (read_node_page(s, client, token) < 0 || !*token)
            break;
    }
    subnets_merge(&s->pod);
    subnets_merge(&s->nodes);
}

static void read_self(struct snapshot *s, struct kube_client *client,
                      const struct options *o)
{
    cleanup_json struct json_object *service = NULL, *slices = NULL;
    char path[512];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/services/%.63s",
             o->ns, o->service);
    if (kube_get(client, path, &service, &s->self_error) == 0) {
        cluster_add_service(&s->self, service);
        snprintf(s->service_ip, sizeof(s->service_ip), "%.60s",
                 json_get_str(service, "spec.clusterIP", ""));
    }
    snprintf(path, sizeof(path),
             "/apis/discovery.k8s.io/v1/namespaces/%.63s/endpointslices"
             "?labelSelector=kubernetes.io%%2Fservice-name%%3D%.63s",
             o->ns, o->service);
    if (kube_get(client, path, &slices, &s->self_error) == 0)
        cluster_add_endpoints(&s->self, slices);
    subnets_merge(&s->self);
}

/* The Service of direct links, which is as much the manager's own. */
static void read_direct(struct snapshot *s, struct kube_client *client,
                        const struct options *o)
{
    cleanup_json struct json_object *service = NULL;
    char path[512];

    if (!o->listen_direct.sa.sa_family)
        return;
    snprintf(path, sizeof(path),
             "/api/v1/namespaces/%.63s/services/%.56s-direct", o->ns,
             o->service);
    if (kube_get(client, path, &service, NULL) < 0)
        return;
    cluster_add_service(&s->self, service);
    s->direct = direct_endpoints_of(service, s->nodes_named);
}

static void read_cluster_uid(struct snapshot *s, struct kube_client *client)
{
    cleanup_json struct json_object *ns = NULL;

    if (kube_get(client, "/api/v1/namespaces/kube-system", &ns, NULL) == 0)
        snprintf(s->cluster_uid, sizeof(s->cluster_uid), "%.63s",
                 json_get_str(ns, "metadata.uid", ""));
}

struct snapshot *snapshot_take(const struct options *options,
                               struct kube_client *client)
{
    struct snapshot *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->nodes_named = json_object_new_array();
    read_frontproxy(s, client, options->any_front_proxy_name);
    read_service_cidrs(s, client);
    read_nodes(s, client);
    read_direct(s, client, options);
    read_self(s, client, options);
    read_cluster_uid(s, client);
    return s;
}

void snapshot_destroy(struct snapshot *s)
{
    if (!s)
        return;
    frontproxy_release(&s->frontproxy);
    subnets_release(&s->service);
    subnets_release(&s->pod);
    subnets_release(&s->nodes);
    subnets_release(&s->self);
    json_object_put(s->nodes_named);
    json_object_put(s->direct);
    free(s);
}
