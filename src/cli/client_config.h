/*
 * client_config.h - tp's configuration, and where each value came from
 *
 * Layers, the later wins: built-in defaults, the manager's `client:` (only keys
 * marked central), ~/.config/tp/config.yml ($XDG_CONFIG_HOME), the extension
 * `tp.internal` of the kubeconfig's cluster, flags. A list of a later layer
 * replaces the former one. The keys are those of `client:` in the chart's
 * values.schema.json and a few that only the user may set.
 */
#ifndef TP_CLI_CLIENT_CONFIG_H
#define TP_CLI_CLIENT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum config_key {
    CONFIG_LOG_LEVEL,
    CONFIG_MANAGER_NAMESPACE,
    CONFIG_CONNECT_TIMEOUT,
    CONFIG_DNS_EXCLUDES,
    CONFIG_DNS_SUFFIXES,
    CONFIG_DNS_MAPPINGS,
    CONFIG_DNS_NAMESPACES,
    CONFIG_DNS_LOOKUP_TIMEOUT,
    CONFIG_ALSO_PROXY,
    CONFIG_NEVER_PROXY,
    CONFIG_ALLOW_CONFLICTING,
    CONFIG_VNAT,
    CONFIG_VIRTUAL_SUBNETS,
    CONFIG_KEYS
};

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_MANAGER,
    CONFIG_FROM_FILE,
    CONFIG_FROM_KUBECONFIG,
    CONFIG_FROM_FLAG,
};

struct json_object;

struct client_config {
    struct {
        struct json_object *value; /* owned; never NULL after init */
        enum config_source source;
    } keys[CONFIG_KEYS];
    char *file; /* the user's file, whether it exists or not */
};

int client_config_init(struct client_config *c, struct tp_error *err);
void client_config_release(struct client_config *c);

/* Lays `obj` over what is there. Unknown keys and wrong values are errors that
 * name `where` and the key; for the manager's layer they are skipped (an older
 * tp with a newer manager), as is what is not central. */
int client_config_apply(struct client_config *c, struct json_object *obj,
                        enum config_source source, const char *where,
                        struct tp_error *err);

/* The user's file, if it exists. */
int client_config_read_file(struct client_config *c, struct tp_error *err);

/* One key from a flag: text, or a list's values. */
int client_config_set(struct client_config *c, enum config_key key,
                      const char *const *values, size_t count, const char *flag,
                      struct tp_error *err);

/* "routing.alsoProxy"; "manager" and so on. Static. */
const char *client_config_key_name(enum config_key key);
bool client_config_is_central(enum config_key key);
const char *client_config_source_name(enum config_source source);

const char *client_config_text(const struct client_config *c,
                               enum config_key key);
/* A duration in milliseconds. */
long client_config_ms(const struct client_config *c, enum config_key key);

/* What the layers above the manager's set, as one object ({"dns": {…}}), for
 * the daemon. Owned. */
struct json_object *client_config_local(const struct client_config *c);

/* The name of a namespace (a DNS label, RFC 1123). */
bool client_config_is_label(const char *text);

/* "250ms", "30s", "2m", "1h" in milliseconds; -1 if it is none. */
long client_config_parse_duration(const char *text);

#endif
