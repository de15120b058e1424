/* Agents and incoming links: who comes in, what agents are told, and where
 * engaged connections go. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agents_world.h"
#include "base/json.h"
#include "manager/agents_internal.h"
#include "net/dial.h"
#include "suite.h"
#include "tunnel/udp.h"

#define SESSION "session-of-alice-0123456789"
#define OUT     "tp-agent/1"
#define IN      "tp-agent-in/1"

/* ---- who comes in -------------------------------------------------------- */

static void count_cb(void *arg, const struct agent_info *agent)
{
    unsigned *n = arg;

    (void)agent;
    (*n)++;
}

static void keep_cb(void *arg, const struct agent_info *agent)
{
    *(struct agent_info *)arg = *agent;
}

START_TEST(an_agent_comes_in_by_its_token)
{
    const struct workload_ref db = {"shop", "Deployment", "db"};
    struct agent_info info = {0};
    struct peer out, in;
    struct world w;
    unsigned n = 0;

    world_init(&w);
    peer_dial_agent(&w, &out, "token-web", OUT);
    ck_assert_ptr_nonnull(strstr(out.answer, "\"protocol\":1"));
    ck_assert_ptr_nonnull(strstr(out.answer, "\"replica\":\"10.42.0.7\""));
    ck_assert_ptr_nonnull(
        strstr(out.answer, "\"replicas\":[\"10.42.0.7\",\"10.42.0.8\"]"));
    ck_assert_str_eq(out.list, "{\"type\":\"engagements\",\"engagements\":[]}");
    peer_dial_agent(&w, &in, "token-web", IN);
    ck_assert_uint_eq(agents_count(w.parts.agents), 1);
    agents_each(w.parts.agents, NULL, keep_cb, &info);
    ck_assert_str_eq(info.pod, "web-1");
    ck_assert_str_eq(info.workload.name, "web");
    ck_assert(info.in && info.out);
    agents_each(w.parts.agents, &db, count_cb, &n);
    ck_assert_uint_eq(n, 0);
    ck_assert_uint_gt(w.engagements.pokes, 0);
    peer_close(&out);
    peer_close(&in);
    UNTIL(agents_count(w.parts.agents) == 0);
    world_close(&w);
}
END_TEST

static int knock(struct world *w, const char *method, const char *path,
                 const char *upgrade, const char *headers)
{
    struct peer p;

    peer_dial(w, &p, method, path, upgrade, headers);
    ck_assert_int_lt(p.dialled, 0);
    return p.http_status;
}

#define GOOD "Authorization: Bearer token-web\r\n"

START_TEST(nobody_else_comes_in)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT, ""), 401);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT,
                           "Authorization: Bearer made-up\r\n"),
                     401);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT,
                           "Authorization: Basic token-web\r\n"),
                     401);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT,
                           "Authorization: Bearer token web\r\n"),
                     401);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT, GOOD GOOD), 401);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agents", OUT, GOOD), 404);
    ck_assert_int_eq(knock(&w, "GET", "/tp/v1/agent", OUT, GOOD), 400);
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", "tp/1", GOOD), 400);
    ck_assert_int_eq(
        knock(&w, "POST", "/tp/v1/agent", OUT, GOOD "X-Remote-User: a\r\n"),
        400);
    ck_assert_uint_eq(w.metrics.agents_refused, 9);
    ck_assert_uint_eq(w.metrics.agent_reviews[REVIEW_DENIED], 1);
    ck_assert_uint_eq(w.metrics.agent_reviews[REVIEW_ALLOWED], 0);
    w.pods[0].status = -EIO; /* nobody can tell */
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT, GOOD), 503);
    ck_assert_uint_eq(agents_count(w.parts.agents), 0);
    world_close(&w);
}
END_TEST

START_TEST(nothing_is_answered_before_hello)
{
    struct user u = {0};
    struct peer p;
    struct world w;

    world_init(&w);
    peer_dial(&w, &p, "POST", "/tp/v1/agent", OUT, GOOD);
    peer_request(&p, "GET", "/tp/v1/events", NULL);
    ck_assert_int_eq(p.status, 400);
    peer_open(&p, &u, ID_1, 8080);
    UNTIL(u.closed);
    ck_assert_int_eq(u.open_status, -EINVAL);
    peer_request(&p, "POST", "/tp/v1/hello", "{\"protocol\":[7]}");
    ck_assert_int_eq(p.status, 409);
    peer_request(&p, "GET", "/tp/v1/events", NULL);
    ck_assert_int_eq(p.status, 400);
    peer_close(&p);
    world_close(&w);
}
END_TEST

START_TEST(a_third_connection_replaces_the_oldest)
{
    struct peer p[3], in;
    struct world w;

    world_init(&w);
    peer_dial_agent(&w, &in, "token-web", IN);
    for (int i = 0; i < 3; i++)
        peer_dial_agent(&w, &p[i], "token-web", OUT);
    UNTIL(p[0].ended);
    world_settle(&w);
    ck_assert(!p[1].ended && !p[2].ended && !in.ended);
    ck_assert_uint_eq(agents_count(w.parts.agents), 1);
    for (int i = 1; i < 3; i++)
        peer_close(&p[i]);
    peer_close(&in);
    world_close(&w);
}
END_TEST

static void recheck_now(struct world *w)
{
    struct agent *agent;

    TAILQ_FOREACH(agent, &w->parts.agents->list, entry)
    {
        agent->check_at = 0;
    }
}

START_TEST(an_agent_whose_pod_is_gone_is_cut_off)
{
    struct peer web, db;
    struct world w;

    world_init(&w);
    peer_dial_agent(&w, &web, "token-web", OUT);
    peer_dial_agent(&w, &db, "token-db", OUT);
    w.pods[0].status = -EACCES;
    w.pods[1].status = -EIO; /* is given time */
    recheck_now(&w);
    UNTIL(web.ended);
    world_settle(&w);
    ck_assert(!db.ended);
    ck_assert_uint_eq(agents_count(w.parts.agents), 1);
    peer_close(&db);
    world_close(&w);
}
END_TEST

/* ---- incoming links ------------------------------------------------------ */

START_TEST(a_session_has_a_link_of_each_direction)
{
    struct peer out, in, again;
    struct world w;

    world_init(&w);
    peer_open_link(&w, &out, &alice, SESSION, LINK_OUTGOING);
    peer_open_link(&w, &in, &alice, SESSION, LINK_INCOMING);
    ck_assert(!links_has_incoming(w.parts.links, SESSION));
    UNTIL(links_has_incoming(w.parts.links, SESSION));
    ck_assert_str_eq(in.asked, "POST /tp/v1/hello");
    peer_open_link(&w, &again, &alice, SESSION, LINK_INCOMING);
    while (!in.ended) { /* there is always one */
        ck_assert(links_has_incoming(w.parts.links, SESSION));
        world_turn(&w);
    }
    world_settle(&w);
    ck_assert(links_has_incoming(w.parts.links, SESSION));
    ck_assert(!out.ended && !again.ended);
    ck_assert_uint_eq(links_count(w.parts.links), 2);
    peer_close(&out);
    peer_close(&again);
    UNTIL(links_count(w.parts.links) == 0);
    world_close(&w);
}
END_TEST

START_TEST(incoming_links_are_counted_by_themselves)
{
    struct peer p[4];
    struct world w;
    char name[40];

    world_init(&w);
    peer_open_link(&w, &p[3], &alice, SESSION, LINK_OUTGOING);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "session-%d", i);
        ck_assert_int_eq(
            links_check(w.parts.links, &alice, name, LINK_INCOMING), LINKS_OK);
        peer_open_link(&w, &p[i], &alice, name, LINK_INCOMING);
    }
    ck_assert_int_eq(links_check(w.parts.links, &alice, "x", LINK_INCOMING),
                     LINKS_TOO_MANY);
    ck_assert_int_eq(links_check(w.parts.links, &alice, "x", LINK_OUTGOING),
                     LINKS_OK);
    for (int i = 0; i < 4; i++)
        peer_close(&p[i]);
    world_close(&w);
}
END_TEST

/* Whoever knows or guesses the name of a session gets nothing of it. */
START_TEST(a_session_is_its_owners)
{
    struct peer in, late;
    struct world w;

    world_init(&w);
    peer_open_link(&w, &in, &bob, SESSION, LINK_INCOMING);
    UNTIL(links_has_incoming(w.parts.links, SESSION));
    ck_assert_int_eq(links_check(w.parts.links, &alice, SESSION, LINK_INCOMING),
                     LINKS_FOREIGN);
    /* One that was there before the engagement was known here. */
    world_engage(&w, ID_1, "web", &alice, SESSION);
    ck_assert_ptr_null(links_incoming_tunnel(w.parts.links, &alice, SESSION));
    ck_assert_ptr_nonnull(links_incoming_tunnel(w.parts.links, &bob, SESSION));
    peer_close(&in);
    UNTIL(links_count(w.parts.links) == 0);
    ck_assert_int_eq(links_check(w.parts.links, &bob, SESSION, LINK_INCOMING),
                     LINKS_FOREIGN);
    ck_assert(!peer_try_link(&w, &late, &bob, SESSION, LINK_INCOMING));
    UNTIL(late.ended);
    ck_assert_int_eq(links_check(w.parts.links, &alice, SESSION, LINK_INCOMING),
                     LINKS_OK);
    world_close(&w);
}
END_TEST

START_TEST(a_client_that_speaks_another_version_is_cut_off)
{
    struct peer in;
    struct world w;

    world_init(&w);
    peer_open_link(&w, &in, &alice, SESSION, LINK_INCOMING);
    in.hello_answer = "{\"protocol\":2}";
    UNTIL(in.ended);
    ck_assert(!links_has_incoming(w.parts.links, SESSION));
    world_close(&w);
}
END_TEST

/* ---- what agents are told ------------------------------------------------ */

START_TEST(an_agent_is_told_of_its_engagements_only)
{
    struct engagement *eng;
    struct peer agent, in;
    struct world w;
    unsigned lists;

    world_init(&w);
    peer_dial_agent(&w, &agent, "token-web", OUT);
    world_engage(&w, ID_1, "web", &alice, SESSION);
    world_engage(&w, ID_2, "db", &alice, SESSION);
    eng = world_engage(&w, ID_3, "web", &alice, SESSION);
    eng->phase = ENGAGEMENT_PENDING;
    world_settle(&w);
    ck_assert_uint_eq(agent.lists, 1); /* no incoming link: nothing new */
    peer_open_link(&w, &in, &alice, SESSION, LINK_INCOMING);
    UNTIL(agent.lists == 2);
    ck_assert_str_eq(agent.list,
                     "{\"type\":\"engagements\",\"engagements\":[{\"id\":"
                     "\"" ID_1 "\",\"type\":\"intercept\",\"ports\":[{\"port\":"
                     "8080,\"protocol\":\"tcp\"},{\"port\":5353,\"protocol\":"
                     "\"udp\"}]}]}");
    /* Ports of other containers are not its business. */
    eng->phase = ENGAGEMENT_INJECTING;
    snprintf(eng->container, sizeof(eng->container), "other");
    agents_announce(w.parts.agents);
    agents_announce(w.parts.agents);
    world_settle(&w);
    ck_assert_uint_eq(agent.lists, 2);
    *eng->container = '\0';
    eng->ports[0].port = 9090;
    agents_announce(w.parts.agents);
    UNTIL(agent.lists == 3);
    ck_assert_ptr_nonnull(strstr(agent.list, ID_3));
    ck_assert_ptr_null(strstr(agent.list, "9090"));
    lists = agent.lists;
    peer_close(&in);
    UNTIL(agent.lists > lists);
    ck_assert_str_eq(agent.list,
                     "{\"type\":\"engagements\",\"engagements\":[]}");
    peer_close(&agent);
    world_close(&w);
}
END_TEST

START_TEST(agents_follow_the_replicas)
{
    struct peer agent;
    struct world w;

    world_init(&w);
    peer_dial_agent(&w, &agent, "token-web", OUT);
    *agent.replicas = '\0';
    agents_set_replicas(w.parts.agents,
                        json_tokener_parse("[\"10.42.0.7\",\"10.42.0.8\"]"));
    world_settle(&w);
    ck_assert_str_eq(agent.replicas, "");
    agents_set_replicas(w.parts.agents, json_tokener_parse("[\"10.42.0.7\"]"));
    UNTIL(*agent.replicas);
    ck_assert_str_eq(agent.replicas,
                     "{\"type\":\"replicas\",\"replicas\":[\"10.42.0.7\"]}");
    peer_close(&agent);
    world_close(&w);
}
END_TEST

/* ---- engaged connections ------------------------------------------------- */

/* An agent of `web`, alice's outgoing and incoming link, ID_1 on `web`. */
struct path {
    struct peer agent, in, out;
};

static void make_path(struct world *w_, struct path *p)
{
    struct world *world = w_;

    world_init(world);
    peer_dial_agent(world, &p->agent, "token-web", OUT);
    world_engage(world, ID_1, "web", &alice, SESSION);
    peer_open_link(world, &p->in, &alice, SESSION, LINK_INCOMING);
    peer_open_link(world, &p->out, &alice, SESSION, LINK_OUTGOING);
    for (int i = 0; !strstr(p->agent.list, ID_1); i++) {
        ck_assert_int_lt(i, 60000);
        world_turn(world);
    }
    peer_request(&p->out, "POST", "/tp/v1/hello",
                 "{\"protocol\":[1],\"features\":[\"engagements\"]}");
}

static void end_path(struct world *w, struct path *p)
{
    peer_close(&p->agent);
    peer_close(&p->in);
    peer_close(&p->out);
    world_close(w);
}

static int refusal(struct world *world, struct peer *p, const char *id,
                   uint16_t port)
{
    struct user u = {0};

    peer_open(p, &u, id, port);
    for (int i = 0; !u.closed; i++) {
        ck_assert_int_lt(i, 60000);
        world_turn(world);
    }
    return u.open_status;
}

START_TEST(engaged_connections_reach_the_client)
{
    struct user app = {.offer = 3000000}, local = {.offer = 2000000};
    struct path p;
    struct world w;

    make_path(&w, &p);
    p.in.next = &local;
    peer_open(&p.agent, &app, ID_1, 8080);
    UNTIL(app.closed && local.closed);
    ck_assert_str_eq(p.in.asked, "tcp " ID_1 " 8080");
    ck_assert_int_eq(app.status, 0);
    ck_assert_int_eq(local.status, 0);
    ck_assert_uint_eq(app.received, 2000000);
    ck_assert_uint_eq(local.received, 3000000);
    ck_assert(!app.bad && !local.bad);
    ck_assert_uint_eq(w.metrics.engaged[DIAL_OK], 1);
    end_path(&w, &p);
}
END_TEST

START_TEST(what_the_client_refuses_the_agent_learns)
{
    struct path p;
    struct world w;

    make_path(&w, &p);
    ck_assert_int_eq(refusal(&w, &p.agent, ID_1, 8080), -ECONNREFUSED);
    ck_assert_uint_eq(p.in.opened, 1);
    end_path(&w, &p);
}
END_TEST

START_TEST(agents_reach_their_own_engagements_only)
{
    struct user u = {0};
    struct peer db;
    struct path p;
    struct world w;

    make_path(&w, &p);
    peer_dial_agent(&w, &db, "token-db", OUT);
    ck_assert_int_eq(refusal(&w, &db, ID_1, 8080), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.agent, ID_2, 8080), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.agent, ID_1, 8081), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.agent, ID_1, 5353), -EACCES); /* UDP's */
    ck_assert_uint_eq(w.metrics.engaged[DIAL_DENIED], 4);
    /* Addresses are not dialled for agents at all. */
    u.stream = NULL;
    user_open(&u, &(struct pair){.client = p.agent.tunnel});
    UNTIL(u.closed);
    ck_assert_int_eq(u.open_status, -EINVAL);
    ck_assert_uint_eq(p.in.opened, 0);
    peer_close(&db);
    end_path(&w, &p);
}
END_TEST

START_TEST(without_its_incoming_link_an_engagement_is_refused)
{
    struct user app = {.keep_open = true}, local = {.keep_open = true};
    struct path p;
    struct world w;

    make_path(&w, &p);
    p.in.next = &local;
    peer_open(&p.agent, &app, ID_1, 8080);
    UNTIL(app.opened);
    ck_assert_int_eq(app.open_status, 0);
    peer_close(&p.in);
    UNTIL(app.closed);
    ck_assert_int_lt(app.status, 0); /* a reset, not an end */
    UNTIL(!strstr(p.agent.list, ID_1));
    ck_assert_int_eq(refusal(&w, &p.agent, ID_1, 8080), -ECONNREFUSED);
    ck_assert(!p.agent.ended);
    end_path(&w, &p);
}
END_TEST

START_TEST(an_agents_end_resets_its_connections)
{
    struct user app = {.keep_open = true}, local = {.keep_open = true};
    struct path p;
    struct world w;

    make_path(&w, &p);
    p.in.next = &local;
    peer_open(&p.agent, &app, ID_1, 8080);
    UNTIL(app.opened);
    peer_close(&p.agent);
    UNTIL(local.closed);
    ck_assert_int_lt(local.status, 0);
    ck_assert(!p.in.ended);
    end_path(&w, &p);
}
END_TEST

/* ---- UDP ----------------------------------------------------------------- */

struct flow {
    char got[64];
    int opened, closed, status;
};

static void flow_opened_cb(void *arg, int status)
{
    struct flow *f = arg;

    f->opened++;
    f->status = status;
}

static void flow_datagram_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    snprintf(f->got, sizeof(f->got), "%.*s", (int)len, (const char *)data);
}

static void flow_closed_cb(void *arg, int status)
{
    struct flow *f = arg;

    (void)status;
    f->closed++;
}

static const struct tunnel_udp_ops flow_ops = {flow_opened_cb, flow_datagram_cb,
                                               flow_closed_cb};

/* Sends one datagram each way between `from` and the peer that serves it. */
static void exchange(struct world *world, struct peer *from, struct peer *to,
                     uint16_t port)
{
    struct flow flow = {0};
    char got[64] = "";
    struct tunnel_udp *u =
        tunnel_udp_open_name(from->tunnel, ID_1, port, 0, &flow_ops, &flow);

    ck_assert_ptr_nonnull(u);
    ck_assert_int_eq(tunnel_udp_send(u, "ask", 3), 0);
    for (int i = 0; to->udp_fd < 0 || read(to->udp_fd, got, sizeof(got)) < 0;
         i++) {
        ck_assert_int_lt(i, 60000);
        world_turn(world);
    }
    ck_assert_str_eq(got, "ask");
    ck_assert_int_eq(write(to->udp_fd, "answer", 6), 6);
    for (int i = 0; !*flow.got; i++) {
        ck_assert_int_lt(i, 60000);
        world_turn(world);
    }
    ck_assert_str_eq(flow.got, "answer");
    tunnel_udp_close(u);
}

START_TEST(engaged_datagrams_reach_the_client)
{
    struct path p;
    struct world w;

    make_path(&w, &p);
    exchange(&w, &p.agent, &p.in, 5353);
    ck_assert_str_eq(p.in.asked, "udp " ID_1 " 5353");
    end_path(&w, &p);
}
END_TEST

/* ---- to the pod's localhost ---------------------------------------------- */

START_TEST(the_client_reaches_the_pods_localhost)
{
    struct user local = {.offer = 100000}, pod = {.offer = 200000};
    struct peer in;
    struct path p;
    struct world w;

    make_path(&w, &p);
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 5432), -EHOSTUNREACH);
    peer_dial_agent(&w, &in, "token-web", IN);
    in.next = &pod;
    peer_open(&p.out, &local, ID_1, 5432);
    UNTIL(local.closed && pod.closed);
    ck_assert_str_eq(in.asked, "tcp 127.0.0.1:5432");
    ck_assert_uint_eq(local.received, 200000);
    ck_assert_uint_eq(pod.received, 100000);
    ck_assert(!local.bad && !pod.bad);
    exchange(&w, &p.out, &in, 53);
    ck_assert_str_eq(in.asked, "udp 127.0.0.1:53");
    peer_close(&in);
    end_path(&w, &p);
}
END_TEST

START_TEST(to_pod_is_for_who_asked_for_it)
{
    struct peer in, other;
    struct path p;
    struct world w;

    make_path(&w, &p);
    peer_dial_agent(&w, &in, "token-web", IN);
    peer_open_link(&w, &other, &alice, "another-session-of-alice-00",
                   LINK_OUTGOING);
    peer_request(&other, "POST", "/tp/v1/hello", "{\"protocol\":[1]}");
    ck_assert_int_eq(refusal(&w, &other, ID_1, 5432), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 5433), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 53), -EACCES); /* UDP's */
    ck_assert_int_eq(refusal(&w, &p.out, ID_2, 5432), -EACCES);
    w.engagements.list[0].who = bob;
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 5432), -EACCES);
    ck_assert_uint_eq(in.opened, 0);
    ck_assert_uint_eq(w.metrics.to_pod[DIAL_DENIED], 5);
    peer_close(&in);
    peer_close(&other);
    end_path(&w, &p);
}
END_TEST

START_TEST(files_are_for_who_engages)
{
    struct peer in, other;
    struct path p;
    struct world w;

    make_path(&w, &p);
    peer_dial_agent(&w, &in, "token-web", IN);
    peer_open_link(&w, &other, &alice, "another-session-of-alice-00",
                   LINK_OUTGOING);
    peer_request(&other, "POST", "/tp/v1/hello", "{\"protocol\":[1]}");
    ck_assert_int_eq(refusal(&w, &other, ID_1, 22), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.out, ID_2, 22), -EACCES);
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 23), -EACCES);
    ck_assert_uint_eq(w.engagements.files, 0);
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 22), -ETIMEDOUT);
    ck_assert_uint_eq(w.engagements.files, 1);
    /* A port of the pod that was asked for comes first. */
    w.engagements.list[0].to_pod[0].port = 22;
    w.engagements.list[0].to_pod[1] = (struct engagement_port){23, false};
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 24), -ETIMEDOUT);
    ck_assert_uint_eq(w.engagements.files, 2);
    w.engagements.list[0].who = bob;
    ck_assert_int_eq(refusal(&w, &p.out, ID_1, 24), -EACCES);
    peer_close(&in);
    peer_close(&other);
    end_path(&w, &p);
}
END_TEST

static void answer_cb(void *arg, int status, const char *body, size_t len)
{
    (void)len;
    ck_assert_str_eq(body, "{\"asked\":true}");
    *(int *)arg = status;
}

START_TEST(the_manager_asks_an_agent)
{
    const struct workload_ref web = {"shop", "Deployment", "web"};
    struct peer in;
    struct world w;
    int status = 0;

    world_init(&w);
    ck_assert_int_eq(agents_request(w.parts.agents, &web, NULL, "/tp/v1/status",
                                    answer_cb, &status),
                     -ENOENT);
    peer_dial_agent(&w, &in, "token-web", IN);
    ck_assert_int_eq(agents_request(w.parts.agents, &web, "web-2",
                                    "/tp/v1/status", answer_cb, &status),
                     -ENOENT);
    ck_assert_int_eq(agents_request(w.parts.agents, &web, "web-1",
                                    "/tp/v1/status", answer_cb, &status),
                     0);
    UNTIL(status != 0);
    ck_assert_int_eq(status, 200);
    ck_assert_str_eq(in.asked, "GET /tp/v1/status");
    peer_close(&in);
    world_close(&w);
}
END_TEST

/* ---- much, and the end --------------------------------------------------- */

#define CHURN 2000
#define BATCH 50

START_TEST(thousands_of_connections_leave_nothing)
{
    static struct user app[BATCH], local[BATCH];
    struct tunnel_stats stats;
    struct path p;
    struct world w;

    make_path(&w, &p);
    for (int round = 0; round < CHURN / BATCH; round++) {
        memset(app, 0, sizeof(app));
        memset(local, 0, sizeof(local));
        p.in.next = local;
        for (int i = 0; i < BATCH; i++) {
            app[i].offer = 1000;
            local[i].offer = 500;
            app[i].keep_open = i % 5 == 0; /* to be reset */
            peer_open(&p.agent, &app[i], ID_1, 8080);
        }
        for (int i = 0; i < BATCH; i++) {
            UNTIL(app[i].received == 500);
            if (app[i].keep_open)
                tunnel_stream_reset(app[i].stream, -ECONNRESET);
            UNTIL(local[i].closed);
            ck_assert_int_eq(local[i].status,
                             app[i].keep_open ? -ECONNRESET : 0);
        }
    }
    ck_assert_uint_eq(w.metrics.engaged[DIAL_OK], CHURN);
    world_settle(&w);
    tunnel_get_stats(links_incoming_tunnel(w.parts.links, &alice, SESSION),
                     &stats);
    ck_assert_uint_eq(stats.streams, 0);
    end_path(&w, &p);
}
END_TEST

START_TEST(a_manager_that_goes_loses_no_engaged_connection)
{
    struct user app = {.keep_open = true}, local = {.keep_open = true};
    struct path p;
    struct world w;

    make_path(&w, &p);
    links_drain(w.parts.links);
    UNTIL(!strcmp(p.in.asked, "POST /tp/v1/drain"));
    p.in.next = &local;
    peer_open(&p.agent, &app, ID_1, 8080); /* still comes */
    UNTIL(local.stream && app.opened);
    ck_assert_int_eq(app.open_status, 0);
    links_drain_incoming(w.parts.links);
    agents_drain(w.parts.agents);
    UNTIL(p.agent.drain);
    world_settle(&w);
    ck_assert(!app.closed && !local.closed); /* what runs goes on */
    ck_assert(!links_has_incoming(w.parts.links, SESSION));
    ck_assert_int_eq(knock(&w, "POST", "/tp/v1/agent", OUT, GOOD), 503);
    app.keep_open = local.keep_open = false;
    tunnel_stream_resume(app.stream);
    tunnel_stream_resume(local.stream);
    UNTIL(p.in.ended && app.closed);
    ck_assert_int_eq(app.status, 0);
    ck_assert(!p.agent.ended); /* it listens until it has enough */
    end_path(&w, &p);
}
END_TEST

static void ignore_line_cb(void *arg, const char *line, size_t len)
{
    (void)arg;
    (void)line;
    (void)len;
}

static void ignore_end_cb(void *arg, int status, const char *body, size_t len)
{
    (void)status;
    ignore_line_cb(arg, body, len);
}

/* A drain waits for connections, not for those who merely listen. */
START_TEST(idle_links_end_before_busy_ones)
{
    struct user app = {.keep_open = true}, local = {.keep_open = true};
    struct path p;
    struct world w;

    make_path(&w, &p);
    p.in.next = &local;
    peer_open(&p.agent, &app, ID_1, 8080);
    UNTIL(local.stream && app.opened);
    ck_assert_int_eq(tunnel_watch(p.out.tunnel, "/tp/v1/events", ignore_line_cb,
                                  ignore_end_cb, NULL),
                     0);
    world_settle(&w);
    links_drain(w.parts.links);
    links_drain_incoming(w.parts.links);
    world_settle(&w);
    ck_assert_uint_eq(links_count(w.parts.links), 2);
    links_close_idle(w.parts.links); /* the outgoing one has events only */
    ck_assert_uint_eq(links_count(w.parts.links), 1);
    UNTIL(p.out.ended);
    ck_assert(!app.closed && !local.closed);
    app.keep_open = local.keep_open = false;
    tunnel_stream_resume(app.stream);
    tunnel_stream_resume(local.stream);
    UNTIL(links_count(w.parts.links) == 0 && app.closed);
    ck_assert_int_eq(app.status, 0);
    end_path(&w, &p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager_agents");
    TCase *tc = tcase_create("agents");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, an_agent_comes_in_by_its_token);
    tcase_add_test(tc, nobody_else_comes_in);
    tcase_add_test(tc, nothing_is_answered_before_hello);
    tcase_add_test(tc, a_third_connection_replaces_the_oldest);
    tcase_add_test(tc, an_agent_whose_pod_is_gone_is_cut_off);
    tcase_add_test(tc, a_session_has_a_link_of_each_direction);
    tcase_add_test(tc, incoming_links_are_counted_by_themselves);
    tcase_add_test(tc, a_session_is_its_owners);
    tcase_add_test(tc, a_client_that_speaks_another_version_is_cut_off);
    tcase_add_test(tc, an_agent_is_told_of_its_engagements_only);
    tcase_add_test(tc, agents_follow_the_replicas);
    tcase_add_test(tc, engaged_connections_reach_the_client);
    tcase_add_test(tc, what_the_client_refuses_the_agent_learns);
    tcase_add_test(tc, agents_reach_their_own_engagements_only);
    tcase_add_test(tc, without_its_incoming_link_an_engagement_is_refused);
    tcase_add_test(tc, an_agents_end_resets_its_connections);
    tcase_add_test(tc, engaged_datagrams_reach_the_client);
    tcase_add_test(tc, the_client_reaches_the_pods_localhost);
    tcase_add_test(tc, to_pod_is_for_who_asked_for_it);
    tcase_add_test(tc, files_are_for_who_engages);
    tcase_add_test(tc, the_manager_asks_an_agent);
    tcase_add_test(tc, thousands_of_connections_leave_nothing);
    tcase_add_test(tc, idle_links_end_before_busy_ones);
    tcase_add_test(tc, a_manager_that_goes_loses_no_engaged_connection);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
