/*
 * workload_kind.h - the kinds of workloads, and how people name them
 *
 * "web", "deploy/web", "statefulsets/db": a name without a kind is looked for
 * in the order of the table, from workload_kind_at(0) while `unqualified`.
 */
#ifndef TP_MANAGER_WORKLOAD_KIND_H
#define TP_MANAGER_WORKLOAD_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define WORKLOAD_NAME_MAX 253
#define WORKLOAD_PATH_MAX 512

struct workload_kind {
    const char *kind;     /* "Deployment" */
    const char *resource; /* "deployments" */
    const char *base;     /* "/apis/apps/v1" */
    const char *version;  /* "apps/v1" */
    bool unqualified;     /* found by its bare name */
    const char *aliases[4];
};

/* NULL behind the last. */
const struct workload_kind *workload_kind_at(size_t i);
/* NULL if there is none of that kind ("Deployment"). */
const struct workload_kind *workload_kind_find(const char *kind);

/* Reads what a user names. *kind NULL: no kind was given. 0, or -EINVAL for an
 * unknown kind or what is no name, err filled. */
int workload_parse(const char *text, const struct workload_kind **kind,
                   char name[WORKLOAD_NAME_MAX + 1], struct tp_error *err);

/* The API path of one object; name "": of the collection. The parts must be
 * names, see is_dns_name(). */
void workload_path(const struct workload_kind *kind, const char *ns,
                   const char *name, char out[WORKLOAD_PATH_MAX]);

/* RFC 1123 subdomain of at most max characters, which may stand in a path. */
bool is_dns_name(const char *text, size_t max);
/* RFC 1123 label, 63 at most. */
bool is_dns_label(const char *text);

#endif
