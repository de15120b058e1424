/* The webhook's real listener on loopback, asked as an API server asks: by TLS,
 * with the authority's certificate and the Service's name. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "manager/api.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/server.h"
#include "manager/snapshot.h"
#include "pki.h"
#include "suite.h"

struct fixture {
    uv_loop_t loop;
    char dir[32], cert[64], key[64], config[64];
    struct options options;
    struct snapshot snapshot;
    struct kube_endpoint endpoint;
    struct manager m;
};

static struct fixture f;

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_config(const char *image)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{\"image\": \"%s\", \"caFile\": \"%s\", \"logLevel\": \"warn\"}",
             image, f.cert);
    write_file(f.config, text);
}

static void make_files(const struct pki_pair *ca)
{
    strcpy(f.dir, "/tmp/tp-webhook-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f.dir));
    snprintf(f.cert, sizeof(f.cert), "%s/ca.crt", f.dir);
    snprintf(f.key, sizeof(f.key), "%s/ca.key", f.dir);
    snprintf(f.config, sizeof(f.config), "%s/agent.json", f.dir);
    write_file(f.cert, ca->cert);
    write_file(f.key, ca->key);
    write_config("agent:1");
}

static void parse_options(void)
{
    char *argv[] = {(char *)(uintptr_t) "tp-manager",
                    (char *)(uintptr_t) "--namespace=tp-system",
                    (char *)(uintptr_t) "--listen-webhook=127.0.0.1:0",
                    (char *)(uintptr_t) "--ca-cert",
                    f.cert,
                    (char *)(uintptr_t) "--ca-key",
                    f.key,
                    (char *)(uintptr_t) "--agent-config",
                    f.config,
                    NULL};
    struct tp_error err = {0};

    ck_assert_msg(options_parse(&f.options, 9, argv, &err) == 0, "%s",
                  err.text);
}

/* What an API server knows of the webhook. */
static void make_endpoint(const struct pki_pair *ca)
{
    union sockaddr_any addr;

    server_get_addr(f.m.webhook_server, &addr);
    ck_assert_int_gt(asprintf(&f.endpoint.server, "https://127.0.0.1:%u",
                              sockaddr_port(&addr)),
                     0);
    f.endpoint.ca_pem = strdup(ca->cert);
    f.endpoint.tls_server_name = strdup("tp-manager.tp-system.svc");
    f.endpoint.proxy_url = strdup("");
    f.m.api = api_create(&f.loop, &f.endpoint);
    ck_assert_ptr_nonnull(f.m.api);
}

static void set_up(void)
{
    struct pki_pair ca;
    struct tp_error err = {0};

    memset(&f, 0, sizeof(f));
    uv_loop_init(&f.loop);
    pki_make_ca(&ca, "ca");
    make_files(&ca);
    parse_options();
    strcpy(f.snapshot.service_ip, "10.43.0.9");
    f.m.loop = &f.loop;
    f.m.options = &f.options;
    f.m.snapshot = &f.snapshot;
    ck_assert_int_eq(credentials_refresh(&f.m.credentials, &f.options, &err),
                     1);
    ck_assert_msg(webhook_start(&f.m, &err) == 0, "%s", err.text);
    webhook_refresh(&f.m, true, &err);
    ck_assert_msg(err.code == 0, "%s", err.text);
    make_endpoint(&ca);
    pki_release(&ca);
}

static void tear_down(void)
{
    server_close(f.m.webhook_server);
    api_close(f.m.api);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&f.loop), 0);
    webhook_release(&f.m);
    credentials_release(&f.m.credentials);
    kube_endpoint_release(&f.endpoint);
    options_release(&f.options);
    unlink(f.cert);
    unlink(f.key);
    unlink(f.config);
    rmdir(f.dir);
}

/* ---- asking ----------------------------------------------------------------
 */

struct call {
    const char *method, *path;
    struct json_object *body, *answer;
    int status;
    struct tp_error err;
};

static void work(void *arg, struct kube_client *client)
{
    struct call *c = arg;

    c->status = kube_request(client, c->method, c->path, NULL, c->body,
                             &c->answer, &c->err);
}

static void done_cb(void *arg, const struct tp_error *err)
{
    (void)arg;
    ck_assert_msg(!err, "%s", err ? err->text : "");
    uv_stop(&f.loop);
}

static void ask(struct call *c)
{
    ck_assert_int_eq(api_run(f.m.api, work, done_cb, c), 0);
    uv_run(&f.loop, UV_RUN_DEFAULT);
}

static struct json_object *review(const char *annotation, size_t padding)
{
    char *pad = calloc(1, padding + 1), *text;
    struct json_object *obj;

    memset(pad, 'x', padding);
    ck_assert_int_gt(
        asprintf(&text,
                 "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":"
                 "\"AdmissionReview\",\"request\":{\"uid\":\"u\",\"kind\":{"
                 "\"version\":\"v1\",\"kind\":\"Pod\"},\"operation\":"
                 "\"CREATE\",\"namespace\":\"default\",\"object\":{"
                 "\"metadata\":{\"annotations\":{%s\"pad\":\"%s\"}},\"spec\":{"
                 "\"containers\":[{\"name\":\"app\"}]}}}}",
                 annotation, pad),
        0);
    obj = json_tokener_parse(text);
    ck_assert_ptr_nonnull(obj);
    free(text);
    free(pad);
    return obj;
}

#define ENABLED "\"tp.internal/inject\":\"enabled\","

static int post(const char *path, struct json_object *body,
                struct json_object **answer)
{
    struct call c = {.method = "POST", .path = path, .body = body};

    ask(&c);
    ck_assert_msg(c.status > 0, "%s", c.err.text);
    json_object_put(body);
    if (answer)
        *answer = c.answer;
    else
        json_object_put(c.answer);
    return c.status;
}

START_TEST(a_review_is_answered)
{
    struct json_object *answer;

    ck_assert_int_eq(post("/inject?timeout=5s", review(ENABLED, 0), &answer),
                     200);
    ck_assert_str_eq(json_get_str(answer, "response.uid", ""), "u");
    ck_assert(json_get_bool(answer, "response.allowed", false));
    ck_assert_str_ne(json_get_str(answer, "response.patch", ""), "");
    json_object_put(answer);
}
END_TEST

START_TEST(a_large_pod_is_read_and_one_beyond_measure_is_not)
{
    ck_assert_int_eq(post("/inject", review(ENABLED, 900 * 1024), NULL), 200);
    ck_assert_int_eq(post("/inject", review(ENABLED, 1100 * 1024), NULL), 413);
    ck_assert_int_eq(post("/inject", review(ENABLED, 0), NULL), 200);
}
END_TEST

START_TEST(other_requests_are_errors)
{
    struct call get = {.method = "GET", .path = "/inject"};

    ck_assert_int_eq(post("/other", review("", 0), NULL), 404);
    ck_assert_int_eq(post("/injected", review("", 0), NULL), 404);
    ck_assert_int_eq(post("/inject", json_tokener_parse("{}"), NULL), 400);
    ask(&get);
    ck_assert_int_eq(get.status, 405);
    json_object_put(get.answer);
}
END_TEST

/* The authority's certificate goes to every pod; its key must not. */
START_TEST(settings_are_read_again_and_bad_ones_change_nothing)
{
    struct tp_error err = {0};
    char text[512];

    ck_assert_str_eq(f.m.inject.image, "agent:1");
    ck_assert_str_eq(f.m.inject.manager, "10.43.0.9:8444");
    ck_assert_str_eq(f.m.inject.server_name, "tp-manager.tp-system.svc");
    write_config("agent:2");
    webhook_refresh(&f.m, false, &err);
    ck_assert_int_eq(err.code, 0);
    ck_assert_str_eq(f.m.inject.image, "agent:2");
    write_file(f.config, "{");
    webhook_refresh(&f.m, false, &err);
    ck_assert_int_lt(err.code, 0);
    ck_assert_str_eq(f.m.inject.image, "agent:2");
    snprintf(text, sizeof(text), "{\"image\":\"i\",\"caFile\":\"%s\"}", f.key);
    write_file(f.config, text);
    webhook_refresh(&f.m, false, &err);
    ck_assert_str_eq(err.text, "the authority for agents holds a private key");
    ck_assert_ptr_null(strstr(f.m.inject.ca, "PRIVATE"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("webhook");
    TCase *tc = tcase_create("listener");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_review_is_answered);
    tcase_add_test(tc, a_large_pod_is_read_and_one_beyond_measure_is_not);
    tcase_add_test(tc, other_requests_are_errors);
    tcase_add_test(tc, settings_are_read_again_and_bad_ones_change_nothing);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
