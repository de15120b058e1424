/*
 * frontproxy.h - whom the manager believes about who the user is
 *
 * The API server authenticates users and tells the manager their names in
 * headers. Which certificates may do so, and in which headers, is said by the
 * ConfigMap kube-system/extension-apiserver-authentication:
 * https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
 *
 * Only the listener of the aggregated API uses this (SECURITY 5).
 */
#ifndef TP_MANAGER_FRONTPROXY_H
#define TP_MANAGER_FRONTPROXY_H

#include <stdbool.h>

#include "base/error.h"

#define FRONTPROXY_PATH                                                        \
    "/api/v1/namespaces/kube-system/configmaps/"                               \
    "extension-apiserver-authentication"

struct json_object;

struct frontproxy {
    char *ca_pem;
    /* Arrays of strings. */
    struct json_object *names; /* allowed common names; empty: any */
    struct json_object *user_headers;
    struct json_object *uid_headers; /* empty before Kubernetes 1.32 */
    struct json_object *group_headers;
    struct json_object *extra_prefixes;
};

/* Reads the ConfigMap. An empty list of names is -EPERM unless allow_any.
 * Release also after a failure. */
int frontproxy_parse(struct frontproxy *fp, struct json_object *configmap,
                     bool allow_any, struct tp_error *err);
void frontproxy_release(struct frontproxy *fp);

bool frontproxy_equal(const struct frontproxy *a, const struct frontproxy *b);

/* The common name of a certificate that the CA has signed. */
bool frontproxy_allows_name(const struct frontproxy *fp, const char *name);

#endif
