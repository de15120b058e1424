/*
 * session_incoming.c - the link on which the manager opens streams
 *
 * One is kept while engagements want it and the outgoing link works
 * (credentials and reachability are that one's matter). It may lie on another
 * replica. A manager that goes says so, and the next link is made before this
 * one ends: agents go to the replica that has the newest one. The former one
 * takes streams until its manager has told its agents, and keeps them. When the
 * last engagement ends, the link takes no more of them, and goes by itself
 * after those that it has.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/session_internal.h"

static void dial(struct session *s);

static void retry_later(struct session *s)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = 0;
    uv_timer_start(s->incoming_retry, session_incoming_retry_cb,
                   session_backoff_ms(s->incoming_attempts++, random), 0);
}

static void tell(struct session *s)
{
    if (s->engagements)
        s->engagements->incoming_cb(s->engagements_arg);
}

static void failed_cb(void *arg, const struct link_failure *f)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;

    snprintf(s->incoming_error, sizeof(s->incoming_error), "%s", f->text);
    log_warn("no incoming link: %s", s->incoming_error);
    if (f->unauthorized)
        session_need_credentials(s);
    session_link_drop(&s->incoming_next);
    retry_later(s);
    tell(s);
}

static void ready_cb(void *arg, struct json_object *hello)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;

    (void)hello;
    if (s->incoming)
        session_former_add(&s->incoming_former, s->incoming);
    s->incoming = sl;
    s->incoming_next = NULL;
    s->incoming_attempts = 0;
    s->incoming_websocket = link_is_websocket(sl->link);
    *s->incoming_error = '\0';
    log_info("incoming link is there");
    tell(s);
}

static void event_cb(void *arg, struct json_object *event)
{
    struct session_link *sl = arg;

    if (sl == sl->s->incoming &&
        !strcmp(json_get_str(event, "type", ""), "drain"))
        dial(sl->s);
}

static void closed_cb(void *arg, const char *why)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;

    if (session_former_ended(&s->incoming_former, sl))
        return;
    snprintf(s->incoming_error, sizeof(s->incoming_error), "%s", why);
    log_warn("the incoming link is lost: %s", s->incoming_error);
    session_link_drop(&s->incoming);
    if (!s->incoming_next)
        retry_later(s);
    tell(s);
}

static int open_cb(void *arg, struct tunnel_stream *stream,
                   const struct tunnel_open *open)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;

    return s->engagements
               ? s->engagements->open_cb(s->engagements_arg, stream, open)
               : -ECONNREFUSED;
}

static const struct link_ops incoming_ops = {
    .ready_cb = ready_cb,
    .open_cb = open_cb,
    .failed_cb = failed_cb,
    .event_cb = event_cb,
    .closed_cb = closed_cb,
};

static bool may_dial(const struct session *s)
{
    return s->incoming_wanted && s->state == SESSION_CONNECTED &&
           s->can_engage && !s->incoming_next;
}

static void dial(struct session *s)
{
    struct link_config config = {
        .websocket = s->incoming_websocket,
        .direction = LINK_INCOMING,
        .timeout_ms = s->info.connect_timeout_ms,
    };
    struct tp_error err = {0};

    if (!may_dial(s))
        return;
    s->incoming_next = session_link_create(s, &config, &incoming_ops, &err);
    if (s->incoming_next)
        return;
    log_warn("incoming link: %s", err.text);
    retry_later(s);
}

void session_incoming_retry_cb(uv_timer_t *timer)
{
    dial(timer->data);
}

void session_incoming_drop(struct session *s)
{
    uv_timer_stop(s->incoming_retry);
    session_link_drop(&s->incoming_next);
    session_link_drop(&s->incoming);
    session_former_drop(&s->incoming_former);
}

static void retire(struct session *s)
{
    struct session_link *sl = s->incoming;

    uv_timer_stop(s->incoming_retry);
    session_link_drop(&s->incoming_next);
    s->incoming = NULL;
    if (!sl)
        return;
    session_former_add(&s->incoming_former, sl);
    link_retire(sl->link);
}

void session_incoming_update(struct session *s)
{
    if (!s->incoming_wanted)
        retire(s);
    else if (!s->incoming)
        dial(s);
}

void session_want_incoming(struct session *s, bool want)
{
    if (s->incoming_wanted == want)
        return;
    s->incoming_wanted = want;
    s->incoming_attempts = 0;
    session_incoming_update(s);
}

bool session_has_incoming(const struct session *s)
{
    return s->incoming != NULL;
}

const char *session_incoming_error(const struct session *s)
{
    return s->incoming_error;
}
