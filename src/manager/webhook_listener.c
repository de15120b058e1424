/*
 * webhook_listener.c - the webhook's port, and the settings of agents
 *
 * The API server shows no certificate here, and none is asked for: see
 * webhook.h. The certificate is that of the aggregated API.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "manager/files.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/server.h"
#include "manager/snapshot.h"
#include "manager/webhook.h"
#include "net/tls.h"

#define JSON_TYPE "application/json"
#define TEXT_TYPE "text/plain"
/* A request that finds no place is a pod without its agent: an API server that
 * makes many pods at once has as many connections, from one address. */
#define CONNECTIONS_MAX 512
#define NOISE_PER_S     5
#define NOISE_BURST     50

/* ---- requests --------------------------------------------------------------
 */

/* Any pod can ask, and fill the log. */
static void note(struct manager *m, enum webhook_result result,
                 const struct tp_error *text)
{
    if (!bucket_take(&m->webhook_noise, uv_now(m->loop)))
        return;
    if (result == WEBHOOK_WARNED || result == WEBHOOK_BAD)
        log_warn("webhook: %s", text->text);
    else if (result == WEBHOOK_PATCHED)
        log_info("webhook: %s", text->text);
    else
        log_debug("webhook: %s", text->text);
}

static void answer(struct manager *m, struct server_request *req)
{
    struct tp_error text = {0};
    cleanup_free char *body = NULL;
    enum webhook_result result;
    size_t len;
    const char *asked = server_request_body(req, &len);

    result = webhook_answer(&m->inject, asked, len, &body, &text);
    note(m, result, &text);
    if (!body)
        server_respond(req, 503, TEXT_TYPE, NULL, "out of memory");
    else if (result == WEBHOOK_BAD)
        server_respond(req, 400, TEXT_TYPE, NULL, body);
    else
        server_respond(req, 200, JSON_TYPE, NULL, body);
}

/* The API server adds "?timeout=5s". */
static bool is_webhook_path(const char *target)
{
    size_t len = strlen(WEBHOOK_PATH);

    return !strncmp(target, WEBHOOK_PATH, len) &&
           (target[len] == '\0' || target[len] == '?');
}

static void request_cb(void *arg, struct server_request *req)
{
    const struct http1_head *head = server_request_head(req);

    if (!is_webhook_path(head->target))
        server_respond(req, 404, TEXT_TYPE, NULL, "not found");
    else if (strcmp(head->method, "POST") != 0)
        server_respond(req, 405, TEXT_TYPE, NULL, "POST only");
    else
        answer(arg, req);
}

/* ---- settings --------------------------------------------------------------
 */

static int read_authority(struct inject_settings *s, struct tp_error *err)
{
    if (!s->ca && s->ca_file) {
        s->ca = file_read_text(s->ca_file, err);
        if (!s->ca)
            return err->code;
    }
    if (s->ca && strstr(s->ca, "PRIVATE KEY")) {
        secret_free(s->ca);
        s->ca = NULL;
        return tp_error_set(err, -EINVAL,
                            "the authority for agents holds a "
                            "private key");
    }
    return 0;
}

static int fill_in(struct inject_settings *s, const struct manager *m,
                   struct tp_error *err)
{
    const struct options *o = m->options;
    union sockaddr_any addr;

    if (asprintf(&s->server_name, "%s.%s.svc", o->service, o->ns) < 0) {
        s->server_name = NULL;
        return tp_error_errno(err, -ENOMEM, "agents");
    }
    s->webhook = o->webhook && *o->webhook;
    s->own_ns = strdup(o->ns);
    if (!s->own_ns)
        return tp_error_errno(err, -ENOMEM, "agents");
    /* The Service has the listener's port. */
    if (sockaddr_parse(&addr, m->snapshot->service_ip,
                       sockaddr_port(&o->listen_agents)) == 0 &&
        sockaddr_port(&addr) != 0)
        sockaddr_format(&addr, s->manager);
    return 0;
}

static int read_settings(struct inject_settings *s, const struct manager *m,
                         struct tp_error *err)
{
    const char *path = m->options->agent_config;
    cleanup_free char *text = file_read_text(path, err);
    int rc;

    if (!text)
        return tp_error_wrap(err, "--agent-config");
    rc = inject_settings_parse(s, text, err);
    if (rc < 0)
        return tp_error_wrap(err, "--agent-config %s", path);
    rc = read_authority(s, err);
    return rc < 0 ? rc : fill_in(s, m, err);
}

void webhook_refresh(struct manager *m, bool cert_changed, struct tp_error *err)
{
    struct inject_settings fresh = {0};

    if (!m->options->agent_config)
        return;
    if (read_settings(&fresh, m, err) == 0) {
        inject_settings_release(&m->inject);
        m->inject = fresh;
    } else {
        inject_settings_release(&fresh);
    }
    if (m->webhook_server && (cert_changed || !m->webhook_tls))
        credentials_serve(&m->credentials, m->webhook_server, &m->webhook_tls,
                          false, err);
}

int webhook_start(struct manager *m, struct tp_error *err)
{
    static const struct server_limits limits = {
        .connections = CONNECTIONS_MAX,
        .untrusted = CONNECTIONS_MAX / 2,
        .body_max = WEBHOOK_BODY_MAX,
    };
    const struct options *o = m->options;

    bucket_init(&m->webhook_noise, NOISE_PER_S, NOISE_BURST, uv_now(m->loop));
    if (!o->agent_config || !o->listen_webhook.sa.sa_family)
        return 0;
    m->webhook_server =
        server_create(m->loop, &o->listen_webhook, true, request_cb, m, err);
    if (!m->webhook_server)
        return err->code;
    server_set_limits(m->webhook_server, &limits);
    return 0;
}

void webhook_release(struct manager *m)
{
    inject_settings_release(&m->inject);
    tls_ctx_destroy(m->webhook_tls);
}
