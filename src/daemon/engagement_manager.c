#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "daemon/session.h"

/* A request under way; what it is about may be gone when the answer comes. */
struct ask {
    struct engagements *e;
    char id[ENGAGEMENT_ID_LEN + 1];
    engagement_answer_cb *answer_cb;
    void *arg;
};

/* ---- what the manager says ---- */

static bool is_asked(const struct eng_port *port, const char *requested)
{
    char number[8];

    snprintf(number, sizeof(number), "%u", (unsigned)port->local);
    return !strcmp(*port->requested ? port->requested : number, requested);
}

/* The port that was asked for by this name, or NULL. */
static const struct eng_port *asked_port(const struct eng_spec *spec,
                                         const char *requested, bool udp)
{
    for (size_t i = 0; i < spec->port_count; i++) {
        if (spec->ports[i].udp == udp && is_asked(&spec->ports[i], requested))
            return &spec->ports[i];
    }
    return NULL;
}

static void take_ports(struct engagement *eng)
{
    struct json_object *list = json_get_array(eng->remote, "ports");
    size_t n = json_array_len(list);

    eng->port_count = 0;
    for (size_t i = 0; i < n && i < ENGAGEMENT_PORTS_MAX; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        struct eng_port *port = &eng->ports[eng->port_count];
        const char *requested = json_get_str(item, "requested", "");
        int64_t number = json_get_int(item, "port", 0);
        const struct eng_port *asked;

        if (number < 1 || number > 65535)
            continue;
        port->udp = !strcmp(json_get_str(item, "protocol", ""), "udp");
        port->remote = (uint16_t)number;
        asked = asked_port(&eng->spec, requested, port->udp);
        if (!asked && eng->spec.port_count > 0)
            continue; /* nobody asked for it: nothing local is opened */
        port->local = asked && asked->local ? asked->local : port->remote;
        eng->port_count++;
    }
}

/* True if nothing but the destinations is new. */
static bool take_destinations(struct engagement *eng,
                              struct json_object *remote)
{
    struct json_object *list =
        json_object_get(json_member(remote, "destinations"));

    json_object_object_del(remote, "destinations");
    if (!list)
        return false;
    engagement_shortcut_take(eng, list);
    json_object_put(list);
    return eng->remote && json_object_equal(eng->remote, remote);
}

void engagement_take(struct engagement *eng, struct json_object *remote)
{
    const char *phase = json_get_str(remote, "phase", "");
    const char *message = json_get_str(remote, "message", "");

    if (take_destinations(eng, remote))
        return;
    if (!strcmp(phase, "ended")) {
        engagement_fail(eng, json_get_str(remote, "code", "ended"),
                        *message ? message : "the manager has ended it");
        return;
    }
    json_object_put(eng->remote);
    eng->remote = json_object_get(remote);
    snprintf(eng->message, sizeof(eng->message), "%s", message);
    take_ports(eng);
    eng->state = !strcmp(phase, "ready") ? ENG_READY : ENG_COMING;
    engagement_changed(eng);
}

/* ---- POST ---- */

static void retry_later(struct engagement *eng, const char *why)
{
    engagements_retry(eng->e);
    eng->state = ENG_ASKING;
    snprintf(eng->message, sizeof(eng->message), "%s", why);
    engagement_changed(eng);
}

static const char *code_of(int status)
{
    return status == 403   ? "no-right"
           : status == 404 ? "no-such-workload"
           : status == 409 ? "conflict"
           : status == 422 ? "cannot"
                           : "internal";
}

static void announced_cb(void *arg, int status, const char *body, size_t len)
{
    cleanup_free struct ask *ask = arg;
    struct engagement *eng = engagements_by_id(ask->e, ask->id);
    cleanup_json struct json_object *answer =
        status > 0 ? json_parse_text(body, len, NULL) : NULL;
    const char *text = json_get_str(answer, "error", "the manager refuses");

    if (!eng || !ask->e->tunnel || eng->ending)
        return; /* a new link asks again */
    if ((status == 200 || status == 202) && answer)
        engagement_take(eng, answer);
    else if (status < 0 || status >= 500)
        retry_later(eng, status < 0 ? "the manager does not answer" : text);
    else
        engagement_fail(eng, json_get_str(answer, "code", code_of(status)),
                        text);
}

static struct ask *new_ask(struct engagements *e, const char *id)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    if (ask) {
        ask->e = e;
        snprintf(ask->id, sizeof(ask->id), "%s", id ? id : "");
    }
    return ask;
}

void engagement_announce(struct engagement *eng)
{
    cleanup_json struct json_object *body = NULL;
    struct engagements *e = eng->e;
    struct ask *ask;

    if (!e->tunnel)
        return;
    body = engagement_spec_to_json(&eng->spec, eng->id);
    ask = new_ask(e, eng->id);
    if (ask && tunnel_request(e->tunnel, "POST", PATH_ENGAGEMENTS,
                              json_object_to_json_string(body), announced_cb,
                              ask) == 0)
        return;
    free(ask);
    retry_later(eng, "the link is full");
}

/* ---- questions of the CLI ---- */

static void answered_cb(void *arg, int status, const char *body, size_t len)
{
    struct ask *ask = arg;

    ask->answer_cb(ask->arg, status, body, len);
    free(ask);
}

static int request(struct engagements *e, const char *method, const char *path,
                   const char *body, engagement_answer_cb *cb, void *arg)
{
    struct ask *ask = e->tunnel ? new_ask(e, NULL) : NULL;

    if (!ask)
        return e->tunnel ? -ENOMEM : -ENOTCONN;
    ask->answer_cb = cb;
    ask->arg = arg;
    if (tunnel_request(e->tunnel, method, path, body, answered_cb, ask) == 0)
        return 0;
    free(ask);
    return -ENOTCONN;
}

int engagements_ask(struct engagements *e, const char *path,
                    engagement_answer_cb *cb, void *arg)
{
    return request(e, "GET", path, NULL, cb, arg);
}

int engagements_post(struct engagements *e, const char *path, const char *body,
                     engagement_answer_cb *cb, void *arg)
{
    return request(e, "POST", path, body, cb, arg);
}

/* ---- for the CLI ---- */

enum engagement_state engagement_state(const struct engagement *eng)
{
    return eng->state;
}

const char *engagement_id(const struct engagement *eng)
{
    return eng->id;
}

const char *engagement_message(const struct engagement *eng)
{
    return eng->message;
}

bool engagement_is_checking(const struct engagement *eng)
{
    return eng->resolving;
}

const char *engagement_code(const struct engagement *eng)
{
    return eng->code;
}

/* The phase as it is felt here. */
static const char *local_phase(const struct engagement *eng)
{
    struct session *s = eng->e->session;

    if (eng->state == ENG_FAILED)
        return "ended";
    if (eng->ending)
        return "ending";
    if (!eng->e->tunnel ||
        (engagement_has_traffic(eng) && eng->state == ENG_READY &&
         !session_has_incoming(s)))
        return "waiting";
    return eng->remote ? json_get_str(eng->remote, "phase", "pending")
                       : "pending";
}

static struct json_object *local_ports(const struct engagement *eng)
{
    struct json_object *array = json_object_new_array();
    struct json_object *remote = json_get_array(eng->remote, "ports");

    for (size_t i = 0; i < json_array_len(remote); i++) {
        struct json_object *item = NULL;
        struct json_object *from = json_object_array_get_idx(remote, i);
        int64_t number = json_get_int(from, "port", 0);
        bool udp = !strcmp(json_get_str(from, "protocol", ""), "udp");

        if (json_object_deep_copy(from, &item, NULL) < 0)
            continue;
        for (size_t j = 0; j < eng->port_count; j++) {
            if (eng->ports[j].remote == number && eng->ports[j].udp == udp)
                json_put_int(item, "local", eng->ports[j].local);
        }
        json_object_array_add(array, item);
    }
    return array;
}

struct json_object *engagement_to_json(const struct engagement *eng)
{
    struct json_object *obj = NULL;

    if (!eng->remote || json_object_deep_copy(eng->remote, &obj, NULL) < 0)
        obj = engagement_spec_to_json(&eng->spec, eng->id);
    json_put_str(obj, "name", eng->spec.name);
    json_put_str(obj, "phase", local_phase(eng));
    json_put_str(obj, "message", eng->message);
    json_put_str(obj, "address", eng->spec.address);
    json_put_str(obj, "warning", *eng->warning ? eng->warning : NULL);
    json_object_object_add(obj, "ports", local_ports(eng));
    json_put_bool(obj, "mine", true);
    json_put_int(obj, "streams", (int)engagement_deliveries(eng));
    return obj;
}
