#include "daemon/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "net/dial.h"
#include "net/websocket.h"

#define DIAL_MS   10000
#define PROTOCOL  1
#define HELLO_MS  20000 /* for the manager, on an incoming link */
#define HELLO_MAX 4096

struct link {
    uv_loop_t *loop;
    const struct link_ops *ops;
    void *arg;
    struct dial *dial;
    struct tunnel *tunnel;
    struct tls_ctx *tls;
    char *host, *server_name, *path, *headers;
    char *proxy_host, *proxy_authorization;
    char *name;
    struct dial_proxy proxy;
    bool has_proxy;
    uint16_t port;
    uint32_t mark;
    unsigned timeout_ms;
    bool websocket, tried_websocket;
    enum link_direction direction;
    bool ready, dead;
    struct link_failure first; /* of the attempt before WebSocket */
    uv_timer_t *late;          /* incoming: hello is late */
    union sockaddr_any peer;
};

static int start_dial(struct link *l);

static void fail(struct link *l, const struct link_failure *f)
{
    l->dead = true;
    l->ops->failed_cb(l->arg, f);
}

static void fail_text(struct link *l, const char *code, const char *text)
{
    struct link_failure f = {.code = code};

    snprintf(f.text, sizeof(f.text), "%s", text);
    fail(l, &f);
}

/* ---- hello and events ---- */

static void line_cb(void *arg, const char *line, size_t len)
{
    struct link *l = arg;
    cleanup_json struct json_object *event = NULL;

    if (l->dead)
        return;
    event = json_parse_text(line, len, NULL);
    if (event && l->ready)
        l->ops->event_cb(l->arg, event);
}

/* An older manager has no events; without them the link still works. */
static void events_end_cb(void *arg, int status, const char *body, size_t len)
{
    (void)arg;
    (void)body;
    (void)len;
    log_debug("the manager's events have ended (%d)", status);
}

static bool speaks_ours(struct json_object *protocols)
{
    for (size_t i = 0; i < json_array_len(protocols); i++) {
        if (json_object_get_int64(json_object_array_get_idx(protocols, i)) ==
            PROTOCOL)
            return true;
    }
    return false;
}

static bool speaks_our_protocol(struct json_object *hello)
{
    return json_get_int(hello, "protocol", 0) == PROTOCOL;
}

static void hello_cb(void *arg, int status, const char *body, size_t len)
{
    struct link *l = arg;
    cleanup_json struct json_object *hello = NULL;
    struct link_failure f;

    if (l->dead)
        return;
    if (status != 200) {
        link_failure_from_hello(&f, status, body);
        fail(l, &f);
        return;
    }
    hello = json_parse_text(body, len, NULL);
    if (!hello || !speaks_our_protocol(hello)) {
        struct link_failure bad = {.code = "incompatible", .permanent = true};

        snprintf(bad.text, sizeof(bad.text),
                 "the manager (version %s) chose a protocol that tp-daemon "
                 "%s does not speak",
                 json_get_str(hello, "version", "unknown"), VERSION);
        fail(l, &bad);
        return;
    }
    l->ready = true;
    tunnel_watch(l->tunnel, "/tp/v1/events", line_cb, events_end_cb, l);
    l->ops->ready_cb(l->arg, hello);
}

static char *make_hello(const struct link *l)
{
    char *text = NULL;

    if (asprintf(&text,
                 "{\"protocol\": [%d], \"version\": \"%s\", \"features\": "
                 "[\"udp\", \"events\", \"engagements\"], \"client\": "
                 "\"tp-daemon\", \"name\": "
                 "\"%s\"}",
                 PROTOCOL, VERSION, l->name) < 0)
        return NULL;
    return text;
}

static void tunnel_closed_cb(void *arg, int status, const char *why)
{
    struct link *l = arg;
    const char *text = why && *why ? why : strerror(-status);

    if (l->dead)
        return;
    l->dead = true;
    if (l->ready) {
        l->ops->closed_cb(l->arg, text);
    } else {
        struct link_failure f = {.code = "unreachable"};

        snprintf(f.text, sizeof(f.text),
                 "the link ended before the manager said hello: %s", text);
        l->ops->failed_cb(l->arg, &f);
    }
}

static const struct tunnel_ops tunnel_ops = {.closed_cb = tunnel_closed_cb};

/* ---- incoming ---- */

/* The manager's hello makes an incoming link ready. */
static int answer_hello(struct link *l, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    cleanup_json struct json_object *hello =
        open->body_len <= HELLO_MAX
            ? json_parse_text(open->body, open->body_len, NULL)
            : NULL;
    char answer[128];
    int rc;

    if (!hello || !speaks_ours(json_get_array(hello, "protocol")))
        return tunnel_stream_respond(
            s, 409, "{\"error\": \"tp-daemon speaks protocol 1 only\"}");
    snprintf(answer, sizeof(answer),
             "{\"protocol\": %d, \"version\": \"%s\", \"features\": "
             "[\"engagements\"]}",
             PROTOCOL, VERSION);
    rc = tunnel_stream_respond(s, 200, answer);
    if (rc == 0 && !l->ready) {
        uv_timer_stop(l->late);
        l->ready = true;
        l->ops->ready_cb(l->arg, hello);
    }
    return rc;
}

static bool is_post(const struct tunnel_open *open, const char *path)
{
    return open->kind == TUNNEL_REQUEST && !strcmp(open->method, "POST") &&
           !strcmp(open->path, path);
}

/* The manager goes: what it would say by an event on an outgoing link. */
static int answer_drain(struct link *l, struct tunnel_stream *s)
{
    cleanup_json struct json_object *event = json_object_new_object();
    int rc = tunnel_stream_respond(s, 200, "{}");

    json_put_str(event, "type", "drain");
    if (rc == 0)
        l->ops->event_cb(l->arg, event);
    return rc;
}

static int incoming_open_cb(void *arg, struct tunnel_stream *s,
                            const struct tunnel_open *open)
{
    struct link *l = arg;

    if (l->dead)
        return -EPIPE;
    if (is_post(open, "/tp/v1/hello"))
        return answer_hello(l, s, open);
    if (!l->ready)
        return -EINVAL;
    if (is_post(open, "/tp/v1/drain"))
        return answer_drain(l, s);
    return l->ops->open_cb(l->arg, s, open);
}

static const struct tunnel_ops incoming_ops = {
    .open_cb = incoming_open_cb,
    .closed_cb = tunnel_closed_cb,
};

static void hello_late_cb(uv_timer_t *timer)
{
    fail_text(timer->data, "unreachable",
              "the manager says nothing on the incoming link");
}

/* ---- the tunnel ---- */

static int say_hello(struct link *l)
{
    cleanup_free char *hello = make_hello(l);

    return hello ? tunnel_request(l->tunnel, "POST", "/tp/v1/hello", hello,
                                  hello_cb, l)
                 : -ENOMEM;
}

static void start_tunnel(struct link *l, struct stream *stream)
{
    static const struct tunnel_config configs[] = {
        {.role = TUNNEL_CLIENT},
        {.role = TUNNEL_SERVER, .names = TUNNEL_NAMES}};
    bool incoming = l->direction == LINK_INCOMING;
    char text[200];
    int rc = -ENOMEM;

    if (l->websocket)
        stream = websocket_create(stream, true);
    if (stream)
        l->tunnel = tunnel_create(l->loop, stream, &configs[incoming],
                                  incoming ? &incoming_ops : &tunnel_ops, l);
    if (l->tunnel && incoming)
        rc = uv_timer_start(l->late, hello_late_cb, HELLO_MS, 0);
    else if (l->tunnel)
        rc = say_hello(l);
    if (rc == 0)
        return;
    snprintf(text, sizeof(text), "the link could not be set up: %s",
             strerror(-rc));
    fail_text(l, "internal", text);
}

/* ---- dialling ---- */

static void read_peer(struct link *l, const struct stream *stream)
{
    socklen_t len = sizeof(l->peer);

    if (getpeername(stream_fd(stream), &l->peer.sa, &len) < 0)
        memset(&l->peer, 0, sizeof(l->peer));
    sockaddr_unmap(&l->peer);
}

static void dial_done_cb(void *arg, const struct dial_result *result)
{
    struct link *l = arg;
    struct link_failure f;

    l->dial = NULL;
    if (result->status == 0 && result->stream) {
        read_peer(l, result->stream);
        start_tunnel(l, result->stream);
        return;
    }
    link_failure_from_dial(&f, result);
    if (f.try_websocket && !l->websocket &&
        link_upgrades[l->direction].subprotocol) {
        log_debug("no link by tp/1 (%s): trying WebSocket", f.text);
        l->first = f;
        l->websocket = l->tried_websocket = true;
        if (start_dial(l) < 0)
            fail_text(l, "internal", "out of memory");
        return;
    }
    /* Where neither goes, the first answer says more. */
    fail(l, l->tried_websocket && f.try_websocket ? &l->first : &f);
}

/* The credentials', and what this attempt adds. */
static char *make_headers(const struct link *l)
{
    const char *protocol = link_upgrades[l->direction].subprotocol;
    char *text = NULL;
    int rc = l->websocket ? asprintf(&text, "%sSec-WebSocket-Protocol: %s\r\n",
                                     l->headers, protocol)
                          : asprintf(&text, "%s", l->headers);

    return rc < 0 ? NULL : text;
}

static int start_dial(struct link *l)
{
    cleanup_secret char *headers = make_headers(l);
    struct dial_config config = {
        .host = l->host,
        .port = l->port,
        .server_name = l->server_name,
        .tls = l->tls,
        .proxy = l->has_proxy ? &l->proxy : NULL,
        .mark = l->mark,
        .timeout_ms = l->timeout_ms,
        .method = l->websocket ? "GET" : "POST",
        .path = l->path,
        .upgrade =
            l->websocket ? "websocket" : link_upgrades[l->direction].upgrade,
        .headers = headers,
    };

    if (headers)
        l->dial = dial_start(l->loop, &config, dial_done_cb, l);
    return l->dial ? 0 : -ENOMEM;
}

static char *copy(const char *text, bool *good)
{
    char *out = text ? strdup(text) : NULL;

    if (text && !out)
        *good = false;
    return out;
}

static bool copy_config(struct link *l, const struct link_config *config)
{
    const struct session_config *s = config->session;
    size_t path_len = strlen(s->path);
    const struct link_direct *direct = config->direct;
    bool good = true;

    l->host = copy(direct ? direct->host : s->host, &good);
    l->server_name = copy(direct ? direct->server_name : s->server_name, &good);
    l->name = copy(config->name, &good);
    l->port = direct ? direct->port : s->port;
    l->mark = config->mark;
    l->websocket = config->websocket;
    l->direction = config->direction;
    l->timeout_ms = config->timeout_ms ? config->timeout_ms : DIAL_MS;
    l->has_proxy = s->has_proxy;
    l->proxy = s->proxy;
    l->proxy.host = l->proxy_host = copy(s->proxy.host, &good);
    l->proxy.authorization = l->proxy_authorization =
        copy(s->proxy.authorization, &good);
    path_len -= path_len > 0 && s->path[path_len - 1] == '/';
    if (asprintf(
            &l->path,
            "%.*s/apis/connect.tp.internal/v1/namespaces/%s/connections/%s/"
            "portforward",
            (int)path_len, s->path, s->namespace, config->name) < 0)
        l->path = NULL;
    return good && l->path;
}

static bool create_timer(struct link *l, uv_loop_t *loop)
{
    if (l->direction != LINK_INCOMING)
        return true;
    l->late = malloc(sizeof(*l->late));
    if (!l->late)
        return false;
    uv_timer_init(loop, l->late);
    l->late->data = l;
    return true;
}

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

/* Who the user is, and who the other side has to be. A direct link takes
 * nothing of the cluster's credentials with it. */
static int take_rights(struct link *l, const struct link_config *config,
                       struct tp_error *err)
{
    const struct link_direct *direct = config->direct;
    struct tls_client_config tls = {.newest_only = true};

    if (!direct) {
        l->headers = session_config_headers(config->session, err);
        if (l->headers)
            l->tls = session_config_tls(config->session, err);
        return l->tls ? 0 : err->code;
    }
    /* An empty text would mean the system's authorities. */
    if (!*direct->ca_pem || !*direct->server_name)
        return tp_error_set(err, -EBADMSG,
                            "the manager does not say how it is verified");
    tls.ca_pem = direct->ca_pem;
    if (strcspn(direct->ticket, "\r\n") != strlen(direct->ticket) ||
        asprintf(&l->headers, "Authorization: Tp-Ticket %s\r\n",
                 direct->ticket) < 0) {
        l->headers = NULL;
        return tp_error_set(err, -EBADMSG, "the manager's ticket is none");
    }
    l->tls = tls_ctx_create_client(&tls, err);
    return l->tls ? 0 : err->code;
}

struct link *link_create(uv_loop_t *loop, const struct link_config *config,
                         const struct link_ops *ops, void *arg,
                         struct tp_error *err)
{
    struct link *l = calloc(1, sizeof(*l));

    if (!l || !copy_config(l, config) || !create_timer(l, loop)) {
        link_destroy(l);
        tp_error_errno(err, -ENOMEM, "link");
        return NULL;
    }
    l->loop = loop;
    l->ops = ops;
    l->arg = arg;
    if (take_rights(l, config, err) < 0) {
        link_destroy(l);
        return NULL;
    }
    if (l->proxy.tls)
        l->proxy.tls_ctx = session_config_proxy_tls(config->session, err);
    if (l->proxy.tls && !l->proxy.tls_ctx) {
        link_destroy(l);
        return NULL;
    }
    if (start_dial(l) < 0) {
        link_destroy(l);
        tp_error_errno(err, -ENOMEM, "link");
        return NULL;
    }
    return l;
}

void link_destroy(struct link *l)
{
    if (!l)
        return;
    l->dead = true;
    if (l->dial)
        dial_cancel(l->dial);
    tunnel_destroy(l->tunnel);
    if (l->late)
        uv_close((uv_handle_t *)l->late, free_handle_cb);
    tls_ctx_destroy(l->tls);
    tls_ctx_destroy(l->proxy.tls_ctx);
    secret_free(l->headers);
    secret_free(l->proxy_authorization);
    free(l->proxy_host);
    free(l->host);
    free(l->server_name);
    free(l->path);
    free(l->name);
    free(l);
}

struct tunnel *link_tunnel(const struct link *l)
{
    return l->tunnel;
}

void link_retire(struct link *l)
{
    tunnel_unwatch(l->tunnel);
    tunnel_drain(l->tunnel);
}

bool link_is_websocket(const struct link *l)
{
    return l->websocket;
}

const union sockaddr_any *link_peer(const struct link *l)
{
    return &l->peer;
}
