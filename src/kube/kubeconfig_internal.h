/* kubeconfig_internal.h - entries of kubeconfigs, between its files */
#ifndef TP_KUBE_KUBECONFIG_INTERNAL_H
#define TP_KUBE_KUBECONFIG_INTERNAL_H

#include <stdbool.h>

#include "kube/kubeconfig.h"

/* One named cluster, user or context: where it stands, for messages. */
struct kube_entry {
    const char *kind;        /* "cluster", "user", "context" */
    char *name;              /* owned */
    struct json_object *obj; /* owned reference; may be NULL */
    const char *dir;         /* of its file; borrowed */
    bool no_files;           /* paths are not read (fuzzing) */
};

/* Text at key, duplicated to *out, or NULL where there is none. Numbers and
 * so on are errors, as for kubectl. */
int kube_entry_text(const struct kube_entry *e, const char *key, char **out,
                    struct tp_error *err);
int kube_entry_bool(const struct kube_entry *e, const char *key, bool *out,
                    struct tp_error *err);
/* An array of texts, NULL-terminated; NULL where there is none. */
int kube_entry_list(const struct kube_entry *e, const char *key, char ***out,
                    struct tp_error *err);
/* The PEM text of `key`-data (base64) or of the file named by `key`. */
int kube_entry_pem(const struct kube_entry *e, const char *key, char **out,
                   struct tp_error *err);
/* path as it is, or relative to the entry's file. Owned. */
char *kube_entry_path(const struct kube_entry *e, const char *path);

/* kubeconfig_entries.c */
int kube_read_cluster(const struct kube_entry *e, struct kube_context *ctx,
                      struct tp_error *err);
int kube_read_user(const struct kube_entry *e, const struct kube_entry *cluster,
                   struct kube_context *ctx, struct tp_error *err);

/* A named extension's `extension` member of a cluster, or NULL. Borrowed. */
struct json_object *kube_find_extension(struct json_object *cluster,
                                        const char *name);

void kube_strv_free(char **list);

#endif
