/* control_disengage.c - the end of engagements (doc/control.md)
 *
 * The answer comes when the manager has ended it, or as soon as it is clear
 * that this will take longer than the caller waits: it is remembered then.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "daemon/control_internal.h"
#include "daemon/engagement.h"

#define POLL_MS     20
#define UNTOLD_MS   5000 /* for the manager's first answer */
#define RESTORE_S   130  /* its own limit comes first */
#define RESTORE_MAX 3600

static void answer(struct control_conn *conn, const char *also)
{
    struct json_object *ok = json_object_new_object();

    json_object_object_add(ok, "ok", json_object_new_boolean(true));
    if (also)
        json_object_object_add(ok, also, json_object_new_boolean(true));
    control_send(conn, ok);
    control_finish(conn);
}

static void tell_progress(struct control_conn *conn)
{
    struct engagements *e = conn->c->engagements;

    for (size_t i = 0; i < engagements_count(e); i++) {
        struct engagement *eng = engagements_nth(e, i);

        if (!*conn->engagement || !strcmp(conn->engagement, engagement_id(eng)))
            control_progress(conn, engagement_message(eng));
    }
}

static void poll_cb(uv_timer_t *timer)
{
    struct control_conn *conn = timer->data;
    uint64_t waited = uv_now(conn->c->loop) - conn->begun;

    switch (engagements_end(conn->c->engagements,
                            *conn->engagement ? conn->engagement : NULL)) {
    case ENGAGEMENT_OVER:
        answer(conn, NULL);
        break;
    case ENGAGEMENT_UNLINKED:
        answer(conn, "pending");
        break;
    case ENGAGEMENT_UNTOLD:
        if (waited >= UNTOLD_MS)
            answer(conn, "pending");
        break;
    case ENGAGEMENT_RESTORING:
        tell_progress(conn);
        if (waited >= conn->patience)
            answer(conn, "restoring");
        break;
    }
}

static void wait_for_end(struct control_conn *conn, const char *id,
                         struct json_object *request)
{
    int64_t seconds = json_get_int(request, "timeout", RESTORE_S);

    if (seconds < 0 || seconds > RESTORE_MAX)
        seconds = RESTORE_S;
    snprintf(conn->engagement, sizeof(conn->engagement), "%s", id);
    conn->begun = uv_now(conn->c->loop);
    conn->patience = (uint64_t)seconds * 1000;
    uv_timer_start(&conn->timer, poll_cb, 0, POLL_MS);
}

void op_disengage(struct control_conn *conn, struct json_object *request)
{
    struct engagements *e = conn->c->engagements;
    struct engagement *eng =
        engagements_find(e, json_get_str(request, "name", ""));

    if (!eng) {
        control_refuse_unknown(conn);
        return;
    }
    wait_for_end(conn, engagement_id(eng), request);
    engagements_remove(e, eng);
}

/* All of them, for `tp quit`. */
void op_disengage_all(struct control_conn *conn, struct json_object *request)
{
    struct engagements *e = conn->c->engagements;
    size_t i = 0;

    while (i < engagements_count(e)) { /* those that are rolled back stay */
        size_t before = engagements_count(e);

        engagements_remove(e, engagements_nth(e, i));
        i += engagements_count(e) == before;
    }
    wait_for_end(conn, "", request);
}
