#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/session_internal.h"

/* After an API server's restart, rights and APIs appear one by one: an answer
 * that is final at first must be repeated for so long after a working link.
 * What somebody on the way says (a hotel's certificate) is never final then. */
#define SETTLE_MS 60000

/* A manager that is replaced has its successor by then: some 2 s. */
#define DRAINED_ATTEMPTS 4

static uint32_t random32(void)
{
    uint32_t value = 0;

    while (getrandom(&value, sizeof(value), 0) != sizeof(value))
        ;
    return value;
}

void session_drop_links(struct session *s)
{
    session_use_tunnel(s, NULL);
    session_incoming_drop(s);
    session_direct_drop(s);
    session_use_links(s);
    session_link_drop(&s->next);
    session_link_drop(&s->current);
    session_former_drop(&s->former);
}

static void schedule_retry(struct session *s)
{
    uint64_t delay = session_backoff_ms(s->attempts++, random32());

    s->retry_ms = uv_now(s->env.loop) + delay;
    uv_timer_start(s->retry, session_retry_cb, delay, 0);
}

static void wait_for_retry(struct session *s, const char *code,
                           const char *text)
{
    schedule_retry(s);
    session_enter(s, SESSION_WAITING, code, text);
}

/* Whether an answer that says "never" is to be believed now. */
static bool is_final(struct session *s, const struct link_failure *f)
{
    uint64_t now = uv_now(s->env.loop);

    if (!f->permanent && !(f->unauthorized && !s->config.exec)) {
        s->never_ms = 0;
        return false;
    }
    if (!s->was_connected)
        return true;
    if (!strcmp(f->code, "not-installed")) /* it was, and may be again */
        return false;
    if (s->never_ms == 0)
        s->never_ms = now;
    return f->from_server && now - s->never_ms > SETTLE_MS;
}

/* Its conversations go on until the manager ends it. */
static void retire_current(struct session *s)
{
    struct session_link *sl = s->current;

    s->current = NULL;
    if (!sl)
        return;
    session_former_add(&s->former, sl);
    link_retire(sl->link);
}

/* A drained link takes nothing new: who has no other is not connected. */
static bool is_of_use(const struct session *s)
{
    return s->current &&
           !(s->current->draining && s->attempts >= DRAINED_ATTEMPTS);
}

/* Whom the API server lets in no more has no way around it either. */
static void be_refused(struct session *s, const char *code, const char *text)
{
    session_direct_drop(s);
    session_use_links(s);
    session_enter(s, SESSION_REFUSED, code, text);
}

static void attempt_failed(struct session *s, const struct link_failure *f)
{
    if (f->unauthorized)
        session_need_credentials(s);
    if (is_of_use(s)) {
        log_warn("no new link: %s", f->text);
        schedule_retry(s);
    } else if (s->current) {
        retire_current(s);
        session_use_tunnel(s, NULL);
        wait_for_retry(s, f->code, f->text);
    } else if (f->unauthorized && *s->helper_error) {
        be_refused(s, f->code, s->helper_error);
    } else if (is_final(s, f)) {
        be_refused(s, f->code, f->text);
    } else {
        wait_for_retry(s, f->code, f->text);
    }
}

static void failed_cb(void *arg, const struct link_failure *f)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    struct link_failure copy = *f;

    session_link_drop(&s->next);
    attempt_failed(s, &copy);
}

static void take_manager(struct session *s, struct json_object *hello)
{
    json_object_put(s->manager);
    s->manager = json_object_new_object();
    json_put_str(s->manager, "version", json_get_str(hello, "version", NULL));
    json_put_int(s->manager, "protocol", json_get_int(hello, "protocol", 0));
    free(s->user);
    s->user = strdup(json_get_str(hello, "info.user", ""));
    s->can_engage =
        json_array_has(json_get_array(hello, "features"), "engagements");
}

static void ready_cb(void *arg, struct json_object *hello)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    struct tp_error err = {0};

    retire_current(s);
    s->current = sl;
    s->next = NULL;
    if (s->was_connected)
        s->reconnects++;
    s->websocket = link_is_websocket(sl->link);
    s->link_since = time(NULL);
    s->attempts = 0;
    take_manager(s, hello);
    if (session_apply(s, json_get(hello, "info"), &err) < 0) {
        session_drop_links(s);
        if (s->state == SESSION_CONNECTED)
            session_enter(s, SESSION_WAITING, "internal", err.text);
        session_enter(s, SESSION_REFUSED, "internal", err.text);
        return;
    }
    session_use_tunnel(s, link_tunnel(sl->link));
    s->was_connected = true;
    s->never_ms = 0;
    if (s->state != SESSION_CONNECTED)
        session_enter(s, SESSION_CONNECTED, NULL, NULL);
    session_incoming_update(s);
    session_direct_update(s);
}

static void event_cb(void *arg, struct json_object *event)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    const char *type = json_get_str(event, "type", "");
    struct tp_error err = {0};

    if (sl != s->current)
        return;
    if (!strcmp(type, "info")) {
        if (session_apply(s, json_get(event, "info"), &err) < 0)
            log_error("the cluster's new data cannot be applied: %s", err.text);
        session_direct_update(s);
        session_notify(s);
    } else if (!strcmp(type, "engagement")) {
        if (s->engagements)
            s->engagements->event_cb(s->engagements_arg,
                                     json_get(event, "engagement"));
    } else if (!strcmp(type, "renew") && !s->next) {
        log_info("the link is old: making a new one");
        session_dial(s);
    } else if (!strcmp(type, "drain") && !s->next) {
        sl->draining = true;
        log_info("the manager ends the link soon: making a new one");
        session_dial(s);
    }
}

static void closed_cb(void *arg, const char *why)
{
    struct session_link *sl = arg;
    struct session *s = sl->s;
    char text[400];

    if (session_former_ended(&s->former, sl))
        return;
    snprintf(text, sizeof(text), "the link to the cluster is lost: %s", why);
    session_use_tunnel(s, NULL);
    session_link_drop(&s->current);
    s->attempts = 0; /* those before were made beside a link that worked */
    if (!s->next) {
        wait_for_retry(s, "unreachable", text);
        return;
    }
    session_enter(s, SESSION_WAITING, "unreachable", text);
    session_enter(s, SESSION_CONNECTING, NULL, NULL);
}

static const struct link_ops link_ops = {
    .ready_cb = ready_cb,
    .failed_cb = failed_cb,
    .event_cb = event_cb,
    .closed_cb = closed_cb,
};

static int create_link(struct session *s, struct tp_error *err)
{
    struct link_config config = {
        .websocket = s->websocket,
        .timeout_ms = s->info.connect_timeout_ms,
    };

    s->next = session_link_create(s, &config, &link_ops, err);
    return s->next ? 0 : err->code;
}

/* Credentials that have ended are not sent: the helper is asked instead. */
static bool credentials_are_stale(const struct session *s)
{
    return s->config.exec && s->config.expires > 0 &&
           s->config.expires <= time(NULL);
}

void session_dial(struct session *s)
{
    struct tp_error err = {0};
    struct link_failure f = {.code = "invalid", .permanent = true};

    if (s->next)
        return;
    if (s->state != SESSION_CONNECTED)
        session_enter(s, SESSION_CONNECTING, NULL, NULL);
    if (credentials_are_stale(s)) {
        f = (struct link_failure){.code = "unauthorized", .unauthorized = true};
        snprintf(f.text, sizeof(f.text),
                 "the credentials have expired; waiting for fresh ones");
        attempt_failed(s, &f);
        return;
    }
    if (create_link(s, &err) < 0) {
        snprintf(f.text, sizeof(f.text), "%s", err.text);
        attempt_failed(s, &f);
    }
}

void session_retry_cb(uv_timer_t *timer)
{
    session_dial(timer->data);
}
