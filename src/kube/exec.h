/*
 * exec.h - credential plugins (client.authentication.k8s.io v1, v1beta1)
 *
 * https://kubernetes.io/docs/reference/access-authn-authz/authentication/
 * #client-go-credential-plugins. The program is started without a shell, with
 * the argv and environment that the kubeconfig held when it was read.
 */
#ifndef TP_KUBE_EXEC_H
#define TP_KUBE_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define KUBE_EXEC_TIMEOUT_MS 60000

enum kube_exec_mode {
    KUBE_EXEC_NEVER,        /* no terminal */
    KUBE_EXEC_IF_AVAILABLE, /* the terminal if there is one */
    KUBE_EXEC_ALWAYS,       /* only with a terminal: not in the background */
};

struct kube_exec {
    char **argv;        /* NULL-terminated; [0] resolved against the file */
    char **env;         /* "NAME=value", added to the environment */
    char *api_version;  /* as in the kubeconfig */
    char *install_hint; /* or NULL */
    char *cluster_json; /* spec.cluster of KUBERNETES_EXEC_INFO, or NULL */
    enum kube_exec_mode mode;
};

struct kube_credentials {
    char *token;
    char *cert_pem, *key_pem;
    int64_t expires; /* Unix seconds; 0: not told */
};

void kube_exec_destroy(struct kube_exec *x);
void kube_credentials_release(struct kube_credentials *c);

/* Runs the plugin, at most KUBE_EXEC_TIMEOUT_MS (ten times that with a
 * terminal, for browser logins). Its standard error is passed through.
 * background: there is no terminal, whatever descriptor 0 is. 0, or a negative
 * errno with err filled. */
int kube_exec_run(const struct kube_exec *x, bool background,
                  struct kube_credentials *out, struct tp_error *err);

/* Reads an ExecCredential; the same results. For tests and fuzzing. */
int kube_exec_parse(const char *text, size_t len, const char *api_version,
                    struct kube_credentials *out, struct tp_error *err);

/* RFC 3339 ("2026-11-23T15:00:00Z", "+01:00", fractions) to Unix seconds.
 * Returns 0 or -EINVAL. */
int kube_parse_time(const char *text, int64_t *out);

#endif
