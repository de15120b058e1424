/*
 * dial.c - the order of the steps from a name to an upgraded stream
 *
 *   CONNECT -> [PROXY_TLS] -> [PROXY_ANSWER] -> [TLS] -> [UPGRADE] -> report
 *
 * One timer covers all. Every step is one object in flight: `race`, the
 * handshake of `stream`, or `http`; dial_end() ends whichever it is. The
 * user's callback is called once, from the loop.
 */
#include "net/dial.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/sockaddr.h"
#include "net/dial_internal.h"
#include "net/stream_internal.h"
#include "net/tls_internal.h"
#include "net/websocket.h"

#define TEXT_SIZE 512

enum dial_state {
    DIAL_CONNECT,      /* race is set */
    DIAL_PROXY_TLS,    /* stream is a handshake */
    DIAL_PROXY_ANSWER, /* http is set */
    DIAL_TLS,          /* stream is a handshake */
    DIAL_UPGRADE,      /* http is set */
};

struct dial {
    uv_loop_t *loop;
    uv_timer_t timer;
    dial_cb *cb;
    void *arg;
    enum dial_state state;
    struct dial_copy to;
    struct dial_race *race;
    struct dial_http *http;
    struct stream *stream;
    char key[25];         /* Sec-WebSocket-Key */
    char text[TEXT_SIZE]; /* of the result */
};

/* --- the end -------------------------------------------------------------- */

static void dial_free(struct dial *d)
{
    dial_copy_release(&d->to);
    free(d);
}

static void timer_closed_cb(uv_handle_t *handle)
{
    dial_free(handle->data);
}

/* Ends what is in flight; d lives until the loop's next turn. */
static void dial_end(struct dial *d)
{
    if (d->race)
        dial_race_cancel(d->race);
    dial_http_free(d->http);
    if (d->stream)
        stream_close(d->stream, NULL, NULL);
    uv_close((uv_handle_t *)&d->timer, timer_closed_cb);
}

void dial_cancel(struct dial *d)
{
    dial_end(d);
}

static void dial_report(struct dial *d, struct dial_result *result)
{
    result->text = d->text;
    d->cb(d->arg, result);
    dial_end(d);
}

__attribute__((format(printf, 3, 4))) static void
dial_fail(struct dial *d, int status, const char *fmt, ...)
{
    struct dial_result result = {.status = status};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(d->text, sizeof(d->text), fmt, ap);
    va_end(ap);
    dial_report(d, &result);
}

static void dial_succeed(struct dial *d)
{
    struct dial_result result = {.stream = d->stream};

    stream_want(d->stream, 0);
    stream_set_callback(d->stream, NULL, NULL);
    d->stream = NULL;
    dial_report(d, &result);
}

/* --- texts ---------------------------------------------------------------- */

/* "host:port", "[::1]:port" */
static const char *authority(const char *host, uint16_t port, char *text,
                             size_t size)
{
    bool is_ipv6 = strchr(host, ':') != NULL;

    snprintf(text, size, "%s%s%s:%u", is_ipv6 ? "[" : "", host,
             is_ipv6 ? "]" : "", port);
    return text;
}

/* Who is on the other side of the step in progress. */
static const char *peer_name(const struct dial *d, char *text, size_t size)
{
    if (d->state != DIAL_PROXY_TLS && d->state != DIAL_PROXY_ANSWER)
        return authority(d->to.config.host, d->to.config.port, text, size);
    snprintf(text, size, "proxy ");
    authority(d->to.proxy.host, d->to.proxy.port, text + 6, size - 6);
    return text;
}

/* Makes bytes of the peer fit for a terminal. */
static const char *printable(const char *in, char *out, size_t size)
{
    size_t i;

    for (i = 0; in[i] && i < size - 1; i++)
        out[i] = in[i] >= ' ' && in[i] <= '~' ? in[i] : '?';
    out[i] = '\0';
    return out;
}

static int status_to_errno(int http_status)
{
    switch (http_status) {
    case 401:
    case 403:
    case 407:
        return -EACCES;
    case 404:
        return -ENOENT;
    case 408:
    case 504:
        return -ETIMEDOUT;
    default:
        return -EPROTO;
    }
}

static const char *status_hint(const struct dial *d, int http_status)
{
    if (http_status == 407 && d->to.proxy.authorization)
        return ": the credentials in the proxy URL were refused";
    if (http_status == 407)
        return ": set credentials in the proxy URL";
    if (d->state == DIAL_UPGRADE && http_status / 100 == 2)
        return ": it did not upgrade the connection";
    return "";
}

/* "HOST answered 403 Forbidden" */
static void dial_refused(struct dial *d, const struct dial_answer *answer)
{
    int http_status = answer->head.status;
    struct dial_result result = {
        .status = status_to_errno(http_status),
        .http_status = http_status,
        .body = answer->body,
    };
    char peer[300], reason[80];

    snprintf(d->text, sizeof(d->text), "%s answered %d %s%s",
             peer_name(d, peer, sizeof(peer)), http_status,
             printable(answer->head.reason, reason, sizeof(reason)),
             status_hint(d, http_status));
    dial_report(d, &result);
}

/* No answer, or none that can be understood. */
static void dial_no_answer(struct dial *d, int status)
{
    const char *tls_text = tls_error_text(d->stream);
    char peer[300];

    peer_name(d, peer, sizeof(peer));
    if (tls_text)
        dial_fail(d, status, "TLS with %s: %s", peer, tls_text);
    else if (status == -EBADMSG || status == -EMSGSIZE)
        dial_fail(d, status, "%s does not answer in HTTP/1.1", peer);
    else if (status == -ECONNRESET)
        dial_fail(d, status, "%s closed the connection without an answer",
                  peer);
    else
        dial_fail(d, status, "%s: %s", peer, strerror(-status));
}

/* --- the steps, last one first -------------------------------------------- */

/* Puts back what came behind a head. False: reported. */
static bool keep_extra(struct dial *d, const struct dial_answer *answer)
{
    d->stream = stream_prepend(d->stream, answer->extra, answer->extra_len);
    if (!d->stream) {
        dial_fail(d, -ENOMEM, "out of memory");
        return false;
    }
    return true;
}

/* What is wrong with a 101, or NULL. */
static const char *check_switch(const struct dial *d,
                                const struct http1_head *head)
{
    const char *accept = http1_get(head, "Sec-WebSocket-Accept");
    char expected[29];

    if (!http1_has_token(head, "Upgrade", d->to.config.upgrade) ||
        !http1_has_token(head, "Connection", "Upgrade"))
        return "it switched to another protocol";
    if (!d->key[0])
        return NULL;
    websocket_make_accept(d->key, expected);
    if (!accept || strcmp(accept, expected) != 0)
        return "its Sec-WebSocket-Accept is wrong";
    return NULL;
}

static void upgraded_cb(void *arg, int status, const struct dial_answer *answer)
{
    struct dial *d = arg;
    const char *wrong;
    char peer[300];

    if (status < 0) {
        dial_no_answer(d, status);
        return;
    }
    if (answer->head.status != 101) {
        dial_refused(d, answer);
        return;
    }
    wrong = check_switch(d, &answer->head);
    if (wrong)
        dial_fail(d, -EPROTO, "upgrade at %s: %s",
                  peer_name(d, peer, sizeof(peer)), wrong);
    else if (keep_extra(d, answer))
        dial_succeed(d);
}

/* Returns the request's length, or a negative errno. */
static int make_upgrade(struct dial *d, char **request)
{
    const struct dial_config *c = &d->to.config;
    bool is_post = strcmp(c->method, "POST") == 0;
    char host[300], ws[100] = "";

    if (strcasecmp(c->upgrade, "websocket") == 0) {
        websocket_make_key(d->key);
        snprintf(ws, sizeof(ws),
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
                 d->key);
    }
    return asprintf(request,
                    "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
                    "Upgrade: %s\r\n%s%s%s\r\n",
                    c->method, c->path,
                    authority(c->host, c->port, host, sizeof(host)), c->upgrade,
                    is_post ? "Content-Length: 0\r\n" : "", ws,
                    c->headers ? c->headers : "");
}

static void dial_send(struct dial *d, char *request, int len, bool connect,
                      dial_http_cb *cb)
{
    if (len >= 0)
        d->http =
            dial_http_start(d->stream, request, (size_t)len, connect, cb, d);
    if (!d->http)
        dial_fail(d, -ENOMEM, "out of memory");
}

static void start_upgrade(struct dial *d)
{
    char *request = NULL;
    int len;

    if (!d->to.config.method) {
        dial_succeed(d);
        return;
    }
    d->state = DIAL_UPGRADE;
    len = make_upgrade(d, &request);
    dial_send(d, request, len, false, upgraded_cb);
}

static void handshake_failed(struct dial *d, int status, const char *why)
{
    char peer[300];

    dial_fail(d, status, "TLS with %s: %s", peer_name(d, peer, sizeof(peer)),
              why);
}

static void start_tls(struct dial *d, struct tls_ctx *ctx, const char *name,
                      tls_handshake_cb *cb)
{
    /* Our own timer is the one that counts. */
    d->stream = tls_connect(ctx, d->stream, name,
                            d->to.config.timeout_ms + 1000, cb, d);
    if (!d->stream)
        dial_fail(d, -ENOMEM, "out of memory");
}

static void tls_done_cb(void *arg, int status, const char *text)
{
    struct dial *d = arg;

    if (status < 0)
        handshake_failed(d, status, text);
    else
        start_upgrade(d);
}

/* The stream reaches the host itself, whatever is on the way. */
static void reached_host(struct dial *d)
{
    const struct dial_config *c = &d->to.config;

    d->state = DIAL_TLS;
    if (c->tls)
        start_tls(d, c->tls, c->server_name ? c->server_name : c->host,
                  tls_done_cb);
    else
        start_upgrade(d);
}

static void proxy_answer_cb(void *arg, int status,
                            const struct dial_answer *answer)
{
    struct dial *d = arg;

    if (status < 0) {
        dial_no_answer(d, status);
    } else if (answer->head.status / 100 != 2) {
        dial_refused(d, answer);
    } else if (keep_extra(d, answer)) {
        dial_http_free(d->http);
        d->http = NULL;
        reached_host(d);
    }
}

static void ask_proxy(struct dial *d)
{
    const char *auth = d->to.proxy.authorization;
    char host[300];
    char *request = NULL;
    int len;

    d->state = DIAL_PROXY_ANSWER;
    authority(d->to.config.host, d->to.config.port, host, sizeof(host));
    len = asprintf(&request,
                   "CONNECT %s HTTP/1.1\r\nHost: %s\r\n"
                   "%s%s%s\r\n",
                   host, host, auth ? "Proxy-Authorization: " : "",
                   auth ? auth : "", auth ? "\r\n" : "");
    dial_send(d, request, len, true, proxy_answer_cb);
}

static void proxy_tls_cb(void *arg, int status, const char *text)
{
    struct dial *d = arg;

    if (status < 0)
        handshake_failed(d, status, text);
    else
        ask_proxy(d);
}

static void start_proxy_tls(struct dial *d)
{
    static const struct tls_client_config system_store = {0};
    struct tp_error err = {0};

    d->state = DIAL_PROXY_TLS;
    if (!d->to.proxy.tls_ctx)
        d->to.proxy.tls_ctx = tls_ctx_create_client(&system_store, &err);
    if (!d->to.proxy.tls_ctx)
        handshake_failed(d, err.code, err.text);
    else
        start_tls(d, d->to.proxy.tls_ctx, d->to.proxy.host, proxy_tls_cb);
}

static void connected_cb(void *arg, int status, int fd, const char *text)
{
    struct dial *d = arg;

    d->race = NULL;
    if (status < 0) {
        dial_fail(d, status, "%s%s", d->to.config.proxy ? "proxy: " : "", text);
        return;
    }
    d->stream = stream_create_fd(d->loop, fd);
    if (!d->stream)
        dial_fail(d, -ENOMEM, "out of memory");
    else if (!d->to.config.proxy)
        reached_host(d);
    else if (d->to.proxy.tls)
        start_proxy_tls(d);
    else
        ask_proxy(d);
}

/* --- the beginning -------------------------------------------------------- */

static void timer_cb(uv_timer_t *timer)
{
    struct dial *d = timer->data;
    char what[400];

    if (d->http && dial_http_expire(d->http))
        return;
    if (d->race)
        dial_fail(d, -ETIMEDOUT, "%s%s: timed out",
                  d->to.config.proxy ? "proxy: " : "",
                  dial_race_describe(d->race, what, sizeof(what)));
    else if (d->http)
        dial_fail(d, -ETIMEDOUT, "%s does not answer",
                  peer_name(d, what, sizeof(what)));
    else
        handshake_failed(d, -ETIMEDOUT, "the handshake timed out");
}

static void invalid_cb(uv_timer_t *timer)
{
    struct dial *d = timer->data;

    dial_fail(d, -EINVAL, "host, path or upgrade is not valid");
}

struct dial *dial_start(uv_loop_t *loop, const struct dial_config *config,
                        dial_cb *cb, void *arg)
{
    struct dial *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->loop = loop;
    d->cb = cb;
    d->arg = arg;
    if (!dial_copy_init(&d->to, config)) {
        dial_free(d);
        return NULL;
    }
    uv_update_time(loop); /* it may not have turned for a while */
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    if (!dial_copy_is_valid(&d->to)) {
        uv_timer_start(&d->timer, invalid_cb, 0, 0);
        return d;
    }
    uv_timer_start(&d->timer, timer_cb, d->to.config.timeout_ms, 0);
    d->race = dial_race_start(
        loop, d->to.config.proxy ? d->to.proxy.host : d->to.config.host,
        d->to.config.proxy ? d->to.proxy.port : d->to.config.port,
        d->to.config.mark, connected_cb, d);
    if (!d->race) {
        uv_close((uv_handle_t *)&d->timer, timer_closed_cb);
        return NULL;
    }
    return d;
}
