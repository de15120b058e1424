#include "cli/apicheck.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define TIMEOUT_MS 10000
#define GROUP_PATH "/apis/connect.tp.internal/v1"

struct check {
    const struct kube_context *kube;
    struct kube_client *client;
    const char **code;
    struct tp_error *err;
};

static int fail(struct check *c, const char *code, int number, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));

static int fail(struct check *c, const char *code, int number, const char *fmt,
                ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *c->code = code;
    return tp_error_set(c->err, number, "%s", text);
}

/* What the server said in its Status object, or "". */
static const char *message_of(struct json_object *body)
{
    return json_get_str(body, "message", "");
}

static int unreachable(struct check *c)
{
    char text[300];

    snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, c->err->text);
    return fail(c, "unreachable", -EHOSTUNREACH,
                "cannot reach the API server %s of context '%s': %s",
                c->kube->endpoint.server, c->kube->name, text);
}

static int unauthorized(struct check *c)
{
    return fail(c, "unauthorized", -EACCES,
                "the API server does not accept the credentials of user '%s' "
                "(context '%s'): log in again, or use another context",
                c->kube->user ? c->kube->user : "", c->kube->name);
}

static int check_group(struct check *c)
{
    cleanup_json struct json_object *body = NULL;
    int status =
        kube_request(c->client, "GET", GROUP_PATH, NULL, NULL, &body, c->err);

    if (status < 0)
        return unreachable(c);
    if (status == 401)
        return unauthorized(c);
    if (status == 403)
        return fail(c, "refused", -EACCES, "the API server refuses: %s",
                    message_of(body));
    if (status == 404)
        return fail(c, "not-installed", -ENOENT,
                    "tp is not installed in the cluster of context '%s': an "
                    "administrator runs 'tp helm install' once",
                    c->kube->name);
    if (status == 503)
        return fail(c, "unreachable", -EHOSTUNREACH,
                    "tp's manager in the cluster of context '%s' does not "
                    "answer (%s): see 'kubectl get apiservice "
                    "v1.connect.tp.internal'",
                    c->kube->name,
                    *message_of(body) ? message_of(body) : "503");
    if (status != 200)
        return fail(c, "internal", -EIO,
                    "the API server answers with status %d: %s", status,
                    message_of(body));
    return 0;
}

/* A user may not be allowed to look: then the manager decides. */
static int check_namespace(struct check *c)
{
    char path[128];
    int status;

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s", c->kube->namespace);
    status = kube_request(c->client, "GET", path, NULL, NULL, NULL, c->err);
    if (status != 404)
        return 0;
    return fail(c, "invalid", -ENOENT,
                "there is no namespace '%s' in the cluster of context '%s'",
                c->kube->namespace, c->kube->name);
}

int api_check(const struct kube_context *kube,
              const struct kube_credentials *plugin, const char **code,
              struct tp_error *err)
{
    struct kube_endpoint ep = kube->endpoint; /* borrows all of it */
    struct check c = {.kube = kube, .code = code, .err = err};
    int rc;

    if (plugin) {
        ep.token = plugin->token ? plugin->token : ep.token;
        ep.cert_pem = plugin->cert_pem ? plugin->cert_pem : ep.cert_pem;
        ep.key_pem = plugin->key_pem ? plugin->key_pem : ep.key_pem;
    }
    *code = "invalid";
    c.client = kube_client_create(&ep, TIMEOUT_MS, err);
    if (!c.client)
        return err->code;
    rc = check_group(&c);
    if (rc == 0)
        rc = check_namespace(&c);
    kube_client_destroy(c.client);
    return rc;
}
