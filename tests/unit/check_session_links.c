/*
 * check_session_links.c - links that are replaced while conversations live
 *
 * The API server is a TLS server on loopback, and each upgrade on it gets a
 * manager of its own: the server's end of a link, which says hello, sends
 * events, takes every TCP stream and ends the link when the test says so.
 */
#include "check_net.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/session_internal.h"
#include "net/listen.h"
#include "suite.h"

#define UPGRADED                                                               \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"              \
    "Upgrade: tp/1\r\n\r\n"
#define INFO                                                                   \
    "{\"protocol\": 1, \"version\": \"9\", \"features\": [], \"info\": "       \
    "{\"subnets\": {\"service\": [\"10.43.0.0/16\"]}, \"dns\": {\"address\": " \
    "\"10.43.0.10\", \"domain\": \"cluster.local\"}}}"
#define MANAGERS 16

/* Either end of a conversation: says nothing, and ends when it is told to. */
struct talk {
    struct tunnel_stream *stream; /* NULL: ended */
    bool opened, done;
    int status;
};

struct manager {
    struct stream *stream; /* until the upgrade */
    char head[4096];
    size_t head_len;
    struct tunnel *tunnel; /* NULL: ended */
    struct talk events;
    const char *line; /* the next event */
    struct talk far;  /* of the newest conversation */
};

static struct {
    uv_loop_t *loop;
    struct identity ca;
    struct tls_ctx *ctx;
    struct listener *listener;
    union sockaddr_any addr;
    struct manager managers[MANAGERS];
    size_t count;
    struct session *session;
    uv_timer_t turn;
} w;

#define UNTIL(condition)                                                       \
    do {                                                                       \
        for (int until_i_ = 0; !(condition); until_i_++) {                     \
            ck_assert_msg(until_i_ < 20000, "never: %s", #condition);          \
            uv_run(w.loop, UV_RUN_ONCE);                                       \
        }                                                                      \
    } while (0)

/* ---- conversations ---- */

static void talk_opened_cb(void *arg, int status)
{
    struct talk *t = arg;

    t->opened = status == 0;
}

static ssize_t talk_pull_cb(void *arg, void *data, size_t len)
{
    const struct talk *t = arg;

    (void)data;
    (void)len;
    return t->done ? 0 : -EAGAIN;
}

static ssize_t talk_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    return (ssize_t)len;
}

static void talk_eof_cb(void *arg)
{
    (void)arg;
}

static void talk_closed_cb(void *arg, int status)
{
    struct talk *t = arg;

    t->stream = NULL;
    t->status = status;
}

static const struct tunnel_stream_ops talk_ops = {
    .opened_cb = talk_opened_cb,
    .pull_cb = talk_pull_cb,
    .push_cb = talk_push_cb,
    .eof_cb = talk_eof_cb,
    .closed_cb = talk_closed_cb,
};

static void talk_end(struct talk *t)
{
    t->done = true;
    tunnel_stream_resume(t->stream);
}

/* A conversation by the link that is in use, until the manager has it. */
static void talk_start(struct talk *t)
{
    union sockaddr_any addr;

    *t = (struct talk){0};
    sockaddr_parse(&addr, "10.43.0.1", 80);
    t->stream = tunnel_open_tcp(link_tunnel(w.session->current->link), &addr,
                                &talk_ops, t);
    ck_assert_ptr_nonnull(t->stream);
    UNTIL(t->opened);
}

/* ---- the managers ---- */

static ssize_t events_pull_cb(void *arg, void *data, size_t len)
{
    struct manager *m = arg;
    size_t n = m->line ? strlen(m->line) : 0;

    if (n == 0)
        return -EAGAIN;
    ck_assert_uint_ge(len, n);
    memcpy(data, m->line, n);
    m->line = NULL;
    return (ssize_t)n;
}

static void events_closed_cb(void *arg, int status)
{
    struct manager *m = arg;

    talk_closed_cb(&m->events, status);
}

static const struct tunnel_stream_ops events_ops = {
    .pull_cb = events_pull_cb,
    .push_cb = talk_push_cb,
    .eof_cb = talk_eof_cb,
    .closed_cb = events_closed_cb,
};

static int open_cb(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    struct manager *m = arg;

    if (open->kind == TUNNEL_REQUEST && !strcmp(open->path, "/tp/v1/hello"))
        return tunnel_stream_respond(s, 200, INFO);
    if (open->kind == TUNNEL_REQUEST) {
        m->events.stream = s;
        tunnel_stream_set_user(s, &events_ops, m);
    } else {
        m->far = (struct talk){.stream = s};
        tunnel_stream_set_user(s, &talk_ops, &m->far);
    }
    return tunnel_stream_answer(s, 0);
}

static void ended_cb(void *arg, int status, const char *why)
{
    struct manager *m = arg;

    (void)status;
    (void)why;
    tunnel_destroy(m->tunnel);
    m->tunnel = NULL;
}

static const struct tunnel_ops manager_ops = {.open_cb = open_cb,
                                              .closed_cb = ended_cb};

static void head_cb(void *arg, unsigned events)
{
    static const struct tunnel_config config = {.role = TUNNEL_SERVER};
    struct manager *m = arg;

    (void)events;
    while (!strstr(m->head, "\r\n\r\n")) {
        ck_assert_uint_lt(m->head_len, sizeof(m->head) - 1);
        if (stream_read(m->stream, m->head + m->head_len, 1) != 1)
            return;
        m->head_len++;
    }
    ck_assert_int_eq(stream_write(m->stream, UPGRADED, strlen(UPGRADED)),
                     (ssize_t)strlen(UPGRADED));
    m->tunnel = tunnel_create(w.loop, m->stream, &config, &manager_ops, m);
}

static void tls_cb(void *arg, int status, const char *text)
{
    struct manager *m = arg;

    ck_assert_msg(status == 0, "%s", text);
    stream_set_callback(m->stream, head_cb, m);
    stream_want(m->stream, STREAM_READABLE);
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct manager *m = &w.managers[w.count++];

    (void)arg;
    (void)peer;
    ck_assert_uint_le(w.count, MANAGERS);
    m->stream =
        tls_accept(w.ctx, stream_create_fd(w.loop, fd), 20000, tls_cb, m);
}

/* As a manager that is drained. */
static void manager_drain(struct manager *m)
{
    m->line = "{\"type\":\"drain\"}\n";
    tunnel_stream_resume(m->events.stream);
    tunnel_drain(m->tunnel);
}

/* ---- the session ---- */

static void turn_cb(uv_timer_t *timer)
{
    (void)timer; /* UNTIL turns the loop at least every few milliseconds */
}

static struct json_object *make_session(void)
{
    struct json_object *json = json_object_new_object();
    struct json_object *server = json_object_new_object();

    json_put_str(json, "name", "tp-daemon");
    json_put_str(json, "namespace", "team");
    json_put_str(json, "ca", w.ca.cert);
    json_put_str(json, "token", "t0k");
    json_put_str(server, "host", "127.0.0.1");
    json_object_object_add(server, "port",
                           json_object_new_int(sockaddr_port(&w.addr)));
    json_put_str(server, "url", "https://127.0.0.1");
    json_object_object_add(json, "server", server);
    return json;
}

/* Connected, by managers[0]. */
static void setup(void)
{
    struct session_env env = {.state_fd = -1};
    cleanup_json struct json_object *json = NULL;
    struct tp_error err = {0};
    bool already;

    memset(&w, 0, sizeof(w));
    w.loop = env.loop = loop_create();
    uv_timer_init(w.loop, &w.turn);
    uv_timer_start(&w.turn, turn_cb, 2, 2);
    identity_make(&w.ca, NULL, "ca", "IP:127.0.0.1", -HOUR, HOUR);
    w.ctx = tls_ctx_create_server(
        &(struct tls_server_config){.cert_pem = w.ca.cert, .key_pem = w.ca.key},
        NULL);
    sockaddr_parse(&w.addr, "127.0.0.1", 0);
    w.listener = listener_create(w.loop, &w.addr, 4, accept_cb, NULL, NULL);
    listener_get_addr(w.listener, &w.addr);
    json = make_session();
    w.session = session_create(&env);
    ck_assert_msg(session_connect(w.session, json, &already, &err) == 0, "%s",
                  err.text);
    UNTIL(w.session->state == SESSION_CONNECTED && w.managers[0].events.stream);
}

static void teardown(void)
{
    session_destroy(w.session, false);
    for (size_t i = 0; i < w.count; i++)
        tunnel_destroy(w.managers[i].tunnel);
    listener_close(w.listener);
    uv_close((uv_handle_t *)&w.turn, NULL);
    loop_destroy(w.loop);
    tls_ctx_destroy(w.ctx);
    identity_release(&w.ca);
}

/* The link in use is drained, and the next one takes its place. */
static void replace_link(void)
{
    size_t n = w.count;
    const struct session_link *before = w.session->current;

    manager_drain(&w.managers[n - 1]);
    UNTIL(w.count == n + 1 && w.managers[n].events.stream &&
          w.session->current && w.session->current != before);
    ck_assert_int_eq(w.session->state, SESSION_CONNECTED);
}

static struct json_object *former(void)
{
    cleanup_json struct json_object *status = session_status(w.session);

    return json_object_get(json_get_array(status, "formerLinks"));
}

START_TEST(a_conversation_outlives_its_link)
{
    cleanup_json struct json_object *list = NULL, *none = NULL;
    static struct talk old, fresh;

    talk_start(&old);
    replace_link();
    ck_assert_uint_eq(w.session->former.count, 1);
    talk_start(&fresh); /* by the new link */
    ck_assert_ptr_nonnull(w.managers[1].far.stream);
    UNTIL(!w.managers[0].events.stream); /* it holds no link */
    ck_assert_ptr_nonnull(old.stream);
    list = former();
    ck_assert_uint_eq(json_array_len(list), 1);
    ck_assert_int_eq(
        json_get_int(json_object_array_get_idx(list, 0), "streams", 0), 1);
    talk_end(&old);
    talk_end(&w.managers[0].far);
    UNTIL(w.session->former.count == 0 && !w.managers[0].tunnel);
    ck_assert_int_eq(old.status, 0); /* in order, not reset */
    ck_assert_ptr_nonnull(fresh.stream);
    none = former();
    ck_assert_uint_eq(json_array_len(none), 0);
}
END_TEST

START_TEST(a_link_without_conversations_goes_at_once)
{
    replace_link();
    UNTIL(w.session->former.count == 0 && !w.managers[0].tunnel);
    ck_assert_uint_eq(w.session->reconnects, 1);
}
END_TEST

/* An old link is left as soon as there is another one, and serves until then.
 */
START_TEST(an_old_link_is_made_anew_without_loss)
{
    static struct talk old, between, fresh;

    talk_start(&old);
    w.managers[0].line = "{\"type\":\"renew\"}\n";
    tunnel_stream_resume(w.managers[0].events.stream);
    UNTIL(w.session->next);
    talk_start(&between);
    ck_assert_ptr_nonnull(w.managers[0].far.stream);
    UNTIL(w.count == 2 && w.managers[1].events.stream &&
          w.session->former.count == 1);
    ck_assert_int_eq(w.session->state, SESSION_CONNECTED);
    talk_start(&fresh);
    ck_assert_ptr_nonnull(w.managers[1].far.stream);
    UNTIL(!w.managers[0].events.stream);
    ck_assert_ptr_nonnull(old.stream);
    ck_assert_ptr_nonnull(between.stream);
}
END_TEST

/* It takes nothing new: "connected" would be a lie. What runs goes on. */
START_TEST(a_drained_link_without_a_successor_is_no_connection)
{
    static struct talk old, fresh;

    talk_start(&old);
    listener_close(w.listener);
    w.listener = NULL;
    manager_drain(&w.managers[0]);
    UNTIL(w.session->state == SESSION_WAITING);
    ck_assert_ptr_nonnull(old.stream);
    ck_assert_uint_eq(w.session->former.count, 1);
    w.listener = listener_create(w.loop, &w.addr, 4, accept_cb, NULL, NULL);
    ck_assert_ptr_nonnull(w.listener);
    UNTIL(w.session->state == SESSION_CONNECTED);
    talk_start(&fresh);
    ck_assert_ptr_nonnull(old.stream);
}
END_TEST

START_TEST(there_are_eight_former_links_at_most)
{
    static struct talk talks[SESSION_FORMER_MAX + 2];

    for (int i = 0; i < SESSION_FORMER_MAX + 2; i++) {
        talk_start(&talks[i]);
        replace_link();
        ck_assert_uint_le(w.session->former.count, SESSION_FORMER_MAX);
    }
    ck_assert_uint_eq(w.session->former.count, SESSION_FORMER_MAX);
    for (int i = 0; i < SESSION_FORMER_MAX + 2; i++)
        ck_assert_msg(!talks[i].stream == (i < 2), "conversation %d", i);
    ck_assert_int_eq(talks[0].status, -EPIPE);
    UNTIL(!w.managers[0].tunnel && !w.managers[1].tunnel);
    ck_assert_ptr_nonnull(w.managers[2].tunnel);
}
END_TEST

START_TEST(a_former_link_that_breaks_is_no_loss_of_the_session)
{
    static struct talk old, fresh;

    talk_start(&old);
    replace_link();
    talk_start(&fresh);
    tunnel_destroy(w.managers[0].tunnel); /* its time is up */
    w.managers[0].tunnel = NULL;
    UNTIL(!old.stream && w.session->former.count == 0);
    ck_assert_int_eq(w.session->state, SESSION_CONNECTED);
    ck_assert_ptr_nonnull(fresh.stream);
    ck_assert_uint_eq(w.count, 2);
}
END_TEST

START_TEST(the_end_of_the_session_ends_former_links)
{
    static struct talk old;

    talk_start(&old);
    replace_link();
    session_disconnect(w.session);
    ck_assert_ptr_null(old.stream);
    ck_assert_uint_eq(w.session->former.count, 0);
    UNTIL(!w.managers[0].tunnel && !w.managers[1].tunnel);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_links");
    TCase *tc = tcase_create("former");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_conversation_outlives_its_link);
    tcase_add_test(tc, a_link_without_conversations_goes_at_once);
    tcase_add_test(tc, an_old_link_is_made_anew_without_loss);
    tcase_add_test(tc, a_drained_link_without_a_successor_is_no_connection);
    tcase_add_test(tc, there_are_eight_former_links_at_most);
    tcase_add_test(tc, a_former_link_that_breaks_is_no_loss_of_the_session);
    tcase_add_test(tc, the_end_of_the_session_ends_former_links);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
