/*
 * client_setup.c - what is the same for all requests of a client
 *
 * Only what the endpoint names is trusted: with a CA of its own the system's
 * store is off. Redirects are not followed, so credentials go to one server
 * only.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/client_internal.h"

#define BODY_MAX (16u * 1024 * 1024) /* of an answer */

int kube_header_add(struct curl_slist **list, const char *name,
                    const char *value)
{
    cleanup_free char *line = NULL;
    struct curl_slist *longer;

    for (const char *p = value; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return -EINVAL;
    }
    if (asprintf(&line, "%s: %s", name, value) < 0) {
        line = NULL;
        return -ENOMEM;
    }
    longer = curl_slist_append(*list, line);
    explicit_bzero(line, strlen(line));
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int add_extra(struct kube_client *c, const char *key,
                     struct json_object *values)
{
    cleanup_free char *name = NULL;
    char *escaped = curl_easy_escape(c->curl, key, 0);
    int rc = 0;

    if (!escaped || asprintf(&name, "Impersonate-Extra-%s", escaped) < 0)
        rc = -ENOMEM;
    curl_free(escaped);
    for (size_t i = 0; rc == 0 && i < json_array_len(values); i++) {
        const char *value =
            json_object_get_string(json_object_array_get_idx(values, i));

        rc = kube_header_add(&c->headers, name, value ? value : "");
    }
    return rc;
}

static int add_extras(struct kube_client *c, const char *text,
                      struct tp_error *err)
{
    cleanup_json struct json_object *obj =
        json_parse_text(text, strlen(text), err);

    if (!obj)
        return tp_error_wrap(err, "as-user-extra");
    if (!json_object_is_type(obj, json_type_object))
        return tp_error_set(err, -EINVAL, "as-user-extra is no object");
    json_object_object_foreach(obj, key, values)
    {
        int rc;

        if (!json_object_is_type(values, json_type_array))
            return tp_error_set(err, -EINVAL, "as-user-extra: %s is no list",
                                key);
        rc = add_extra(c, key, values);
        if (rc < 0)
            return tp_error_errno(err, rc, "as-user-extra: %s", key);
    }
    return 0;
}

static int add_impersonation(struct kube_client *c,
                             const struct kube_endpoint *ep,
                             struct tp_error *err)
{
    int rc = 0;

    if (ep->as_user)
        rc = kube_header_add(&c->headers, "Impersonate-User", ep->as_user);
    if (rc == 0 && ep->as_uid)
        rc = kube_header_add(&c->headers, "Impersonate-Uid", ep->as_uid);
    for (char **g = ep->as_groups; rc == 0 && g && *g; g++)
        rc = kube_header_add(&c->headers, "Impersonate-Group", *g);
    if (rc < 0)
        return tp_error_errno(err, rc, "impersonation");
    return ep->as_extra_json ? add_extras(c, ep->as_extra_json, err) : 0;
}

static void trim_slashes(char *url)
{
    size_t len = url ? strlen(url) : 0;

    while (len > 0 && url[len - 1] == '/')
        url[--len] = '\0';
}

/* libcurl verifies the URL's host. To verify another name the URL gets that
 * name, the connection goes to the real host all the same (CONNECT_TO), and
 * the Host header says what it would have said. */
static int set_server_name(struct kube_client *c,
                           const struct kube_endpoint *ep, struct tp_error *err)
{
    CURLU *url = curl_url();
    char *host = NULL, *port = NULL, *path = NULL, *full = NULL;
    cleanup_free char *to = NULL;
    int rc = -EINVAL;

    if (!url || curl_url_set(url, CURLUPART_URL, ep->server, 0) ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) ||
        curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ||
        curl_url_get(url, CURLUPART_PATH, &path, 0) ||
        asprintf(&c->host_header, "%s:%s", host, port) < 0 ||
        asprintf(&to, "::%s:%s", host, port) < 0 ||
        curl_url_set(url, CURLUPART_HOST, ep->tls_server_name, 0) ||
        curl_url_get(url, CURLUPART_URL, &full, 0))
        goto out;
    free(c->server);
    c->server = strdup(full);
    trim_slashes(c->server); /* libcurl writes an empty path as "/" */
    c->connect_to = curl_slist_append(NULL, to);
    rc = c->server && c->connect_to ? 0 : -ENOMEM;
out:
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(full);
    curl_url_cleanup(url);
    if (rc < 0)
        return tp_error_errno(err, rc, "%s with tls-server-name %s", ep->server,
                              ep->tls_server_name);
    curl_easy_setopt(c->curl, CURLOPT_CONNECT_TO, c->connect_to);
    return 0;
}

static void set_blob(CURL *curl, CURLoption option, const char *pem)
{
    struct curl_blob blob = {
        .data = (void *)(uintptr_t)pem,
        .len = strlen(pem),
        .flags = CURL_BLOB_COPY,
    };

    curl_easy_setopt(curl, option, &blob);
}

static void set_tls(struct kube_client *c, const struct kube_endpoint *ep)
{
    if (ep->ca_pem) {
        /* Without these two lines the built-in paths are trusted too. */
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, NULL);
        curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
        set_blob(c->curl, CURLOPT_CAINFO_BLOB, ep->ca_pem);
    }
    /* Go's clients verify a proxy like the server; tp also believes in the
     * system's store, whose paths stay set. */
    if (ep->ca_pem)
        set_blob(c->curl, CURLOPT_PROXY_CAINFO_BLOB, ep->ca_pem);
    if (ep->insecure) {
        curl_easy_setopt(c->curl, CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c->curl, CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (ep->cert_pem && ep->key_pem) {
        curl_easy_setopt(c->curl, CURLOPT_SSLCERTTYPE, "PEM");
        curl_easy_setopt(c->curl, CURLOPT_SSLKEYTYPE, "PEM");
        set_blob(c->curl, CURLOPT_SSLCERT_BLOB, ep->cert_pem);
        set_blob(c->curl, CURLOPT_SSLKEY_BLOB, ep->key_pem);
    }
}

static size_t body_cb(char *data, size_t size, size_t count, void *arg)
{
    struct kube_client *c = arg;

    return buf_append(&c->body, data, size * count) < 0 ? 0 : size * count;
}

void kube_client_collect(struct kube_client *c)
{
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, body_cb);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
}

static void set_transport(struct kube_client *c, const struct kube_endpoint *ep,
                          unsigned timeout_ms)
{
    CURL *curl = c->curl;

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->text);
    c->timeout_ms = timeout_ms;
    kube_client_collect(c);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tp");
    if (ep->proxy_url) {
        curl_easy_setopt(curl, CURLOPT_PROXY, ep->proxy_url);
        c->proxy_user = strchr(ep->proxy_url, '@');
    }
    if (ep->username) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, ep->username);
        curl_easy_setopt(curl, CURLOPT_PASSWORD,
                         ep->password ? ep->password : "");
    }
}

static int copy_strings(struct kube_client *c, const struct kube_endpoint *ep)
{
    c->server = strdup(ep->server);
    trim_slashes(c->server);
    c->token = ep->token ? strdup(ep->token) : NULL;
    c->token_file = ep->token_file ? strdup(ep->token_file) : NULL;
    if (!c->server || (ep->token && !c->token) ||
        (ep->token_file && !c->token_file))
        return -ENOMEM;
    return 0;
}

int kube_client_setup(struct kube_client *c, const struct kube_endpoint *ep,
                      unsigned timeout_ms, struct tp_error *err)
{
    int rc;

    buf_init(&c->body, BODY_MAX);
    /* Also initializes the library, thread-safely since 7.84. */
    c->curl = curl_easy_init();
    if (!c->curl)
        return tp_error_errno(err, -ENOMEM, "libcurl");
    rc = copy_strings(c, ep);
    if (rc < 0)
        return tp_error_errno(err, rc, "API client");
    set_transport(c, ep, timeout_ms);
    set_tls(c, ep);
    if (ep->tls_server_name) {
        rc = set_server_name(c, ep, err);
        if (rc < 0)
            return rc;
    }
    return add_impersonation(c, ep, err);
}
