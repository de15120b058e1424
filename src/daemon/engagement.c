#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "daemon/session.h"

#define RETRY_MS 2000

/* ---- watchers ---- */

void engagements_add_watcher(struct engagements *e,
                             struct engagement_watcher *w)
{
    w->prev = NULL;
    w->next = e->watchers;
    if (e->watchers)
        e->watchers->prev = w;
    e->watchers = w;
}

void engagements_remove_watcher(struct engagements *e,
                                struct engagement_watcher *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else
        e->watchers = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->prev = w->next = NULL;
}

void engagement_changed(struct engagement *eng)
{
    struct engagement_watcher *w, *next;

    for (w = eng->e->watchers; w; w = next) {
        next = w->next;
        w->changed_cb(w->arg, eng);
    }
}

/* ---- the table ---- */

struct engagement *engagements_find(const struct engagements *e,
                                    const char *name)
{
    struct engagement *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!strcmp(eng->spec.name, name))
            return eng;
    }
    return NULL;
}

struct engagement *engagements_by_id(const struct engagements *e,
                                     const char *id)
{
    struct engagement *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!strcmp(eng->id, id))
            return eng;
    }
    return NULL;
}

size_t engagements_count(const struct engagements *e)
{
    return e->count;
}

struct engagement *engagements_nth(const struct engagements *e, size_t n)
{
    struct engagement *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (n-- == 0)
            return eng;
    }
    return NULL;
}

bool engagement_has_traffic(const struct engagement *eng)
{
    return strcmp(eng->spec.type, "ingest") != 0;
}

void engagements_keep(struct engagements *e)
{
    struct json_object *kept = json_object_new_array();
    struct engagement *eng;

    TAILQ_FOREACH(eng, &e->list, entry)
    {
        if (!eng->ending)
            json_object_array_add(kept, json_object_get(eng->request));
    }
    engagement_withdrawals_keep(e, kept);
    session_keep_engagements(e->session, kept);
}

/* What hangs on the table as a whole: the incoming link, the kept state. */
static void table_changed(struct engagements *e)
{
    struct engagement *eng;
    bool traffic = false;

    engagements_keep(e);
    TAILQ_FOREACH(eng, &e->list, entry)
    {
        traffic = traffic || engagement_has_traffic(eng);
    }
    session_want_incoming(e->session, traffic);
}

static void release(struct engagement *eng)
{
    engagement_shortcut_forget(eng);
    engagement_topod_stop(eng);
    engagement_files_stop(eng);
    engagement_deliveries_end(eng);
    json_object_put(eng->request);
    json_object_put(eng->remote);
    free(eng);
}

static void take_out(struct engagement *eng)
{
    TAILQ_REMOVE(&eng->e->list, eng, entry);
    eng->e->count--;
}

void engagement_free(struct engagement *eng)
{
    struct engagements *e = eng->e;

    take_out(eng);
    table_changed(e);
    release(eng);
}

static void finish(struct engagement *eng, const char *code,
                   const char *message)
{
    eng->state = ENG_FAILED;
    snprintf(eng->code, sizeof(eng->code), "%s", code);
    snprintf(eng->message, sizeof(eng->message), "%s", message);
    engagement_changed(eng);
    engagement_free(eng);
}

void engagement_fail(struct engagement *eng, const char *code,
                     const char *message)
{
    log_warn("engagement %s: %s", eng->spec.name, message);
    finish(eng, code, message);
}

void engagement_over(struct engagement *eng, const char *message)
{
    finish(eng, "ended", message);
}

static void make_id(char id[ENGAGEMENT_ID_LEN + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint8_t random[ENGAGEMENT_ID_LEN];

    while (getrandom(random, sizeof(random), 0) != sizeof(random))
        ;
    for (size_t i = 0; i < ENGAGEMENT_ID_LEN; i++)
        id[i] = letters[random[i] & 31];
    id[ENGAGEMENT_ID_LEN] = '\0';
}

/* The id of an engagement that an earlier tp-daemon made. */
static bool take_id(char *id, struct json_object *request)
{
    const char *kept = json_get_str(request, "id", "");

    if (strlen(kept) != ENGAGEMENT_ID_LEN ||
        strspn(kept, "abcdefghijklmnopqrstuvwxyz234567") != ENGAGEMENT_ID_LEN)
        return false;
    memcpy(id, kept, ENGAGEMENT_ID_LEN + 1);
    return true;
}

static struct engagement *create(struct engagements *e,
                                 const struct eng_spec *spec,
                                 struct json_object *request)
{
    struct engagement *eng = calloc(1, sizeof(*eng));

    if (!eng)
        return NULL;
    eng->e = e;
    eng->spec = *spec;
    LIST_INIT(&eng->deliveries);
    LIST_INIT(&eng->listeners);
    LIST_INIT(&eng->files_conns);
    if (!take_id(eng->id, request))
        make_id(eng->id);
    eng->request = json_object_get(request);
    json_put_str(eng->request, "id", eng->id);
    TAILQ_INSERT_TAIL(&e->list, eng, entry);
    e->count++;
    return eng;
}

/* `former` has the name: it is changed by the same again, with other ports. */
static int may_add(const struct engagements *e, const struct engagement *former,
                   const struct eng_spec *spec, struct tp_error *err)
{
    const struct eng_spec *old = former ? &former->spec : spec;

    if (former && former->ending)
        return tp_error_set(err, -EBUSY,
                            "%s is just ending: its pods are rolled back; "
                            "wait until tp list does not show it any more",
                            old->name);
    if (strcmp(old->type, spec->type) != 0 || strcmp(old->ns, spec->ns) != 0 ||
        strcmp(old->workload, spec->workload) != 0)
        return tp_error_set(err, -EEXIST,
                            "%s is the name of an engagement (%s of %.100s in "
                            "namespace %s): end it (tp detach %s), or call "
                            "this one otherwise (--as-name)",
                            old->name, old->type, old->workload, old->ns,
                            old->name);
    if (e->count >= ENGAGEMENTS_MAX)
        return tp_error_set(err, -EBUSY, "at most %d engagements at once",
                            ENGAGEMENTS_MAX);
    if (e->tunnel && !e->able)
        return tp_error_set(err, -EOPNOTSUPP,
                            "the manager in the cluster is too old for "
                            "engagements: upgrade it (tp helm upgrade)");
    return 0;
}

static int add(struct engagements *e, struct json_object *request,
               struct engagement **out, bool *already, struct tp_error *err)
{
    const char *ns = session_namespace(e->session);
    struct eng_spec spec;
    struct engagement *former;
    int rc = engagement_spec_parse(&spec, request, ns, err);

    if (rc < 0)
        return rc;
    former = engagements_find(e, spec.name);
    *already =
        former && !former->ending && engagement_spec_same(&former->spec, &spec);
    if (*already) {
        *out = former;
        return 0;
    }
    rc = may_add(e, former, &spec, err);
    if (rc < 0)
        return rc;
    if (former)
        engagements_remove(e, former);
    *out = create(e, &spec, request);
    if (!*out)
        return tp_error_errno(err, -ENOMEM, "engagement");
    rc = engagement_files_make_key(*out, err);
    if (rc == 0)
        rc = engagement_topod_start(*out, err);
    if (rc < 0)
        engagement_free(*out);
    else
        engagement_files_start(*out);
    return rc;
}

int engagements_add(struct engagements *e, struct json_object *request,
                    struct engagement **out, bool *already,
                    struct tp_error *err)
{
    int rc;

    if (session_state(e->session) == SESSION_IDLE)
        return tp_error_set(err, -ENOTCONN, "not connected: run tp connect");
    if (session_state(e->session) == SESSION_REFUSED)
        return tp_error_set(err, -ENOTCONN,
                            "not connected: %s; then run tp "
                            "connect again",
                            session_error_text(e->session));
    if (json_object_is_type(request, json_type_object)) {
        json_object_object_del(request, "id");
        engagement_files_strip(request);
    }
    rc = add(e, request, out, already, err);
    if (rc < 0 || *already)
        return rc;
    table_changed(e);
    engagement_address_check(*out);
    engagement_announce(*out);
    return 0;
}

/* Its pods have nobody else who answers until they are rolled back. */
static bool must_go_on(const struct engagement *eng)
{
    return !strcmp(eng->spec.type, "replace") &&
           (eng->state == ENG_COMING || eng->state == ENG_READY);
}

void engagements_remove(struct engagements *e, struct engagement *eng)
{
    char id[ENGAGEMENT_ID_LEN + 1], name[sizeof(eng->spec.name)];

    memcpy(id, eng->id, sizeof(id));
    memcpy(name, eng->spec.name, sizeof(name));
    if (eng->ending || must_go_on(eng)) {
        eng->ending = true;
        snprintf(eng->message, sizeof(eng->message),
                 "it ends when its pods are rolled back");
        engagement_changed(eng);
    } else {
        finish(eng, "ended", "disengaged");
    }
    engagement_withdraw(e, id, name);
}

/* ---- what the session says ---- */

static void linked_cb(void *arg, struct tunnel *t, bool able)
{
    struct engagements *e = arg;
    struct engagement *eng, *next;

    e->tunnel = t;
    e->able = able;
    if (t && able) { /* first, so that nothing left over is in the way */
        engagement_withdraw_all(e, true);
        engagement_reconcile(e);
    }
    for (eng = TAILQ_FIRST(&e->list); eng; eng = next) {
        next = TAILQ_NEXT(eng, entry);
        if (!t || eng->ending)
            engagement_changed(eng);
        else if (able)
            engagement_announce(eng);
        else
            engagement_fail(eng, "cannot",
                            "the manager now is too old for engagements");
    }
}

static void event_cb(void *arg, struct json_object *remote)
{
    struct engagement *eng =
        engagements_by_id(arg, json_get_str(remote, "id", ""));

    if (eng && eng->ending &&
        !strcmp(json_get_str(remote, "phase", ""), "ended"))
        engagement_withdrawn(arg, eng->id);
    else if (eng)
        engagement_take(eng, remote);
}

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    return engagement_deliver(arg, s, open);
}

static void incoming_cb(void *arg)
{
    struct engagements *e = arg;
    struct engagement *eng, *next;

    for (eng = TAILQ_FIRST(&e->list); eng; eng = next) {
        next = TAILQ_NEXT(eng, entry);
        engagement_changed(eng);
    }
}

static void begun_cb(void *arg, struct json_object *kept)
{
    struct engagements *e = arg;
    cleanup_json struct json_object *list = json_object_get(kept);

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct tp_error err = {0};
        struct engagement *eng;
        bool already;

        if (engagement_withdrawal_resume(e, item))
            continue;
        if (add(e, item, &eng, &already, &err) < 0)
            log_warn("an engagement cannot be resumed: %s", err.text);
    }
    table_changed(e);
}

static void ended_cb(void *arg)
{
    struct engagements *e = arg;
    struct engagement *eng;

    e->tunnel = NULL;
    while ((eng = TAILQ_FIRST(&e->list))) {
        take_out(eng);
        eng->state = ENG_FAILED;
        snprintf(eng->code, sizeof(eng->code), "ended");
        snprintf(eng->message, sizeof(eng->message), "the session has ended");
        engagement_changed(eng);
        release(eng);
    }
    engagement_withdrawals_free(e);
    session_want_incoming(e->session, false);
}

const struct session_engagements engagement_session_ops = {
    .linked_cb = linked_cb,
    .event_cb = event_cb,
    .open_cb = open_cb,
    .incoming_cb = incoming_cb,
    .begun_cb = begun_cb,
    .ended_cb = ended_cb,
};

/* ---- life ---- */

static void retry_cb(uv_timer_t *timer)
{
    struct engagements *e = timer->data;
    struct engagement *eng, *next;

    for (eng = TAILQ_FIRST(&e->list); eng && e->tunnel; eng = next) {
        next = TAILQ_NEXT(eng, entry);
        if (eng->state == ENG_ASKING && !eng->ending)
            engagement_announce(eng);
    }
    if (e->tunnel)
        engagement_withdraw_all(e, false);
}

void engagements_retry(struct engagements *e)
{
    if (!uv_is_active((uv_handle_t *)e->retry))
        uv_timer_start(e->retry, retry_cb, RETRY_MS, 0);
}

struct engagements *engagements_create(uv_loop_t *loop, struct session *s,
                                       uint32_t mark)
{
    struct engagements *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    e->retry = malloc(sizeof(*e->retry));
    if (!e->retry) {
        free(e);
        return NULL;
    }
    e->loop = loop;
    e->session = s;
    e->mark = mark;
    TAILQ_INIT(&e->list);
    LIST_INIT(&e->look_ups);
    TAILQ_INIT(&e->withdrawals);
    LIST_INIT(&e->checks);
    uv_timer_init(loop, e->retry);
    e->retry->data = e;
    session_set_engagements(s, &engagement_session_ops, e);
    return e;
}

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

void engagements_destroy(struct engagements *e)
{
    if (!e)
        return;
    engagement_shortcut_close(e);
    engagement_withdrawals_free(e);
    engagement_address_forget(e);
    uv_close((uv_handle_t *)e->retry, free_handle_cb);
    free(e);
}
