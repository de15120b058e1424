/* Engagements: what the manager says, delivery, --to-pod. */
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
#include "daemon/engagement_internal.h"
#include "daemon/session.h"
#include "net/sshkey.h"
#include "suite.h"
#include "tempdir.h"
#include "tunnel_pair.h"

/* The outgoing link; its server end plays the manager. */
static struct pair pair;
/* The incoming one: its client end is the manager's. */
static struct pair in;
static struct session *session;
static struct engagements *engagements;
static struct engagement_watcher watcher;

/* What the manager was asked and answers. */
static char asked[64], asked_path[128];
static struct json_object *asked_body;
static int answer_status;
static const char *listed_ids[3]; /* of this session, at the manager */
static char deleted_path[128];
static const char *answer_phase, *answer_error;
static bool extra_port;
static int changes;
static char last_code[32], last_message[256];

static struct json_object *parse(const char *text)
{
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(text, strlen(text), &err);

    ck_assert_msg(obj != NULL, "%s: %s", text, err.text);
    return obj;
}

/* ---- a manager ---- */

static struct json_object *make_engagement(const char *id, const char *phase)
{
    struct json_object *obj = parse(
        "{\"workload\":{\"kind\":\"Deployment\",\"name\":\"web\"},\"ports\":"
        "[{\"port\":8080,\"protocol\":\"tcp\",\"requested\":\"http\"},"
        "{\"port\":5353,\"protocol\":\"udp\",\"requested\":\"dns\"}]}");

    if (extra_port)
        json_object_array_add(
            json_get_array(obj, "ports"),
            parse("{\"port\":22,\"protocol\":\"tcp\",\"requested\":\"22\"}"));
    json_put_str(obj, "id", id);
    json_put_str(obj, "phase", phase);
    json_put_str(obj, "message", "as told");
    return obj;
}

static int answer_list(struct tunnel_stream *s)
{
    cleanup_json struct json_object *answer = json_object_new_object();
    struct json_object *list = json_object_new_array();

    json_object_object_add(answer, "engagements", list);
    for (size_t i = 0; listed_ids[i]; i++)
        json_object_array_add(list, make_engagement(listed_ids[i], "ready"));
    return tunnel_stream_respond(s, 200, json_object_to_json_string(answer));
}

/* An agent's SSH server, as far as the daemon is concerned. */
static struct user far_end;
static char named[64];
static int files_status;

static int open_named(struct pair *p, struct tunnel_stream *s,
                      const struct tunnel_open *open)
{
    snprintf(named, sizeof(named), "%s:%u", open->name, open->port);
    memset(&far_end, 0, sizeof(far_end));
    far_end.offer = 5000;
    far_end.keep_open = true;
    p->arg = &far_end;
    return user_serve(p, s, open);
}

static int answer_files(struct tunnel_stream *s)
{
    return tunnel_stream_respond(
        s, files_status,
        files_status == 200 ? "{\"hostKey\":\"h\",\"port\":23,\"mounts\":[]}"
                            : "{\"error\":\"no right\"}");
}

static int manager_open_cb(struct pair *p, struct tunnel_stream *s,
                           const struct tunnel_open *open)
{
    cleanup_json struct json_object *answer = NULL;

    if (open->name)
        return open_named(p, s, open);
    if (open->kind != TUNNEL_REQUEST)
        return p == &pair ? pair_serve(p, s, open) : -EACCES;
    if (!strcmp(open->method, "GET"))
        return answer_list(s);
    snprintf(asked, sizeof(asked), "%s", open->method);
    snprintf(asked_path, sizeof(asked_path), "%s", open->path);
    json_object_put(asked_body);
    asked_body = open->body_len
                     ? json_parse_text(open->body, open->body_len, NULL)
                     : NULL;
    if (!strcmp(open->method, "DELETE"))
        snprintf(deleted_path, sizeof(deleted_path), "%s", open->path);
    if (strstr(open->path, "/files"))
        return answer_files(s);
    if (answer_error) {
        answer = json_object_new_object();
        json_put_str(answer, "error", answer_error);
    } else {
        answer =
            make_engagement(json_get_str(asked_body, "id", ""), answer_phase);
    }
    return tunnel_stream_respond(s, answer_status,
                                 json_object_to_json_string(answer));
}

static int incoming_open_cb(struct pair *p, struct tunnel_stream *s,
                            const struct tunnel_open *open)
{
    (void)p;
    return engagement_session_ops.open_cb(engagements, s, open);
}

static void changed_cb(void *arg, struct engagement *eng)
{
    (void)arg;
    changes++;
    snprintf(last_code, sizeof(last_code), "%s", engagement_code(eng));
    snprintf(last_message, sizeof(last_message), "%s", engagement_message(eng));
}

/* A session that nobody answers is enough: its state is not idle. */
static void start_session(void)
{
    struct session_env env = {.loop = pair.loop, .state_fd = -1};
    struct tp_error err = {0};
    cleanup_json struct json_object *json = parse(
        "{\"name\":\"tp-daemon\",\"context\":\"c\",\"namespace\":\"team-a\","
        "\"managerNamespace\":\"tp-system\",\"insecure\":true,\"server\":"
        "{\"host\":\"127.0.0.1\",\"port\":1,\"path\":\"\",\"url\":"
        "\"https://127.0.0.1:1\"}}");
    bool already;

    session = session_create(&env);
    engagements = engagements_create(pair.loop, session, 0);
    ck_assert_int_eq(session_connect(session, json, &already, &err), 0);
}

static void setup(void)
{
    log_set_level(LOG_ERROR);
    memset(&pair, 0, sizeof(pair));
    pair.open_cb = manager_open_cb;
    pair.config.names = TUNNEL_BOTH;
    files_status = 200;
    *named = '\0';
    pair_init(&pair);
    answer_status = 202;
    answer_phase = "pending";
    answer_error = NULL;
    extra_port = false;
    changes = 0;
    memset(listed_ids, 0, sizeof(listed_ids));
    *deleted_path = '\0';
    *last_code = *last_message = *asked = '\0';
    start_session();
    watcher = (struct engagement_watcher){.changed_cb = changed_cb};
    engagements_add_watcher(engagements, &watcher);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
}

static void teardown(void)
{
    engagements_remove_watcher(engagements, &watcher);
    session_destroy(session, false);
    tunnel_destroy(pair.client); /* as the session does with its links */
    pair.client = NULL;
    engagements_destroy(engagements);
    pair_close(&pair);
    json_object_put(asked_body);
    asked_body = NULL;
}

static struct engagement *engage(const char *text)
{
    cleanup_json struct json_object *request = parse(text);
    struct engagement *eng = NULL;
    struct tp_error err = {0};
    bool already;

    ck_assert_msg(engagements_add(engagements, request, &eng, &already, &err) ==
                      0,
                  "%s", err.text);
    return eng;
}

#define WEB                                                                    \
    "{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{\"local\":0,"    \
    "\"remote\":\"http\"}]}"

START_TEST(test_engaged)
{
    struct engagement *eng = engage(WEB);
    cleanup_json struct json_object *event = NULL, *local = NULL;

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    ck_assert_str_eq(asked, "POST");
    ck_assert_str_eq(json_get_str(asked_body, "id", ""), engagement_id(eng));
    ck_assert_str_eq(json_get_str(asked_body, "namespace", ""), "team-a");
    event = make_engagement(engagement_id(eng), "ready");
    engagement_session_ops.event_cb(engagements, event);
    ck_assert_int_eq(engagement_state(eng), ENG_READY);
    local = engagement_to_json(eng);
    /* there is no incoming link here */
    ck_assert_str_eq(json_get_str(local, "phase", ""), "waiting");
    ck_assert_int_eq(
        json_get_int(json_object_array_get_idx(json_get(local, "ports"), 0),
                     "local", 0),
        8080);
    /* the second port was not asked for and leads nowhere */
    ck_assert_uint_eq(eng->port_count, 1);
}
END_TEST

/* -p 9000: what it is there, the manager says, by the number. */
START_TEST(test_a_local_port_alone)
{
    struct engagement *eng =
        engage("{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":["
               "{\"local\":9000,\"remote\":\"\"}]}");
    cleanup_json struct json_object *event = parse(
        "{\"phase\":\"ready\",\"ports\":[{\"port\":8080,\"protocol\":\"tcp\","
        "\"requested\":\"9000\"}]}");

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    ck_assert_int_eq(json_get_int(json_object_array_get_idx(
                                      json_get_array(asked_body, "ports"), 0),
                                  "local", 0),
                     9000);
    json_put_str(event, "id", engagement_id(eng));
    engagement_session_ops.event_cb(engagements, event);
    ck_assert_uint_eq(eng->port_count, 1);
    ck_assert_uint_eq(eng->ports[0].remote, 8080);
    ck_assert_uint_eq(eng->ports[0].local, 9000);
}
END_TEST

/* --address NAME: looked for at once, and missed. */
START_TEST(test_an_address_that_is_no_host)
{
    struct engagement *eng =
        engage("{\"type\":\"intercept\",\"workload\":\"web\",\"address\":"
               "\"nosuch.invalid\"}");
    cleanup_json struct json_object *local = NULL;

    ck_assert(engagement_is_checking(eng));
    RUN_UNTIL(!engagement_is_checking(eng));
    local = engagement_to_json(eng);
    ck_assert(strstr(json_get_str(local, "warning", ""), "nosuch.invalid"));
    ck_assert(!engagement_is_checking(
        engage("{\"type\":\"mirror\",\"workload\":\"api\",\"address\":"
               "\"10.0.0.1\"}")));
}
END_TEST

START_TEST(test_the_same_again)
{
    cleanup_json struct json_object *again = parse(WEB);
    struct engagement *eng = engage(WEB), *second = NULL;
    struct tp_error err = {0};
    bool already = false;

    ck_assert_int_eq(
        engagements_add(engagements, again, &second, &already, &err), 0);
    ck_assert(already && second == eng);
    ck_assert_uint_eq(engagements_count(engagements), 1);
    /* other ports: the old one is withdrawn */
    engage("{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{"
           "\"remote\":\"grpc\"}]}");
    ck_assert_uint_eq(engagements_count(engagements), 1);
    RUN_UNTIL(!strcmp(asked, "POST") &&
              strstr(json_object_to_json_string(asked_body), "grpc"));
}
END_TEST

/* Another kind, or another workload, does not take its place silently. */
START_TEST(test_another_kind)
{
    static const char *const others[] = {
        "{\"type\":\"mirror\",\"workload\":\"web\"}",
        "{\"type\":\"intercept\",\"workload\":\"sts/web\",\"name\":\"web\"}",
        "{\"type\":\"intercept\",\"workload\":\"web\",\"namespace\":\"b\"}",
    };
    struct engagement *eng = engage(WEB);

    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        cleanup_json struct json_object *request = parse(others[i]);
        struct engagement *second;
        struct tp_error err = {0};
        bool already;

        ck_assert_int_eq(
            engagements_add(engagements, request, &second, &already, &err),
            -EEXIST);
        ck_assert_msg(strstr(err.text, "--as-name") &&
                          strstr(err.text, "tp detach web"),
                      "%s", err.text);
        ck_assert_ptr_eq(engagements_find(engagements, "web"), eng);
    }
}
END_TEST

START_TEST(test_refused)
{
    answer_status = 409;
    answer_error = "held by bob since 14:02";
    engage(WEB);
    RUN_UNTIL(engagements_count(engagements) == 0);
    ck_assert_str_eq(last_code, "conflict");
    ck_assert_str_eq(last_message, answer_error);
}
END_TEST

START_TEST(test_not_now_is_asked_again)
{
    struct engagement *eng;

    answer_status = 503;
    answer_error = "the API server does not answer";
    eng = engage(WEB);
    RUN_UNTIL(*engagement_message(eng));
    ck_assert_int_eq(engagement_state(eng), ENG_ASKING);
    answer_status = 202;
    answer_error = NULL;
    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
}
END_TEST

START_TEST(test_revoked)
{
    struct engagement *eng = engage(WEB);
    cleanup_json struct json_object *event = NULL;

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    event = make_engagement(engagement_id(eng), "ended");
    engagement_session_ops.event_cb(engagements, event);
    ck_assert_uint_eq(engagements_count(engagements), 0);
    ck_assert_str_eq(last_code, "ended");
}
END_TEST

START_TEST(test_withdrawn)
{
    char path[128];
    struct engagement *eng = engage(WEB);
    char id[32];

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    snprintf(path, sizeof(path), "/tp/v1/engagements/%s", engagement_id(eng));
    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    engagements_remove(engagements, eng);
    ck_assert_uint_eq(engagements_count(engagements), 0);
    ck_assert_int_eq(engagements_end(engagements, id), ENGAGEMENT_UNTOLD);
    RUN_UNTIL(engagements_end(engagements, id) == ENGAGEMENT_OVER);
    ck_assert_str_eq(asked, "DELETE");
    ck_assert_str_eq(asked_path, path);
}
END_TEST

static size_t withdrawn(void)
{
    cleanup_json struct json_object *list = engagements_withdrawn(engagements);

    return json_array_len(list);
}

/* Without a link; the next one hears of it, and before anything else. */
START_TEST(test_withdrawn_later)
{
    char path[128];
    struct engagement *eng = engage(WEB);
    char id[32];

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    snprintf(path, sizeof(path), "/tp/v1/engagements/%s", engagement_id(eng));
    engagement_session_ops.linked_cb(engagements, NULL, true);
    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    engagements_remove(engagements, eng);
    ck_assert_int_eq(engagements_end(engagements, id), ENGAGEMENT_UNLINKED);
    ck_assert_uint_eq(withdrawn(), 1);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    RUN_UNTIL(withdrawn() == 0);
    ck_assert_str_eq(deleted_path, path);
}
END_TEST

/* An error is no end: it is asked again. */
START_TEST(test_withdrawn_is_tried_again)
{
    struct engagement *eng = engage(WEB);
    char id[32];

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    answer_status = 503;
    *asked = '\0';
    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    engagements_remove(engagements, eng);
    RUN_UNTIL(*asked);
    for (int i = 0; i < 50; i++)
        pair_turn(&pair);
    ck_assert_int_eq(engagements_end(engagements, id), ENGAGEMENT_UNTOLD);
    ck_assert_uint_eq(withdrawn(), 1);
    answer_status = 404;
    RUN_UNTIL(withdrawn() == 0);
}
END_TEST

/* tp-daemon has crashed in between. */
START_TEST(test_withdrawn_survives_a_crash)
{
    cleanup_json struct json_object *kept = json_object_new_array();
    struct engagement *eng = engage(WEB);
    char id[32];

    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    engagement_session_ops.linked_cb(engagements, NULL, true);
    engagements_remove(engagements, eng);
    engagement_withdrawals_keep(engagements, kept);
    engagement_session_ops.ended_cb(engagements);
    ck_assert_uint_eq(withdrawn(), 0);
    engagement_session_ops.begun_cb(engagements, kept);
    ck_assert_uint_eq(engagements_count(engagements), 0);
    ck_assert_uint_eq(withdrawn(), 1);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    RUN_UNTIL(withdrawn() == 0);
    ck_assert(strstr(deleted_path, id));
}
END_TEST

#define REPLACE "{\"type\":\"replace\",\"workload\":\"web\"}"

/* It is delivered until its pods are rolled back, and takes no other place. */
START_TEST(test_a_replace_goes_on_until_it_is_over)
{
    cleanup_json struct json_object *again = parse(REPLACE), *event = NULL,
                                    *local = NULL;
    struct engagement *eng = engage(REPLACE), *second;
    struct tp_error err = {0};
    bool already;
    char id[32];

    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    answer_phase = "restoring";
    engagements_remove(engagements, eng);
    RUN_UNTIL(engagements_end(engagements, NULL) == ENGAGEMENT_RESTORING);
    ck_assert_ptr_eq(engagements_find(engagements, "web"), eng);
    local = engagement_to_json(eng);
    ck_assert_str_eq(json_get_str(local, "phase", ""), "ending");
    ck_assert_uint_eq(withdrawn(), 0);
    ck_assert_int_eq(
        engagements_add(engagements, again, &second, &already, &err), -EBUSY);
    /* the next link is told again, and of nothing else */
    *asked = '\0';
    engagement_session_ops.linked_cb(engagements, NULL, true);
    ck_assert_int_eq(engagements_end(engagements, id), ENGAGEMENT_UNLINKED);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    RUN_UNTIL(*asked);
    ck_assert_str_eq(asked, "DELETE");
    RUN_UNTIL(engagements_end(engagements, NULL) == ENGAGEMENT_RESTORING);
    event = make_engagement(id, "ended");
    engagement_session_ops.event_cb(engagements, event);
    ck_assert_uint_eq(engagements_count(engagements), 0);
    ck_assert_int_eq(engagements_end(engagements, NULL), ENGAGEMENT_OVER);
    ck_assert_str_eq(last_code, "ended");
}
END_TEST

/* The manager has one of this session that nobody knows here. */
START_TEST(test_left_over)
{
    struct engagement *eng = engage(WEB);

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    listed_ids[0] = engagement_id(eng);
    listed_ids[1] = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    *deleted_path = '\0';
    engagement_session_ops.linked_cb(engagements, NULL, true);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    RUN_UNTIL(*deleted_path);
    ck_assert_str_eq(deleted_path,
                     "/tp/v1/engagements/aaaaaaaaaaaaaaaaaaaaaaaaaa");
    RUN_UNTIL(withdrawn() == 0);
    ck_assert_uint_eq(engagements_count(engagements), 1);
}
END_TEST

START_TEST(test_a_new_link_is_told)
{
    struct engagement *eng = engage(WEB);

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    *asked = '\0';
    engagement_session_ops.linked_cb(engagements, NULL, true);
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    RUN_UNTIL(!strcmp(asked, "POST"));
    ck_assert_str_eq(json_get_str(asked_body, "id", ""), engagement_id(eng));
}
END_TEST

START_TEST(test_an_old_manager)
{
    cleanup_json struct json_object *request = parse(WEB);
    struct engagement *eng;
    struct tp_error err = {0};
    bool already;

    engagement_session_ops.linked_cb(engagements, pair.client, false);
    ck_assert_int_eq(
        engagements_add(engagements, request, &eng, &already, &err),
        -EOPNOTSUPP);
    ck_assert(strstr(err.text, "upgrade"));
}
END_TEST

/* ---- delivery ---- */

static void in_setup(void)
{
    setup();
    memset(&in, 0, sizeof(in));
    in.open_cb = incoming_open_cb;
    in.config.names = TUNNEL_NAMES;
    in.loop = pair.loop;
    pair_init(&in);
}

static void in_teardown(void)
{
    pair_close(&in);
    teardown();
}

static void both_turn(void)
{
    pair_turn(&pair);
    pair_turn(&in);
}

#define BOTH_UNTIL(condition)                                                  \
    do {                                                                       \
        for (int run_i_ = 0; !(condition); run_i_++) {                         \
            ck_assert_msg(run_i_ < 60000, "never: %s", #condition);            \
            both_turn();                                                       \
        }                                                                      \
    } while (0)

/* An engagement whose port http leads to a listener of ours. */
static struct engagement *engage_listener(int *listener)
{
    union sockaddr_any addr;
    struct engagement *eng;
    char text[256];

    *listener = tcp_listen(&addr);
    snprintf(text, sizeof(text),
             "{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":[{"
             "\"local\":%u,\"remote\":\"http\"}]}",
             sockaddr_port(&addr));
    eng = engage(text);
    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    return eng;
}

START_TEST(test_delivered)
{
    struct user u = {.offer = 100000, .pair = &in};
    int listener, fd = -1;
    struct engagement *eng = engage_listener(&listener);
    char data[65536];
    size_t got = 0;

    u.stream = tunnel_open_tcp_name(in.client, engagement_id(eng), 8080,
                                    &user_ops, &u);
    BOTH_UNTIL(u.opened);
    ck_assert_int_eq(u.open_status, 0);
    fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_eq(engagement_deliveries(eng), 1);
    while (got < 100000) {
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

        if (n > 0)
            got += (size_t)n;
        both_turn();
    }
    close(fd);
    BOTH_UNTIL(u.closed);
    BOTH_UNTIL(engagement_deliveries(eng) == 0);
    close(listener);
}
END_TEST

/* What a hostile manager may ask for: nothing of it is connected. */
static void expect_refused(const char *id, uint16_t port, int status)
{
    struct user u = {.offer = 1, .pair = &in};

    u.stream = tunnel_open_tcp_name(in.client, id, port, &user_ops, &u);
    ck_assert(u.stream != NULL);
    BOTH_UNTIL(u.opened && u.closed);
    ck_assert_int_eq(u.open_status, status);
}

START_TEST(test_only_the_table_counts)
{
    int listener;
    struct engagement *eng;

    extra_port = true;
    eng = engage_listener(&listener);
    expect_refused("aaaaaaaaaaaaaaaaaaaaaaaaaa", 8080, -EACCES);
    expect_refused(engagement_id(eng), 22, -EACCES);
    expect_refused(engagement_id(eng), 5353, -EACCES);
    expect_refused(engagement_id(eng), 8081, -EACCES);
    close(listener);
    /* nobody listens: the truth */
    expect_refused(engagement_id(eng), 8080, -ECONNREFUSED);
}
END_TEST

START_TEST(test_an_ended_one_leads_nowhere)
{
    char id[32];
    int listener;
    struct engagement *eng = engage_listener(&listener);

    snprintf(id, sizeof(id), "%s", engagement_id(eng));
    engagements_remove(engagements, eng);
    expect_refused(id, 8080, -EACCES);
    close(listener);
}
END_TEST

/* ---- the pod's localhost ---- */

/* ---- files ---- */

static char files_dir[64];

static void files_setup(void)
{
    setup();
    tempdir_make(files_dir);
    engagements_set_files_dir(engagements, files_dir);
}

static void files_teardown(void)
{
    teardown();
    tempdir_remove(files_dir);
}

static int connect_files(const struct engagement *eng)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    engagement_files_socket(eng, addr.sun_path);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* Bytes until the end; or until there are `want`. */
static size_t read_files(int fd, size_t want)
{
    char data[4096];
    size_t sum = 0;

    for (int i = 0; i < 5000 && sum < want; i++) {
        ssize_t n = read(fd, data, sizeof(data));

        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        sum += n > 0 ? (size_t)n : 0;
        pair_turn(&pair);
    }
    return sum;
}

START_TEST(test_files_lead_to_a_pod)
{
    struct engagement *eng =
        engage("{\"type\":\"ingest\",\"workload\":\"web\",\"readOnly\":"
               "true,\"files\":{\"public\":\"mine\",\"private\":\"x\"}}");
    struct stat st;
    char path[108], wanted[64];
    int fd;

    engagement_files_socket(eng, path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    fd = connect_files(eng);
    ck_assert_uint_eq(read_files(fd, 5000), 5000);
    snprintf(wanted, sizeof(wanted), "%s:23", engagement_id(eng));
    ck_assert_str_eq(named, wanted);
    ck_assert_str_eq(asked, "POST");
    ck_assert(sshkey_is_public(json_get_str(asked_body, "key", "")));
    ck_assert(json_get_bool(asked_body, "readOnly", false));
    ck_assert_ptr_null(json_get(asked_body, "private"));
    ck_assert_ptr_nonnull(strstr(engagement_files_key(eng), "PRIVATE KEY"));
    /* Its end is theirs. */
    engagements_remove(engagements, eng);
    ck_assert_uint_eq(read_files(fd, 1), 0);
    RUN_UNTIL(far_end.closed);
    ck_assert_int_ne(stat(path, &st), 0);
    close(fd);
}
END_TEST

/* The next tp-daemon has the same key; what the user is told has none. */
START_TEST(test_files_keep_their_key)
{
    struct engagement *eng =
        engage("{\"type\":\"ingest\",\"workload\":\"web\"}");
    cleanup_json struct json_object *told = engagement_to_json(eng);
    cleanup_json struct json_object *kept = parse(json_to_text(eng->request));
    char *key = strdup(engagement_files_key(eng));

    ck_assert_ptr_null(strstr(json_to_text(told), "PRIVATE"));
    engagements_remove(engagements, eng);
    json_object_object_add(kept, "x", json_object_new_int(1));
    told = (json_object_put(told), json_object_new_array());
    json_object_array_add(told, json_object_get(kept));
    engagement_session_ops.begun_cb(engagements, told);
    eng = engagements_nth(engagements, 0);
    ck_assert_ptr_nonnull(eng);
    ck_assert_str_eq(engagement_files_key(eng), key);
    free(key);
}
END_TEST

START_TEST(test_files_that_are_refused_end)
{
    struct engagement *eng =
        engage("{\"type\":\"ingest\",\"workload\":\"web\"}");
    int fd;

    files_status = 403;
    fd = connect_files(eng);
    ck_assert_uint_eq(read_files(fd, 1), 0);
    ck_assert_str_eq(named, "");
    close(fd);
    /* An end while the manager is asked. */
    files_status = 200;
    fd = connect_files(eng);
    pair_turn(&pair);
    engagements_remove(engagements, eng);
    ck_assert_uint_eq(read_files(fd, 1), 0);
    close(fd);
}
END_TEST

START_TEST(test_to_pod_port_taken)
{
    cleanup_json struct json_object *request = NULL;
    union sockaddr_any addr;
    int listener = tcp_listen(&addr);
    struct engagement *eng;
    struct tp_error err = {0};
    char text[200];
    bool already;

    snprintf(text, sizeof(text),
             "{\"type\":\"ingest\",\"workload\":\"web\",\"toPod\":[{\"port\":%u"
             "}]}",
             sockaddr_port(&addr));
    request = parse(text);
    ck_assert_int_lt(
        engagements_add(engagements, request, &eng, &already, &err), 0);
    ck_assert_msg(strstr(err.text, "--to-pod"), "%s", err.text);
    ck_assert_uint_eq(engagements_count(engagements), 0);
    close(listener);
}
END_TEST

/* ---- the local shortcut ---- */

/* What the manager says, with where it leads. */
static void tell(struct engagement *eng, const char *phase,
                 const char *destinations)
{
    struct json_object *event = make_engagement(engagement_id(eng), phase);

    if (destinations)
        json_object_object_add(event, "destinations", parse(destinations));
    engagement_session_ops.event_cb(engagements, event);
    json_object_put(event);
}

/* "127.0.0.1:8080", or "" if it goes to the cluster. */
static const char *way_to(const char *address, uint16_t port, bool udp)
{
    static char text[SOCKADDR_TEXT];
    union sockaddr_any dst;
    struct shortcut way;

    ck_assert_int_eq(sockaddr_parse(&dst, address, port), 0);
    if (!engagements_shortcut(engagements, &dst, udp, &way))
        return "";
    sockaddr_format(&way.addr, text);
    return text;
}

#define LEADS                                                                  \
    "[{\"address\":\"10.43.0.5\",\"port\":80,\"protocol\":\"tcp\",\"to\":"     \
    "8080},"                                                                   \
    "{\"address\":\"fd00::5\",\"port\":80,\"protocol\":\"tcp\",\"to\":8080},"  \
    "{\"address\":\"10.42.0.9\",\"port\":8080,\"protocol\":\"tcp\",\"to\":"    \
    "8080},"                                                                   \
    "{\"address\":\"10.43.0.5\",\"port\":53,\"protocol\":\"udp\",\"to\":5353}" \
    ","                                                                        \
    "{\"address\":\"nowhere\",\"port\":80,\"to\":8080},"                       \
    "{\"address\":\"10.43.0.8\",\"port\":0,\"to\":8080},"                      \
    "{\"address\":\"10.43.0.9\",\"port\":22,\"to\":22},7]"

START_TEST(test_shortcut)
{
    struct engagement *eng =
        engage("{\"type\":\"intercept\",\"workload\":\"web\",\"ports\":["
               "{\"local\":18080,\"remote\":\"http\"}]}");
    int before;

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    tell(eng, "injecting", LEADS);
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), ""); /* not yet */
    tell(eng, "ready", NULL);
    before = changes;
    tell(eng, "ready", LEADS);
    ck_assert_int_eq(changes, before); /* nobody is told of that */
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "127.0.0.1:18080");
    ck_assert_str_eq(way_to("fd00::5", 80, false), "127.0.0.1:18080");
    ck_assert_str_eq(way_to("10.42.0.9", 8080, false), "127.0.0.1:18080");
    ck_assert_str_eq(way_to("10.43.0.5", 80, true), "");
    ck_assert_str_eq(way_to("10.43.0.5", 81, false), "");
    ck_assert_str_eq(way_to("10.43.0.6", 80, false), "");
    /* ports that nobody asked for lead nowhere */
    ck_assert_str_eq(way_to("10.43.0.5", 53, true), "");
    ck_assert_str_eq(way_to("10.43.0.9", 22, false), "");
    /* a pod goes */
    tell(eng, "ready",
         "[{\"address\":\"10.43.0.5\",\"port\":80,\"protocol\":\"tcp\","
         "\"to\":8080}]");
    ck_assert_str_eq(way_to("10.42.0.9", 8080, false), "");
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "127.0.0.1:18080");
    tell(eng, "injecting", NULL); /* all pods went */
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "");
    tell(eng, "ready", NULL);
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "127.0.0.1:18080");
    engagement_session_ops.linked_cb(engagements, NULL, true);
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "");
    engagement_session_ops.linked_cb(engagements, pair.client, true);
    engagements_remove(engagements, eng);
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), "");
}
END_TEST

static const struct {
    const char *request, *way;
} shortcuts[] = {
    {"{\"type\":\"intercept\",\"workload\":\"web\"}", "127.0.0.1:8080"},
    {"{\"type\":\"replace\",\"workload\":\"web\"}", "127.0.0.1:8080"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"address\":\"10.9.9.9\"}",
     "10.9.9.9:8080"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"address\":\"localhost\"}",
     "127.0.0.1:8080"},
    {"{\"type\":\"intercept\",\"workload\":\"web\",\"shortcut\":false}", ""},
    {"{\"type\":\"mirror\",\"workload\":\"web\"}", ""},
    {"{\"type\":\"ingest\",\"workload\":\"web\"}", ""},
};

START_TEST(test_who_has_a_shortcut)
{
    struct engagement *eng = engage(shortcuts[_i].request);
    uint64_t end;

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    tell(eng, "ready", LEADS);
    end = uv_now(pair.loop) + 500; /* a name takes a moment */
    while (*shortcuts[_i].way && !*way_to("10.43.0.5", 80, false) &&
           uv_now(pair.loop) < end)
        uv_run(pair.loop, UV_RUN_NOWAIT);
    ck_assert_str_eq(way_to("10.43.0.5", 80, false), shortcuts[_i].way);
}
END_TEST

/* The name is looked up while the engagement goes. */
START_TEST(test_shortcut_of_the_past)
{
    struct engagement *eng = engage("{\"type\":\"intercept\",\"workload\":"
                                    "\"web\",\"address\":\"localhost\"}");

    RUN_UNTIL(engagement_state(eng) == ENG_COMING);
    tell(eng, "ready", LEADS);
    engagements_remove(engagements, eng);
    ck_assert_ptr_nonnull(LIST_FIRST(&engagements->look_ups));
    /* teardown() ends the table before the answer is there */
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engagement");
    TCase *tc = tcase_create("manager");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_engaged);
    tcase_add_test(tc, test_the_same_again);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_not_now_is_asked_again);
    tcase_add_test(tc, test_revoked);
    tcase_add_test(tc, test_an_address_that_is_no_host);
    tcase_add_test(tc, test_another_kind);
    tcase_add_test(tc, test_a_local_port_alone);
    tcase_add_test(tc, test_withdrawn);
    tcase_add_test(tc, test_withdrawn_later);
    tcase_add_test(tc, test_withdrawn_is_tried_again);
    tcase_add_test(tc, test_withdrawn_survives_a_crash);
    tcase_add_test(tc, test_a_replace_goes_on_until_it_is_over);
    tcase_add_test(tc, test_left_over);
    tcase_add_test(tc, test_a_new_link_is_told);
    tcase_add_test(tc, test_an_old_manager);
    tcase_add_test(tc, test_to_pod_port_taken);
    tcase_add_test(tc, test_shortcut);
    tcase_add_loop_test(tc, test_who_has_a_shortcut, 0,
                        sizeof(shortcuts) / sizeof(*shortcuts));
    tcase_add_test(tc, test_shortcut_of_the_past);
    suite_add_tcase(s, tc);
    tc = tcase_create("files");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, files_setup, files_teardown);
    tcase_add_test(tc, test_files_lead_to_a_pod);
    tcase_add_test(tc, test_files_keep_their_key);
    tcase_add_test(tc, test_files_that_are_refused_end);
    suite_add_tcase(s, tc);
    tc = tcase_create("delivery");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, in_setup, in_teardown);
    tcase_add_test(tc, test_delivered);
    tcase_add_test(tc, test_only_the_table_counts);
    tcase_add_test(tc, test_an_ended_one_leads_nowhere);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_run(suite());
}
