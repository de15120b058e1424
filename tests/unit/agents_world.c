#include "agents_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "manager/agent_review.h"
#include "manager/server.h"
#include "net/dial.h"
#include "net/tls.h"
#include "tunnel/udp.h"

#define SERVER_NAME "tp-manager.tp-system.svc"
#define HELLO       "{\"protocol\":[1],\"version\":\"0\",\"features\":[]}"
#define TEXT(s)     ((char *)(uintptr_t)(s))

struct identity alice = {.user = TEXT("alice"), .uid = TEXT("1")};
struct identity bob = {.user = TEXT("bob"), .uid = TEXT("2")};

/* ---- engagements --------------------------------------------------------- */

const struct engagement *engagements_find(const struct engagements *e,
                                          const char *id)
{
    for (size_t i = 0; i < e->count; i++) {
        if (!strcmp(e->list[i].id, id))
            return &e->list[i];
    }
    return NULL;
}

void engagements_each(const struct engagements *e,
                      const struct workload_ref *workload,
                      engagements_each_cb *cb, void *arg)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct workload_ref *w = &e->list[i].workload;

        if (!workload ||
            (!strcmp(w->ns, workload->ns) && !strcmp(w->kind, workload->kind) &&
             !strcmp(w->name, workload->name)))
            cb(arg, &e->list[i]);
    }
}

void engagements_poke(struct engagements *e)
{
    e->pokes++;
}

/* What becomes of it is engage_files.c's and the cluster's. */
int engagements_open_files(struct engagements *e, const struct engagement *eng,
                           struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    (void)eng;
    (void)s;
    (void)open;
    e->files++;
    return -ETIMEDOUT;
}

struct engagement *world_engage(struct world *w, const char *id,
                                const char *workload,
                                const struct identity *who, const char *session)
{
    struct engagement *eng = &w->engagements.list[w->engagements.count++];

    *eng = (struct engagement){
        .type = ENGAGEMENT_INTERCEPT,
        .phase = ENGAGEMENT_READY,
        .workload = {"shop", "Deployment", ""},
        .ports = {{8080, false}, {5353, true}},
        .port_count = 2,
        .to_pod = {{5432, false}, {53, true}},
        .to_pod_count = 2,
        .who = *who,
    };
    snprintf(eng->id, sizeof(eng->id), "%s", id);
    snprintf(eng->session, sizeof(eng->session), "%s", session);
    snprintf(eng->workload.name, sizeof(eng->workload.name), "%s", workload);
    agents_announce(w->parts.agents);
    return eng;
}

/* ---- the judge ----------------------------------------------------------- */

struct verdict {
    uv_timer_t timer;
    const struct known_pod *known;
    agent_review_cb *cb;
    void *arg;
};

static void verdict_closed_cb(uv_handle_t *handle)
{
    free(handle->data);
}

static void verdict_cb(uv_timer_t *timer)
{
    struct verdict *v = timer->data;
    const struct known_pod *k = v->known;
    struct agent_pod pod = {.workload = {"shop", "Deployment", ""},
                            .token = {.ns = "shop"}};
    struct tp_error err = {0};
    int status = k ? k->status : -EACCES;

    if (status == 0) {
        snprintf(pod.token.pod, sizeof(pod.token.pod), "%s", k->name);
        snprintf(pod.token.uid, sizeof(pod.token.uid), "%s", k->uid);
        snprintf(pod.workload.name, sizeof(pod.workload.name), "%s",
                 k->workload);
        pod.config = json_tokener_parse(k->config);
    } else {
        tp_error_set(&err, status, "the test says so");
    }
    v->cb(v->arg, status, &pod, &err);
    agent_pod_release(&pod);
    uv_close((uv_handle_t *)timer, verdict_closed_cb);
}

static int judge(struct world *w, const struct known_pod *known,
                 agent_review_cb *cb, void *arg)
{
    struct verdict *v = calloc(1, sizeof(*v));

    v->known = known;
    v->cb = cb;
    v->arg = arg;
    uv_timer_init(&w->loop, &v->timer);
    v->timer.data = v;
    uv_timer_start(&v->timer, verdict_cb, 1, 0);
    return 0;
}

static int identify(void *arg, const char *token, agent_review_cb *cb,
                    void *cb_arg)
{
    struct world *w = arg;

    for (size_t i = 0; i < sizeof(w->pods) / sizeof(*w->pods); i++) {
        if (w->pods[i].token && !strcmp(w->pods[i].token, token))
            return judge(w, &w->pods[i], cb, cb_arg);
    }
    return judge(w, NULL, cb, cb_arg);
}

static int recheck(void *arg, const struct agent_token *pod,
                   agent_review_cb *cb, void *cb_arg)
{
    struct world *w = arg;

    for (size_t i = 0; i < sizeof(w->pods) / sizeof(*w->pods); i++) {
        if (w->pods[i].uid && !strcmp(w->pods[i].uid, pod->uid))
            return judge(w, &w->pods[i], cb, cb_arg);
    }
    return judge(w, NULL, cb, cb_arg);
}

static const struct agent_judge table_judge = {identify, recheck};

/* ---- the manager --------------------------------------------------------- */

static void make_tls(struct world *w)
{
    static const char *const names[] = {SERVER_NAME, NULL};
    struct tls_server_config server = {.newest_only = true};
    struct tls_client_config client = {0};
    struct tp_error err = {0};

    pki_make_ca(&w->ca, "tp-ca");
    ck_assert_int_eq(
        certificate_issue(&w->certificate, w->ca.cert, w->ca.key, names, &err),
        0);
    server.cert_pem = w->certificate.cert_pem;
    server.key_pem = w->certificate.key_pem;
    client.ca_pem = w->ca.cert;
    w->server_tls = tls_ctx_create_server(&server, &err);
    w->client_tls = tls_ctx_create_client(&client, &err);
    ck_assert_msg(w->server_tls && w->client_tls, "%s", err.text);
}

static void make_agents(struct world *w)
{
    struct agents_env env = {
        .loop = &w->loop,
        .metrics = &w->metrics,
        .parts = &w->parts,
        .judge = &table_judge,
        .judge_arg = w,
    };
    union sockaddr_any addr;
    struct tp_error err = {0};

    w->parts.agents = agents_create(&env);
    sockaddr_parse(&addr, "127.0.0.1", 0);
    w->server = server_create(&w->loop, &addr, true, agents_request_cb,
                              w->parts.agents, &err);
    ck_assert_msg(w->server != NULL, "%s", err.text);
    server_set_tls(w->server, w->server_tls, false);
    server_get_addr(w->server, &addr);
    w->port = sockaddr_port(&addr);
    agents_set_replicas(w->parts.agents,
                        json_tokener_parse("[\"10.42.0.7\",\"10.42.0.8\"]"));
}

void world_init(struct world *w)
{
    static const char config[] =
        "{\"ports\":[{\"container\":\"app\",\"port\":8080,\"protocol\":"
        "\"tcp\"},{\"container\":\"app\",\"port\":5353,\"protocol\":\"udp\"}]}";
    struct links_env env = {
        .loop = &w->loop,
        .metrics = &w->metrics,
        .info = &w->info,
        .parts = &w->parts,
        .max_user = 3,
    };

    memset(w, 0, sizeof(*w));
    alice.groups = bob.groups = json_object_new_array();
    alice.extra = bob.extra = json_object_new_object();
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(uv_loop_init(&w->loop), 0);
    uv_timer_init(&w->loop, &w->turn);
    w->pods[0] =
        (struct known_pod){"token-web", "web-1", "u1", "web", config, 0};
    w->pods[1] = (struct known_pod){"token-db", "db-1", "u2", "db", config, 0};
    w->pods[2] =
        (struct known_pod){"token-web-2", "web-2", "u3", "web", config, 0};
    make_tls(w);
    make_agents(w);
    w->parts.links = links_create(&env);
    w->parts.engagements = &w->engagements;
}

static void turn_cb(uv_timer_t *timer)
{
    (void)timer;
}

void world_turn(struct world *w)
{
    if (uv_backend_timeout(&w->loop) != 0)
        uv_timer_start(&w->turn, turn_cb, 1, 1);
    uv_run(&w->loop, UV_RUN_ONCE);
    uv_timer_stop(&w->turn);
}

void world_settle(struct world *w)
{
    for (int i = 0; i < 50; i++)
        world_turn(w);
}

void world_close(struct world *w)
{
    server_close(w->server);
    links_close(w->parts.links);
    agents_close(w->parts.agents);
    uv_close((uv_handle_t *)&w->turn, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
    links_destroy(w->parts.links);
    agents_destroy(w->parts.agents);
    tls_ctx_destroy(w->server_tls);
    tls_ctx_destroy(w->client_tls);
    certificate_release(&w->certificate);
    pki_release(&w->ca);
    json_object_put(alice.groups);
    json_object_put(alice.extra);
}

/* ---- peers: what they answer --------------------------------------------- */

static int serve_udp(struct peer *p, struct tunnel_stream *s)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds),
                     0);
    p->udp_fd = fds[1];
    return tunnel_udp_serve(&p->world->loop, s, fds[0], 0, NULL, NULL)
               ? 0
               : -ENOMEM;
}

static int serve_tcp(struct peer *p, struct tunnel_stream *s)
{
    struct user *u = p->next;

    if (!u)
        return -ECONNREFUSED;
    p->next = u + 1;
    u->stream = s;
    tunnel_stream_set_user(s, &user_ops, u);
    return tunnel_stream_answer(s, 0);
}

static int serve_request(struct peer *p, struct tunnel_stream *s,
                         const struct tunnel_open *open)
{
    snprintf(p->asked, sizeof(p->asked), "%.20s %.90s", open->method,
             open->path);
    if (strcmp(open->path, "/tp/v1/hello") != 0)
        return tunnel_stream_respond(s, 200, "{\"asked\":true}");
    p->hellos++;
    return tunnel_stream_respond(
        s, 200, p->hello_answer ? p->hello_answer : "{\"protocol\":1}");
}

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    struct peer *p = arg;
    char addr[SOCKADDR_TEXT];

    if (open->kind == TUNNEL_REQUEST)
        return serve_request(p, s, open);
    p->opened++;
    if (open->name)
        snprintf(p->asked, sizeof(p->asked), "%s %s %u",
                 open->kind == TUNNEL_UDP ? "udp" : "tcp", open->name,
                 open->port);
    else
        snprintf(p->asked, sizeof(p->asked), "%s %s",
                 open->kind == TUNNEL_UDP ? "udp" : "tcp",
                 sockaddr_format(&open->addr, addr));
    return open->kind == TUNNEL_UDP ? serve_udp(p, s) : serve_tcp(p, s);
}

static void closed_cb(void *arg, int status, const char *why)
{
    struct peer *p = arg;

    (void)status;
    (void)why;
    p->ended = true;
    tunnel_destroy(p->tunnel);
    p->tunnel = NULL;
}

static const struct tunnel_ops client_ops = {NULL, closed_cb};
static const struct tunnel_ops server_ops = {open_cb, closed_cb};

static void start_tunnel(struct peer *p, struct stream *s, bool client,
                         bool names)
{
    struct tunnel_config config = {
        .role = client ? TUNNEL_CLIENT : TUNNEL_SERVER,
        .names = names ? TUNNEL_NAMES : TUNNEL_ADDRESSES,
    };

    p->tunnel = tunnel_create(&p->world->loop, s, &config,
                              client ? &client_ops : &server_ops, p);
    ck_assert_ptr_nonnull(p->tunnel);
}

/* ---- peers: what they ask ------------------------------------------------ */

static void line_cb(void *arg, const char *line, size_t len)
{
    struct peer *p = arg;

    if (strstr(line, "\"type\":\"engagements\"")) {
        ck_assert_uint_lt(len, sizeof(p->list));
        snprintf(p->list, sizeof(p->list), "%s", line);
        p->lists++;
    } else if (strstr(line, "\"type\":\"replicas\"")) {
        snprintf(p->replicas, sizeof(p->replicas), "%s", line);
    } else if (strstr(line, "\"type\":\"drain\"")) {
        p->drain = true;
    }
}

static void watch_ended_cb(void *arg, int status, const char *body, size_t len)
{
    (void)arg;
    (void)status;
    (void)body;
    (void)len;
}

static void answer_cb(void *arg, int status, const char *body, size_t len)
{
    struct peer *p = arg;

    (void)len;
    p->status = status;
    snprintf(p->answer, sizeof(p->answer), "%s", body);
}

void peer_request(struct peer *p, const char *method, const char *path,
                  const char *body)
{
    struct world *world = p->world;

    p->status = 0;
    ck_assert_int_eq(
        tunnel_request(p->tunnel, method, path, body, answer_cb, p), 0);
    for (int i = 0; p->status == 0; i++) {
        ck_assert_msg(i < 60000, "no answer to %s %s", method, path);
        world_turn(world);
    }
}

void peer_open(struct peer *p, struct user *u, const char *name, uint16_t port)
{
    u->stream = tunnel_open_tcp_name(p->tunnel, name, port, &user_ops, u);
    ck_assert_ptr_nonnull(u->stream);
}

/* ---- peers: coming and going --------------------------------------------- */

static void dialled_cb(void *arg, const struct dial_result *result)
{
    struct peer *p = arg;

    p->dial = NULL;
    p->http_status = result->http_status;
    p->dialled = result->status < 0 ? result->status : 1;
    if (result->status == 0)
        start_tunnel(p, result->stream, p->client, false);
}

void peer_dial(struct world *w, struct peer *p, const char *method,
               const char *path, const char *upgrade, const char *headers)
{
    struct dial_config config = {
        .host = "127.0.0.1",
        .port = w->port,
        .server_name = SERVER_NAME,
        .tls = w->client_tls,
        .timeout_ms = 20000,
        .method = method,
        .path = path,
        .upgrade = upgrade,
        .headers = headers,
    };

    memset(p, 0, sizeof(*p));
    p->world = w;
    p->udp_fd = -1;
    p->client = !strcmp(upgrade, "tp-agent/1");
    p->dial = dial_start(&w->loop, &config, dialled_cb, p);
    ck_assert_ptr_nonnull(p->dial);
    for (int i = 0; p->dialled == 0; i++) {
        ck_assert_msg(i < 60000, "no answer to the dial");
        world_turn(w);
    }
}

void peer_dial_agent(struct world *w, struct peer *p, const char *token,
                     const char *upgrade)
{
    char headers[128];

    snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n", token);
    peer_dial(w, p, "POST", "/tp/v1/agent", upgrade, headers);
    ck_assert_int_eq(p->dialled, 1);
    if (strcmp(upgrade, "tp-agent/1") != 0)
        return;
    peer_request(p, "POST", "/tp/v1/hello", HELLO);
    ck_assert_int_eq(p->status, 200);
    ck_assert_int_eq(
        tunnel_watch(p->tunnel, "/tp/v1/events", line_cb, watch_ended_cb, p),
        0);
    for (int i = 0; !*p->replicas || !*p->list; i++) {
        ck_assert_msg(i < 60000, "no events");
        world_turn(w);
    }
}

bool peer_try_link(struct world *w, struct peer *p, const struct identity *who,
                   const char *session, enum link_direction direction)
{
    bool incoming = direction == LINK_INCOMING;
    struct stream *s[2];
    int fds[2];

    memset(p, 0, sizeof(*p));
    p->world = w;
    p->udp_fd = -1;
    tcp_pair(fds);
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        s[i] = stream_create_fd(&w->loop, fds[i]);
    }
    start_tunnel(p, s[0], !incoming, incoming);
    return links_open(w->parts.links, who, "shop", session, direction, s[1]);
}

void peer_open_link(struct world *w, struct peer *p, const struct identity *who,
                    const char *session, enum link_direction direction)
{
    ck_assert(peer_try_link(w, p, who, session, direction));
}

void peer_close(struct peer *p)
{
    tunnel_destroy(p->tunnel);
    p->tunnel = NULL;
    if (p->udp_fd >= 0)
        close(p->udp_fd);
    p->udp_fd = -1;
}
