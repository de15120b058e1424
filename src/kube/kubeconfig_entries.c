/* kubeconfig_entries.c - a cluster's and a user's entry */
#include "kube/kubeconfig_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/json.h"

#define MAX_TOKEN (64U << 10)

static int check_server(const struct kube_entry *e, const char *server,
                        struct tp_error *err)
{
    cleanup_free char *host = NULL, *path = NULL;
    unsigned short port;

    if (!server)
        return tp_error_set(err, -EINVAL, "cluster '%s' has no server",
                            e->name);
    if (kube_server_split(server, &host, &port, &path, err) < 0)
        return tp_error_wrap(err, "cluster '%s'", e->name);
    return 0;
}

static int read_proxy(const struct kube_entry *e, struct kube_endpoint *ep,
                      struct tp_error *err)
{
    const char *url;

    if (kube_entry_text(e, "proxy-url", &ep->proxy_url, err) < 0)
        return -EINVAL;
    if (!ep->proxy_url) {
        ep->proxy_url = kube_proxy_from_environment(ep->server);
        if (!ep->proxy_url)
            return tp_error_set(err, -ENOMEM, "out of memory");
    }
    url = ep->proxy_url;
    if (!*url || !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8))
        return 0;
    return tp_error_set(err, -EINVAL,
                        "cluster '%s': the proxy %s is of a kind that tp "
                        "cannot use; http:// and https:// are possible",
                        e->name, url);
}

int kube_read_cluster(const struct kube_entry *e, struct kube_context *ctx,
                      struct tp_error *err)
{
    struct kube_endpoint *ep = &ctx->endpoint;
    int rc;

    rc = kube_entry_text(e, "server", &ep->server, err);
    for (size_t len = ep->server ? strlen(ep->server) : 0;
         len > 0 && ep->server[len - 1] == '/'; len--)
        ep->server[len - 1] = '\0';
    if (rc == 0)
        rc = check_server(e, ep->server, err);
    if (rc == 0)
        rc = kube_entry_text(e, "tls-server-name", &ep->tls_server_name, err);
    if (rc == 0)
        rc = kube_entry_bool(e, "insecure-skip-tls-verify", &ep->insecure, err);
    if (rc == 0)
        rc = kube_entry_pem(e, "certificate-authority", &ep->ca_pem, err);
    if (rc == 0)
        rc = read_proxy(e, ep, err);
    if (rc == 0 && ep->insecure && ep->ca_pem)
        rc = tp_error_set(err, -EINVAL,
                          "cluster '%s' has a certificate-authority and "
                          "insecure-skip-tls-verify; one must go",
                          e->name);
    ctx->extension =
        json_object_get(kube_find_extension(e->obj, "tp.internal"));
    return rc;
}

struct json_object *kube_find_extension(struct json_object *cluster,
                                        const char *name)
{
    struct json_object *list = json_get_array(cluster, "extensions");

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (!strcmp(json_get_str(item, "name", ""), name))
            return json_get(item, "extension");
    }
    return NULL;
}

/* user.exec.env: [{name, value}] as "name=value". */
static int read_exec_env(const struct kube_entry *e, struct kube_exec *x,
                         struct tp_error *err)
{
    struct json_object *list = json_get_array(e->obj, "env");
    size_t count = json_array_len(list);

    x->env = calloc(count + 1, sizeof(*x->env));
    for (size_t i = 0; x->env && i < count; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *name = json_get_str(item, "name", "");
        const char *value = json_get_str(item, "value", NULL);

        if (!*name || strchr(name, '=') || !value)
            return tp_error_set(err, -EINVAL,
                                "user '%s': exec.env needs name and value, "
                                "both texts",
                                e->name);
        if (asprintf(&x->env[i], "%s=%s", name, value) < 0) {
            x->env[i] = NULL;
            return tp_error_set(err, -ENOMEM, "out of memory");
        }
    }
    return x->env ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

/* argv: the command, resolved as kubectl does, and user.exec.args. */
static int read_exec_argv(const struct kube_entry *e, struct kube_exec *x,
                          struct tp_error *err)
{
    cleanup_free char *command = NULL;
    char **args = NULL;
    size_t count = 0;
    int rc = kube_entry_text(e, "command", &command, err);

    if (rc == 0 && !command)
        rc = tp_error_set(err, -EINVAL, "user '%s': exec has no command",
                          e->name);
    if (rc == 0)
        rc = kube_entry_list(e, "args", &args, err);
    while (args && args[count])
        count++;
    if (rc == 0) {
        x->argv = calloc(count + 2, sizeof(*x->argv));
        if (x->argv)
            x->argv[0] = strchr(command, '/') ? kube_entry_path(e, command)
                                              : strdup(command);
        if (!x->argv || !x->argv[0])
            rc = tp_error_set(err, -ENOMEM, "out of memory");
    }
    if (rc == 0) {
        for (size_t i = 0; i < count; i++)
            x->argv[i + 1] = args[i];
        free(args);
        return 0;
    }
    kube_strv_free(args);
    return rc;
}

static int read_exec_mode(const struct kube_entry *e, struct kube_exec *x,
                          struct tp_error *err)
{
    cleanup_free char *mode = NULL;
    bool is_v1 = !strcmp(x->api_version, "client.authentication.k8s.io/v1");

    if (kube_entry_text(e, "interactiveMode", &mode, err) < 0)
        return -EINVAL;
    if (!mode && is_v1)
        return tp_error_set(err, -EINVAL,
                            "user '%s': exec needs interactiveMode (Never, "
                            "IfAvailable or Always)",
                            e->name);
    x->mode = KUBE_EXEC_IF_AVAILABLE;
    if (!mode || !strcmp(mode, "IfAvailable"))
        return 0;
    if (strcmp(mode, "Never") != 0 && strcmp(mode, "Always") != 0)
        return tp_error_set(err, -EINVAL,
                            "user '%s': exec.interactiveMode '%s' is unknown",
                            e->name, mode);
    x->mode = mode[0] == 'N' ? KUBE_EXEC_NEVER : KUBE_EXEC_ALWAYS;
    return 0;
}

static int check_exec_version(const struct kube_entry *e, const char *version,
                              struct tp_error *err)
{
    if (version && (!strcmp(version, "client.authentication.k8s.io/v1") ||
                    !strcmp(version, "client.authentication.k8s.io/v1beta1")))
        return 0;
    return tp_error_set(err, -EINVAL,
                        "user '%s': exec.apiVersion is %s; tp speaks "
                        "client.authentication.k8s.io/v1 and v1beta1 (update "
                        "the plugin's kubeconfig entry)",
                        e->name, version ? version : "missing");
}

/* spec.cluster of KUBERNETES_EXEC_INFO. */
static int make_cluster_info(const struct kube_entry *cluster,
                             const struct kube_endpoint *ep,
                             struct kube_exec *x, struct tp_error *err)
{
    cleanup_json struct json_object *obj = json_object_new_object();
    cleanup_free char *ca = NULL;
    struct json_object *config =
        kube_find_extension(cluster->obj, "client.authentication.k8s.io/exec");

    if (ep->ca_pem)
        ca = base64_encode(ep->ca_pem, strlen(ep->ca_pem));
    json_put_str(obj, "server", ep->server);
    json_put_str(obj, "tls-server-name", ep->tls_server_name);
    if (ep->insecure)
        json_object_object_add(obj, "insecure-skip-tls-verify",
                               json_object_new_boolean(1));
    json_put_str(obj, "certificate-authority-data", ca);
    if (ep->proxy_url && *ep->proxy_url)
        json_put_str(obj, "proxy-url", ep->proxy_url);
    if (config)
        json_object_object_add(obj, "config", json_object_get(config));
    x->cluster_json = strdup(
        json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
    return x->cluster_json ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

static int read_exec(const struct kube_entry *user,
                     const struct kube_entry *cluster, struct kube_context *ctx,
                     struct tp_error *err)
{
    struct kube_entry e = *user;
    struct kube_exec *x;
    bool info = false;
    int rc;

    if (!json_object_object_get_ex(user->obj, "exec", &e.obj) || !e.obj)
        return 0;
    x = ctx->exec = calloc(1, sizeof(*x));
    if (!x)
        return tp_error_set(err, -ENOMEM, "out of memory");
    if (!json_object_is_type(e.obj, json_type_object))
        return tp_error_set(err, -EINVAL, "user '%s': exec must be a mapping",
                            user->name);
    rc = kube_entry_text(&e, "apiVersion", &x->api_version, err);
    if (rc == 0)
        rc = check_exec_version(&e, x->api_version, err);
    if (rc == 0)
        rc = read_exec_argv(&e, x, err);
    if (rc == 0)
        rc = read_exec_env(&e, x, err);
    if (rc == 0)
        rc = read_exec_mode(&e, x, err);
    if (rc == 0)
        rc = kube_entry_text(&e, "installHint", &x->install_hint, err);
    if (rc == 0)
        rc = kube_entry_bool(&e, "provideClusterInfo", &info, err);
    if (rc == 0 && info)
        rc = make_cluster_info(cluster, &ctx->endpoint, x, err);
    return rc;
}

/* tokenFile wins over token; it is read here once, and again by the helper. */
static int read_token(const struct kube_entry *e, struct kube_endpoint *ep,
                      struct tp_error *err)
{
    cleanup_free char *path = NULL, *text = NULL;

    if (kube_entry_text(e, "token", &ep->token, err) < 0 ||
        kube_entry_text(e, "tokenFile", &path, err) < 0)
        return -EINVAL;
    if (!path)
        return 0;
    ep->token_file = kube_entry_path(e, path);
    if (!ep->token_file)
        return tp_error_set(err, -ENOMEM, "out of memory");
    if (e->no_files)
        return 0;
    if (file_read(ep->token_file, MAX_TOKEN, &text, NULL, err) < 0)
        return tp_error_wrap(err, "user '%s'", e->name);
    text[strcspn(text, "\r\n")] = '\0';
    free(ep->token);
    ep->token = text;
    text = NULL;
    return 0;
}

static int read_extra(const struct kube_entry *e, struct kube_endpoint *ep,
                      struct tp_error *err)
{
    struct json_object *extra = NULL;

    if (!json_object_object_get_ex(e->obj, "as-user-extra", &extra) || !extra)
        return 0;
    if (!json_object_is_type(extra, json_type_object))
        return tp_error_set(err, -EINVAL,
                            "user '%s': as-user-extra must be a mapping",
                            e->name);
    json_object_object_foreach(extra, key, value)
    {
        if (!json_object_is_type(value, json_type_array))
            return tp_error_set(err, -EINVAL,
                                "user '%s': as-user-extra.%s must be a list",
                                e->name, key);
    }
    ep->as_extra_json = strdup(
        json_object_to_json_string_ext(extra, JSON_C_TO_STRING_NOSLASHESCAPE));
    return ep->as_extra_json ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

static int read_impersonation(const struct kube_entry *e,
                              struct kube_endpoint *ep, struct tp_error *err)
{
    int rc = kube_entry_text(e, "as", &ep->as_user, err);

    if (rc == 0)
        rc = kube_entry_text(e, "as-uid", &ep->as_uid, err);
    if (rc == 0)
        rc = kube_entry_list(e, "as-groups", &ep->as_groups, err);
    if (rc == 0)
        rc = read_extra(e, ep, err);
    return rc;
}

static int refuse_auth_provider(const struct kube_entry *e,
                                struct tp_error *err)
{
    const char *name = json_get_str(e->obj, "auth-provider.name", NULL);

    if (!name)
        return 0;
    return tp_error_set(err, -EINVAL,
                        "user '%s' uses the auth-provider '%s', which kubectl "
                        "dropped in 1.26; use its exec plugin instead",
                        e->name, name);
}

int kube_read_user(const struct kube_entry *e, const struct kube_entry *cluster,
                   struct kube_context *ctx, struct tp_error *err)
{
    struct kube_endpoint *ep = &ctx->endpoint;
    int rc = refuse_auth_provider(e, err);

    if (rc == 0)
        rc = kube_entry_pem(e, "client-certificate", &ep->cert_pem, err);
    if (rc == 0)
        rc = kube_entry_pem(e, "client-key", &ep->key_pem, err);
    if (rc == 0 && !e->no_files && !ep->cert_pem != !ep->key_pem)
        rc = tp_error_set(err, -EINVAL,
                          "user '%s' has a client %s without its %s", e->name,
                          ep->cert_pem ? "certificate" : "key",
                          ep->cert_pem ? "key" : "certificate");
    if (rc == 0)
        rc = read_token(e, ep, err);
    if (rc == 0)
        rc = kube_entry_text(e, "username", &ep->username, err);
    if (rc == 0)
        rc = kube_entry_text(e, "password", &ep->password, err);
    if (rc == 0)
        rc = read_impersonation(e, ep, err);
    if (rc == 0)
        rc = read_exec(e, cluster, ctx, err);
    return rc;
}
