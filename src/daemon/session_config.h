/*
 * session_config.h - SESSION of doc/control.md, checked
 *
 * The JSON object is kept as it came (it is what the memory file holds); the
 * fields that are used often are checked once and point into it.
 */
#ifndef TP_DAEMON_SESSION_CONFIG_H
#define TP_DAEMON_SESSION_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/dial.h"
#include "net/tls.h"

struct json_object;

struct session_config {
    struct json_object *json;
    const char *name, *context, *namespace, *manager_namespace;
    const char *host, *server_name, *url, *path;
    uint16_t port;
    bool exec;       /* credentials come from the helper */
    int64_t expires; /* of the credentials, EPOCH; 0: unknown */
    struct dial_proxy proxy;
    bool has_proxy;
};

/* Takes a reference of json. 0, or -EINVAL with err filled. */
int session_config_parse(struct session_config *c, struct json_object *json,
                         struct tp_error *err);
void session_config_release(struct session_config *c);

/* The same session: context, server, namespace, manager's namespace, whom to
 * impersonate. */
bool session_config_same(const struct session_config *a,
                         const struct session_config *b);

/* Routing, "hostProxy", "link" and "config" as in `former`: what a running
 * session has, a second `tp connect` does not change behind its back at the
 * next link. */
void session_config_keep_settings(struct session_config *c,
                                  const struct session_config *former);

/* Puts {"token", "clientCert", "clientKey", "expires"} in place of what there
 * was. */
int session_config_set_credentials(struct session_config *c,
                                   struct json_object *credentials,
                                   struct tp_error *err);

/* Authorization and Impersonate-*: lines with CRLF, for the caller to free
 * (they hold secrets). NULL with err filled. */
char *session_config_headers(const struct session_config *c,
                             struct tp_error *err);

/* For the API server, as the session says. NULL with err filled. */
struct tls_ctx *session_config_tls(const struct session_config *c,
                                   struct tp_error *err);

/* For an https:// proxy: trusted by the session's CA bundle, as kubectl has it,
 * or by the system's store; no client certificate. NULL with err filled. */
struct tls_ctx *session_config_proxy_tls(const struct session_config *c,
                                         struct tp_error *err);

/* A DNS label, as names of namespaces are (RFC 1123). */
bool session_label_valid(const char *label);

#endif
