/* Unit tests of src/kube/watch*.c against a server of this process that says
 * what an API server says. */
#include <check.h>
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "base/json.h"
#include "kube/watch.h"
#include "kube/watch_lines.h"
#include "suite.h"

/* ---- lines --------------------------------------------------------------- */

struct seen {
    char text[512];
    int say;
};

static int line_cb(void *arg, enum watch_line type, struct json_object *obj)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);

    snprintf(seen->text + len, sizeof(seen->text) - len, "%c%s ", "PDBXE"[type],
             json_get_str(obj, "metadata.name", ""));
    json_object_put(obj);
    return seen->say;
}

static const char stream_text[] =
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n"
    "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"b\"}}}\r\n"
    "\n"
    "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"c\"}}}\n"
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{}}}\n"
    "{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n"
    "{\"type\":\"ERROR\",\"object\":{\"code\":500}}\n";

START_TEST(lines_come_whatever_the_pieces_are)
{
    for (size_t piece = 1; piece < sizeof(stream_text); piece++) {
        struct seen seen = {{0}, 0};
        struct watch_lines w;

        watch_lines_init(&w, line_cb, &seen);
        for (size_t i = 0; i < sizeof(stream_text) - 1; i += piece) {
            size_t left = sizeof(stream_text) - 1 - i;

            ck_assert_int_eq(watch_lines_feed(&w, stream_text + i,
                                              left < piece ? left : piece),
                             0);
        }
        watch_lines_release(&w);
        ck_assert_str_eq(seen.text, "Pa Pb Dc B X E ");
    }
}
END_TEST

START_TEST(lines_refuse_what_is_no_event)
{
    static const char *const bad[] = {"x\n",
                                      "{}\n",
                                      "[]\n",
                                      "{\"type\":\"ADDED\"}\n",
                                      "{\"type\":\"ADDED\",\"object\":[]}\n",
                                      "{\"type\":\"NEW\",\"object\":{}}\n",
                                      "{\"object\":{}}\n"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct seen seen = {{0}, 0};
        struct watch_lines w;

        watch_lines_init(&w, line_cb, &seen);
        ck_assert_int_eq(watch_lines_feed(&w, bad[i], strlen(bad[i])),
                         -EBADMSG);
        watch_lines_release(&w);
    }
}
END_TEST

START_TEST(lines_stop_at_the_callbacks_word_and_at_the_maximum)
{
    struct seen seen = {{0}, -ECANCELED};
    char *much = malloc(1024 * 1024);
    struct watch_lines w;
    int rc = 0;

    watch_lines_init(&w, line_cb, &seen);
    ck_assert_int_eq(watch_lines_feed(&w, stream_text, sizeof(stream_text) - 1),
                     -ECANCELED);
    ck_assert_str_eq(seen.text, "Pa ");
    watch_lines_release(&w);
    memset(much, ' ', 1024 * 1024);
    watch_lines_init(&w, line_cb, &seen);
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = watch_lines_feed(&w, much, 1024 * 1024);
    ck_assert_int_eq(rc, -ENOBUFS);
    watch_lines_release(&w);
    free(much);
}
END_TEST

/* ---- a server that plays a script: one connection, one answer each ------- */

struct step {
    const char *wanted; /* in the request's first line */
    const char *answer; /* after it the connection stays open if hold */
    bool hold;
};

struct script {
    const struct step *steps;
    size_t count;
    int fd;
    uint16_t port;
    pthread_t thread;
    int held[8];
    size_t held_count;
    bool wrong;
};

static void play_one(struct script *s, const struct step *step, int fd)
{
    char request[4096] = "";
    size_t len = 0;

    while (len < sizeof(request) - 1 && !strstr(request, "\r\n\r\n")) {
        ssize_t n = read(fd, request + len, sizeof(request) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = '\0';
    }
    *strchrnul(request, '\r') = '\0';
    if (*request && !strstr(request, step->wanted)) {
        fprintf(stderr, "%s: not in %s\n", step->wanted, request);
        s->wrong = true;
    }
    if (write(fd, step->answer, strlen(step->answer)) < 0)
        perror("write");
}

static void *script_main(void *arg)
{
    struct script *s = arg;

    for (size_t i = 0; i < s->count; i++) {
        int fd = accept(s->fd, NULL, NULL);

        if (fd < 0)
            break;
        play_one(s, &s->steps[i], fd);
        if (s->steps[i].hold)
            s->held[s->held_count++] = fd;
        else
            close(fd);
    }
    return NULL;
}

static void script_start(struct script *s, const struct step *steps,
                         size_t count)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);

    memset(s, 0, sizeof(*s));
    s->steps = steps;
    s->count = count;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(s->fd, 4), 0);
    getsockname(s->fd, (struct sockaddr *)&addr, &len);
    s->port = ntohs(addr.sin_port);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, script_main, s), 0);
}

/* The last request may not have come: nobody waits for it. */
static void script_stop(struct script *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    for (size_t i = 0; i < s->held_count; i++)
        close(s->held[i]);
    close(s->fd);
    ck_assert(!s->wrong);
}

/* ---- a watcher ----------------------------------------------------------- */

struct world {
    uv_loop_t loop;
    uv_timer_t timer;
    struct kube_endpoint ep;
    struct watch *watch;
    char text[4096];
    const char *until; /* seen at the end of text: enough */
    size_t puts;
    bool late;
};

static void stop(struct world *w)
{
    uint64_t start = uv_hrtime();

    watch_close(w->watch);
    w->watch = NULL;
    ck_assert_uint_lt(uv_hrtime() - start, 1000000000);
    uv_close((uv_handle_t *)&w->timer, NULL);
}

static void world_cb(void *arg, enum watch_event event, struct json_object *obj,
                     const char *text)
{
    struct world *w = arg;
    size_t len = strlen(w->text);

    w->puts += event == WATCH_PUT;
    if (len < sizeof(w->text) - 100)
        snprintf(w->text + len, sizeof(w->text) - len, "%c%s ", "LPDET"[event],
                 obj ? json_get_str(obj, "metadata.name", "")
                 : event == WATCH_LISTED ? text
                                         : "");
    if (w->watch && strstr(w->text, w->until))
        stop(w);
}

static void late_cb(uv_timer_t *timer)
{
    struct world *w = timer->data;

    w->late = true;
    stop(w);
}

static void world_run_path(struct world *w, const struct script *s,
                           const char *path, const char *until, unsigned ms)
{
    struct tp_error err = {0};

    memset(w, 0, sizeof(*w));
    w->until = until;
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->timer);
    w->timer.data = w;
    uv_timer_start(&w->timer, late_cb, ms, 0);
    ck_assert(asprintf(&w->ep.server, "http://127.0.0.1:%u", s->port) > 0);
    w->ep.proxy_url = strdup("");
    w->watch = watch_create(&w->loop, &w->ep, path, world_cb, w, &err);
    ck_assert_msg(w->watch != NULL, "%s", err.text);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&w->loop), 0);
    kube_endpoint_release(&w->ep);
}

static void world_run(struct world *w, const struct script *s,
                      const char *until, unsigned ms)
{
    world_run_path(w, s, "/apis/g/v1/x", until, ms);
}

#define HEAD(status)                                                           \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"                \
    "Connection: close\r\n\r\n"
#define OBJECT(name, version)                                                  \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"" \
    "}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

START_TEST(watch_lists_pages_and_follows)
{
    static const struct step steps[] = {
        {"/apis/g/v1/x?limit=250 ",
         HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"7\",\"continue\":"
                        "\"a+b\"},\"items\":[" OBJECT("one", "3") "]}",
         false},
        {"/apis/g/v1/x?limit=250&continue=a%2Bb ",
         HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"7\"},"
                        "\"items\":[" OBJECT("two", "4") "]}",
         false},
        {"watch=1&allowWatchBookmarks=true&timeoutSeconds=290"
         "&resourceVersion=7 ",
         HEAD("200 OK") EVENT("ADDED", OBJECT("three", "8")) EVENT(
             "BOOKMARK", OBJECT("", "9")) EVENT("DELETED", OBJECT("one", "10")),
         true},
    };
    struct script s;
    struct world w;

    script_start(&s, steps, 3);
    world_run(&w, &s, "Done", 10000);
    script_stop(&s);
    ck_assert_str_eq(w.text, "L Pone Ptwo E7 Pthree Done ");
}
END_TEST

START_TEST(watch_may_select)
{
    static const struct step steps[] = {
        {"/apis/g/v1/x?labelSelector=a%3Db&limit=250 ",
         HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"7\"},"
                        "\"items\":[]}",
         false},
        {"/apis/g/v1/x?labelSelector=a%3Db&watch=1&",
         HEAD("200 OK") EVENT("ADDED", OBJECT("one", "8")), true},
    };
    struct script s;
    struct world w;

    script_start(&s, steps, 2);
    world_run_path(&w, &s, "/apis/g/v1/x?labelSelector=a%3Db", "Pone", 10000);
    script_stop(&s);
    ck_assert_str_eq(w.text, "L E7 Pone ");
}
END_TEST

START_TEST(watch_goes_on_where_it_broke_and_lists_again_after_410)
{
    static const struct step steps[] = {
        {"limit=250 ",
         HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"7\"},"
                        "\"items\":[]}",
         false},
        {"resourceVersion=7 ",
         "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" EVENT(
             "BOOKMARK", OBJECT("", "9")),
         false},
        {"resourceVersion=9 ", HEAD("200 OK") EVENT("ERROR", "{\"code\":410}"),
         false},
        {"limit=250 ", HEAD("503 Unavailable") "{\"message\":\"later\"}",
         false},
        {"limit=250 ",
         HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"20\"},"
                        "\"items\":[" OBJECT("last", "20") "]}",
         false},
        {"resourceVersion=20 ", HEAD("200 OK"), true},
    };
    struct script s;
    struct world w;

    script_start(&s, steps, 6);
    world_run(&w, &s, "E20", 20000);
    script_stop(&s);
    ck_assert_str_eq(w.text, "L E7 T T L T L Plast E20 ");
}
END_TEST

START_TEST(watch_stops_at_once_with_a_silent_server_and_a_full_queue)
{
    static const struct step silent[] = {{"limit=250 ", "", true}};
    struct script s;
    struct world w;

    script_start(&s, silent, 1);
    world_run(&w, &s, "never", 300);
    ck_assert(w.late);
    script_stop(&s);
}
END_TEST

/* 1000 objects come, in order, though the queue holds fewer. */
START_TEST(watch_hands_over_more_than_the_queue_holds)
{
    char *answer = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&answer, &len);
    struct step steps[2] = {{"limit=250 ", NULL, false},
                            {"resourceVersion=7 ", HEAD("200 OK"), true}};
    struct script s;
    struct world w;

    fprintf(f, HEAD("200 OK") "{\"metadata\":{\"resourceVersion\":\"7\"},"
                              "\"items\":[");
    for (int i = 0; i < 1000; i++)
        fprintf(f, "%s{\"metadata\":{\"name\":\"\"}}", i ? "," : "");
    fprintf(f, "]}");
    fclose(f);
    steps[0].answer = answer;
    script_start(&s, steps, 2);
    world_run(&w, &s, "E7", 10000);
    script_stop(&s);
    ck_assert(!w.late);
    ck_assert_uint_eq(w.puts, 1000);
    free(answer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kube watch");
    TCase *tc = tcase_create("watch");

    signal(SIGPIPE, SIG_IGN);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, lines_come_whatever_the_pieces_are);
    tcase_add_test(tc, lines_refuse_what_is_no_event);
    tcase_add_test(tc, lines_stop_at_the_callbacks_word_and_at_the_maximum);
    tcase_add_test(tc, watch_lists_pages_and_follows);
    tcase_add_test(tc, watch_may_select);
    tcase_add_test(tc, watch_goes_on_where_it_broke_and_lists_again_after_410);
    tcase_add_test(tc,
                   watch_stops_at_once_with_a_silent_server_and_a_full_queue);
    tcase_add_test(tc, watch_hands_over_more_than_the_queue_holds);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
