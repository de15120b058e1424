/*
 * engage_store.c - what the watches have brought
 *
 * Objects come from the watch, and, earlier, in the answers to what this
 * replica itself has written. The newer resourceVersion wins; an answer that
 * the watch has overtaken must not bring back what is deleted, so answers older
 * than the newest thing that the watch has said are not taken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/watch.h"
#include "manager/agents.h"
#include "manager/engage_internal.h"

enum { OF_ENGAGEMENTS, OF_SESSIONS };

/* ---- look-up --------------------------------------------------------------
 */

static unsigned bucket_of(const char *id)
{
    unsigned hash = 2166136261u;

    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * 16777619u;
    return hash % ENGAGE_BUCKETS;
}

struct eng *store_find(const struct engagements *e, const char *id)
{
    struct eng *eng;

    LIST_FOREACH(eng, &e->buckets[bucket_of(id)], hash)
    {
        if (!strcmp(eng->pub.id, id))
            return eng;
    }
    return NULL;
}

struct sess *store_session(const struct engagements *e, const char *name)
{
    struct sess *s;

    LIST_FOREACH(s, &e->sessions, entry)
    {
        if (!strcmp(s->cr.name, name))
            return s;
    }
    return NULL;
}

size_t store_count_session(const struct engagements *e, const char *session)
{
    const struct eng *eng;
    size_t n = 0;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        n += !strcmp(eng->pub.session, session);
    }
    return n;
}

/* ---- who is told ----------------------------------------------------------
 */

static void tell_agents(struct engagements *e)
{
    if (e->env.parts->agents && !e->closing)
        agents_announce(e->env.parts->agents);
}

static void tell_client(struct engagements *e, const struct eng *eng,
                        const char *message)
{
    cleanup_json struct json_object *event = NULL;

    /* The answer to its POST comes first. */
    if (e->closing || !e->env.parts->links ||
        engage_is_creating(e, eng->pub.id))
        return;
    event = json_object_new_object();
    json_put_str(event, "type", "engagement");
    json_object_object_add(
        event, "engagement",
        engagement_to_client(eng->object, &eng->pub, message));
    engage_links_send(e->env.parts->links, &eng->pub, json_to_text(event));
}

/* ---- engagements ----------------------------------------------------------
 */

static struct eng *add(struct engagements *e, const char *id)
{
    struct eng *eng = calloc(1, sizeof(*eng));

    if (!eng)
        return NULL;
    LIST_INSERT_HEAD(&e->buckets[bucket_of(id)], eng, hash);
    TAILQ_INSERT_TAIL(&e->list, eng, entry);
    e->count++;
    return eng;
}

static void forget(struct engagements *e, struct eng *eng)
{
    LIST_REMOVE(eng, hash);
    TAILQ_REMOVE(&e->list, eng, entry);
    e->count--;
    engagement_release(&eng->pub);
    json_object_put(eng->object);
    engage_destinations_free(eng);
    free(eng);
}

void store_end(struct engagements *e, struct eng *eng, const char *message)
{
    if (eng->gone)
        return;
    if (!eng->was_ready)
        engage_janitor_given_up(e, eng);
    eng->gone = eng->ending = true;
    eng->driven = false;
    eng->pub.phase = ENGAGEMENT_ENDED;
    janitor_survey_note(e, &eng->pub);
    tell_client(e, eng, message);
    tell_agents(e);
    e->janitor_due = 0; /* a container that was replaced comes back */
    engage_wake(e, POKE_MS);
}

static void remove_entry(struct engagements *e, struct eng *eng,
                         const char *message)
{
    store_end(e, eng, message);
    forget(e, eng);
}

static void take(struct engagements *e, struct eng *eng,
                 struct engagement *parsed, struct json_object *obj)
{
    engagement_release(&eng->pub);
    eng->pub = *parsed;
    eng->was_ready = eng->was_ready || eng->pub.phase == ENGAGEMENT_READY;
    json_object_put(eng->object);
    eng->object = json_object_get(obj);
    json_object_object_del(json_get(eng->object, "metadata"), "managedFields");
    eng->version = object_version(obj);
    tell_client(e, eng, NULL);
    tell_agents(e);
}

static const char *last_words(struct json_object *obj)
{
    const char *text = json_get_str(obj, "status.message", "");

    return !strcmp(json_get_str(obj, "status.phase", ""), "ended") && *text
               ? text
               : "it was deleted";
}

static void put(struct engagements *e, struct json_object *obj)
{
    struct tp_error err = {0};
    struct engagement parsed;
    struct eng *eng;

    if (engagement_parse(&parsed, obj, &err) < 0) {
        log_warn("%s", err.text);
        engagement_release(&parsed);
        return;
    }
    eng = store_find(e, parsed.id);
    if (eng)
        eng->seen = true;
    if (eng && (eng->gone || object_version(obj) <= eng->version)) {
        engagement_release(&parsed);
    } else if (parsed.phase == ENGAGEMENT_ENDED) {
        if (eng)
            store_end(e, eng, last_words(obj));
        engagement_release(&parsed);
    } else {
        if (!eng)
            eng = add(e, parsed.id);
        if (!eng) {
            engagement_release(&parsed);
            return;
        }
        eng->seen = true;
        take(e, eng, &parsed, obj);
    }
}

void store_put(struct engagements *e, struct json_object *obj)
{
    if (store_find(e, json_get_str(obj, "metadata.name", "")) ||
        object_version(obj) > e->watched[OF_ENGAGEMENTS])
        put(e, obj);
}

static void deleted(struct engagements *e, struct json_object *obj)
{
    struct eng *eng = store_find(e, json_get_str(obj, "metadata.name", ""));

    if (!eng || object_version(obj) < eng->version)
        return;
    if (!eng->ending && engage_session_is_ours(e, eng->pub.session))
        engage_audit(&eng->pub, "delete", true, last_words(obj));
    remove_entry(e, eng, last_words(obj));
}

static void remove_unseen(struct engagements *e, uint64_t version)
{
    struct eng *eng, *next;

    for (eng = TAILQ_FIRST(&e->list); eng; eng = next) {
        next = TAILQ_NEXT(eng, entry);
        if (!eng->seen && eng->version <= version)
            remove_entry(e, eng, "it was deleted");
    }
}

static void mark_unseen(struct engagements *e)
{
    struct eng *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        eng->seen = false;
    }
}

static void note_version(struct engagements *e, int of, struct json_object *obj)
{
    uint64_t version = object_version(obj);

    if (version > e->watched[of])
        e->watched[of] = version;
}

/* Not each time: it may go on for long. */
static void complain(struct engagements *e, const char *text)
{
    if (e->troubles++ % 50 == 0)
        log_warn("%s", text);
    snprintf(e->trouble, sizeof(e->trouble), "%s", text);
}

static void engagements_cb(void *arg, enum watch_event event,
                           struct json_object *obj, const char *text)
{
    struct engagements *e = arg;

    switch (event) {
    case WATCH_LIST:
        mark_unseen(e);
        break;
    case WATCH_PUT:
        note_version(e, OF_ENGAGEMENTS, obj);
        put(e, obj);
        break;
    case WATCH_DELETED:
        note_version(e, OF_ENGAGEMENTS, obj);
        deleted(e, obj);
        break;
    case WATCH_LISTED:
        remove_unseen(e, strtoull(text, NULL, 10));
        e->listed[OF_ENGAGEMENTS] = true;
        e->troubles = 0;
        break;
    case WATCH_TROUBLE:
        complain(e, text);
        break;
    }
}

/* ---- sessions -------------------------------------------------------------
 */

static void forget_session(struct sess *s)
{
    LIST_REMOVE(s, entry);
    session_release(&s->cr);
    free(s);
}

/* A session that somebody deletes loses its links (SECURITY 16). */
static void end_session(struct engagements *e, struct sess *s)
{
    char name[sizeof(s->cr.name)];

    memcpy(name, s->cr.name, sizeof(name));
    forget_session(s);
    if (e->env.parts->links && !e->closing)
        engage_links_close(e->env.parts->links, name,
                           "its session was deleted");
}

static void put_session(struct engagements *e, struct json_object *obj)
{
    struct tp_error err = {0};
    struct session_cr parsed;
    struct sess *s;

    if (session_parse(&parsed, obj, &err) < 0) {
        log_warn("%s", err.text);
        session_release(&parsed);
        return;
    }
    s = store_session(e, parsed.name);
    if (!s && (s = calloc(1, sizeof(*s))))
        LIST_INSERT_HEAD(&e->sessions, s, entry);
    if (!s || object_version(obj) <= s->version) {
        session_release(&parsed);
    } else {
        session_release(&s->cr);
        s->cr = parsed;
        s->version = object_version(obj);
    }
    if (s)
        s->seen = true;
}

void store_put_session(struct engagements *e, struct json_object *obj)
{
    if (store_session(e, json_get_str(obj, "metadata.name", "")) ||
        object_version(obj) > e->watched[OF_SESSIONS])
        put_session(e, obj);
}

static void remove_unseen_sessions(struct engagements *e, uint64_t version)
{
    struct sess *s, *next;

    for (s = LIST_FIRST(&e->sessions); s; s = next) {
        next = LIST_NEXT(s, entry);
        if (!s->seen && s->version <= version)
            end_session(e, s);
    }
}

static void sessions_cb(void *arg, enum watch_event event,
                        struct json_object *obj, const char *text)
{
    struct engagements *e = arg;
    struct sess *s;

    switch (event) {
    case WATCH_LIST:
        LIST_FOREACH(s, &e->sessions, entry)
        {
            s->seen = false;
        }
        break;
    case WATCH_PUT:
        note_version(e, OF_SESSIONS, obj);
        put_session(e, obj);
        break;
    case WATCH_DELETED:
        note_version(e, OF_SESSIONS, obj);
        s = store_session(e, json_get_str(obj, "metadata.name", ""));
        if (s && object_version(obj) >= s->version)
            end_session(e, s);
        break;
    case WATCH_LISTED:
        remove_unseen_sessions(e, strtoull(text, NULL, 10));
        e->listed[OF_SESSIONS] = true;
        break;
    case WATCH_TROUBLE:
        complain(e, text);
        break;
    }
}

/* ---- life -----------------------------------------------------------------
 */

int store_start(struct engagements *e, struct tp_error *err)
{
    static const char *const resources[] = {"engagements", "sessions"};
    static watch_cb *const cbs[] = {engagements_cb, sessions_cb};

    for (int i = 0; i < 2; i++) {
        char path[ENGAGE_PATH];

        engage_path(e->env.ns, resources[i], "", path);
        e->watches[i] =
            watch_create(e->env.loop, e->env.endpoint, path, cbs[i], e, err);
        if (!e->watches[i])
            return err->code;
    }
    return 0;
}

void store_stop(struct engagements *e)
{
    for (int i = 0; i < 2; i++) {
        watch_close(e->watches[i]);
        e->watches[i] = NULL;
    }
}

void store_release(struct engagements *e)
{
    struct eng *eng;
    struct sess *s;

    while ((eng = TAILQ_FIRST(&e->list)))
        forget(e, eng);
    while ((s = LIST_FIRST(&e->sessions)))
        forget_session(s);
}
