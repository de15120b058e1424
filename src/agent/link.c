#include "agent/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include <config.h>
#include "net/dial.h"

#define DIAL_MS   10000
#define TOKEN_MAX 16384
#define PROTOCOL  1

/* What a peer may make the agent hold: its limit is a small pod's. */
#define OUT_BUDGET (4 << 20)
#define IN_BUDGET  (1 << 20)
#define IN_STREAMS 1024

struct agent_link {
    uv_loop_t *loop;
    const struct agent_link_ops *ops;
    void *arg;
    enum agent_link_kind kind;
    struct dial *dial;
    struct tunnel *tunnel;
    bool dead; /* ended_cb was called, or nobody wants it */
};

static void end(struct agent_link *l, const char *why)
{
    if (l->dead)
        return;
    l->dead = true;
    l->ops->ended_cb(l->arg, why);
}

/* ---- hello and events ---------------------------------------------------- */

static void line_cb(void *arg, const char *line, size_t len)
{
    struct agent_link *l = arg;
    cleanup_json struct json_object *event = NULL;

    if (l->dead)
        return;
    event = json_parse_text(line, len, NULL);
    if (event)
        l->ops->event_cb(l->arg, event);
}

/* Without events nobody says which engagements there are. */
static void events_end_cb(void *arg, int status, const char *body, size_t len)
{
    char why[80];

    (void)body;
    (void)len;
    snprintf(why, sizeof(why), "the replica's events have ended (%d)", status);
    end(arg, why);
}

static void hello_cb(void *arg, int status, const char *body, size_t len)
{
    struct agent_link *l = arg;
    cleanup_json struct json_object *hello = NULL;
    char why[200];

    if (l->dead)
        return;
    if (status == 200)
        hello = json_parse_text(body, len, NULL);
    if (json_get_int(hello, "protocol", 0) != PROTOCOL) {
        snprintf(why, sizeof(why),
                 "the replica's hello (status %d, version %s) does not fit "
                 "agent %s",
                 status, json_get_str(hello, "version", "unknown"), VERSION);
        end(l, why);
        return;
    }
    if (tunnel_watch(l->tunnel, "/tp/v1/events", line_cb, events_end_cb, l) < 0)
        end(l, "no stream for events");
    else
        l->ops->ready_cb(l->arg, hello);
}

static int say_hello(struct agent_link *l)
{
    static const char hello[] =
        "{\"protocol\": [1], \"version\": \"" VERSION "\", \"features\": []}";

    return tunnel_request(l->tunnel, "POST", "/tp/v1/hello", hello, hello_cb,
                          l);
}

/* ---- the tunnel ---------------------------------------------------------- */

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    struct agent_link *l = arg;

    return l->dead ? -EPIPE : l->ops->open_cb(l->arg, s, open);
}

static void tunnel_closed_cb(void *arg, int status, const char *why)
{
    end(arg, why && *why ? why : strerror(-status));
}

static const struct tunnel_ops tunnel_ops = {
    .open_cb = open_cb,
    .closed_cb = tunnel_closed_cb,
};

static void start_tunnel(struct agent_link *l, struct stream *stream)
{
    static const struct tunnel_config configs[] = {
        [LINK_OUT] = {.role = TUNNEL_CLIENT, .budget = OUT_BUDGET},
        [LINK_IN] = {.role = TUNNEL_SERVER,
                     .budget = IN_BUDGET,
                     .max_streams = IN_STREAMS,
                     .names = TUNNEL_BOTH},
    };

    l->tunnel =
        tunnel_create(l->loop, stream, &configs[l->kind], &tunnel_ops, l);
    if (!l->tunnel)
        end(l, "out of memory");
    else if (l->kind == LINK_IN)
        l->ops->ready_cb(l->arg, NULL);
    else if (say_hello(l) < 0)
        end(l, "no stream for hello");
}

/* ---- dialling ------------------------------------------------------------ */

static void dial_done_cb(void *arg, const struct dial_result *result)
{
    struct agent_link *l = arg;

    l->dial = NULL;
    if (result->status == 0)
        start_tunnel(l, result->stream);
    else
        end(l, result->text);
}

/* RFC 6750 2.1: nothing that could end the header line. */
static bool is_token(const char *text)
{
    for (const char *p = text; *p; p++) {
        bool word = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= 'a' && *p <= 'z') || strchr("-._~+/=", *p);

        if (!word)
            return false;
    }
    return *text != '\0';
}

/* "Authorization: Bearer TOKEN" with CRLF; owned by the caller, a secret. */
static char *make_headers(const char *token_file, struct tp_error *err)
{
    cleanup_secret char *token = NULL;
    char *headers = NULL;
    size_t len;

    if (file_read(token_file, TOKEN_MAX, &token, &len, err) < 0)
        return NULL;
    while (len > 0 && (token[len - 1] == '\n' || token[len - 1] == '\r'))
        token[--len] = '\0';
    if (!is_token(token)) {
        tp_error_set(err, -EINVAL, "%s: not a token", token_file);
        return NULL;
    }
    if (asprintf(&headers, "Authorization: Bearer %s\r\n", token) < 0) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return headers;
}

static int start_dial(struct agent_link *l,
                      const struct agent_link_config *config,
                      struct tp_error *err)
{
    cleanup_secret char *headers = make_headers(config->token_file, err);
    char ip[SOCKADDR_TEXT];
    struct dial_config dial = {
        .host = sockaddr_format_ip(&config->addr, ip),
        .port = sockaddr_port(&config->addr),
        .server_name = config->server_name,
        .tls = config->tls,
        .timeout_ms = DIAL_MS,
        .method = "POST",
        .path = "/tp/v1/agent",
        .upgrade = l->kind == LINK_OUT ? "tp-agent/1" : "tp-agent-in/1",
        .headers = headers,
    };

    if (!headers)
        return err->code;
    l->dial = dial_start(l->loop, &dial, dial_done_cb, l);
    return l->dial ? 0 : tp_error_set(err, -ENOMEM, "out of memory");
}

struct tls_ctx *agent_link_tls(const char *ca_pem, struct tp_error *err)
{
    const struct tls_client_config config = {
        .ca_pem = ca_pem,
        .newest_only = true,
    };

    return tls_ctx_create_client(&config, err);
}

struct agent_link *agent_link_create(uv_loop_t *loop,
                                     const struct agent_link_config *config,
                                     const struct agent_link_ops *ops,
                                     void *arg, struct tp_error *err)
{
    struct agent_link *l = calloc(1, sizeof(*l));

    if (!l) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    l->loop = loop;
    l->kind = config->kind;
    agent_link_set_user(l, ops, arg);
    if (start_dial(l, config, err) < 0) {
        free(l);
        return NULL;
    }
    return l;
}

void agent_link_destroy(struct agent_link *l)
{
    if (!l)
        return;
    l->dead = true;
    if (l->dial)
        dial_cancel(l->dial);
    tunnel_destroy(l->tunnel);
    free(l);
}

void agent_link_set_user(struct agent_link *l, const struct agent_link_ops *ops,
                         void *arg)
{
    l->ops = ops;
    l->arg = arg;
}

struct tunnel *agent_link_tunnel(const struct agent_link *l)
{
    return l->tunnel;
}
