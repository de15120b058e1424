/* Unit tests of the agent's UDP ports: idle, engaged, mirrored. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent_world.h"
#include "suite.h"

/* A socket that is connected to the agent's port. */
static int client_open(const char *ip)
{
    union sockaddr_any addr;
    int fd;

    sockaddr_parse(&addr, ip, agent_path_listen_port(world.path, 0));
    fd = socket(addr.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, &addr.sa, sockaddr_len(&addr)), 0);
    return fd;
}

/* Receives `text` on a server's socket and answers with it and a suffix. */
static void serve(int server, const char *text, const char *suffix)
{
    union sockaddr_any from;
    socklen_t len = sizeof(from);
    char data[256];
    ssize_t n;

    RUN_UNTIL(readable(server));
    n = recvfrom(server, data, sizeof(data) - 32, 0, &from.sa, &len);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(data, text, strlen(text));
    strcpy(data + n, suffix);
    ck_assert_int_gt(sendto(server, data, strlen(data), 0, &from.sa, len), 0);
}

static void expect_datagram(int fd, const char *text)
{
    char data[256];
    ssize_t n;

    RUN_UNTIL(readable(fd));
    n = recv(fd, data, sizeof(data), 0);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(data, text, strlen(text));
}

static void turns(int n)
{
    while (n-- > 0)
        pair_turn(&pair);
}

START_TEST(idle_two_clients_and_both_families)
{
    int a, b, c;

    world_init(true, PORT_NAMED);
    a = client_open("127.0.0.1");
    b = client_open("127.0.0.1");
    c = client_open("::1");
    say(a, "a");
    serve(world.app, "a", " to a");
    say(b, "b");
    serve(world.app, "b", " to b");
    say(c, "c");
    serve(world.app, "c", " to c");
    expect_datagram(c, "c to c");
    expect_datagram(b, "b to b");
    expect_datagram(a, "a to a");
    ck_assert_uint_eq(world_stats().running, 3);
    ck_assert_uint_eq(world_stats().ports[0].conns, 3);
    close(a);
    close(b);
    close(c);
    world_close();
}
END_TEST

/* Connected, the client takes answers from the address it asked only. */
START_TEST(answers_come_from_the_address_that_was_asked)
{
    int client;

    world_init(true, PORT_NAMED);
    client = client_open("127.0.0.77");
    say(client, "x");
    serve(world.app, "x", "y");
    expect_datagram(client, "xy");
    close(client);
    world_close();
}
END_TEST

START_TEST(largest_and_empty_datagrams_pass)
{
    static char big[65507], got[65507];
    int client;

    world_init(true, PORT_NAMED);
    client = client_open("127.0.0.1");
    memset(big, 'x', sizeof(big));
    ck_assert_int_eq(send(client, big, sizeof(big), 0), sizeof(big));
    RUN_UNTIL(readable(world.app));
    ck_assert_int_eq(recv(world.app, got, sizeof(got), 0), sizeof(got));
    ck_assert_mem_eq(big, got, sizeof(got));
    ck_assert_int_eq(send(client, big, 0, 0), 0);
    serve(world.app, "", "answer");
    expect_datagram(client, "answer");
    close(client);
    world_close();
}
END_TEST

START_TEST(app_that_starts_later_is_reached_by_the_same_flow)
{
    int client;

    world_init(true, PORT_NAMED);
    client = client_open("127.0.0.1");
    close(world.app);
    for (int i = 0; i < 5; i++) {
        say(client, "nobody");
        turns(10);
    }
    world.app = socket(AF_INET, SOCK_DGRAM, 0);
    ck_assert_int_eq(
        bind(world.app, &world.app_addr.sa, sizeof(world.app_addr.in4)), 0);
    say(client, "somebody");
    serve(world.app, "somebody", "!");
    expect_datagram(client, "somebody!");
    ck_assert_uint_eq(world_stats().running, 1);
    close(client);
    world_close();
}
END_TEST

START_TEST(flows_have_a_maximum)
{
    world_init(true, PORT_DIRECT); /* nobody: no descriptors */
    for (int i = 0; i < 6000; i++) {
        int client = client_open("127.0.0.1");

        say(client, "x");
        close(client);
        uv_run(pair.loop, UV_RUN_NOWAIT);
    }
    turns(10);
    ck_assert_uint_le(world_stats().running, 4096);
    ck_assert_uint_ge(world_stats().running, 4000);
    world_close();
}
END_TEST

START_TEST(engaged_goes_to_the_workstation)
{
    int client;

    world_init(true, PORT_NAMED);
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    client = client_open("127.0.0.1");
    for (int i = 0; i < 20; i++) {
        say(client, "ping");
        serve(world.workstation, "ping", " pong");
        expect_datagram(client, "ping pong");
    }
    ck_assert(!readable(world.app));
    ck_assert_uint_eq(world_stats().engaged, 1);
    close(client);
    world_close();
}
END_TEST

START_TEST(refused_fails_open_without_loss)
{
    int client;

    world_init(true, PORT_NAMED);
    world.intercept = FAR_REFUSES;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    client = client_open("127.0.0.1");
    say(client, "one");
    say(client, "two");
    serve(world.app, "one", "!");
    serve(world.app, "two", "!");
    expect_datagram(client, "one!");
    expect_datagram(client, "two!");
    say(client, "three");
    serve(world.app, "three", "!");
    ck_assert_uint_eq(world_stats().failed_open, 1);
    close(client);
    world_close();
}
END_TEST

START_TEST(no_answer_fails_open_without_loss)
{
    int client;

    world_init(true, PORT_NAMED);
    world.intercept = FAR_SILENT;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    client = client_open("127.0.0.1");
    say(client, "one");
    RUN_UNTIL(world.silent == 1);
    serve(world.app, "one", "!");
    expect_datagram(client, "one!");
    close(client);
    world_close();
}
END_TEST

START_TEST(link_that_goes_gives_the_flow_to_the_app)
{
    int client;

    world_init(true, PORT_NAMED);
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    client = client_open("127.0.0.1");
    say(client, "one");
    serve(world.workstation, "one", "!");
    expect_datagram(client, "one!");
    if (_i) {
        engage(NULL, 0);
        tunnel_destroy(pair.client);
        pair.client = NULL;
    } else {
        tunnel_destroy(pair.server);
        pair.server = NULL;
        RUN_UNTIL(pair.client_ended);
    }
    say(client, "two");
    serve(world.app, "two", "!");
    expect_datagram(client, "two!");
    close(client);
    engage(NULL, 0);
    world_close();
}
END_TEST

START_TEST(flows_follow_the_list_at_once)
{
    int client;

    world_init(true, PORT_NAMED);
    client = client_open("127.0.0.1");
    say(client, "one");
    serve(world.app, "one", "");
    expect_datagram(client, "one");
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    say(client, "two");
    serve(world.workstation, "two", "");
    expect_datagram(client, "two");
    engage_one(INTERCEPT, AGENT_INTERCEPT); /* the same: the flow stays */
    ck_assert_uint_eq(world_stats().running, 1);
    engage(NULL, 0);
    say(client, "three");
    serve(world.app, "three", "");
    expect_datagram(client, "three");
    close(client);
    world_close();
}
END_TEST

START_TEST(mirrors_get_copies)
{
    struct agent_engagement list[3];
    int client, server;

    world_init(true, PORT_NAMED);
    server = _i ? world.workstation : world.app;
    list[0] = engagement(MIRROR_0, AGENT_MIRROR);
    list[1] = engagement(MIRROR_1, AGENT_MIRROR);
    list[2] = engagement(INTERCEPT, AGENT_INTERCEPT);
    engage(list, _i ? 3 : 2);
    client = client_open("127.0.0.1");
    for (int i = 0; i < 10; i++) {
        say(client, "x");
        serve(server, "x", "!");
        serve(world.mirror[0], "x", " that nobody gets");
        serve(world.mirror[1], "x", " that nobody gets");
        expect_datagram(client, "x!");
    }
    list[1] = list[2]; /* the second mirror goes */
    engage(list, _i ? 2 : 1);
    say(client, "y");
    serve(server, "y", "");
    serve(world.mirror[0], "y", "");
    turns(100);
    ck_assert(!readable(world.mirror[1]));
    expect_datagram(client, "y");
    ck_assert(!readable(client));
    ck_assert_uint_eq(world_stats().copies, 2);
    close(client);
    world_close();
}
END_TEST

START_TEST(destroy_in_every_state)
{
    int clients[3];

    world_init(true, PORT_NAMED);
    for (int i = 0; i < 3; i++)
        clients[i] = client_open("127.0.0.1");
    say(clients[0], "x");
    serve(world.app, "x", "");
    world.intercept = FAR_SILENT;
    engage_one(INTERCEPT, AGENT_INTERCEPT);
    say(clients[1], "x");
    RUN_UNTIL(world.silent == 1);
    engage_one(MIRROR_0, AGENT_MIRROR);
    say(clients[2], "x");
    serve(world.mirror[0], "x", "");
    world_close();
    for (int i = 0; i < 3; i++)
        close(clients[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("agent: UDP");
    TCase *tc = tcase_create("ports");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, idle_two_clients_and_both_families);
    tcase_add_test(tc, answers_come_from_the_address_that_was_asked);
    tcase_add_test(tc, largest_and_empty_datagrams_pass);
    tcase_add_test(tc, app_that_starts_later_is_reached_by_the_same_flow);
    tcase_add_test(tc, flows_have_a_maximum);
    tcase_add_test(tc, engaged_goes_to_the_workstation);
    tcase_add_test(tc, refused_fails_open_without_loss);
    tcase_add_test(tc, no_answer_fails_open_without_loss);
    tcase_add_loop_test(tc, link_that_goes_gives_the_flow_to_the_app, 0, 2);
    tcase_add_test(tc, flows_follow_the_list_at_once);
    tcase_add_loop_test(tc, mirrors_get_copies, 0, 2);
    tcase_add_test(tc, destroy_in_every_state);
    suite_add_tcase(suite, tc);
    return suite_run(suite);
}
