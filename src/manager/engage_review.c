/*
 * engage_review.c - is the right still there? (SECURITY 16)
 *
 * The replica that looks after the session asks for each of its engagements at
 * least once a minute. A right that is gone ends it, and so does one that
 * nobody could confirm for five minutes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "manager/authorize.h"
#include "manager/engage_internal.h"

#define AT_ONCE 4 /* reviews that one tick begins */

struct review {
    struct engagements *e;
    char id[ENGAGEMENT_ID_LEN + 1];
};

void engage_right(const struct engagement *eng, const char *subresource,
                  struct right *right, char name[320])
{
    const struct workload_kind *kind = workload_kind_find(eng->workload.kind);

    snprintf(name, 320, "%s.%s", kind ? kind->resource : "",
             eng->workload.name);
    *right = (struct right){
        .group = "tp.internal",
        .resource = "engagements",
        .subresource = subresource,
        .ns = eng->workload.ns,
        .name = name,
    };
}

static void schedule(struct engagements *e, struct eng *eng)
{
    eng->review_due = uv_now(e->env.loop) + REVIEW_EACH_MS +
                      (uint64_t)rand() % REVIEW_SPREAD_MS;
}

static void end_without_right(struct engagements *e, struct eng *eng)
{
    char name[320], text[400], message[ENGAGE_TEXT];
    struct right right;

    engage_right(&eng->pub, engagement_type_name(eng->pub.type), &right, name);
    right_format(&right, text, sizeof(text));
    snprintf(message, sizeof(message), "the right to %.270s is gone", text);
    engage_audit(&eng->pub, "review", false, message);
    engage_end(e, eng, "revoke", message, NULL);
}

static void judge(struct engagements *e, struct eng *eng, int status)
{
    uint64_t now = uv_now(e->env.loop);

    if (eng->ending)
        return;
    if (status == -EACCES) {
        end_without_right(e, eng);
    } else if (status == 0) {
        eng->failing_since = 0;
    } else if (!eng->failing_since) {
        eng->failing_since = now;
    } else if (now - eng->failing_since >= REVIEW_FAIL_MS) {
        engage_end(e, eng, "revoke",
                   "the right could not be confirmed for 5 minutes", NULL);
    }
}

static void reviewed_cb(void *arg, int status)
{
    struct review *r = arg;
    struct eng *eng = store_find(r->e, r->id);

    if (eng) {
        eng->review = NULL;
        schedule(r->e, eng);
        if (!r->e->closing)
            judge(r->e, eng, status);
    }
    free(r);
}

static void start(struct engagements *e, struct eng *eng)
{
    struct review *r = calloc(1, sizeof(*r));
    char name[320];
    struct right right;

    schedule(e, eng); /* again, if this cannot be begun */
    if (!r)
        return;
    r->e = e;
    snprintf(r->id, sizeof(r->id), "%s", eng->pub.id);
    engage_right(&eng->pub, engagement_type_name(eng->pub.type), &right, name);
    eng->review = authorize_right(e->env.api, e->env.metrics, &eng->pub.who,
                                  &right, reviewed_cb, r);
    if (!eng->review)
        free(r);
}

void engage_review_tick(struct engagements *e)
{
    uint64_t now = uv_now(e->env.loop);
    int begun = 0;
    struct eng *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!eng->review_due)
            schedule(e, eng);
        if (e->closing || begun >= AT_ONCE || eng->review || eng->ending ||
            now < eng->review_due ||
            !engage_session_is_ours(e, eng->pub.session))
            continue;
        start(e, eng);
        begun++;
    }
}
