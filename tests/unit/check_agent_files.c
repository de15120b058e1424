/* Unit tests: what the agent serves of files: grants, mounts, processes. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/serve.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "net/sshkey.h"
#include "suite.h"
#include "tempdir.h"
#include "tunnel_pair.h"

#define ID    "abcdefghijklmnopqrstuvwxyz"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbb"

#define CONFIG                                                                 \
    "{\"version\":1,\"containers\":[\"app\",\"bare\"],\"mounts\":{\"app\":["   \
    "{\"path\":\"/data\",\"volume\":\"data\"},"                                \
    "{\"path\":\"/etc/app\",\"volume\":\"conf\",\"readOnly\":true},"           \
    "{\"path\":\"/gone\",\"volume\":\"gone\"},"                                \
    "{\"path\":\"/tmp\",\"volume\":\"tmp\",\"policy\":\"local\"},"             \
    "{\"path\":\"/run/token\",\"volume\":\"t\",\"token\":true}]}}"

static struct pair pair;
static struct settings settings;
static struct serve serve;
static struct sshkey_pair key;
static char dir[64];

/* ---- a stream's user: what came, and the end -------------------------------
 */

static struct reader {
    struct tunnel_stream *stream;
    char text[256];
    size_t len;
    int opened, status, closed;
} reader;

static void opened_cb(void *arg, int status)
{
    struct reader *r = arg;

    r->opened++;
    r->status = status;
}

static ssize_t pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t push_cb(void *arg, const void *data, size_t len)
{
    struct reader *r = arg;
    size_t room = sizeof(r->text) - 1 - r->len;

    memcpy(r->text + r->len, data, len < room ? len : room);
    r->len += len < room ? len : room;
    return (ssize_t)len;
}

static void eof_cb(void *arg)
{
    (void)arg;
}

static void closed_cb(void *arg, int status)
{
    struct reader *r = arg;

    (void)status;
    r->closed++;
    r->stream = NULL;
}

static const struct tunnel_stream_ops reader_ops = {
    .opened_cb = opened_cb,
    .pull_cb = pull_cb,
    .push_cb = push_cb,
    .eof_cb = eof_cb,
    .closed_cb = closed_cb,
};

static void open_stream(const char *id, uint16_t port)
{
    memset(&reader, 0, sizeof(reader));
    reader.stream =
        tunnel_open_tcp_name(pair.client, id, port, &reader_ops, &reader);
    ck_assert_ptr_nonnull(reader.stream);
    RUN_UNTIL(reader.opened);
}

/* ---- requests --------------------------------------------------------------
 */

static struct {
    int status;
    struct json_object *body;
} answer;

static void answer_cb(void *arg, int status, const char *body, size_t len)
{
    (void)arg;
    answer.status = status;
    json_object_put(answer.body);
    answer.body = json_parse_text(body, len, NULL);
}

static struct json_object *new_request(const char *id, const char *container)
{
    struct json_object *request = json_object_new_object();

    json_put_str(request, "id", id);
    json_put_str(request, "container", container);
    json_put_str(request, "key", key.public_line);
    json_object_object_add(request, "readOnly", json_object_new_boolean(false));
    return request;
}

/* Takes request. */
static int post(struct json_object *request)
{
    answer.status = 0;
    ck_assert_int_eq(tunnel_request(pair.client, "POST", "/tp/v1/files",
                                    json_to_text(request), answer_cb, NULL),
                     0);
    RUN_UNTIL(answer.status);
    json_object_put(request);
    return answer.status;
}

static int open_cb(struct pair *p, struct tunnel_stream *s,
                   const struct tunnel_open *open)
{
    (void)p;
    return serve_open(&serve, s, open);
}

static char *program(void)
{
    char path[512] = "", *out;
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

    ck_assert_int_gt(len, 0);
    *strrchr(path, '/') = '\0';
    ck_assert_int_gt(asprintf(&out, "%s/tp-agent-sftp", path), 0);
    return out;
}

static void make_dir(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void setup(void)
{
    static const char *const dirs[] = {"app",     "app/data",
                                       "app/etc", "app/etc/app",
                                       "app/run", "app/run/token"};
    cleanup_free char *path = program();
    struct tp_error err = {0};

    log_set_level(LOG_ERROR);
    memset(&pair, 0, sizeof(pair));
    tempdir_make(dir);
    for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
        make_dir(dirs[i]);
    ck_assert_msg(settings_parse(&settings, CONFIG, &err) == 0, "%s", err.text);
    ck_assert_int_eq(sshkey_make(&key, NULL), 0);
    pair.config.names = TUNNEL_BOTH;
    pair.open_cb = open_cb;
    pair_init(&pair);
    serve = (struct serve){.loop = pair.loop, .settings = &settings};
    serve.files = files_create(pair.loop, &settings, dir, path);
    ck_assert_ptr_nonnull(serve.files);
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
}

static void teardown(void)
{
    files_destroy(serve.files);
    for (int i = 0; i < 50; i++)
        pair_turn(&pair);
    pair_close(&pair);
    json_object_put(answer.body);
    answer.body = NULL;
    sshkey_release(&key);
    settings_release(&settings);
    tempdir_remove(dir);
}

/* ---- tests -----------------------------------------------------------------
 */

static void check_list(const char *name, const char *wanted)
{
    struct json_object *list = json_get_array(answer.body, name);
    char text[512] = "";

    for (size_t i = 0; i < json_array_len(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s%s%s,",
                 json_get_str(item, "path", ""),
                 json_get_str(item, "volume", ""),
                 json_get_bool(item, "readOnly", false) ? " ro" : "",
                 json_get_bool(item, "unreadable", false) ? " no" : "");
    }
    ck_assert_str_eq(text, wanted);
}

START_TEST(mounts_are_told)
{
    struct json_object *request = new_request(ID, "app");

    ck_assert_int_eq(post(request), 200);
    ck_assert(sshkey_is_public(json_get_str(answer.body, "hostKey", "")));
    check_list("mounts", "/data data,/etc/app conf ro,/gone gone no,");
    check_list("left_out", "/tmp tmp,/run/token t,");

    request = new_request(ID, "app");
    json_object_object_add(request, "credentials",
                           json_object_new_boolean(true));
    json_object_object_add(request, "readOnly", json_object_new_boolean(true));
    ck_assert_int_eq(post(request), 200);
    check_list("mounts", "/data data ro,/etc/app conf ro,/gone gone ro no,"
                         "/run/token t ro,");
    check_list("left_out", "/tmp tmp,");

    ck_assert_int_eq(post(new_request(ID, "bare")), 200);
    check_list("mounts", "");
}
END_TEST

START_TEST(a_grant_starts_a_server)
{
    ck_assert_int_eq(post(new_request(ID, "app")), 200);
    for (int i = 0; i < 2; i++) {
        open_stream(ID, FILES_PORT);
        ck_assert_int_eq(reader.status, 0);
        RUN_UNTIL(strchr(reader.text, '\n'));
        ck_assert_msg(strncmp(reader.text, "SSH-2.0-", 8) == 0, "%s",
                      reader.text);
        tunnel_stream_reset(reader.stream, -ECONNRESET);
    }
}
END_TEST

START_TEST(without_a_grant_there_is_none)
{
    open_stream(ID, FILES_PORT);
    ck_assert_int_eq(reader.status, -EACCES);
    ck_assert_int_eq(post(new_request(ID, "app")), 200);
    open_stream(OTHER, FILES_PORT);
    ck_assert_int_eq(reader.status, -EACCES);
    open_stream(ID, 23);
    ck_assert_int_eq(reader.status, -EACCES);
}
END_TEST

START_TEST(servers_are_limited)
{
    static struct reader others[FILES_SERVERS];

    ck_assert_int_eq(post(new_request(ID, "app")), 200);
    for (int i = 0; i < FILES_SERVERS; i++) {
        others[i] = (struct reader){0};
        others[i].stream = tunnel_open_tcp_name(pair.client, ID, FILES_PORT,
                                                &reader_ops, &others[i]);
        RUN_UNTIL(others[i].opened);
        ck_assert_int_eq(others[i].status, 0);
    }
    open_stream(ID, FILES_PORT);
    ck_assert_int_eq(reader.status, -EMFILE);
    tunnel_stream_reset(others[0].stream, -ECONNRESET);
    for (int i = 0; i < 200 && reader.status != 0; i++) {
        pair_turn(&pair);
        open_stream(ID, FILES_PORT);
    }
    ck_assert_int_eq(reader.status, 0);
}
END_TEST

START_TEST(requests_are_checked)
{
    struct json_object *request = new_request("short", "app");

    ck_assert_int_eq(post(request), 422);
    ck_assert_int_eq(post(new_request(ID, "none")), 404);
    request = new_request(ID, "app");
    json_put_str(request, "key", "ssh-rsa AAAA");
    ck_assert_int_eq(post(request), 422);
    request = new_request(ID, "app");
    json_object_object_del(request, "key");
    ck_assert_int_eq(post(request), 422);
    ck_assert_int_eq(post(json_object_new_array()), 422);
}
END_TEST

START_TEST(keys_have_one_form)
{
    char text[128];

    snprintf(text, sizeof(text), "%s x", key.public_line);
    ck_assert(!sshkey_is_public(text));
    snprintf(text, sizeof(text), "%s\n", key.public_line);
    ck_assert(!sshkey_is_public(text));
    ck_assert(!sshkey_is_public(""));
    ck_assert(!sshkey_is_public(key.public_line + 1));
}
END_TEST

static Suite *files_suite(void)
{
    Suite *suite = suite_create("agent_files");
    TCase *tc = tcase_create("files");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, mounts_are_told);
    tcase_add_test(tc, a_grant_starts_a_server);
    tcase_add_test(tc, without_a_grant_there_is_none);
    tcase_add_test(tc, servers_are_limited);
    tcase_add_test(tc, requests_are_checked);
    tcase_add_test(tc, keys_have_one_form);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return suite_run(files_suite());
}
