/*
 * session_direct.c - a link beside the API server, for the streams
 *
 *     "direct" in info -> POST /tp/v1/ticket -> endpoints, one after
 *     the other, by TLS with the authority that came with the ticket
 *
 * The outgoing link stays: it is where the API server says who the user is, and
 * the way back. While there is a direct one, streams are opened there; when it
 * is lost, on the other, at once, and another attempt follows later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "net/direct_endpoint.h"
#include "daemon/session_internal.h"

#define TICKET     "/tp/v1/ticket"
#define ATTEMPT_MS 5000
/* A way that is blocked stays blocked for long: attempts are to be few. */
#define RETRY_MS     10000
#define RETRY_MAX_MS 300000

/* A request under way; the session may forget it meanwhile. */
struct direct_ask {
    struct session *s;
};

static void try_endpoint(struct session *s);

static void forget_ticket(struct session_direct *d)
{
    json_object_put(d->ticket);
    d->ticket = NULL;
    if (d->ask)
        d->ask->s = NULL; /* its answer frees it */
    d->ask = NULL;
}

static void retry_later(struct session *s, const char *why)
{
    struct session_direct *d = &s->direct;
    uint64_t delay = (uint64_t)RETRY_MS << (d->attempts < 5 ? d->attempts : 5);

    forget_ticket(d);
    d->attempts++;
    if (strcmp(d->error, why) != 0)
        log_info("no direct link: %s", why);
    snprintf(d->error, sizeof(d->error), "%s", why);
    uv_timer_start(d->retry, session_direct_retry_cb,
                   delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS, 0);
}

/* ---- the link ------------------------------------------------------------ */

static void ready_cb(void *arg, struct json_object *hello)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    struct session_direct *d = &s->direct;

    (void)hello;
    if (d->current) {
        session_former_add(&d->former, d->current);
        link_retire(d->current->link);
    }
    d->current = sl;
    d->next = NULL;
    d->attempts = 0;
    d->since = time(NULL);
    *d->error = '\0';
    snprintf(d->endpoint, sizeof(d->endpoint), "%s", d->trying);
    forget_ticket(d);
    log_info("direct link by %s", d->endpoint);
    session_use_links(s);
    session_notify(s);
}

static void failed_cb(void *arg, const struct link_failure *f)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;

    snprintf(s->direct.failure, sizeof(s->direct.failure), "%.250s: %.200s",
             s->direct.trying, f->text);
    session_link_drop(&s->direct.next);
    s->direct.tried++;
    try_endpoint(s);
}

static void event_cb(void *arg, struct json_object *event)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    const char *type = json_get_str(event, "type", "");

    if (sl != s->direct.current ||
        (strcmp(type, "drain") != 0 && strcmp(type, "renew") != 0))
        return;
    sl->draining = true;
    session_direct_update(s);
}

static void closed_cb(void *arg, const char *why)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    struct session_direct *d = &s->direct;
    char text[400];

    if (session_former_ended(&d->former, sl))
        return;
    snprintf(text, sizeof(text), "it was lost: %s", why);
    session_link_drop(&d->current);
    session_use_links(s);
    if (!d->next && !d->ask)
        retry_later(s, text);
    session_notify(s);
}

static const struct link_ops direct_ops = {
    .ready_cb = ready_cb,
    .failed_cb = failed_cb,
    .event_cb = event_cb,
    .closed_cb = closed_cb,
};

static int dial(struct session *s, const struct direct_endpoint *endpoint,
                struct tp_error *err)
{
    struct link_direct direct = {
        .host = endpoint->host,
        .port = endpoint->port,
        .server_name = json_get_str(s->direct.ticket, "serverName", ""),
        .ca_pem = json_get_str(s->direct.ticket, "ca", ""),
        .ticket = json_get_str(s->direct.ticket, "ticket", ""),
    };
    struct link_config config = {
        .timeout_ms = ATTEMPT_MS,
        .direction = LINK_DIRECT,
        .direct = &direct,
    };

    s->direct.next = session_link_create(s, &config, &direct_ops, err);
    return s->direct.next ? 0 : err->code;
}

static void try_endpoint(struct session *s)
{
    struct session_direct *d = &s->direct;
    struct json_object *list = json_get_array(d->ticket, "endpoints");

    for (; d->tried < json_array_len(list) && d->tried < DIRECT_ENDPOINTS_MAX;
         d->tried++) {
        struct json_object *item = json_object_array_get_idx(list, d->tried);
        struct direct_endpoint endpoint;
        struct tp_error err = {0};

        snprintf(d->trying, sizeof(d->trying), "%s",
                 json_object_get_string(item) ?: "");
        if (direct_endpoint_parse(&endpoint, d->trying, &err) == 0 &&
            dial(s, &endpoint, &err) == 0)
            return;
        snprintf(d->failure, sizeof(d->failure), "%s", err.text);
    }
    retry_later(s, *d->failure ? d->failure : "the manager names no endpoint");
    session_notify(s);
}

/* ---- the ticket ---------------------------------------------------------- */

static void answered_cb(void *arg, int status, const char *body, size_t len)
{
    struct direct_ask *ask = arg;
    struct session *s = ask->s;

    free(ask);
    if (!s)
        return;
    s->direct.ask = NULL;
    if (status != 200) {
        retry_later(s, status == 404 ? "the manager has no endpoint now"
                                     : "the manager gives no ticket");
        return;
    }
    s->direct.ticket = json_parse_text(body, len, NULL);
    s->direct.tried = 0;
    *s->direct.failure = '\0';
    try_endpoint(s);
}

static bool is_wanted(const struct session *s)
{
    const struct session_direct *d = &s->direct;

    return d->offered && s->current && !d->next && !d->ask && !d->ticket &&
           (!d->current || d->current->draining);
}

void session_direct_update(struct session *s)
{
    struct direct_ask *ask;

    if (!is_wanted(s))
        return;
    uv_timer_stop(s->direct.retry);
    ask = calloc(1, sizeof(*ask));
    if (!ask) {
        retry_later(s, "out of memory");
        return;
    }
    ask->s = s;
    s->direct.ask = ask;
    if (tunnel_request(link_tunnel(s->current->link), "POST", TICKET, "{}",
                       answered_cb, ask) == 0)
        return;
    forget_ticket(&s->direct);
    free(ask);
    retry_later(s, "the link does not take the request");
}

void session_direct_retry_cb(uv_timer_t *timer)
{
    session_direct_update(timer->data);
}

void session_direct_drop(struct session *s)
{
    struct session_direct *d = &s->direct;

    uv_timer_stop(d->retry);
    forget_ticket(d);
    session_link_drop(&d->next);
    session_link_drop(&d->current);
    session_former_drop(&d->former);
    d->attempts = 0;
    *d->error = '\0';
}

/* ---- status -------------------------------------------------------------- */

struct json_object *session_direct_status(const struct session *s)
{
    const struct session_direct *d = &s->direct;
    struct json_object *obj;
    struct tunnel_stats stats;

    if (!d->offered && !d->current)
        return NULL;
    obj = json_object_new_object();
    json_put_str(obj, "state", d->current ? "up" : "none");
    json_put_str(obj, "error", *d->error ? d->error : NULL);
    if (!d->current)
        return obj;
    tunnel_get_stats(link_tunnel(d->current->link), &stats);
    json_put_str(obj, "endpoint", d->endpoint);
    json_put_int(obj, "since", d->since);
    if (stats.rtt_us >= 0)
        json_put_int(obj, "rttUs", stats.rtt_us);
    return obj;
}
