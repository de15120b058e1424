#include "cli/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/kubeconfig_url.h"

static void put_credentials(struct json_object *obj, const char *token,
                            const char *cert, const char *key, int64_t expires)
{
    json_put_str(obj, "token", token);
    json_put_str(obj, "clientCert", cert);
    json_put_str(obj, "clientKey", key);
    if (expires)
        json_object_object_add(obj, "expires", json_object_new_int64(expires));
}

struct json_object *session_credentials(const struct kube_credentials *c)
{
    struct json_object *obj = json_object_new_object();

    put_credentials(obj, c->token, c->cert_pem, c->key_pem, c->expires);
    return obj;
}

static bool has_proxy(const struct kube_endpoint *ep)
{
    return ep->proxy_url && *ep->proxy_url;
}

static int put_server(struct json_object *obj, const struct session_input *in,
                      struct tp_error *err)
{
    const struct kube_endpoint *ep = &in->kube->endpoint;
    cleanup_free char *host = NULL, *path = NULL;
    struct json_object *server = json_object_new_object();
    unsigned short port;
    int rc = kube_server_split(ep->server, &host, &port, &path, err);

    json_object_object_add(obj, "server", server);
    if (rc < 0)
        return rc;
    if (!has_proxy(ep)) {
        json_put_str(server, "host", in->reach->host);
        port = in->reach->port;
    } else {
        json_put_str(server, "host", host);
    }
    json_object_object_add(server, "port", json_object_new_int(port));
    json_put_str(server, "path", path);
    json_put_str(server, "serverName",
                 ep->tls_server_name ? ep->tls_server_name : host);
    json_put_str(server, "url", ep->server);
    return 0;
}

static void put_impersonation(struct json_object *obj,
                              const struct kube_endpoint *ep)
{
    struct json_object *as = json_object_new_object();
    struct json_object *groups = json_object_new_array();

    json_object_object_add(obj, "impersonate", as);
    json_put_str(as, "user", ep->as_user);
    json_put_str(as, "uid", ep->as_uid);
    for (char **g = ep->as_groups; g && *g; g++)
        json_object_array_add(groups, json_object_new_string(*g));
    json_object_object_add(as, "groups", groups);
    if (ep->as_extra_json)
        json_object_object_add(as, "extra",
                               json_tokener_parse(ep->as_extra_json));
}

static int put_proxy(struct json_object *obj, const struct session_input *in,
                     struct tp_error *err)
{
    struct json_object *proxy = json_object_new_object();
    struct kube_proxy parts;
    int rc = kube_proxy_split(in->kube->endpoint.proxy_url, &parts, err);

    json_object_object_add(obj, "proxy", proxy);
    if (rc == 0) {
        json_put_str(proxy, "host", in->reach->host);
        json_object_object_add(proxy, "port",
                               json_object_new_int(in->reach->port));
        json_object_object_add(proxy, "tls",
                               json_object_new_boolean(parts.tls));
        json_put_str(proxy, "authorization", parts.authorization);
    }
    kube_proxy_release(&parts);
    return rc;
}

static void put_basic(struct json_object *obj, const struct kube_endpoint *ep)
{
    struct json_object *basic = json_object_new_object();

    json_object_object_add(obj, "basic", basic);
    json_put_str(basic, "username", ep->username);
    json_put_str(basic, "password", ep->password ? ep->password : "");
}

static void put_who(struct json_object *obj, const struct session_input *in)
{
    const struct kube_endpoint *ep = &in->kube->endpoint;

    json_put_str(obj, "ca", ep->ca_pem);
    if (ep->insecure)
        json_object_object_add(obj, "insecure", json_object_new_boolean(1));
    if (in->plugin)
        put_credentials(obj, in->plugin->token, in->plugin->cert_pem,
                        in->plugin->key_pem, in->plugin->expires);
    else
        put_credentials(obj, ep->token, ep->cert_pem, ep->key_pem, 0);
    if (in->kube->exec || ep->token_file)
        json_object_object_add(obj, "exec", json_object_new_boolean(1));
    if (ep->username)
        put_basic(obj, ep);
    if (ep->as_user)
        put_impersonation(obj, ep);
}

/* Only what the user set: the manager's values reach the daemon by the link. */
static void put_list(struct json_object *obj, const char *name,
                     const struct client_config *c, enum config_key key)
{
    if (c->keys[key].source > CONFIG_FROM_MANAGER)
        json_object_object_add(obj, name, json_object_get(c->keys[key].value));
}

struct json_object *session_build(const struct session_input *in,
                                  struct tp_error *err)
{
    const struct kube_context *kube = in->kube;
    struct json_object *obj = json_object_new_object();
    int rc;

    json_put_str(obj, "name", in->name);
    json_put_str(obj, "context", kube->name);
    json_put_str(obj, "cluster", kube->cluster);
    json_put_str(obj, "user", kube->user);
    json_put_str(obj, "namespace", kube->namespace);
    json_put_str(obj, "managerNamespace",
                 client_config_text(in->config, CONFIG_MANAGER_NAMESPACE));
    put_who(obj, in);
    json_put_str(obj, "link", in->link);
    put_list(obj, "alsoProxy", in->config, CONFIG_ALSO_PROXY);
    put_list(obj, "neverProxy", in->config, CONFIG_NEVER_PROXY);
    put_list(obj, "allowConflictingSubnets", in->config,
             CONFIG_ALLOW_CONFLICTING);
    put_list(obj, "vnat", in->config, CONFIG_VNAT);
    put_list(obj, "virtualSubnets", in->config, CONFIG_VIRTUAL_SUBNETS);
    json_object_object_add(obj, "config", client_config_local(in->config));
    json_object_object_add(obj, "hostSubnets",
                           json_object_get(in->host_subnets));
    if (in->proxy)
        json_object_object_add(obj, "hostProxy", json_object_get(in->proxy));
    if (in->volumes)
        json_object_object_add(obj, "volumes", json_object_get(in->volumes));
    rc = put_server(obj, in, err);
    if (rc == 0 && has_proxy(&kube->endpoint))
        rc = put_proxy(obj, in, err);
    if (rc == 0)
        return obj;
    json_object_put(obj);
    return NULL;
}
