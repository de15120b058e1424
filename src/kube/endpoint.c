/* endpoint.c - who to talk to: ownership, and the endpoint of a pod */
#include "kube/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SA_DIR      "/var/run/secrets/kubernetes.io/serviceaccount"
#define CA_MAX_SIZE (1024 * 1024)

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void kube_endpoint_release(struct kube_endpoint *ep)
{
    free(ep->server);
    free(ep->tls_server_name);
    free(ep->ca_pem);
    free(ep->cert_pem);
    free_secret(ep->key_pem);
    free_secret(ep->token);
    free(ep->token_file);
    free(ep->username);
    free_secret(ep->password);
    free_secret(ep->proxy_url);
    free(ep->as_user);
    free(ep->as_uid);
    for (char **g = ep->as_groups; g && *g; g++)
        free(*g);
    free(ep->as_groups);
    free(ep->as_extra_json);
    memset(ep, 0, sizeof(*ep));
}

static char *read_text(const char *path, struct tp_error *err)
{
    cleanup_file FILE *f = fopen(path, "re");
    cleanup_free char *text = NULL;
    char *result;
    size_t len;

    if (!f) {
        tp_error_errno(err, -errno, "%s", path);
        return NULL;
    }
    text = malloc(CA_MAX_SIZE + 1);
    if (!text) {
        tp_error_errno(err, -ENOMEM, "%s", path);
        return NULL;
    }
    len = fread(text, 1, CA_MAX_SIZE + 1, f);
    if (ferror(f) || len > CA_MAX_SIZE) {
        tp_error_errno(err, ferror(f) ? -EIO : -EFBIG, "%s", path);
        return NULL;
    }
    text[len] = '\0';
    result = strdup(text);
    if (!result)
        tp_error_errno(err, -ENOMEM, "%s", path);
    return result;
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
    ep->ca_pem = read_text(SA_DIR "/ca.crt", err);
    if (!ep->ca_pem)
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
