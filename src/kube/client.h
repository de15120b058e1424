/*
 * client.h - requests to the Kubernetes API server (libcurl, blocking)
 *
 * For the CLI, and for the manager's worker threads. A handle may be used by
 * one thread at a time.
 */
#ifndef TP_KUBE_CLIENT_H
#define TP_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Who to talk to and as whom. All strings owned; see kube_endpoint_release().
 */
struct kube_endpoint {
    char *server;          /* "https://host:port[/prefix]" */
    char *tls_server_name; /* verified instead of the host; NULL: the host */
    char *ca_pem;          /* NULL: the system's trust store */
    bool insecure;
    char *cert_pem, *key_pem;
    char *token;
    char *token_file; /* read again when it changes */
    char *username, *password;
    char *proxy_url; /* NULL: from the environment; "": none */
    char *as_user, *as_uid;
    char **as_groups;    /* NULL-terminated */
    char *as_extra_json; /* {"k": ["v"]} or NULL */
};

void kube_endpoint_release(struct kube_endpoint *ep);

/* The endpoint of a pod: /var/run/secrets/kubernetes.io/serviceaccount and
 * KUBERNETES_SERVICE_HOST/PORT. */
int kube_endpoint_in_cluster(struct kube_endpoint *ep, struct tp_error *err);

struct kube_client;
struct kube_client *kube_client_create(const struct kube_endpoint *ep,
                                       unsigned timeout_ms,
                                       struct tp_error *err);
void kube_client_destroy(struct kube_client *c);

struct json_object;

/* One request; `body` may be NULL. On an HTTP answer returns its status (200,
 * 404, ...) and *out is the parsed body (caller puts it) or NULL. Without an
 * answer: a negative errno with err filled. content_type NULL: JSON. */
int kube_request(struct kube_client *c, const char *method, const char *path,
                 const char *content_type, struct json_object *body,
                 struct json_object **out, struct tp_error *err);

/* The same where all but 2xx is a failure: 0 with *out (unless out is NULL;
 * caller puts it), or a negative errno with err filled. HTTP errors are -EACCES
 * (401, 403), -ENOENT (404), -EEXIST (409), -ESTALE (410), -EINVAL (422),
 * -EAGAIN (429) and -EREMOTEIO. */
int kube_call(struct kube_client *c, const char *method, const char *path,
              const char *content_type, struct json_object *body,
              struct json_object **out, struct tp_error *err);
int kube_get(struct kube_client *c, const char *path, struct json_object **out,
             struct tp_error *err);

#endif
