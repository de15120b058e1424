/*
 * kubeconfig.h - who the user is and which API server is meant
 *
 * The rules are kubectl's: --kubeconfig, else the files of $KUBECONFIG in
 * order (missing ones are skipped; the first file that names a cluster, user,
 * context or the current context wins), else ~/.kube/config. Relative paths
 * are relative to the file they stand in. Nothing is written to any file.
 */
#ifndef TP_KUBE_KUBECONFIG_H
#define TP_KUBE_KUBECONFIG_H

#include <stdbool.h>

#include "base/error.h"
#include "kube/client.h"
#include "kube/exec.h"

/* What the command line says; NULL where it says nothing. */
struct kube_select {
    const char *kubeconfig; /* a file; it must exist */
    const char *context;
    const char *namespace;
    const char *as_user;
    const char *const *as_groups; /* NULL-terminated, or NULL */
};

struct json_object;

struct kube_context {
    char *name;
    char *cluster, *user;
    char *namespace; /* "default" where none is given */
    struct kube_endpoint endpoint;
    struct kube_exec *exec;        /* a credential plugin, or NULL */
    struct json_object *extension; /* the cluster's extension tp.internal */
    char *files;                   /* "~/.kube/config", for messages */
};

/* Reads and merges the files and resolves one context. Credential plugins are
 * not run. 0, or a negative errno with err filled; -ENOENT: there is no
 * kubeconfig, or no such context. ctx must be released in both cases. */
int kube_context_load(struct kube_context *ctx, const struct kube_select *sel,
                      struct tp_error *err);
void kube_context_release(struct kube_context *ctx);

/* host, port and path of ctx->endpoint.server. host: without brackets, must be
 * freed, as must path ("" or "/prefix"). 0 or -EINVAL with err filled. */
int kube_server_split(const char *server, char **host, unsigned short *port,
                      char **path, struct tp_error *err);

/* The proxy that the environment names for `server` (HTTPS_PROXY, NO_PROXY in
 * both cases of letters, the rules of Go's net/http, as kubectl): owned text,
 * "" for none. NULL if out of memory. */
char *kube_proxy_from_environment(const char *server);

/* The parser, for tests and fuzzing: one file's text; dir is what relative
 * paths are relative to. Files that it names are read. */
int kube_context_parse(struct kube_context *ctx, const struct kube_select *sel,
                       const char *text, size_t len, const char *dir,
                       struct tp_error *err);

#endif
