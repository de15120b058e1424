/* The agent's links: whom it trusts, what it tells, what it does. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/link.h"
#include "agent/logring.h"
#include "agent/replicas.h"
#include "agent/serve.h"
#include "agent_manager.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "suite.h"
#include "tempdir.h"
#include "tunnel/udp.h"

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbb"

static char *const variables[] = {(char *)"TPENV_0_GREETING=hello $(WHO)",
                                  (char *)"TPENV_0_WHO=world",
                                  (char *)"TPENV_0_TOKEN=secret", NULL};

struct world {
    uv_loop_t loop;
    uv_timer_t turn;
    struct fake_manager m;
    struct tls_ctx *tls;
    struct replicas *replicas;
    struct settings settings;
    struct serve serve;
    char dir[64], token_file[100];
    struct agent_engagement list[8]; /* as the path was told last */
    size_t count;
    unsigned told;
};

static void turn_cb(uv_timer_t *timer)
{
    (void)timer;
}

static void world_turn(struct world *w)
{
    uv_timer_start(&w->turn, turn_cb, 5, 0);
    uv_run(&w->loop, UV_RUN_ONCE);
}

/* 20 s; the longest wait in these tests is a backoff of a second or two. */
#define RUN_UNTIL(condition)                                                   \
    do {                                                                       \
        uint64_t run_end_ = uv_hrtime() + 20000000000U;                        \
        while (!(condition)) {                                                 \
            ck_assert_msg(uv_hrtime() < run_end_, "never: %s", #condition);    \
            world_turn(&w);                                                    \
        }                                                                      \
    } while (0)

static void run_for(struct world *w, unsigned ms)
{
    uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

    while (uv_hrtime() < end)
        world_turn(w);
}

static void write_token(struct world *w, const char *token)
{
    FILE *f = fopen(w->token_file, "w");

    ck_assert_ptr_nonnull(f);
    fputs(token, f);
    fclose(f);
}

/* Also the tunnels of what went away must be alive still: ASan would tell. */
static void engagements_cb(void *arg, const struct agent_engagement *list,
                           size_t n)
{
    struct world *w = arg;
    struct tunnel_stats stats;

    for (size_t i = 0; i < w->count; i++)
        tunnel_get_stats(w->list[i].tunnel, &stats);
    ck_assert_uint_le(n, 8);
    for (size_t i = 0; i < n; i++) {
        w->list[i] = list[i];
        tunnel_get_stats(list[i].tunnel, &stats);
    }
    w->count = n;
    w->told++;
}

static void status_cb(void *arg, struct json_object *status)
{
    (void)arg;
    json_object_object_add(status, "dropped", json_object_new_int(7));
}

static void world_init(struct world *w, const char *server_name)
{
    struct tp_error err = {0};

    memset(w, 0, sizeof(*w));
    log_set_level(LOG_ERROR);
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->turn);
    fake_init(&w->m, &w->loop, server_name);
    tempdir_make(w->dir);
    snprintf(w->token_file, sizeof(w->token_file), "%s/token", w->dir);
    write_token(w, "first.token\n");
    ck_assert_int_eq(
        settings_parse(&w->settings,
                       "{\"version\":1,\"containers\":[\"app\"],\"env\":{"
                       "\"app\":[\"WHO\",\"GREETING\"]},\"exclude\":["
                       "\"TOKEN\"]}",
                       &err),
        0);
    w->serve = (struct serve){.loop = &w->loop,
                              .settings = &w->settings,
                              .log = logring_create(),
                              .environ = variables,
                              .status_cb = status_cb};
}

/* The agent; ca NULL: the manager's. */
static void world_connect(struct world *w, const char *ca)
{
    struct replicas_config config = {
        .server_name = FAKE_NAME,
        .token_file = w->token_file,
        .engagements_cb = engagements_cb,
        .engagements_arg = w,
        .open_cb = serve_open,
        .open_arg = &w->serve,
    };
    struct tp_error err = {0};

    w->tls = agent_link_tls(ca ? ca : w->m.ca.cert, &err);
    ck_assert_msg(w->tls != NULL, "%s", err.text);
    config.tls = w->tls;
    ck_assert_int_eq(sockaddr_parse(&config.seed, "127.0.0.1", w->m.port), 0);
    w->replicas = replicas_create(&w->loop, &config);
    ck_assert_ptr_nonnull(w->replicas);
}

static void world_release(struct world *w)
{
    struct logring *log = (struct logring *)(uintptr_t)w->serve.log;

    replicas_destroy(w->replicas);
    ck_assert_uint_eq(w->count, 0);
    tls_ctx_destroy(w->tls);
    fake_release(&w->m);
    uv_close((uv_handle_t *)&w->turn, NULL);
    ck_assert_int_eq(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
    settings_release(&w->settings);
    logring_destroy(log);
    tempdir_remove(w->dir);
}

static struct replicas_stats stats_of(const struct world *w)
{
    struct replicas_stats stats;

    replicas_get_stats(w->replicas, &stats);
    return stats;
}

/* ---- trust --------------------------------------------------------------- */

START_TEST(token_goes_to_the_manager)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].out && r[0].in && r[0].events);
    ck_assert_str_eq(r[0].token, "Bearer first.token");
    ck_assert_uint_eq(r[0].hellos, 1);
    RUN_UNTIL(stats_of(&w).out == 1 && stats_of(&w).in == 1);
    world_release(&w);
}
END_TEST

/* The kubelet has renewed it meanwhile. */
START_TEST(token_is_read_at_each_dial)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].events && r[0].in);
    write_token(&w, "second.token");
    fake_stop(&r[0]);
    fake_start(&r[0]);
    RUN_UNTIL(r[0].events && r[0].in);
    ck_assert_str_eq(r[0].token, "Bearer second.token");
    world_release(&w);
}
END_TEST

START_TEST(token_cannot_add_a_header)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    write_token(&w, "x\r\nX-Remote-User: admin");
    fake_start(&r[0]);
    world_connect(&w, NULL);
    run_for(&w, 600);
    ck_assert_uint_eq(r[0].accepted, 0);
    write_token(&w, "good");
    RUN_UNTIL(r[0].events);
    world_release(&w);
}
END_TEST

START_TEST(foreign_certificate_gets_no_byte)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;
    struct pki_pair other;

    world_init(&w, NULL);
    pki_make_ca(&other, "another CA");
    fake_start(&r[0]);
    world_connect(&w, other.cert);
    RUN_UNTIL(r[0].accepted >= 2);
    run_for(&w, 100);
    ck_assert_uint_eq(r[0].handshakes, 0);
    ck_assert_uint_eq(r[0].heads, 0);
    pki_release(&other);
    world_release(&w);
}
END_TEST

START_TEST(other_name_gets_no_byte)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, "tp-manager.evil.svc");
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].accepted >= 2);
    run_for(&w, 100);
    ck_assert_uint_eq(r[0].handshakes, 0);
    ck_assert_uint_eq(r[0].heads, 0);
    world_release(&w);
}
END_TEST

struct eavesdropper {
    uint8_t data[65536];
    size_t len;
    int fd;
};

static void keep_fd_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct eavesdropper *e = arg;

    (void)peer;
    if (e->fd >= 0)
        close(e->fd);
    e->fd = fd;
}

/* Nothing but a ClientHello (RFC 8446 5.1: a handshake record) leaves. */
START_TEST(silent_server_sees_a_client_hello_only)
{
    struct eavesdropper e = {.fd = -1};
    union sockaddr_any addr;
    struct listener *l;
    struct world w;
    ssize_t n;

    world_init(&w, NULL);
    ck_assert_int_eq(sockaddr_parse(&addr, "127.0.0.1", 0), 0);
    l = listener_create(&w.loop, &addr, 4, keep_fd_cb, &e, NULL);
    listener_get_addr(l, &addr);
    w.m.port = sockaddr_port(&addr);
    world_connect(&w, NULL);
    RUN_UNTIL(e.fd >= 0);
    run_for(&w, 300);
    n = read(e.fd, e.data, sizeof(e.data));
    ck_assert_int_gt(n, 5);
    ck_assert_uint_eq(e.data[0], 22);
    ck_assert_int_eq(n, 5 + e.data[3] * 256 + e.data[4]); /* one record */
    ck_assert_ptr_null(memmem(e.data, (size_t)n, "first.token", 11));
    ck_assert_ptr_null(memmem(e.data, (size_t)n, "POST", 4));
    /* RFC 8446 4.2.1: supported_versions names TLS 1.3 alone. */
    ck_assert_ptr_nonnull(
        memmem(e.data, (size_t)n, "\0\x2b\0\x03\x02\x03\x04", 7));
    close(e.fd);
    listener_close(l);
    world_release(&w);
}
END_TEST

START_TEST(refused_token_is_tried_again)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    r[0].refuse = 401;
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].heads == 2);
    ck_assert_uint_eq(stats_of(&w).out, 0);
    r[0].refuse = 0;
    RUN_UNTIL(r[0].events && r[0].in);
    world_release(&w);
}
END_TEST

START_TEST(other_protocol_is_no_link)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    strcpy(r[0].hello, "{\"protocol\":2}");
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].hellos == 2);
    ck_assert_uint_eq(stats_of(&w).out, 0);
    ck_assert_ptr_null(r[0].in);
    world_release(&w);
}
END_TEST

/* ---- engagements --------------------------------------------------------- */

#define ENGAGEMENT(id, type)                                                   \
    "{\"id\":\"" id "\",\"type\":\"" type                                      \
    "\",\"ports\":[{\"port\":8080,\"protocol\":\"tcp\"}]}"
#define ENGAGEMENTS(list)                                                      \
    "{\"type\":\"engagements\",\"engagements\":[" list "]}"

START_TEST(engagements_come_and_go)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    fake_event(&r[0], "no JSON");
    fake_event(&r[0], "{\"type\":\"later\"}");
    fake_event(&r[0], "[1]");
    fake_event(&r[0], ENGAGEMENTS(ENGAGEMENT(ID_A, "intercept") "," ENGAGEMENT(
                          ID_B, "mirror")));
    RUN_UNTIL(w.count == 2);
    ck_assert_str_eq(w.list[0].id, ID_A);
    ck_assert_uint_eq(w.list[0].ports[0].port, 8080);
    fake_event(&r[0], ENGAGEMENTS(ENGAGEMENT(ID_B, "mirror")));
    RUN_UNTIL(w.count == 1);
    ck_assert_str_eq(w.list[0].id, ID_B);
    fake_stop(&r[0]); /* and with the link all of its engagements */
    RUN_UNTIL(w.count == 0);
    ck_assert_uint_eq(stats_of(&w).out, 0);
    world_release(&w);
}
END_TEST

#define BOTH                                                                   \
    "{\"protocol\":1,\"replica\":\"%s\",\"replicas\":[\"127.0.0.1\","          \
    "\"127.0.0.2\"]}"

static void start_two(struct world *w)
{
    struct fake_replica *r = w->m.replicas;

    world_init(w, NULL);
    for (int i = 0; i < 2; i++) {
        snprintf(r[i].hello, sizeof(r[i].hello), BOTH, r[i].ip);
        fake_start(&r[i]);
    }
    world_connect(w, NULL);
}

START_TEST(engagements_of_all_replicas)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;
    struct tunnel *first;

    start_two(&w);
    RUN_UNTIL(r[0].events && r[1].events && r[0].in && r[1].in);
    fake_event(&r[0], ENGAGEMENTS(ENGAGEMENT(ID_A, "intercept")));
    RUN_UNTIL(w.count == 1);
    first = w.list[0].tunnel;
    fake_event(&r[1], ENGAGEMENTS(ENGAGEMENT(ID_B, "mirror")));
    RUN_UNTIL(w.count == 2);
    /* The session's link moves to the second replica. */
    fake_event(&r[1], ENGAGEMENTS(ENGAGEMENT(ID_B, "mirror") "," ENGAGEMENT(
                          ID_A, "intercept")));
    w.told = 0;
    RUN_UNTIL(w.told == 1);
    ck_assert_uint_eq(w.count, 2);
    ck_assert_ptr_ne(w.list[0].tunnel, first);
    ck_assert_ptr_eq(w.list[0].tunnel, w.list[1].tunnel);
    fake_stop(&r[1]);
    RUN_UNTIL(w.count == 1);
    ck_assert_str_eq(w.list[0].id, ID_A);
    ck_assert_ptr_eq(w.list[0].tunnel, first);
    world_release(&w);
}
END_TEST

/* ---- replicas ------------------------------------------------------------ */

START_TEST(replicas_are_followed)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    start_two(&w);
    fake_start(&r[2]);
    RUN_UNTIL(r[0].events && r[0].in && r[1].events && r[1].in);
    ck_assert_uint_eq(r[2].accepted, 0);
    /* A replica that does not know yet takes nobody away. */
    fake_event(&r[1], "{\"type\":\"replicas\",\"replicas\":[]}");
    fake_event(&r[0], "{\"type\":\"replicas\",\"replicas\":[\"127.0.0.1\","
                      "\"127.0.0.2\",\"127.0.0.3\",\"nonsense\",7]}");
    RUN_UNTIL(r[2].events && r[2].in);
    fake_event(&r[1], ENGAGEMENTS(ENGAGEMENT(ID_A, "intercept")));
    RUN_UNTIL(w.count == 1);
    fake_event(&r[0], "{\"type\":\"replicas\",\"replicas\":[\"127.0.0.1\"]}");
    RUN_UNTIL(!r[1].out && !r[1].in && !r[2].out && !r[2].in);
    ck_assert_int_eq(r[1].out_status, 0); /* drained, not broken */
    ck_assert_uint_eq(w.count, 0);
    ck_assert_uint_eq(stats_of(&w).known, 1);
    run_for(&w, 600);
    ck_assert_uint_eq(r[1].accepted, 2); /* and not dialled again */
    world_release(&w);
}
END_TEST

START_TEST(replica_comes_back)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    start_two(&w);
    RUN_UNTIL(r[0].events && r[0].in && r[1].events && r[1].in);
    fake_stop(&r[1]);
    RUN_UNTIL(stats_of(&w).out == 1);
    fake_start(&r[1]);
    RUN_UNTIL(r[1].events && r[1].in);
    ck_assert_uint_eq(r[0].hellos, 1); /* which nobody has touched */
    world_release(&w);
}
END_TEST

START_TEST(seed_is_dialled_while_nothing_is_connected)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    fake_stop(&r[0]); /* its port is known now */
    world_connect(&w, NULL);
    run_for(&w, 500);
    /* The Service leads to another replica than its own address. */
    strcpy(r[0].hello, "{\"protocol\":1,\"replica\":\"127.0.0.2\","
                       "\"replicas\":[\"127.0.0.2\"]}");
    fake_start(&r[0]);
    fake_start(&r[1]);
    RUN_UNTIL(r[0].events && r[1].in);
    ck_assert_ptr_null(r[0].in);
    ck_assert_ptr_null(r[1].out); /* the seed's link is its own */
    ck_assert_uint_eq(stats_of(&w).known, 1);
    world_release(&w);
}
END_TEST

START_TEST(drained_replica_keeps_what_it_has)
{
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].events && r[0].in);
    fake_event(&r[0], ENGAGEMENTS(ENGAGEMENT(ID_A, "intercept")));
    fake_event(&r[0], "{\"type\":\"drain\"}");
    RUN_UNTIL(w.count == 1 && r[0].seconds > 0); /* the seed is asked */
    ck_assert_ptr_nonnull(r[0].out);
    ck_assert_uint_eq(w.count, 1);
    world_release(&w);
}
END_TEST

/* ---- what the manager asks ----------------------------------------------- */

struct answer {
    int status;
    char body[4096];
};

static void answer_cb(void *arg, int status, const char *body, size_t len)
{
    struct answer *a = arg;

    ck_assert_uint_lt(len, sizeof(a->body));
    memcpy(a->body, body, len);
    a->body[len] = '\0';
    a->status = status;
}

START_TEST(requests_are_answered)
{
    static const struct {
        const char *method, *path;
        int status;
        const char *says;
    } rows[] = {
        {"GET", "/tp/v1/environment/app", 200, "\"GREETING\":\"hello world\""},
        {"GET", "/tp/v1/environment/app", 200, "\"excluded\":1"},
        {"GET", "/tp/v1/environment/other", 404, "no such container"},
        {"GET", "/tp/v1/environment/", 404, "no such container"},
        {"GET", "/tp/v1/environment/%zz", 404, "no such container"},
        {"GET", "/tp/v1/status", 200, "\"dropped\":7"},
        {"GET", "/tp/v1/log", 200, "a line of the log"},
        {"GET", "/tp/v1/events", 404, "no such request"},
        {"POST", "/tp/v1/status", 404, "no such request"},
    };
    struct world w;
    struct fake_replica *r = w.m.replicas;

    world_init(&w, NULL);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].in);
    log_error("a line of the log");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct answer a = {0};

        ck_assert_int_eq(tunnel_request(r[0].in, rows[i].method, rows[i].path,
                                        NULL, answer_cb, &a),
                         0);
        RUN_UNTIL(a.status != 0);
        ck_assert_msg(a.status == rows[i].status &&
                          strstr(a.body, rows[i].says),
                      "%s: %d %s", rows[i].path, a.status, a.body);
        ck_assert_ptr_null(strstr(a.body, "secret"));
    }
    world_release(&w);
}
END_TEST

/* A conversation of the manager's: says "ping", hears. */
struct talk {
    struct tunnel_stream *stream;
    int opened; /* 1: yes */
    bool sent, closed;
    char heard[64];
    size_t len;
};

static void talk_opened_cb(void *arg, int status)
{
    struct talk *t = arg;

    t->opened = status == 0 ? 1 : status;
}

static ssize_t talk_pull_cb(void *arg, void *data, size_t len)
{
    struct talk *t = arg;

    ck_assert_uint_ge(len, 4);
    if (t->sent)
        return 0;
    t->sent = true;
    memcpy(data, "ping", 4);
    return 4;
}

static ssize_t talk_push_cb(void *arg, const void *data, size_t len)
{
    struct talk *t = arg;

    ck_assert_uint_lt(t->len + len, sizeof(t->heard));
    memcpy(t->heard + t->len, data, len);
    t->len += len;
    return (ssize_t)len;
}

static void talk_eof_cb(void *arg)
{
    (void)arg;
}

static void talk_closed_cb(void *arg, int status)
{
    struct talk *t = arg;

    (void)status;
    t->closed = true;
}

static const struct tunnel_stream_ops talk_ops = {
    talk_opened_cb, talk_pull_cb, talk_push_cb, talk_eof_cb, talk_closed_cb};

/* The pod's own server: echoes one message. */
static void echo_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    int *conn = arg;

    (void)peer;
    *conn = fd;
}

static void echo_turn(int *fd)
{
    char text[16];
    ssize_t n = *fd < 0 ? -1 : read(*fd, text, sizeof(text));

    if (n < 0)
        return;
    ck_assert_int_eq(write(*fd, text, (size_t)n), n);
    close(*fd);
    *fd = -1;
}

static int talk_to(struct world *wp, const char *ip, uint16_t port, int *echo,
                   struct talk *t)
{
    union sockaddr_any addr;
    uint64_t end = uv_hrtime() + 10000000000U;

    memset(t, 0, sizeof(*t));
    ck_assert_int_eq(sockaddr_parse(&addr, ip, port), 0);
    t->stream = tunnel_open_tcp(wp->m.replicas[0].in, &addr, &talk_ops, t);
    ck_assert_ptr_nonnull(t->stream);
    while (!t->closed && uv_hrtime() < end) {
        world_turn(wp);
        echo_turn(echo);
    }
    ck_assert(t->closed);
    return t->opened;
}

START_TEST(pods_ports_on_loopback_only)
{
    static const char *const refused[] = {
        "127.0.0.2", "0.0.0.0", "10.42.0.1",      "169.254.169.254",
        "::",        "fd00::1", "::ffff:10.0.0.1"};
    union sockaddr_any addr4, addr6;
    struct listener *l4, *l6;
    struct fake_replica *r;
    struct talk t;
    struct world w;
    int echo = -1;

    world_init(&w, NULL);
    r = w.m.replicas;
    ck_assert_int_eq(sockaddr_parse(&addr4, "127.0.0.1", 0), 0);
    l4 = listener_create(&w.loop, &addr4, 4, echo_cb, &echo, NULL);
    listener_get_addr(l4, &addr4);
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].in);
    ck_assert_int_eq(talk_to(&w, "127.0.0.1", sockaddr_port(&addr4), &echo, &t),
                     1);
    ck_assert_str_eq(t.heard, "ping");
    ck_assert_int_eq(
        talk_to(&w, "::ffff:127.0.0.1", sockaddr_port(&addr4), &echo, &t), 1);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        ck_assert_int_eq(
            talk_to(&w, refused[i], sockaddr_port(&addr4), &echo, &t), -EACCES);
    ck_assert_int_eq(sockaddr_parse(&addr6, "::1", 0), 0);
    l6 = listener_create(&w.loop, &addr6, 4, echo_cb, &echo, NULL);
    if (l6) { /* where there is IPv6 */
        listener_get_addr(l6, &addr6);
        ck_assert_int_eq(talk_to(&w, "::1", sockaddr_port(&addr6), &echo, &t),
                         1);
        ck_assert_str_eq(t.heard, "ping");
    }
    listener_close(l6);
    listener_close(l4);
    ck_assert_int_eq(talk_to(&w, "127.0.0.1", sockaddr_port(&addr4), &echo, &t),
                     -ECONNREFUSED);
    world_release(&w);
}
END_TEST

struct flow {
    int opened, closed;
    char heard[16];
};

static void flow_opened_cb(void *arg, int status)
{
    struct flow *f = arg;

    f->opened = status == 0 ? 1 : status;
}

static void flow_datagram_cb(void *arg, const void *data, size_t len)
{
    struct flow *f = arg;

    ck_assert_uint_lt(len, sizeof(f->heard));
    memcpy(f->heard, data, len);
}

static void flow_closed_cb(void *arg, int status)
{
    struct flow *f = arg;

    (void)status;
    f->closed = 1;
}

static const struct tunnel_udp_ops flow_ops = {flow_opened_cb, flow_datagram_cb,
                                               flow_closed_cb};

START_TEST(pods_udp_ports)
{
    union sockaddr_any addr = {.in4 = {.sin_family = AF_INET}}, peer;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t len = sizeof(addr.in4);
    struct flow f = {0}, g = {0};
    struct fake_replica *r;
    struct tunnel_udp *u;
    struct world w;
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char text[16];
    struct iovec iov = {text, sizeof(text)};
    struct msghdr msg = {.msg_name = &peer,
                         .msg_namelen = sizeof(peer),
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    int on = 1;

    ck_assert_int_eq(setsockopt(fd, SOL_IP, IP_RECVTOS, &on, sizeof(on)), 0);
    addr.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, &addr.sa, len), 0);
    ck_assert_int_eq(getsockname(fd, &addr.sa, &len), 0);
    world_init(&w, NULL);
    r = w.m.replicas;
    fake_start(&r[0]);
    world_connect(&w, NULL);
    RUN_UNTIL(r[0].in);
    u = tunnel_udp_open(r[0].in, &addr, 0, &flow_ops, &f);
    tunnel_udp_send(u, "ping", 4);
    RUN_UNTIL(recvmsg(fd, &msg, 0) == 4);
    ck_assert_int_eq(control.head.cmsg_type, IP_TOS); /* the rules know it */
    ck_assert_uint_eq(*CMSG_DATA(&control.head), AGENT_APP_TOS);
    ck_assert_int_eq(sendto(fd, "pong", 4, 0, &peer.sa, msg.msg_namelen), 4);
    RUN_UNTIL(!strcmp(f.heard, "pong"));
    tunnel_udp_close(u);
    addr.in4.sin_addr.s_addr = htonl(0x7f000002);
    tunnel_udp_open(r[0].in, &addr, 0, &flow_ops, &g);
    RUN_UNTIL(g.closed);
    ck_assert_int_eq(g.opened, -EACCES);
    close(fd);
    world_release(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("agent's links");
    TCase *trust = tcase_create("trust"), *links = tcase_create("links"),
          *serve = tcase_create("serve");

    tcase_set_timeout(trust, 60);
    tcase_set_timeout(links, 60);
    tcase_set_timeout(serve, 60);
    tcase_add_test(trust, token_goes_to_the_manager);
    tcase_add_test(trust, token_is_read_at_each_dial);
    tcase_add_test(trust, token_cannot_add_a_header);
    tcase_add_test(trust, foreign_certificate_gets_no_byte);
    tcase_add_test(trust, other_name_gets_no_byte);
    tcase_add_test(trust, silent_server_sees_a_client_hello_only);
    tcase_add_test(trust, refused_token_is_tried_again);
    tcase_add_test(trust, other_protocol_is_no_link);
    tcase_add_test(links, engagements_come_and_go);
    tcase_add_test(links, engagements_of_all_replicas);
    tcase_add_test(links, replicas_are_followed);
    tcase_add_test(links, replica_comes_back);
    tcase_add_test(links, seed_is_dialled_while_nothing_is_connected);
    tcase_add_test(links, drained_replica_keeps_what_it_has);
    tcase_add_test(serve, requests_are_answered);
    tcase_add_test(serve, pods_ports_on_loopback_only);
    tcase_add_test(serve, pods_udp_ports);
    suite_add_tcase(suite, trust);
    suite_add_tcase(suite, links);
    suite_add_tcase(suite, serve);
    return suite_run(suite);
}
