/* client_internal.h - what client.c and client_setup.c share */
#ifndef TP_KUBE_CLIENT_INTERNAL_H
#define TP_KUBE_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "base/buf.h"
#include "kube/client.h"

struct kube_client {
    CURL *curl;
    char *server;
    char *host_header; /* where tls_server_name replaces the URL's host */
    char *token;
    char *token_file;
    struct curl_slist *headers;    /* same for all requests (impersonation) */
    struct curl_slist *connect_to; /* instead of the URL's host */
    struct buf body;
    char text[CURL_ERROR_SIZE];
    unsigned timeout_ms;
    bool proxy_user; /* the proxy's URL holds credentials */
};

/* Appends a header. 0, -ENOMEM, or -EINVAL for a value with control
 * characters. */
int kube_header_add(struct curl_slist **list, const char *name,
                    const char *value);

/* Makes the handle of a zeroed client and tells it everything that is the same
 * for all requests. 0, or a negative errno with err filled; the client must be
 * destroyed either way. */
int kube_client_setup(struct kube_client *c, const struct kube_endpoint *ep,
                      unsigned timeout_ms, struct tp_error *err);

/* Tells the handle of one request; *headers and text are used until
 * kube_client_finish(), which must come in any case. 0 or a negative errno. */
int kube_client_prepare(struct kube_client *c, const char *method,
                        const char *path, const char *content_type,
                        const char *text, struct curl_slist **headers,
                        struct tp_error *err);
void kube_client_finish(struct kube_client *c, struct curl_slist *headers);
/* Answers go to c->body, within the client's time. */
void kube_client_collect(struct kube_client *c);

#endif
