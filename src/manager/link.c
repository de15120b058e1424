/*
 * link.c - one link from its upgrade to its end
 *
 * CONNECTED  the client has 20 s for its hello, or for the answer to ours
 *            (incoming); nothing else is answered
 * GREETED    streams are dialled, or opened towards the client (incoming); the
 * user's right is asked for again each minute, and a link whose right is gone,
 * or has not been confirmed for five minutes, ends closing    the tunnel is
 * gone; the memory goes when the timer is closed
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents.h"
#include "manager/audit.h"
#include "manager/authorize.h"
#include "manager/direct.h"
#include "manager/engagements.h"
#include "manager/info.h"
#include "manager/link_internal.h"
#include "manager/metrics.h"
#include "manager/parts.h"
#include "net/limit.h"

#define HELLO_MS        20000
#define REVIEW_MS       50000
#define REVIEW_SPREAD   10000 /* so that links do not ask all at once */
#define REVIEW_GRACE_MS 300000

/* A busy build opens thousands of connections a second and is no attack. */
#define DIALS_PER_S   10000
#define DENIALS_PER_S 10
#define DENIALS_BURST 50

static void audit_link(const struct link *link, const char *verb, bool allowed,
                       const char *reason)
{
    static const char *const names[] = {
        [LINK_OUTGOING] = "link",
        [LINK_INCOMING] = "incoming link",
        [LINK_DIRECT] = "direct link",
    };

    audit_write(&(struct audit_event){
        .event = names[link->direction],
        .who = &link->who,
        .verb = verb,
        .ns = link->ns,
        .name = link->name,
        .allowed = allowed,
        .reason = reason,
    });
}

/* Sessions come and go by links, and agents are told of those engagements only
 * whose incoming link is here. */
static void tell_parts(const struct link *link)
{
    const struct parts *parts = link->links->env.parts;

    if (parts && parts->agents && link->direction == LINK_INCOMING)
        agents_announce(parts->agents);
    if (parts && parts->engagements)
        engagements_poke(parts->engagements);
}

/* ---- the end
 * ----------------------------------------------------------------- */

static void timer_closed_cb(uv_handle_t *handle)
{
    struct link *link = handle->data;

    if (--link->handles > 0)
        return;
    identity_release(&link->who);
    free(link);
}

static void link_end(struct link *link, bool allowed, const char *reason)
{
    struct links *links = link->links;
    struct metrics *metrics = links->env.metrics;
    struct tunnel_stats stats;

    if (link->closing)
        return;
    link->closing = true;
    audit_link(link, "close", allowed, reason);
    authorize_cancel(link->review);
    link->review = NULL;
    TAILQ_REMOVE(&links->list, link, entry);
    links->count--;
    tunnel_get_stats(link->tunnel, &stats);
    metrics->bytes_in += stats.bytes_in;
    metrics->bytes_out += stats.bytes_out;
    tunnel_destroy(link->tunnel);
    uv_close((uv_handle_t *)&link->timer, timer_closed_cb);
    uv_close((uv_handle_t *)&link->age, timer_closed_cb);
    tell_parts(link);
}

void link_drain(struct link *link)
{
    if (link->drained || link->closing)
        return;
    link->drained = true;
    tunnel_drain(link->tunnel);
    tell_parts(link);
}

bool link_is_retired(const struct link *link)
{
    return link->direction == LINK_INCOMING && !link->drained &&
           tunnel_is_draining(link->tunnel);
}

/* ---- authorization again ------------------------------------------------- */

static void review_timer_cb(uv_timer_t *timer);

static void schedule_review(struct link *link)
{
    uint64_t spread = (uint64_t)rand() % REVIEW_SPREAD;

    uv_timer_start(&link->timer, review_timer_cb, REVIEW_MS + spread, 0);
}

static void reviewed_cb(void *arg, int status)
{
    struct link *link = arg;
    uint64_t now = uv_now(link->links->env.loop);

    link->review = NULL;
    if (status == -EACCES) {
        link_end(link, false, "the right to create connections is gone");
        return;
    }
    if (status == 0)
        link->failing_since = 0;
    else if (link->failing_since == 0)
        link->failing_since = now;
    else if (now - link->failing_since >= REVIEW_GRACE_MS) {
        link_end(link, false, "the right could not be confirmed for 5 minutes");
        return;
    }
    schedule_review(link);
}

static void review_timer_cb(uv_timer_t *timer)
{
    struct link *link = timer->data;
    const struct links_env *env = &link->links->env;

    link->review = authorize_start(env->api, env->metrics, &link->who, link->ns,
                                   reviewed_cb, link);
    if (!link->review)
        reviewed_cb(link, -ENOMEM);
}

void link_greeted(struct link *link)
{
    if (link->greeted)
        return;
    link->greeted = true;
    schedule_review(link);
    links_greeted(link);
    tell_parts(link);
}

/* ---- requests -------------------------------------------------------------
 */

static void hello_late_cb(uv_timer_t *timer)
{
    link_close(timer->data, "no hello within 20 s");
}

static int answer_hello(struct link *link, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    cleanup_free char *answer = NULL;
    int status = info_answer_hello(link->links->env.info, link->ns, &link->who,
                                   open->body, open->body_len, &answer);

    if (!answer)
        return -ENOMEM;
    if (status == 200)
        link_greeted(link);
    return tunnel_stream_respond(s, status, answer);
}

static int answer_info(struct link *link, struct tunnel_stream *s)
{
    cleanup_json struct json_object *info =
        info_to_json(link->links->env.info, link->ns, &link->who);

    return tunnel_stream_respond(s, 200, json_to_text(info));
}

/* True if it is one of engagements', and answered. */
static bool answer_engagements(struct link *link, struct tunnel_stream *s,
                               const struct tunnel_open *open)
{
    const struct parts *parts = link->links->env.parts;

    return parts && parts->engagements &&
           engagements_request(parts->engagements, link, s, open);
}

static int answer_request(struct link *link, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    bool get = !strcmp(open->method, "GET");

    if (!strcmp(open->path, "/tp/v1/hello") && !strcmp(open->method, "POST"))
        return answer_hello(link, s, open);
    if (!link->greeted)
        return tunnel_stream_respond(
            s, 400, "{\"error\":\"the first request must be hello\"}");
    if (!strcmp(open->path, "/tp/v1/info") && get)
        return answer_info(link, s);
    if (!strcmp(open->path, "/tp/v1/events") && get)
        return link_events_open(link, s);
    /* What a session wants is said where the API server has let it in. */
    if (link->direction == LINK_DIRECT)
        return tunnel_stream_respond(s, 404,
                                     "{\"error\":\"not on a direct "
                                     "link\"}");
    if (!strcmp(open->path, "/tp/v1/ticket") && !strcmp(open->method, "POST"))
        return link_ticket(link, s);
    if (answer_engagements(link, s, open))
        return 0;
    return tunnel_stream_respond(s, 404, "{\"error\":\"no such request\"}");
}

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    struct link *link = arg;

    if (open->kind == TUNNEL_REQUEST)
        return answer_request(link, s, open);
    if (!link->greeted)
        return -EINVAL;
    if (open->name)
        return link_to_pod(link, s, open);
    return link_dial(link, s, open);
}

/* ---- life ------------------------------------------------------------------
 */

static void tunnel_closed_cb(void *arg, int status, const char *why)
{
    struct link *link = arg;

    link_close(link, why && *why   ? why
                     : status == 0 ? "ended by the client"
                                   : strerror(-status));
}

static const struct tunnel_ops outgoing_ops = {
    .open_cb = open_cb,
    .closed_cb = tunnel_closed_cb,
};

static const struct tunnel_ops incoming_ops = {.closed_cb = tunnel_closed_cb};

void link_close(struct link *link, const char *reason)
{
    link_end(link, true, reason);
}

static bool link_init(struct link *link, struct links *links,
                      const struct identity *who, const char *ns,
                      const char *name)
{
    uint64_t now = uv_now(links->env.loop);

    if (identity_copy(&link->who, who) < 0)
        return false;
    link->links = links;
    snprintf(link->ns, sizeof(link->ns), "%s", ns);
    snprintf(link->name, sizeof(link->name), "%s", name);
    bucket_init(&link->dials, DIALS_PER_S, DIALS_PER_S, now);
    bucket_init(&link->denials, DENIALS_PER_S, DENIALS_BURST, now);
    dial_share_init(&link->share);
    events_init(&link->events);
    return true;
}

/* NULL if out of memory; owns stream in any case. */
static struct tunnel *create_tunnel(struct link *link, struct stream *stream)
{
    const struct links_env *env = &link->links->env;
    bool incoming = link->direction == LINK_INCOMING;
    uint64_t rate =
        link->direction == LINK_DIRECT ? env->direct_rate : env->rate;
    struct tunnel_config config = {
        .role = incoming ? TUNNEL_CLIENT : TUNNEL_SERVER,
        .names = incoming ? TUNNEL_ADDRESSES : TUNNEL_BOTH,
    };

    if (rate)
        stream = limit_create(stream, rate);
    if (!stream)
        return NULL;
    return tunnel_create(env->loop, stream, &config,
                         incoming ? &incoming_ops : &outgoing_ops, link);
}

static uint64_t last_id;

struct link *link_create(struct links *links, const struct identity *who,
                         const char *ns, const char *name,
                         enum link_direction direction, struct stream *stream)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link || !link_init(link, links, who, ns, name)) {
        free(link);
        stream_close(stream, NULL, NULL);
        return NULL;
    }
    link->direction = direction;
    link->id = ++last_id;
    link->tunnel = create_tunnel(link, stream);
    if (!link->tunnel) {
        identity_release(&link->who);
        free(link);
        return NULL;
    }
    links->count++;
    links->env.metrics->links_total++;
    TAILQ_INSERT_TAIL(&links->list, link, entry);
    uv_timer_init(links->env.loop, &link->timer);
    link->timer.data = link;
    uv_timer_start(&link->timer, hello_late_cb, HELLO_MS, 0);
    link_age_start(link);
    link->handles = 2;
    audit_link(link, "open", true, NULL);
    if (direction == LINK_INCOMING && link_incoming_start(link) < 0) {
        link_close(link, "out of memory");
        return NULL;
    }
    return link;
}
