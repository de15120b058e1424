#include "daemon/session_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "base/json.h"

#define HEADERS_MAX 24576

bool session_label_valid(const char *label)
{
    size_t len = strlen(label);

    if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
        return false;
    return strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* Nothing that a header or a path is made of may break its line. */
static bool is_plain(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static int parse_proxy(struct session_config *c, struct tp_error *err)
{
    int64_t port = json_get_int(c->json, "proxy.port", 0);

    if (!json_get(c->json, "proxy"))
        return 0;
    c->proxy.host = json_get_str(c->json, "proxy.host", "");
    c->proxy.authorization = json_get_str(c->json, "proxy.authorization", NULL);
    c->proxy.tls = json_get_bool(c->json, "proxy.tls", false);
    if (!*c->proxy.host || port < 1 || port > 65535 ||
        !is_plain(c->proxy.host) || !is_plain(c->proxy.authorization))
        return tp_error_set(err, -EINVAL, "the session's proxy is not valid");
    c->proxy.port = (uint16_t)port;
    c->has_proxy = true;
    return 0;
}

static int check(struct session_config *c, int64_t port, struct tp_error *err)
{
    if (!*c->host || !is_plain(c->host) || !is_plain(c->server_name) ||
        port < 1 || port > 65535)
        return tp_error_set(err, -EINVAL, "the session names no server");
    if (!is_plain(c->path) || strpbrk(c->path, " ?#"))
        return tp_error_set(err, -EINVAL, "the server's path is not valid");
    if (!session_label_valid(c->namespace))
        return tp_error_set(err, -EINVAL, "\"%s\" is no namespace's name",
                            c->namespace);
    return 0;
}

int session_config_parse(struct session_config *c, struct json_object *json,
                         struct tp_error *err)
{
    int64_t port;
    int rc;

    memset(c, 0, sizeof(*c));
    if (!json || !json_object_is_type(json, json_type_object))
        return tp_error_set(err, -EINVAL, "there is no session in the request");
    c->json = json_object_get(json);
    c->name = json_get_str(json, "name", "tp-daemon");
    c->context = json_get_str(json, "context", "");
    c->namespace = json_get_str(json, "namespace", "");
    c->manager_namespace = json_get_str(json, "managerNamespace", "");
    c->host = json_get_str(json, "server.host", "");
    c->server_name = json_get_str(json, "server.serverName", NULL);
    c->url = json_get_str(json, "server.url", c->host);
    c->path = json_get_str(json, "server.path", "");
    c->exec = json_get_bool(json, "exec", false);
    c->expires = json_get_int(json, "expires", 0);
    port = json_get_int(json, "server.port", 443);
    c->port = (uint16_t)port;
    rc = check(c, port, err);
    if (rc == 0)
        rc = parse_proxy(c, err);
    if (rc < 0)
        session_config_release(c);
    return rc;
}

void session_config_release(struct session_config *c)
{
    json_object_put(c->json);
    memset(c, 0, sizeof(*c));
}

bool session_config_same(const struct session_config *a,
                         const struct session_config *b)
{
    return !strcmp(a->context, b->context) && !strcmp(a->url, b->url) &&
           !strcmp(a->namespace, b->namespace) &&
           !strcmp(a->manager_namespace, b->manager_namespace) &&
           json_object_equal(json_get(a->json, "impersonate"),
                             json_get(b->json, "impersonate"));
}

void session_config_keep_settings(struct session_config *c,
                                  const struct session_config *former)
{
    static const char *const keys[] = {
        "alsoProxy", "neverProxy", "allowConflictingSubnets",
        "config",    "hostProxy",  "link"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        struct json_object *value = json_get(former->json, keys[i]);

        json_object_object_del(c->json, keys[i]);
        if (value)
            json_object_object_add(c->json, keys[i], json_object_get(value));
    }
}

int session_config_set_credentials(struct session_config *c,
                                   struct json_object *credentials,
                                   struct tp_error *err)
{
    static const char *const keys[] = {"token", "clientCert", "clientKey"};

    if (!json_object_is_type(credentials, json_type_object) ||
        (!json_get_str(credentials, "token", NULL) &&
         !json_get_str(credentials, "clientCert", NULL)))
        return tp_error_set(err, -EINVAL, "there are no credentials in it");
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        json_object_object_del(c->json, keys[i]);
        json_put_str(c->json, keys[i],
                     json_get_str(credentials, keys[i], NULL));
    }
    c->expires = json_get_int(credentials, "expires", 0);
    json_object_object_add(c->json, "expires",
                           json_object_new_int64(c->expires));
    return 0;
}

/* One header line; false if the value would break it. */
static bool put_header(FILE *out, const char *name, const char *value)
{
    if (!value)
        return true;
    fprintf(out, "%s: %s\r\n", name, value);
    return is_plain(value);
}

static bool put_basic(FILE *out, struct json_object *json)
{
    const char *user = json_get_str(json, "basic.username", NULL);
    const char *password = json_get_str(json, "basic.password", "");
    cleanup_secret char *text = NULL;
    char plain[1024];
    int len;

    if (!user)
        return true;
    len = snprintf(plain, sizeof(plain), "%s:%s", user, password);
    if (len < 0 || (size_t)len >= sizeof(plain))
        return false;
    text = base64_encode(plain, (size_t)len);
    explicit_bzero(plain, sizeof(plain));
    if (!text)
        return false;
    fprintf(out, "Authorization: Basic %s\r\n", text);
    return true;
}

/* Keys of extra travel in the header's name, percent-encoded. */
static void put_extra_key(FILE *out, const char *key)
{
    for (; *key; key++) {
        unsigned char ch = (unsigned char)*key;

        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' ||
            ch == '.' || ch == '_' || (ch >= 'A' && ch <= 'Z'))
            fputc(ch, out);
        else
            fprintf(out, "%%%02X", ch);
    }
}

static bool put_extra(FILE *out, struct json_object *json)
{
    struct json_object *extra = json_get(json, "impersonate.extra");

    if (!extra || !json_object_is_type(extra, json_type_object))
        return true;
    json_object_object_foreach(extra, key, values)
    {
        bool is_list = json_object_is_type(values, json_type_array);

        for (size_t i = 0; is_list && i < json_array_len(values); i++) {
            const char *value =
                json_get_str(json_object_array_get_idx(values, i), "", "");

            fputs("Impersonate-Extra-", out);
            put_extra_key(out, key);
            if (!put_header(out, "", value))
                return false;
        }
    }
    return true;
}

static bool put_impersonation(FILE *out, struct json_object *json)
{
    struct json_object *groups = json_get_array(json, "impersonate.groups");

    for (size_t i = 0; i < json_array_len(groups); i++) {
        struct json_object *group = json_object_array_get_idx(groups, i);

        if (!put_header(out, "Impersonate-Group",
                        json_get_str(group, "", NULL)))
            return false;
    }
    return put_header(out, "Impersonate-User",
                      json_get_str(json, "impersonate.user", NULL)) &&
           put_header(out, "Impersonate-Uid",
                      json_get_str(json, "impersonate.uid", NULL)) &&
           put_extra(out, json);
}

static bool put_token(FILE *out, const char *token)
{
    if (!token)
        return true;
    fprintf(out, "Authorization: Bearer %s\r\n", token);
    return is_plain(token);
}

char *session_config_headers(const struct session_config *c,
                             struct tp_error *err)
{
    const char *token = json_get_str(c->json, "token", NULL);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    bool good;

    if (!out) {
        tp_error_errno(err, -ENOMEM, "headers");
        return NULL;
    }
    good = token ? put_token(out, token) : put_basic(out, c->json);
    good = good && put_impersonation(out, c->json);
    if (fclose(out) == 0 && good && len <= HEADERS_MAX)
        return text;
    free(text);
    tp_error_set(err, -EINVAL,
                 "the credentials or the impersonated user "
                 "cannot be sent in a header");
    return NULL;
}

struct tls_ctx *session_config_proxy_tls(const struct session_config *c,
                                         struct tp_error *err)
{
    struct tls_client_config config = {
        .ca_pem = json_get_str(c->json, "ca", NULL),
        .system_too = true,
        .insecure = json_get_bool(c->json, "insecure", false),
    };

    return tls_ctx_create_client(&config, err);
}

struct tls_ctx *session_config_tls(const struct session_config *c,
                                   struct tp_error *err)
{
    struct tls_client_config config = {
        .ca_pem = json_get_str(c->json, "ca", NULL),
        .cert_pem = json_get_str(c->json, "clientCert", NULL),
        .key_pem = json_get_str(c->json, "clientKey", NULL),
        .insecure = json_get_bool(c->json, "insecure", false),
    };

    return tls_ctx_create_client(&config, err);
}
