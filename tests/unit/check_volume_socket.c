/* Where the volume plugin asks: who is let in, what is answered, what is not.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/engagement.h"
#include "daemon/session.h"
#include "daemon/volume_socket.h"
#include "net/selfsigned.h"
#include "net/tls.h"
#include "suite.h"
#include "tempdir.h"

static uv_loop_t loop;
static struct session *session;
static struct engagements *engagements;
static struct volume_socket *sock;
static char dir[64], path[80];
static struct selfsigned daemon_keys, plugin_keys, other_keys;

/* The plugin's end of one conversation. */
static struct client {
    struct tls_ctx *ctx;
    struct stream *stream;
    const char *request;
    bool sent, ended;
    int status;
    char answer[4096];
    size_t len;
} client;

static void setup(void)
{
    struct session_env env = {.loop = &loop, .state_fd = -1};
    struct tp_error err = {0};

    log_set_level(LOG_ERROR);
    tempdir_make(dir);
    snprintf(path, sizeof(path), "%s/control.sock", dir);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    session = session_create(&env);
    engagements = engagements_create(&loop, session, 0);
    sock = volume_socket_create(&loop, session, engagements, path, &err);
    ck_assert_msg(sock != NULL, "%s", err.text);
    ck_assert_int_eq(selfsigned_make(&daemon_keys, "tp-daemon", &err), 0);
    ck_assert_int_eq(selfsigned_make(&plugin_keys, "tp-volume", &err), 0);
    ck_assert_int_eq(selfsigned_make(&other_keys, "tp-volume", &err), 0);
    memset(&client, 0, sizeof(client));
}

static void teardown(void)
{
    if (client.stream)
        stream_close(client.stream, NULL, NULL);
    tls_ctx_destroy(client.ctx);
    volume_socket_destroy(sock);
    session_destroy(session, false);
    engagements_destroy(engagements);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    selfsigned_release(&daemon_keys);
    selfsigned_release(&plugin_keys);
    selfsigned_release(&other_keys);
    tempdir_remove(dir);
}

/* A session that has nobody to connect to, and the keys. */
static void connect_session(bool with_keys)
{
    static const char text[] =
        "{\"name\":\"d\",\"context\":\"c\",\"namespace\":\"n\",\"exec\":true,"
        "\"server\":{\"host\":\"127.0.0.1\",\"port\":1}}";
    cleanup_json struct json_object *obj =
        json_parse_text(text, strlen(text), NULL);
    struct json_object *keys = json_object_new_object();
    struct tp_error err = {0};
    bool already;

    json_put_str(keys, "cert", daemon_keys.cert_pem);
    json_put_str(keys, "key", daemon_keys.key_pem);
    json_put_str(keys, "peer", plugin_keys.cert_pem);
    if (with_keys)
        json_object_object_add(obj, "volumes", json_object_get(keys));
    json_object_put(keys);
    ck_assert_int_eq(session_connect(session, obj, &already, &err), 0);
}

static int dial(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(addr.sun_path, path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void event_cb(void *arg, unsigned events)
{
    ssize_t n;

    (void)arg;
    (void)events;
    if (!client.sent) {
        n = stream_write(client.stream, client.request, strlen(client.request));
        client.sent = n > 0;
        stream_want(client.stream, STREAM_READABLE);
    }
    n = stream_read(client.stream, client.answer + client.len,
                    sizeof(client.answer) - 1 - client.len);
    if (n > 0)
        client.len += (size_t)n;
    else if (n != -EAGAIN)
        client.ended = true;
    if (client.ended)
        stream_want(client.stream, 0);
}

static void handshake_cb(void *arg, int status, const char *text)
{
    (void)arg;
    (void)text;
    client.status = status;
    client.ended = status < 0;
    if (status == 0)
        stream_want(client.stream, STREAM_READABLE | STREAM_WRITABLE);
}

/* One conversation, to its end. keys NULL: no certificate. */
static const char *ask(const struct selfsigned *keys, const char *peer,
                       const char *request)
{
    struct tls_client_config config = {.ca_pem = peer, .newest_only = true};
    struct tp_error err = {0};

    if (keys) {
        config.cert_pem = keys->cert_pem;
        config.key_pem = keys->key_pem;
    }
    client.request = request;
    client.ctx = tls_ctx_create_client(&config, &err);
    ck_assert_msg(client.ctx != NULL, "%s", err.text);
    client.stream = tls_connect(client.ctx, stream_create_fd(&loop, dial()),
                                "tp-daemon", 20000, handshake_cb, NULL);
    ck_assert_ptr_nonnull(client.stream);
    stream_set_callback(client.stream, event_cb, NULL);
    while (!client.ended)
        uv_run(&loop, UV_RUN_ONCE);
    client.answer[client.len] = '\0';
    return client.answer;
}

#define FILES "{\"op\":\"files\",\"name\":\"web\"}\n"

START_TEST(the_plugin_is_answered)
{
    connect_session(true);
    ck_assert_ptr_nonnull(strstr(ask(&plugin_keys, daemon_keys.cert_pem, FILES),
                                 "no-engagement"));
}
END_TEST

START_TEST(other_requests_are_none)
{
    connect_session(true);
    ck_assert_ptr_nonnull(
        strstr(ask(&plugin_keys, daemon_keys.cert_pem, "{\"op\":\"status\"}\n"),
               "\"invalid\""));
}
END_TEST

START_TEST(nobody_else_is_answered)
{
    connect_session(true);
    ck_assert_str_eq(ask(_i ? &other_keys : NULL, daemon_keys.cert_pem, FILES),
                     "");
}
END_TEST

START_TEST(another_daemon_is_not_asked)
{
    connect_session(true);
    ck_assert_str_eq(ask(&plugin_keys, other_keys.cert_pem, FILES), "");
    ck_assert_int_eq(client.status, -EKEYREJECTED);
}
END_TEST

START_TEST(without_keys_there_is_nothing)
{
    if (_i)
        connect_session(false);
    ck_assert_str_eq(ask(&plugin_keys, daemon_keys.cert_pem, FILES), "");
    ck_assert_int_lt(client.status, 0);
}
END_TEST

START_TEST(a_line_without_end_ends)
{
    static char request[8192];

    memset(request, 'x', sizeof(request) - 1);
    connect_session(true);
    ck_assert_str_eq(ask(&plugin_keys, daemon_keys.cert_pem, request), "");
}
END_TEST

START_TEST(the_socket_is_for_its_owner_only)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volume_socket");
    TCase *tc = tcase_create("volume_socket");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_plugin_is_answered);
    tcase_add_test(tc, other_requests_are_none);
    tcase_add_loop_test(tc, nobody_else_is_answered, 0, 2);
    tcase_add_test(tc, another_daemon_is_not_asked);
    tcase_add_loop_test(tc, without_keys_there_is_nothing, 0, 2);
    tcase_add_test(tc, a_line_without_end_ends);
    tcase_add_test(tc, the_socket_is_for_its_owner_only);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
