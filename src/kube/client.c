/*
 * client.c - one request at a time to the API server, by libcurl
 *
 * The handle keeps its connection between requests. Only what the endpoint
 * names is trusted: with a CA of its own the system's store is off. Redirects
 * are not followed, so credentials go to one server only.
 */
#include "kube/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <json-c/json.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#define BODY_MAX  (16u * 1024 * 1024) /* of an answer */
#define TOKEN_MAX 65536

struct kube_client {
    CURL *curl;
    char *server;
    char *host_header; /* where tls_server_name replaces the URL's host */
    char *token;
    char *token_file;
    struct curl_slist *headers;    /* same for all requests (impersonation) */
    struct curl_slist *connect_to; /* see set_server_name() */
    struct buf body;
    char text[CURL_ERROR_SIZE];
};

/* ---- creation ---------------------------------------------------------- */

static int add_header(struct curl_slist **list, const char *name,
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

        rc = add_header(&c->headers, name, value ? value : "");
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
        rc = add_header(&c->headers, "Impersonate-User", ep->as_user);
    if (rc == 0 && ep->as_uid)
        rc = add_header(&c->headers, "Impersonate-Uid", ep->as_uid);
    for (char **g = ep->as_groups; rc == 0 && g && *g; g++)
        rc = add_header(&c->headers, "Impersonate-Group", *g);
    if (rc < 0)
        return tp_error_errno(err, rc, "impersonation");
    return ep->as_extra_json ? add_extras(c, ep->as_extra_json, err) : 0;
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
    if (ep->insecure) {
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

static void set_transport(struct kube_client *c, const struct kube_endpoint *ep,
                          unsigned timeout_ms)
{
    CURL *curl = c->curl;

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_cb);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tp");
    if (ep->proxy_url)
        curl_easy_setopt(curl, CURLOPT_PROXY, ep->proxy_url);
    if (ep->username) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, ep->username);
        curl_easy_setopt(curl, CURLOPT_PASSWORD,
                         ep->password ? ep->password : "");
    }
}

static int copy_strings(struct kube_client *c, const struct kube_endpoint *ep)
{
    size_t len = strlen(ep->server);

    while (len > 0 && ep->server[len - 1] == '/')
        len--;
    c->server = strndup(ep->server, len);
    c->token = ep->token ? strdup(ep->token) : NULL;
    c->token_file = ep->token_file ? strdup(ep->token_file) : NULL;
    if (!c->server || (ep->token && !c->token) ||
        (ep->token_file && !c->token_file))
        return -ENOMEM;
    return 0;
}

static int setup(struct kube_client *c, const struct kube_endpoint *ep,
                 unsigned timeout_ms, struct tp_error *err)
{
    int rc;

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

struct kube_client *kube_client_create(const struct kube_endpoint *ep,
                                       unsigned timeout_ms,
                                       struct tp_error *err)
{
    struct kube_client *c = calloc(1, sizeof(*c));

    if (!c) {
        tp_error_errno(err, -ENOMEM, "API client");
        return NULL;
    }
    buf_init(&c->body, BODY_MAX);
    if (!ep->server) {
        tp_error_set(err, -EINVAL, "no API server is named");
    } else if (setup(c, ep, timeout_ms, err) == 0) {
        return c;
    }
    kube_client_destroy(c);
    return NULL;
}

void kube_client_destroy(struct kube_client *c)
{
    if (!c)
        return;
    if (c->curl)
        curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    curl_slist_free_all(c->connect_to);
    buf_release(&c->body);
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->token);
    free(c->token_file);
    free(c->host_header);
    free(c->server);
    free(c);
}

/* ---- requests ---------------------------------------------------------- */

static int add_token(const char *token, struct curl_slist **list,
                     struct tp_error *err)
{
    char *value;
    int rc;

    if (asprintf(&value, "Bearer %s", token) < 0)
        return tp_error_errno(err, -ENOMEM, "token");
    rc = add_header(list, "Authorization", value);
    explicit_bzero(value, strlen(value));
    free(value);
    return rc < 0 ? tp_error_errno(err, rc, "token") : 0;
}

/* The file is small and local: reading it each time is "when it changes". */
static int add_token_file(const char *path, struct curl_slist **list,
                          struct tp_error *err)
{
    cleanup_file FILE *f = fopen(path, "re");
    char *token;
    size_t len;
    int rc;

    if (!f)
        return tp_error_errno(err, -errno, "token file %s", path);
    token = malloc(TOKEN_MAX);
    if (!token)
        return tp_error_errno(err, -ENOMEM, "token file %s", path);
    len = fread(token, 1, TOKEN_MAX - 1, f);
    token[len] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    if (*token)
        rc = add_token(token, list, err);
    else
        rc = tp_error_set(err, -ENODATA, "token file %s is empty", path);
    explicit_bzero(token, len);
    free(token);
    return rc;
}

/* Where both are given the file wins while it can be read, as in kubectl. */
static int add_credentials(struct kube_client *c, struct curl_slist **list,
                           struct tp_error *err)
{
    if (c->token_file) {
        int rc = add_token_file(c->token_file, list, err);

        if (rc == 0 || !c->token)
            return rc;
    }
    return c->token ? add_token(c->token, list, err) : 0;
}

static int copy_headers(struct curl_slist **list, const struct curl_slist *from)
{
    for (; from; from = from->next) {
        struct curl_slist *longer = curl_slist_append(*list, from->data);

        if (!longer)
            return -ENOMEM;
        *list = longer;
    }
    return 0;
}

static int make_headers(struct kube_client *c, const char *content_type,
                        struct curl_slist **list, struct tp_error *err)
{
    int rc = copy_headers(list, c->headers);

    if (rc == 0)
        rc = add_header(list, "Accept", "application/json");
    if (rc == 0)
        rc = add_header(list, "Content-Type",
                        content_type ? content_type : "application/json");
    if (rc == 0 && c->host_header)
        rc = add_header(list, "Host", c->host_header);
    if (rc < 0)
        return tp_error_errno(err, rc, "request headers");
    return add_credentials(c, list, err);
}

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *l = list; l; l = l->next)
        explicit_bzero(l->data, strlen(l->data));
    curl_slist_free_all(list);
}

static int curl_errno(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
        return -EKEYREJECTED;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_WRITE_ERROR:
        return -EMSGSIZE;
    default:
        return -EIO;
    }
}

static int perform(struct kube_client *c, struct tp_error *err)
{
    CURLcode code;
    long status = 0;

    c->text[0] = '\0';
    buf_consume(&c->body, buf_used(&c->body));
    code = curl_easy_perform(c->curl);
    if (code != CURLE_OK)
        return tp_error_set(err, curl_errno(code), "%s",
                            c->text[0] ? c->text : curl_easy_strerror(code));
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void set_request(struct kube_client *c, const char *method,
                        const char *url, const char *text,
                        struct curl_slist *headers)
{
    CURL *curl = c->curl;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (text) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(text));
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

int kube_request(struct kube_client *c, const char *method, const char *path,
                 const char *content_type, struct json_object *body,
                 struct json_object **out, struct tp_error *err)
{
    struct curl_slist *headers = NULL;
    cleanup_free char *url = NULL;
    int rc;

    if (out)
        *out = NULL;
    if (asprintf(&url, "%s%s", c->server, path) < 0) {
        url = NULL;
        return tp_error_errno(err, -ENOMEM, "%s", path);
    }
    rc = make_headers(c, content_type, &headers, err);
    if (rc == 0) {
        set_request(
            c, method, url,
            body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)
                 : NULL,
            headers);
        rc = perform(c, err);
        curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    }
    free_headers(headers);
    /* An answer that is no JSON is still an answer. */
    if (rc > 0 && out && buf_used(&c->body) > 0)
        *out = json_parse_text((const char *)buf_head(&c->body),
                               buf_used(&c->body), NULL);
    buf_consume(&c->body, buf_used(&c->body));
    return rc;
}
