/*
 * client.c - one request at a time to the API server, by libcurl
 *
 * The handle keeps its connection between requests.
 */
#include "kube/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "kube/client_internal.h"

#define TOKEN_MAX 65536

struct kube_client *kube_client_create(const struct kube_endpoint *ep,
                                       unsigned timeout_ms,
                                       struct tp_error *err)
{
    struct kube_client *c = calloc(1, sizeof(*c));

    if (!c) {
        tp_error_errno(err, -ENOMEM, "API client");
        return NULL;
    }
    if (!ep->server) {
        tp_error_set(err, -EINVAL, "no API server is named");
    } else if (kube_client_setup(c, ep, timeout_ms, err) == 0) {
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
    secret_free(c->token);
    free(c->token_file);
    free(c->host_header);
    free(c->server);
    free(c);
}

static int add_token(const char *token, struct curl_slist **list,
                     struct tp_error *err)
{
    char *value;
    int rc;

    if (asprintf(&value, "Bearer %s", token) < 0)
        return tp_error_errno(err, -ENOMEM, "token");
    rc = kube_header_add(list, "Authorization", value);
    explicit_bzero(value, strlen(value));
    free(value);
    return rc < 0 ? tp_error_errno(err, rc, "token") : 0;
}

/* The file is small and local: reading it each time is "when it changes". */
static int add_token_file(const char *path, struct curl_slist **list,
                          struct tp_error *err)
{
    cleanup_secret char *token = NULL;

    if (file_read(path, TOKEN_MAX, &token, NULL, err) < 0)
        return tp_error_wrap(err, "token file");
    token[strcspn(token, "\r\n")] = '\0';
    if (!*token)
        return tp_error_set(err, -ENODATA, "token file %s is empty", path);
    return add_token(token, list, err);
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
        rc = kube_header_add(list, "Accept", "application/json");
    if (rc == 0)
        rc = kube_header_add(list, "Content-Type",
                             content_type ? content_type : "application/json");
    if (rc == 0 && c->host_header)
        rc = kube_header_add(list, "Host", c->host_header);
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

/* Why there is no answer. */
static int no_answer(struct kube_client *c, CURLcode code, struct tp_error *err)
{
    long proxy_status = 0;

    curl_easy_getinfo(c->curl, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    /* Some say 401 to wrong ones. */
    if (proxy_status == 407 || proxy_status == 401)
        return tp_error_set(err, -EACCES, "the proxy %s (status %ld)",
                            c->proxy_user
                                ? "refuses the credentials in its URL"
                                : "wants credentials: set them in its URL",
                            proxy_status);
    if (proxy_status >= 400)
        return tp_error_set(err, -EIO, "the proxy refuses (status %ld)",
                            proxy_status);
    return tp_error_set(err, curl_errno(code), "%s",
                        c->text[0] ? c->text : curl_easy_strerror(code));
}

static int perform(struct kube_client *c, struct tp_error *err)
{
    CURLcode code;
    long status = 0;

    c->text[0] = '\0';
    buf_consume(&c->body, buf_used(&c->body));
    code = curl_easy_perform(c->curl);
    if (code != CURLE_OK)
        return no_answer(c, code, err);
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

int kube_client_prepare(struct kube_client *c, const char *method,
                        const char *path, const char *content_type,
                        const char *text, struct curl_slist **headers,
                        struct tp_error *err)
{
    cleanup_free char *url = NULL;
    int rc;

    if (asprintf(&url, "%s%s", c->server, path) < 0) {
        url = NULL;
        return tp_error_errno(err, -ENOMEM, "%.200s", path);
    }
    rc = make_headers(c, content_type, headers, err);
    if (rc == 0)
        set_request(c, method, url, text, *headers);
    return rc;
}

void kube_client_finish(struct kube_client *c, struct curl_slist *headers)
{
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
    free_headers(headers);
}

int kube_request(struct kube_client *c, const char *method, const char *path,
                 const char *content_type, struct json_object *body,
                 struct json_object **out, struct tp_error *err)
{
    struct curl_slist *headers = NULL;
    const char *text =
        body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN)
             : NULL;
    int rc;

    if (out)
        *out = NULL;
    rc =
        kube_client_prepare(c, method, path, content_type, text, &headers, err);
    if (rc == 0)
        rc = perform(c, err);
    kube_client_finish(c, headers);
    /* An answer that is no JSON is still an answer. */
    if (rc > 0 && out && buf_used(&c->body) > 0)
        *out = json_parse_text((const char *)buf_head(&c->body),
                               buf_used(&c->body), NULL);
    buf_consume(&c->body, buf_used(&c->body));
    return rc;
}

static int status_errno(int status)
{
    switch (status) {
    case 401:
    case 403:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 409:
        return -EEXIST;
    case 410:
        return -ESTALE;
    case 422:
        return -EINVAL;
    case 429:
        return -EAGAIN;
    default:
        return status >= 200 && status < 300 ? 0 : -EREMOTEIO;
    }
}

int kube_call(struct kube_client *c, const char *method, const char *path,
              const char *content_type, struct json_object *body,
              struct json_object **out, struct tp_error *err)
{
    struct json_object *answer = NULL;
    int status =
        kube_request(c, method, path, content_type, body, &answer, err);
    int rc = status < 0 ? status : status_errno(status);

    if (out)
        *out = NULL;
    if (status < 0)
        return tp_error_wrap(err, "%s %.200s", method, path);
    if (rc < 0)
        tp_error_set(err, rc, "%s %.200s: status %d: %.250s", method, path,
                     status, json_get_str(answer, "message", ""));
    else if (out && !answer)
        rc = tp_error_set(err, -EBADMSG, "%s %.200s: no JSON in the answer",
                          method, path);
    else if (out) {
        *out = answer;
        answer = NULL;
    }
    json_object_put(answer);
    return rc;
}

int kube_get(struct kube_client *c, const char *path, struct json_object **out,
             struct tp_error *err)
{
    return kube_call(c, "GET", path, NULL, NULL, out, err);
}
