/* endpoint.c - who to talk to: ownership, and the endpoint of a pod */
#include "kube/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"

#define SA_DIR      "/var/run/secrets/kubernetes.io/serviceaccount"
#define CA_MAX_SIZE (1024 * 1024)

void kube_endpoint_release(struct kube_endpoint *ep)
{
    free(ep->server);
    free(ep->tls_server_name);
    free(ep->ca_pem);
    free(ep->cert_pem);
    secret_free(ep->key_pem);
    secret_free(ep->token);
    free(ep->token_file);
    free(ep->username);
    secret_free(ep->password);
    secret_free(ep->proxy_url);
    free(ep->as_user);
    free(ep->as_uid);
    for (char **g = ep->as_groups; g && *g; g++)
        free(*g);
    free(ep->as_groups);
    free(ep->as_extra_json);
    memset(ep, 0, sizeof(*ep));
}

int kube_endpoint_in_cluster(struct kube_endpoint *ep, struct tp_error *err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");

    memset(ep, 0, sizeof(*ep));
    if (!host || !*host || !port || !*port)
        return tp_error_set(err, -ENOENT,
                            "not in a pod: KUBERNETES_SERVICE_HOST and "
                            "KUBERNETES_SERVICE_PORT are not set");
    if (file_read(SA_DIR "/ca.crt", CA_MAX_SIZE, &ep->ca_pem, NULL, err) < 0)
        return tp_error_wrap(err, "the pod has no service account");
    if (asprintf(&ep->server,
                 strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
                 port) < 0)
        ep->server = NULL;
    ep->token_file = strdup(SA_DIR "/token");
    ep->proxy_url = strdup(""); /* the API server is inside */
    if (!ep->server || !ep->token_file || !ep->proxy_url) {
        kube_endpoint_release(ep);
        return tp_error_errno(err, -ENOMEM, "API endpoint");
    }
    return 0;
}
