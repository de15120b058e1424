/* Unit tests of the agent's TCP ports: idle, engaged, mirrored. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/pipes.h"
#include "agent/rules.h"
#include "agent_world.h"
#include "suite.h"

static bool idle(void)
{
    return world_stats().running == 0;
}

/* A client and the app's end of its connection. */
struct talk {
    int client, far;
};

static struct talk talk_with(int listener)
{
    struct talk t = {.client = client_connect(0)};

    t.far = accept_on(listener);
    return t;
}

static void talk_close(const struct talk *t)
{
    close(t->client);
    close(t->far);
    RUN_UNTIL(idle());
}

/* It works in both directions, to the end. */
static void expect_talk(struct talk *t)
{
    say(t->client, "question");
    expect_text(t->far, "question");
    say(t->far, "answer");
    expect_text(t->client, "answer");
    shutdown(t->client, SHUT_WR);
    expect_end(t->far);
    say(t->far, "after the end");
    expect_text(t->client, "after the end");
    close(t->far);
    expect_end(t->client);
    close(t->client);
}

/* ---- nothing engaged --------------------------------------------------------
 */

START_TEST(idle_bytes_and_half_close_pass_both_ways)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_eq(world_stats().ports[0].conns, 1);
    ck_assert_uint_eq(world_stats().ports[0].bytes, 8 + 6 + 13);
    world_close();
}
END_TEST

START_TEST(idle_server_speaks_first)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    say(t.far, "220 hello");
    expect_text(t.client, "220 hello");
    talk_close(&t);
    world_close();
}
END_TEST

START_TEST(idle_reset_passes_both_ways)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    reset_socket(_i ? t.client : t.far);
    expect_reset(_i ? t.far : t.client);
    close(_i ? t.far : t.client);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(idle_answer_before_a_reset_arrives)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    say(t.client, "x");
    expect_text(t.far, "x");
    say(t.far, "bye");
    reset_socket(t.far);
    if (_i) /* the agent meets the reset by writing */
        say(t.client, "more");
    expect_text(t.client, "bye");
    expect_reset(t.client);
    close(t.client);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(idle_refusal_of_the_app_is_a_reset)
{
    int client;

    world_init(false, PORT_NAMED);
    close(world.app);
    world.app = -1;
    client = client_connect(0);
    expect_reset(client);
    ck_assert_uint_eq(world_stats().refused, 1);
    close(client);
    world_close();
}
END_TEST

START_TEST(ipv6_clients_are_served)
{
    union sockaddr_any addr;
    int client = socket(AF_INET6, SOCK_STREAM, 0), far;

    world_init(false, PORT_NAMED);
    sockaddr_parse(&addr, "::1", agent_path_listen_port(world.path, 0));
    ck_assert_int_eq(connect(client, &addr.sa, sizeof(addr.in6)), 0);
    far = accept_on(world.app); /* the pod has only an IPv4 address */
    expect_talk(&(struct talk){client, far});
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

/* ---- threads
 * ------------------------------------------------------------------ */

struct worker {
    pthread_t thread;
    int fd;
    uint64_t bytes, hash, done;
    unsigned seed;
    atomic_int finished;
};

static void *write_main(void *arg)
{
    static _Thread_local uint8_t data[200000];
    struct worker *w = arg;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)rand_r(&w->seed);
    while (w->done < w->bytes) {
        size_t len = (size_t)rand_r(&w->seed) % (w->done % 3 ? 3000 : 200000);
        ssize_t n;

        if (++len > w->bytes - w->done)
            len = (size_t)(w->bytes - w->done);
        data[0] = (uint8_t)rand_r(&w->seed);
        n = send(w->fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        w->hash = hash_bytes(w->hash, data, (size_t)n);
        w->done += (uint64_t)n;
    }
    shutdown(w->fd, SHUT_WR);
    w->finished = 1;
    return NULL;
}

static void *read_main(void *arg)
{
    static _Thread_local uint8_t data[100000];
    struct worker *w = arg;
    ssize_t n;

    while ((n = recv(w->fd, data, 1 + (size_t)rand_r(&w->seed) % 100000, 0)) >
           0) {
        w->hash = hash_bytes(w->hash, data, (size_t)n);
        w->done += (uint64_t)n;
    }
    w->finished = n < 0 ? -errno : 1;
    return NULL;
}

static void start(struct worker *w, int fd, void *(*main_cb)(void *),
                  uint64_t bytes)
{
    memset(w, 0, sizeof(*w));
    w->fd = fd;
    w->bytes = bytes;
    w->seed = (unsigned)fd;
    ck_assert_int_eq(pthread_create(&w->thread, NULL, main_cb, w), 0);
}

static void join(struct worker *w)
{
    while (!w->finished)
        pair_turn(&pair);
    pthread_join(w->thread, NULL);
}

static void expect_same(const struct worker *out, const struct worker *in)
{
    ck_assert_int_eq(in->finished, 1);
    ck_assert_uint_eq(out->done, out->bytes);
    ck_assert_uint_eq(in->done, out->bytes);
    ck_assert_uint_eq(in->hash, out->hash);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

START_TEST(idle_megabytes_both_ways_while_others_come_and_go)
{
    struct worker w[4];
    struct talk t;
    unsigned before;

    world_init(false, PORT_NAMED);
    before = open_descriptors();
    t = talk_with(world.app);
    start(&w[0], t.client, write_main, 100 << 20);
    start(&w[1], t.far, read_main, 0);
    start(&w[2], t.far, write_main, 100 << 20);
    start(&w[3], t.client, read_main, 0);
    for (unsigned i = 0; i < 100; i++) {
        struct talk brief = talk_with(world.app);

        (void)!write(brief.client, "x", i & 1);
        reset_socket(i & 2 ? brief.client : brief.far);
        pair_turn(&pair);
        close(i & 2 ? brief.far : brief.client);
    }
    for (int i = 0; i < 4; i++)
        join(&w[i]);
    expect_same(&w[0], &w[1]);
    expect_same(&w[2], &w[3]);
    talk_close(&t);
    /* some idle pipes are kept */
    ck_assert_uint_le(open_descriptors(), before + 2 * PIPES_IDLE_MAX);
    world_close();
}
END_TEST

START_TEST(idle_reader_that_stops_holds_the_sender_and_nobody_else)
{
    struct worker still, w[2];
    struct talk stalled, t;

    world_init(false, PORT_NAMED);
    stalled = talk_with(world.app);
    start(&still, stalled.client, write_main, 1 << 30);
    t = talk_with(world.app);
    start(&w[0], t.client, write_main, 30 << 20);
    start(&w[1], t.far, read_main, 0);
    join(&w[0]);
    join(&w[1]);
    expect_same(&w[0], &w[1]);
    ck_assert_int_eq(still.finished, 0);
    reset_socket(stalled.far); /* seen although nothing moves */
    join(&still);
    close(stalled.client);
    talk_close(&t);
    world_close();
}
END_TEST

START_TEST(idle_client_reset_is_seen_while_the_app_does_not_read)
{
    char data[65536] = {0};
    struct talk t;
    int still = 0;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    while (still < 50) {
        if (send(t.client, data, sizeof(data), MSG_DONTWAIT) > 0)
            still = 0;
        else
            still++;
        pair_turn(&pair);
    }
    reset_socket(t.client);
    RUN_UNTIL(idle());
    close(t.far);
    world_close();
}
END_TEST

START_TEST(idle_connections_hold_no_pipes)
{
    struct talk t[50];
    unsigned before;

    world_init(false, PORT_NAMED);
    before = open_descriptors();
    for (int i = 0; i < 50; i++) {
        t[i] = talk_with(world.app);
        say(t[i].client, "x");
        expect_text(t[i].far, "x");
    }
    /* two of the test, two of the agent for each */
    ck_assert_uint_le(open_descriptors(), before + 4 * 50 + 2 * PIPES_IDLE_MAX);
    for (int i = 0; i < 50; i++) {
        close(t[i].client);
        close(t[i].far);
    }
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(out_of_descriptors_refuses_and_recovers)
{
    struct rlimit old, low;
    struct talk t;
    int client;

    world_init(false, PORT_NAMED);
    t = talk_with(world.app);
    client = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)client + 1 + (rlim_t)_i; /* 0: none, 1: no app */
    setrlimit(RLIMIT_NOFILE, &low);
    {
        union sockaddr_any addr;

        sockaddr_parse(&addr, "127.0.0.1",
                       agent_path_listen_port(world.path, 0));
        ck_assert_int_eq(connect(client, &addr.sa, sizeof(addr.in4)), 0);
    }
    RUN_UNTIL(readable(client));
    ck_assert_int_le(recv(client, &(char){0}, 1, 0), 0);
    close(client);
    say(t.client, "still there"); /* without a pipe: copied */
    expect_text(t.far, "still there");
    setrlimit(RLIMIT_NOFILE, &old);
    talk_close(&t);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

/* ---- engaged ----------------------------------------------------------------
 */

START_TEST(engaged_goes_to_the_workstation)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    engage_one(INTERCEPT, _i ? AGENT_REPLACE : AGENT_INTERCEPT);
    t = talk_with(world.workstation);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert(!readable(world.app));
    ck_assert_uint_eq(world_stats().engaged, 1);
    ck_assert_uint_eq(world_stats().ports[0].bytes, 8 + 6 + 13);
    world_close();
}
END_TEST

START_TEST(ingest_and_other_ports_take_nothing)
{
    struct agent_engagement list[3];
    struct talk t;

    world_init(false, PORT_NAMED);
    list[0] = engagement(INTERCEPT, AGENT_INGEST);
    list[1] = engagement(INTERCEPT, AGENT_INTERCEPT);
    list[1].ports[0].port++;
    list[2] = engagement(INTERCEPT, AGENT_INTERCEPT);
    list[2].ports[0].udp = true;
    engage(list, 3);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(refused_fails_open)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    world.intercept = FAR_REFUSES;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_eq(world_stats().failed_open, 1);
    ck_assert_uint_eq(world_stats().engaged, 0);
    world_close();
}
END_TEST

START_TEST(refused_goes_to_the_next_engagement_first)
{
    struct agent_engagement list[2];
    struct talk t;

    world_init(false, PORT_NAMED);
    world.intercept = FAR_REFUSES;
    list[0] = engagement(INTERCEPT, AGENT_INTERCEPT);
    list[1] = engagement(SECOND, AGENT_INTERCEPT);
    engage(list, 2);
    t = talk_with(world.workstation);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_eq(world_stats().failed_open, 0);
    world_close();
}
END_TEST

START_TEST(no_answer_fails_open_with_what_the_client_said)
{
    uint64_t before;
    struct talk t;

    world_init(false, PORT_NAMED);
    world.intercept = FAR_SILENT;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    t.client = client_connect(0);
    say(t.client, "early ");
    RUN_UNTIL(world.silent == 1);
    before = uv_hrtime();
    t.far = accept_on(world.app);
    ck_assert_uint_ge((uv_hrtime() - before) / 1000000, 4000);
    ck_assert_uint_le((uv_hrtime() - before) / 1000000, 9000);
    expect_text(t.far, "early ");
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_eq(world_stats().failed_open, 1);
    world_close();
}
END_TEST

START_TEST(link_that_goes_fails_open)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    world.intercept = FAR_SILENT;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    t.client = client_connect(0);
    RUN_UNTIL(world.silent == 1);
    if (_i) { /* the agent ends it */
        engage(NULL, 0);
        tunnel_destroy(pair.client);
        pair.client = NULL;
    } else { /* it ends, and the list has not changed yet */
        tunnel_destroy(pair.server);
        pair.server = NULL;
    }
    t.far = accept_on(world.app);
    expect_talk(&t);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_ge(world_stats().failed_open, 1);
    engage(NULL, 0);
    world_close();
}
END_TEST

START_TEST(link_that_goes_resets_what_runs_on_it)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    t = talk_with(world.workstation);
    say(t.client, "x");
    expect_text(t.far, "x");
    engage(NULL, 0);
    tunnel_destroy(pair.client);
    pair.client = NULL;
    expect_reset(t.client);
    talk_close(&t);
    world_close();
}
END_TEST

START_TEST(running_connections_stay_where_they_are)
{
    struct talk before, during, after;

    world_init(false, PORT_NAMED);
    before = talk_with(world.app);
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    during = talk_with(world.workstation);
    engage(NULL, 0);
    after = talk_with(world.app);
    expect_talk(&before);
    expect_talk(&during);
    expect_talk(&after);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(probes_always_ask_the_app)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    t.client = client_connect(1);
    t.far = accept_on(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    ck_assert_uint_eq(world_stats().engaged, 0);
    world_close();
}
END_TEST

START_TEST(replaced_app_is_nobody_or_the_workstation)
{
    struct talk t;

    world_init(false, PORT_DIRECT);
    t.client = client_connect(0);
    expect_reset(t.client);
    close(t.client);
    engage_one(INTERCEPT, AGENT_REPLACE);
    t = talk_with(world.workstation);
    expect_talk(&t);
    world.intercept = FAR_REFUSES;
    t.client = client_connect(0);
    expect_reset(t.client);
    close(t.client);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

/* No rule brought it here: it would come back here for ever. */
START_TEST(redirect_without_a_rule_is_refused)
{
    int client;

    world_init(false, PORT_REDIRECT);
    client = client_connect(0);
    expect_reset(client);
    ck_assert(!readable(world.app));
    close(client);
    world_close();
}
END_TEST

/* ---- mirrored ---------------------------------------------------------------
 */

static void engage_mirrors(bool intercept)
{
    struct agent_engagement list[3];

    list[0] = engagement(MIRROR_0, AGENT_MIRROR);
    list[1] = engagement(MIRROR_1, AGENT_MIRROR);
    list[2] = engagement(INTERCEPT, AGENT_INTERCEPT);
    engage(list, intercept ? 3 : 2);
}

/* Each connection gives each mirror one, with the same bytes and end. */
START_TEST(mirrors_get_exactly_one_copy_each)
{
    world_init(false, PORT_NAMED);
    engage_mirrors(_i);
    for (int i = 0; i < 30; i++) {
        struct talk t = talk_with(_i ? world.workstation : world.app);
        int copies[2];
        char text[32];

        snprintf(text, sizeof(text), "request %d", i);
        say(t.client, text);
        expect_text(t.far, text);
        for (int m = 0; m < 2; m++) {
            copies[m] = accept_on(world.mirror[m]);
            expect_text(copies[m], text);
            say(copies[m], "an answer that nobody gets");
        }
        expect_talk(&t);
        for (int m = 0; m < 2; m++) {
            expect_text(copies[m], "question");
            expect_end(copies[m]);
            close(copies[m]);
        }
    }
    RUN_UNTIL(idle());
    for (int i = 0; i < 100; i++)
        pair_turn(&pair);
    ck_assert(!readable(world.mirror[0]));
    ck_assert(!readable(world.mirror[1]));
    ck_assert_uint_eq(world_stats().copies, 60);
    ck_assert_uint_eq(world_stats().copies_ended, 0);
    world_close();
}
END_TEST

/* The rate is the mirror's own, so that no queue is too small: the client sends
 * when the copy has caught up. */
START_TEST(copy_of_megabytes_is_exact)
{
    uint8_t data[50000];
    struct worker copy, far;
    uint64_t hash = 0;
    struct talk t;
    int mirror;

    world_init(false, PORT_NAMED);
    engage_mirrors(_i);
    t = talk_with(_i ? world.workstation : world.app);
    mirror = accept_on(world.mirror[0]);
    start(&copy, mirror, read_main, 0);
    start(&far, t.far, read_main, 0);
    for (int i = 0; i < 200; i++) {
        memset(data, i, sizeof(data));
        hash = hash_bytes(hash, data, sizeof(data));
        for (size_t off = 0; off < sizeof(data);) {
            ssize_t n = send(t.client, data + off, sizeof(data) - off,
                             MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n > 0)
                off += (size_t)n;
            pair_turn(&pair);
        }
        while (*(volatile uint64_t *)&copy.done <
               (size_t)(i + 1) * sizeof(data))
            pair_turn(&pair);
    }
    shutdown(t.client, SHUT_WR);
    join(&far);
    join(&copy);
    ck_assert_uint_eq(far.hash, hash);
    ck_assert_uint_eq(copy.hash, hash);
    close(mirror);
    talk_close(&t);
    world_close();
}
END_TEST

START_TEST(mirror_that_does_not_read_is_dropped_and_counted)
{
    struct worker w[2];
    struct talk t;
    int mirror;

    world_init(false, PORT_NAMED);
    engage_one(MIRROR_0, AGENT_MIRROR);
    t = talk_with(world.app);
    mirror = accept_on(world.mirror[0]);
    start(&w[0], t.client, write_main, 100 << 20);
    start(&w[1], t.far, read_main, 0);
    join(&w[0]);
    join(&w[1]);
    expect_same(&w[0], &w[1]);
    ck_assert_uint_eq(world_stats().copies_ended, 1);
    close(mirror);
    talk_close(&t);
    world_close();
}
END_TEST

START_TEST(mirror_that_refuses_or_is_silent_disturbs_nobody)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    world.mirrors = _i ? FAR_SILENT : FAR_REFUSES;
    engage_mirrors(false);
    t = talk_with(world.app);
    expect_talk(&t);
    RUN_UNTIL(idle());
    if (!_i)
        RUN_UNTIL(world_stats().copies_ended == 2);
    ck_assert_uint_eq(world_stats().failed_open, 0);
    world_close();
}
END_TEST

START_TEST(mirror_sees_the_clients_reset_after_its_bytes)
{
    struct talk t;
    int mirror;

    world_init(false, PORT_NAMED);
    engage_one(MIRROR_0, AGENT_MIRROR);
    t = talk_with(world.app);
    say(t.client, "last words");
    expect_text(t.far, "last words");
    reset_socket(t.client);
    mirror = accept_on(world.mirror[0]);
    expect_text(mirror, "last words");
    expect_reset(mirror);
    close(mirror);
    close(t.far);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(revoked_mirror_gets_no_further_byte)
{
    struct talk t;
    int mirror;

    world_init(false, PORT_NAMED);
    engage_mirrors(_i);
    t = talk_with(_i ? world.workstation : world.app);
    mirror = accept_on(world.mirror[0]);
    say(t.client, "seen");
    expect_text(mirror, "seen");
    expect_text(t.far, "seen");
    engage(NULL, 0);
    expect_reset(mirror);
    expect_talk(&t);
    close(mirror);
    RUN_UNTIL(idle());
    world_close();
}
END_TEST

START_TEST(link_of_a_mirror_goes_and_the_connection_stays)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    engage_mirrors(false);
    t = talk_with(world.app);
    close(accept_on(world.mirror[0]));
    tunnel_destroy(pair.server);
    pair.server = NULL;
    expect_talk(&t);
    RUN_UNTIL(idle());
    engage(NULL, 0);
    world_close();
}
END_TEST

/* ---- life
 * --------------------------------------------------------------------- */

START_TEST(destroy_in_every_state)
{
    int offered, relayed, forwarded, dialled;

    world_init(false, PORT_NAMED);
    engage_mirrors(true);
    relayed = client_connect(0);
    close(accept_on(world.workstation));
    engage_mirrors(false);
    forwarded = client_connect(0);
    close(accept_on(world.app));
    world.intercept = FAR_SILENT;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    offered = client_connect(0);
    RUN_UNTIL(world.silent == 1);
    engage(NULL, 0);
    dialled = client_connect(0);
    uv_run(pair.loop, UV_RUN_NOWAIT);
    world_close();
    close(offered);
    close(relayed);
    close(forwarded);
    close(dialled);
}
END_TEST

START_TEST(drain_waits_for_the_app_and_serves_meanwhile)
{
    struct talk t;

    world_init(false, PORT_NAMED);
    agent_path_drain(world.path);
    t = talk_with(world.app);
    for (int i = 0; i < 30; i++) { /* 3 s */
        struct timespec pause = {.tv_nsec = 100000000};

        nanosleep(&pause, NULL);
        pair_turn(&pair);
    }
    ck_assert_int_eq(world.drained, 0);
    close(world.app);
    world.app = -1;
    expect_talk(&t);
    RUN_UNTIL(world.drained == 1);
    world_close();
}
END_TEST

static struct agent_path *create(uint16_t listen, struct tp_error *err)
{
    world.port.listen = listen;
    return agent_path_create(pair.loop, &world.config, err);
}

START_TEST(port_that_is_taken_is_named)
{
    struct tp_error err = {0};

    world_init(false, PORT_NAMED);
    ck_assert_ptr_null(create(sockaddr_port(&world.workstation_addr), &err));
    ck_assert_int_eq(err.code, -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.text, "listen on"));
    world_close();
}
END_TEST

START_TEST(port_below_1024_is_explained)
{
    struct tp_error err = {0};
    struct agent_path *p;

    world_init(false, PORT_NAMED);
    world.port.mode = PORT_DIRECT;
    if (geteuid() == 0)
        ck_assert_int_eq(seteuid(65534), 0); /* its capabilities go with it */
    p = create(81, &err);
    if (!p) { /* some systems allow it */
        ck_assert_int_eq(err.code, -EACCES);
        ck_assert_ptr_nonnull(strstr(err.text, "81"));
        ck_assert_ptr_nonnull(strstr(err.text, "below 1024"));
    }
    (void)!seteuid(getuid());
    agent_path_destroy(p);
    world_close();
}
END_TEST

START_TEST(rules_hold_the_redirected_ports_only)
{
    struct agent_port_config ports[] = {
        {.port = 8080, .mode = PORT_REDIRECT, .listen = 9900},
        {.port = 53, .udp = true, .mode = PORT_REDIRECT, .listen = 9901},
        {.port = 7070, .mode = PORT_NAMED, .listen = 9902},
        {.port = 6060, .mode = PORT_DIRECT, .listen = 6060},
    };
    struct agent_path_config config = {.ports = ports, .n_ports = 4};
    char *text = agent_rules_format(&config);

    ck_assert_ptr_nonnull(strstr(text, "tcp dport 8080 dnat to :9900"));
    ck_assert_ptr_nonnull(strstr(text, "udp dport 53 dnat to :9901"));
    ck_assert_ptr_null(strstr(text, "7070"));
    ck_assert_ptr_null(strstr(text, "6060"));
    free(text);
    config.ports = &ports[2];
    config.n_ports = 2;
    text = agent_rules_format(&config);
    ck_assert_ptr_null(strstr(text, "chain"));
    free(text);
}
END_TEST

/* ---- main
 * --------------------------------------------------------------------- */

static void add_idle(TCase *tc)
{
    tcase_add_test(tc, idle_bytes_and_half_close_pass_both_ways);
    tcase_add_test(tc, idle_server_speaks_first);
    tcase_add_loop_test(tc, idle_reset_passes_both_ways, 0, 2);
    tcase_add_loop_test(tc, idle_answer_before_a_reset_arrives, 0, 2);
    tcase_add_test(tc, idle_refusal_of_the_app_is_a_reset);
    tcase_add_test(tc, ipv6_clients_are_served);
    tcase_add_test(tc, idle_megabytes_both_ways_while_others_come_and_go);
    tcase_add_test(tc, idle_reader_that_stops_holds_the_sender_and_nobody_else);
    tcase_add_test(tc, idle_client_reset_is_seen_while_the_app_does_not_read);
    tcase_add_test(tc, idle_connections_hold_no_pipes);
    tcase_add_loop_test(tc, out_of_descriptors_refuses_and_recovers, 0, 2);
}

static void add_engaged(TCase *tc)
{
    tcase_add_loop_test(tc, engaged_goes_to_the_workstation, 0, 2);
    tcase_add_test(tc, ingest_and_other_ports_take_nothing);
    tcase_add_test(tc, refused_fails_open);
    tcase_add_test(tc, refused_goes_to_the_next_engagement_first);
    tcase_add_test(tc, no_answer_fails_open_with_what_the_client_said);
    tcase_add_loop_test(tc, link_that_goes_fails_open, 0, 2);
    tcase_add_test(tc, link_that_goes_resets_what_runs_on_it);
    tcase_add_test(tc, running_connections_stay_where_they_are);
    tcase_add_test(tc, probes_always_ask_the_app);
    tcase_add_test(tc, replaced_app_is_nobody_or_the_workstation);
    tcase_add_test(tc, redirect_without_a_rule_is_refused);
}

static void add_mirrored(TCase *tc)
{
    tcase_add_loop_test(tc, mirrors_get_exactly_one_copy_each, 0, 2);
    tcase_add_loop_test(tc, copy_of_megabytes_is_exact, 0, 2);
    tcase_add_test(tc, mirror_that_does_not_read_is_dropped_and_counted);
    tcase_add_loop_test(tc, mirror_that_refuses_or_is_silent_disturbs_nobody, 0,
                        2);
    tcase_add_test(tc, mirror_sees_the_clients_reset_after_its_bytes);
    tcase_add_loop_test(tc, revoked_mirror_gets_no_further_byte, 0, 2);
    tcase_add_test(tc, link_of_a_mirror_goes_and_the_connection_stays);
}

static void add_life(TCase *tc)
{
    tcase_add_test(tc, destroy_in_every_state);
    tcase_add_test(tc, drain_waits_for_the_app_and_serves_meanwhile);
    tcase_add_test(tc, port_that_is_taken_is_named);
    tcase_add_test(tc, port_below_1024_is_explained);
    tcase_add_test(tc, rules_hold_the_redirected_ports_only);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*add)(TCase *tc);
    } groups[] = {{"idle", add_idle},
                  {"engaged", add_engaged},
                  {"mirrored", add_mirrored},
                  {"life", add_life}};
    Suite *suite = suite_create("agent: TCP");

    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        TCase *tc = tcase_create(groups[i].name);

        tcase_set_timeout(tc, 120);
        groups[i].add(tc);
        suite_add_tcase(suite, tc);
    }
    return suite_run(suite);
}
