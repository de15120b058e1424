/*
 * inject.h - the agent for a pod, as a JSON patch (RFC 6902)
 *
 * A pure function of the chart's settings and the pod: nothing is asked,
 * nothing is kept. What the pod's annotations say is from people and is
 * believed only within the pod itself; image, command and security of what is
 * added come from the settings (SECURITY 22). What would make the API server
 * refuse the pod, or would cut the app off, is not done, with a reason.
 */
#ifndef TP_MANAGER_INJECT_H
#define TP_MANAGER_INJECT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/sockaddr.h"

struct json_object;

/* The chart's, and what the manager knows of itself. All strings owned. */
struct inject_settings {
    char *image;
    char *pull_policy;                /* NULL: the cluster's choice */
    struct json_object *pull_secrets; /* array of names, or NULL */
    struct json_object *resources;    /* of an agent; an object, or NULL */
    struct json_object *exclude;      /* globs of variables, or NULL */
    struct json_object *volumes;      /* policy, see inject_policy.c, or NULL */
    /* LabelSelectors of the webhook, objects or NULL: beyond them no pod is
     * touched in another way either. */
    struct json_object *namespace_selector, *object_selector;
    bool webhook;         /* there is one, though it may not be reached */
    bool redirect;        /* init containers with NET_ADMIN are allowed */
    bool native_sidecars; /* the cluster knows them (1.29) */
    unsigned idle_seconds;
    char *log_level;
    char *ca; /* PEM; NULL: see ca_file */
    char *ca_file;

    char *own_ns;                /* the manager's */
    char *server_name;           /* the name in its certificate */
    char manager[SOCKADDR_TEXT]; /* Service's cluster IP:port */
};

/* The chart's part, from the text of --agent-config. Release also after a
 * failure. */
int inject_settings_parse(struct inject_settings *s, const char *text,
                          struct tp_error *err);
void inject_settings_release(struct inject_settings *s);
/* For another thread. 0 or -ENOMEM; release also after a failure. */
int inject_settings_copy(struct inject_settings *to,
                         const struct inject_settings *from);

/* What is missing before an agent can be added, or NULL. */
const char *inject_settings_missing(const struct inject_settings *s);

/* For a pod that is being created in namespace ns:
 *   1  *patch is an array of operations; the caller puts it
 *   0  nothing is to be done; why says the reason
 *   <0 an agent is asked for, but cannot be added: why is for the user */
int inject_pod(const struct inject_settings *s, const char *ns,
               struct json_object *pod, struct json_object **patch,
               struct tp_error *why);

#endif
