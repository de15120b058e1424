/*
 * session.h - SESSION of doc/control.md, from what the user chose
 */
#ifndef TP_CLI_SESSION_H
#define TP_CLI_SESSION_H

#include "cli/client_config.h"
#include "cli/reach.h"
#include "kube/kubeconfig.h"

struct session_input {
    const char *name; /* of the container */
    const struct kube_context *kube;
    const struct kube_credentials *plugin; /* what a plugin gave, or NULL */
    const struct client_config *config;
    const struct reach
        *reach;       /* to the proxy if there is one, else the server */
    const char *link; /* "auto", "aggregated" or NULL */
    struct json_object *host_subnets; /* borrowed */
    struct json_object *proxy;   /* for the host (proxy_option.h) or NULL */
    struct json_object *volumes; /* keys (volume_plugin.h) or NULL; borrowed */
};

/* Owned; it holds secrets. NULL with err filled. */
struct json_object *session_build(const struct session_input *in,
                                  struct tp_error *err);

/* {"token", "clientCert", "clientKey", "expires"} of a plugin. Owned. */
struct json_object *session_credentials(const struct kube_credentials *c);

#endif
