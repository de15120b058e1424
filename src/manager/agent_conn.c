/*
 * agent_conn.c - one connection of an agent
 *
 * out  the agent is the HTTP/2 client. 20 s for its hello; then it gets events
 *      and opens streams of engaged connections
 * in   the manager is: it asks, and opens streams to the pod's loopback
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "manager/agents_internal.h"
#include "manager/audit.h"
#include "manager/hello.h"
#include "manager/parts.h"

#define HELLO_MS      20000
#define DENIALS_PER_S 5
#define DENIALS_BURST 20

static const char *const direction_names[] = {
    [AGENT_OUT] = "out",
    [AGENT_IN] = "in",
};

static void audit(const struct agent_conn *conn, bool opened,
                  const char *reason)
{
    const struct agent_pod *pod = &conn->agent->pod;

    audit_write(&(struct audit_event){
        .event = "agent",
        .verb = opened ? "open" : "close",
        .ns = pod->token.ns,
        .name = pod->token.pod,
        .destination = direction_names[conn->direction],
        .allowed = true,
        .reason = reason,
    });
}

/* ---- events -------------------------------------------------------------- */

static void send_replicas(struct agent_conn *conn)
{
    const struct agents *a = conn->agent->agents;
    cleanup_json struct json_object *event = NULL;
    cleanup_free char *line = NULL;

    if (conn->told_replicas == a->replicas_version)
        return;
    event = json_object_new_object();
    json_put_str(event, "type", "replicas");
    json_object_object_add(event, "replicas", json_object_get(a->replicas));
    line = hello_to_text(event);
    if (!line)
        return;
    events_send(&conn->events, line);
    conn->told_replicas = a->replicas_version;
}

static void send_list(struct agent_conn *conn)
{
    char *line = agent_list_build(conn->agent);

    if (!line || (conn->told_list && !strcmp(line, conn->told_list))) {
        free(line);
        return;
    }
    events_send(&conn->events, line);
    free(conn->told_list);
    conn->told_list = line;
}

void agent_conn_announce(struct agent_conn *conn)
{
    if (conn->direction != AGENT_OUT || !conn->listens)
        return;
    send_replicas(conn);
    send_list(conn);
}

void agent_conn_drain(struct agent_conn *conn)
{
    if (conn->direction == AGENT_OUT)
        events_send(&conn->events, "{\"type\":\"drain\"}");
    tunnel_drain(conn->tunnel);
}

/* Who begins to listen is told everything. */
static int open_events(struct agent_conn *conn, struct tunnel_stream *s)
{
    int rc = events_open(&conn->events, s);

    if (rc < 0)
        return rc;
    conn->listens = true;
    conn->told_replicas = 0;
    free(conn->told_list);
    conn->told_list = NULL;
    agent_conn_announce(conn);
    return 0;
}

/* ---- requests ------------------------------------------------------------ */

static void hello_late_cb(uv_timer_t *timer)
{
    agent_conn_close(timer->data, "no hello within 20 s");
}

static void greeted(struct agent_conn *conn)
{
    const struct parts *parts = conn->agent->agents->env.parts;

    uv_timer_stop(&conn->timer);
    conn->greeted = true;
    if (parts->engagements)
        engagements_poke(parts->engagements);
}

static char *build_answer(const struct agents *a)
{
    cleanup_json struct json_object *obj = hello_answer();
    const char *own = NULL;

    if (json_array_len(a->replicas) > 0)
        own = json_object_get_string(json_object_array_get_idx(a->replicas, 0));
    json_put_str(obj, "replica", own ? own : "");
    json_object_object_add(obj, "replicas", json_object_get(a->replicas));
    return hello_to_text(obj);
}

static int answer_hello(struct agent_conn *conn, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    cleanup_json struct json_object *hello = NULL;
    cleanup_free char *answer = NULL;
    int status =
        hello_read(open->body, open->body_len, "the agent", &hello, &answer);

    if (status == 200)
        answer = build_answer(conn->agent->agents);
    if (!answer)
        return -ENOMEM;
    if (status == 200 && !conn->greeted)
        greeted(conn);
    return tunnel_stream_respond(s, status, answer);
}

static int answer_request(struct agent_conn *conn, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    if (!strcmp(open->path, "/tp/v1/hello") && !strcmp(open->method, "POST"))
        return answer_hello(conn, s, open);
    if (!conn->greeted)
        return tunnel_stream_respond(
            s, 400, "{\"error\":\"the first request must be hello\"}");
    if (!strcmp(open->path, "/tp/v1/events") && !strcmp(open->method, "GET"))
        return open_events(conn, s);
    return tunnel_stream_respond(s, 404, "{\"error\":\"no such request\"}");
}

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    struct agent_conn *conn = arg;

    if (open->kind == TUNNEL_REQUEST)
        return answer_request(conn, s, open);
    if (!conn->greeted)
        return -EINVAL;
    return agent_route(conn, s, open);
}

/* ---- life ---------------------------------------------------------------- */

static void timer_closed_cb(uv_handle_t *handle)
{
    struct agent_conn *conn = handle->data;

    free(conn->told_list);
    free(conn);
}

void agent_conn_close(struct agent_conn *conn, const char *reason)
{
    struct agent *agent = conn->agent;

    if (conn->closing)
        return;
    conn->closing = true;
    audit(conn, false, reason);
    tunnel_destroy(conn->tunnel);
    TAILQ_REMOVE(&agent->conns, conn, entry);
    uv_close((uv_handle_t *)&conn->timer, timer_closed_cb);
    agents_removed(agent->agents, agent);
}

static void closed_cb(void *arg, int status, const char *why)
{
    agent_conn_close(arg, why && *why   ? why
                          : status == 0 ? "ended by the agent"
                                        : strerror(-status));
}

static const struct tunnel_ops out_ops = {open_cb, closed_cb};
static const struct tunnel_ops in_ops = {NULL, closed_cb};

static struct tunnel *create_tunnel(struct agent_conn *conn,
                                    struct stream *stream)
{
    bool out = conn->direction == AGENT_OUT;
    struct tunnel_config config = {
        .role = out ? TUNNEL_SERVER : TUNNEL_CLIENT,
        .names = out ? TUNNEL_NAMES : TUNNEL_ADDRESSES,
    };

    return tunnel_create(conn->agent->agents->env.loop, stream, &config,
                         out ? &out_ops : &in_ops, conn);
}

struct agent_conn *agent_conn_create(struct agent *agent,
                                     enum agent_direction direction,
                                     struct stream *stream)
{
    struct agent_conn *conn = calloc(1, sizeof(*conn));
    uv_loop_t *loop = agent->agents->env.loop;

    if (!conn) {
        stream_close(stream, NULL, NULL);
        return NULL;
    }
    conn->agent = agent;
    conn->direction = direction;
    events_init(&conn->events);
    bucket_init(&conn->denials, DENIALS_PER_S, DENIALS_BURST, uv_now(loop));
    conn->tunnel = create_tunnel(conn, stream);
    if (!conn->tunnel) {
        free(conn);
        return NULL;
    }
    TAILQ_INSERT_HEAD(&agent->conns, conn, entry);
    uv_timer_init(loop, &conn->timer);
    conn->timer.data = conn;
    if (direction == AGENT_OUT)
        uv_timer_start(&conn->timer, hello_late_cb, HELLO_MS, 0);
    audit(conn, true, NULL);
    return conn;
}
