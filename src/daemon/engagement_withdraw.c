/*
 * engagement_withdraw.c - engagements that the manager is to end
 *
 * Who detaches is not to wait for a link that is lost, and the workload is not
 * to stay engaged for that: what was withdrawn is remembered, also for the next
 * tp-daemon, until the manager has answered. Each new link is asked what else
 * it has of this session: the manager's table must not hold what this one does
 * not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "daemon/session.h"

struct withdrawal {
    TAILQ_ENTRY(withdrawal) entry;
    char id[ENGAGEMENT_ID_LEN + 1];
    char name[254]; /* "": it was left over */
    bool asking;    /* a DELETE is under way */
    bool known;     /* the manager brings it about: the end comes as an event */
};

/* A DELETE under way; its withdrawal may be gone when the answer comes. */
struct ask {
    struct engagements *e;
    char id[ENGAGEMENT_ID_LEN + 1];
};

/* ---- the list ---- */

static struct withdrawal *find(const struct engagements *e, const char *id)
{
    struct withdrawal *w;

    TAILQ_FOREACH(w, &e->withdrawals, entry)
    {
        if (!strcmp(w->id, id))
            return w;
    }
    return NULL;
}

static void drop(struct engagements *e, struct withdrawal *w)
{
    TAILQ_REMOVE(&e->withdrawals, w, entry);
    e->withdrawal_count--;
    free(w);
}

static struct withdrawal *remember(struct engagements *e, const char *id,
                                   const char *name)
{
    struct withdrawal *w = find(e, id);

    if (w)
        return w;
    if (e->withdrawal_count == WITHDRAWALS_MAX) {
        log_warn("too many engagements to end: %s is forgotten",
                 TAILQ_FIRST(&e->withdrawals)->id);
        drop(e, TAILQ_FIRST(&e->withdrawals));
    }
    w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    snprintf(w->id, sizeof(w->id), "%s", id);
    snprintf(w->name, sizeof(w->name), "%s", name);
    TAILQ_INSERT_TAIL(&e->withdrawals, w, entry);
    e->withdrawal_count++;
    return w;
}

void engagement_withdrawals_free(struct engagements *e)
{
    while (!TAILQ_EMPTY(&e->withdrawals))
        drop(e, TAILQ_FIRST(&e->withdrawals));
}

static struct json_object *describe(const struct withdrawal *w)
{
    struct json_object *obj = json_object_new_object();

    json_put_str(obj, "id", w->id);
    json_put_str(obj, "name", w->name);
    return obj;
}

struct json_object *engagements_withdrawn(const struct engagements *e)
{
    struct json_object *array = json_object_new_array();
    const struct withdrawal *w;

    TAILQ_FOREACH(w, &e->withdrawals, entry)
    {
        if (!engagements_by_id(e, w->id)) /* else it is in the table */
            json_object_array_add(array, describe(w));
    }
    return array;
}

void engagement_withdrawals_keep(const struct engagements *e,
                                 struct json_object *array)
{
    const struct withdrawal *w;

    TAILQ_FOREACH(w, &e->withdrawals, entry)
    {
        struct json_object *item = describe(w);

        json_object_object_add(item, "withdrawn",
                               json_object_new_boolean(true));
        json_object_array_add(array, item);
    }
}

static bool is_id(const char *text)
{
    return strlen(text) == ENGAGEMENT_ID_LEN &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") ==
               ENGAGEMENT_ID_LEN;
}

bool engagement_withdrawal_resume(struct engagements *e,
                                  struct json_object *kept)
{
    const char *id = json_get_str(kept, "id", "");

    if (!json_get_bool(kept, "withdrawn", false))
        return false;
    if (is_id(id))
        remember(e, id, json_get_str(kept, "name", ""));
    return true;
}

/* ---- DELETE ---- */

/* Another 4xx would be said again and again: 404 is what was wanted. */
static bool is_answer(int status)
{
    return status >= 200 && status < 500 && status != 429;
}

/* What the manager has said ends it, or promises to. */
static void take_answer(struct engagements *e, struct withdrawal *w, int status)
{
    w->known = status == 202 && engagements_by_id(e, w->id);
    if (w->known)
        return;
    if (is_answer(status))
        engagement_withdrawn(e, w->id);
    else
        engagements_retry(e); /* the link may be another one by now */
}

static void withdrawn_cb(void *arg, int status, const char *body, size_t len)
{
    cleanup_free struct ask *ask = arg;
    struct withdrawal *w = find(ask->e, ask->id);

    (void)body;
    (void)len;
    if (status >= 400 && status != 404)
        log_warn("the manager has not ended engagement %s: %d", ask->id,
                 status);
    if (!w)
        return;
    w->asking = false;
    take_answer(ask->e, w, status);
}

void engagement_withdrawn(struct engagements *e, const char *id)
{
    struct withdrawal *w = find(e, id);
    struct engagement *eng = engagements_by_id(e, id);

    if (!w)
        return;
    drop(e, w);
    if (eng)
        engagement_over(eng, "detached");
    engagements_keep(e);
}

static void send_delete(struct engagements *e, struct withdrawal *w)
{
    char path[sizeof(PATH_ENGAGEMENTS) + ENGAGEMENT_ID_LEN + 2];
    struct ask *ask = calloc(1, sizeof(*ask));

    if (!ask)
        return;
    ask->e = e;
    memcpy(ask->id, w->id, sizeof(ask->id));
    snprintf(path, sizeof(path), PATH_ENGAGEMENTS "/%s", w->id);
    w->asking = true;
    if (tunnel_request(e->tunnel, "DELETE", path, NULL, withdrawn_cb, ask) == 0)
        return;
    w->asking = false;
    engagements_retry(e);
    free(ask);
}

void engagement_withdraw(struct engagements *e, const char *id,
                         const char *name)
{
    struct withdrawal *w = remember(e, id, name);

    engagements_keep(e);
    if (w && e->tunnel && !w->asking && !w->known)
        send_delete(e, w);
}

enum engagement_end engagements_end(const struct engagements *e, const char *id)
{
    enum engagement_end end = ENGAGEMENT_OVER;
    const struct withdrawal *w;

    TAILQ_FOREACH(w, &e->withdrawals, entry)
    {
        if (id && strcmp(w->id, id) != 0)
            continue;
        if (!e->tunnel)
            return ENGAGEMENT_UNLINKED;
        if (!w->known)
            return ENGAGEMENT_UNTOLD;
        end = ENGAGEMENT_RESTORING;
    }
    return end;
}

void engagement_withdraw_all(struct engagements *e, bool new_link)
{
    struct withdrawal *w;

    TAILQ_FOREACH(w, &e->withdrawals, entry)
    {
        w->known = w->known && !new_link;
        if (!w->asking && !w->known)
            send_delete(e, w);
    }
}

/* ---- what was left over ---- */

static void listed_cb(void *arg, int status, const char *body, size_t len)
{
    struct engagements *e = arg;
    cleanup_json struct json_object *answer =
        status == 200 ? json_parse_text(body, len, NULL) : NULL;
    struct json_object *list = json_get_array(answer, "engagements");

    for (size_t i = 0; i < json_array_len(list); i++) {
        const char *id =
            json_get_str(json_object_array_get_idx(list, i), "id", "");

        if (!is_id(id) || engagements_by_id(e, id) || find(e, id))
            continue;
        log_info("engagement %s was left over in the cluster: it ends", id);
        engagement_withdraw(e, id, "");
    }
}

void engagement_reconcile(struct engagements *e)
{
    tunnel_request(e->tunnel, "GET", PATH_ENGAGEMENTS, NULL, listed_cb, e);
}
