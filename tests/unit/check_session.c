/* Unit tests of what a session decides with: states, settings, subnets, texts,
 * the kept session and resolv.conf. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/cluster_info.h"
#include "daemon/link_failure.h"
#include "daemon/memstate.h"
#include "daemon/resolvconf.h"
#include "daemon/route_policy.h"
#include "daemon/session_config.h"
#include "daemon/session_state.h"
#include "suite.h"

static struct json_object *parse(const char *text)
{
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(text, strlen(text), &err);

    ck_assert_msg(obj != NULL, "%s", err.text);
    return obj;
}

static struct subnet net(const char *text)
{
    struct subnet n;

    ck_assert_int_eq(subnet_parse(&n, text), 0);
    return n;
}

/* ---- states ---- */

START_TEST(states_follow_only_as_documented)
{
    ck_assert(session_state_may_follow(SESSION_IDLE, SESSION_CONNECTING));
    ck_assert(session_state_may_follow(SESSION_CONNECTED, SESSION_WAITING));
    ck_assert(session_state_may_follow(SESSION_REFUSED, SESSION_CONNECTING));
    ck_assert(!session_state_may_follow(SESSION_IDLE, SESSION_CONNECTED));
    ck_assert(!session_state_may_follow(SESSION_WAITING, SESSION_CONNECTED));
    ck_assert(!session_state_may_follow(SESSION_REFUSED, SESSION_WAITING));
    for (int s = 1; s < SESSION_STATES; s++)
        ck_assert(
            session_state_may_follow((enum session_state)s, SESSION_IDLE));
}
END_TEST

START_TEST(backoff_stays_in_its_bounds)
{
    for (unsigned n = 0; n < 100; n++) {
        for (uint32_t r = 0; r < 100; r++) {
            uint64_t ms = session_backoff_ms(n, r * 40503251u);

            ck_assert_uint_ge(ms, 200);
            ck_assert_uint_le(ms, 15000);
        }
    }
    ck_assert_uint_eq(session_backoff_ms(0, 12345), 200);
    ck_assert_uint_gt(session_backoff_ms(20, 14799), 14000);
}
END_TEST

/* ---- settings ---- */

#define SESSION                                                                \
    "{\"context\": \"c\", \"namespace\": \"default\", \"managerNamespace\": "  \
    "\"tp\", \"server\": {\"host\": \"10.1.2.3\", \"port\": 6443, \"url\": "   \
    "\"https://10.1.2.3:6443\"}, "

static int config_from(struct session_config *c, const char *text,
                       struct tp_error *err)
{
    cleanup_json struct json_object *json = parse(text);

    return session_config_parse(c, json, err);
}

START_TEST(config_refuses_what_breaks_a_request)
{
    static const char *const bad[] = {
        "{}",
        "{\"namespace\": \"default\"}",
        "{\"namespace\": \"a/b\", \"server\": {\"host\": \"h\"}}",
        "{\"namespace\": \"a\", \"server\": {\"host\": \"h\\r\\nX: y\"}}",
        "{\"namespace\": \"a\", \"server\": {\"host\": \"h\", \"port\": 0}}",
        "{\"namespace\": \"a\", \"server\": {\"host\": \"h\", \"path\": \"/a "
        "b\"}}",
        "{\"namespace\": \"a\", \"server\": {\"host\": \"h\"}, \"proxy\": "
        "{\"host\": \"\"}}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct session_config c;
        struct tp_error err = {0};

        ck_assert_int_eq(config_from(&c, bad[i], &err), -EINVAL);
        ck_assert(*err.text);
    }
}
END_TEST

START_TEST(headers_name_the_user_and_cannot_be_broken)
{
    struct session_config c;
    struct tp_error err = {0};
    cleanup_free char *headers = NULL;

    ck_assert_int_eq(
        config_from(&c,
                    SESSION
                    "\"token\": \"t0k\", \"impersonate\": {\"user\": \"bob\", "
                    "\"uid\": \"7\", \"groups\": [\"a\", \"b\"], \"extra\": "
                    "{\"acme.com/x y\": [\"1\", \"2\"]}}}",
                    &err),
        0);
    headers = session_config_headers(&c, &err);
    ck_assert_str_eq(headers, "Authorization: Bearer t0k\r\n"
                              "Impersonate-Group: a\r\n"
                              "Impersonate-Group: b\r\n"
                              "Impersonate-User: bob\r\n"
                              "Impersonate-Uid: 7\r\n"
                              "Impersonate-Extra-acme.com%2Fx%20y: 1\r\n"
                              "Impersonate-Extra-acme.com%2Fx%20y: 2\r\n");
    session_config_release(&c);
    ck_assert_int_eq(
        config_from(&c, SESSION "\"token\": \"a\\r\\nX-Remote-User: root\"}",
                    &err),
        0);
    ck_assert_ptr_null(session_config_headers(&c, &err));
    session_config_release(&c);
    ck_assert_int_eq(config_from(&c,
                                 SESSION "\"impersonate\": {\"user\": "
                                         "\"a\\nX-Remote-User: root\"}}",
                                 &err),
                     0);
    ck_assert_ptr_null(session_config_headers(&c, &err));
    session_config_release(&c);
}
END_TEST

START_TEST(basic_credentials_are_encoded)
{
    struct session_config c;
    struct tp_error err = {0};
    cleanup_free char *headers = NULL;

    ck_assert_int_eq(config_from(&c,
                                 SESSION "\"basic\": {\"username\": \"Aladdin\""
                                         ", \"password\": \"open sesame\"}}",
                                 &err),
                     0);
    headers = session_config_headers(&c, &err);
    ck_assert_str_eq(headers,
                     "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    session_config_release(&c);
}
END_TEST

START_TEST(fresh_credentials_replace_the_old_ones)
{
    struct session_config c;
    struct tp_error err = {0};
    cleanup_json struct json_object *fresh =
        parse("{\"token\": \"new\", \"expires\": 77}");
    cleanup_json struct json_object *empty = parse("{}");

    ck_assert_int_eq(config_from(&c,
                                 SESSION "\"clientCert\": \"c\", \"clientKey\":"
                                         " \"k\", \"exec\": true}",
                                 &err),
                     0);
    ck_assert_int_eq(session_config_set_credentials(&c, empty, &err), -EINVAL);
    ck_assert_int_eq(session_config_set_credentials(&c, fresh, &err), 0);
    ck_assert_str_eq(json_get_str(c.json, "token", ""), "new");
    ck_assert_ptr_null(json_get(c.json, "clientCert"));
    ck_assert_int_eq(c.expires, 77);
    session_config_release(&c);
}
END_TEST

START_TEST(another_user_is_another_session)
{
    struct session_config a, b;
    struct tp_error err = {0};

    ck_assert_int_eq(config_from(&a, SESSION "\"token\": \"1\"}", &err), 0);
    ck_assert_int_eq(config_from(&b, SESSION "\"token\": \"2\"}", &err), 0);
    ck_assert(session_config_same(&a, &b));
    session_config_release(&b);
    ck_assert_int_eq(
        config_from(&b, SESSION "\"impersonate\": {\"user\": \"u\"}}", &err),
        0);
    ck_assert(!session_config_same(&a, &b));
    ck_assert(session_config_same(&b, &b));
    session_config_release(&a);
    session_config_release(&b);
}
END_TEST

START_TEST(a_second_connect_changes_no_settings)
{
    struct session_config a, b;
    struct tp_error err = {0};

    ck_assert_int_eq(
        config_from(&a, SESSION "\"alsoProxy\": [\"10.9.0.0/16\"]}", &err), 0);
    ck_assert_int_eq(config_from(&b,
                                 SESSION "\"token\": \"2\", \"neverProxy\": "
                                         "[\"10.8.0.0/16\"]}",
                                 &err),
                     0);
    session_config_keep_settings(&b, &a);
    session_config_release(&a);
    ck_assert_str_eq(json_get_str(b.json, "token", ""), "2");
    ck_assert_ptr_null(json_get(b.json, "neverProxy"));
    ck_assert_uint_eq(json_array_len(json_get_array(b.json, "alsoProxy")), 1);
    session_config_release(&b);
}
END_TEST

/* ---- subnets ---- */

static struct route_policy make_policy(void)
{
    struct route_policy p = {0};
    struct subnet bridge = net("172.17.0.0/16"), lan = net("192.168.1.0/24");

    subnet_list_add(&p.local, &bridge);
    subnet_list_add(&p.host, &lan);
    return p;
}

START_TEST(policy_keeps_the_developers_own_networks)
{
    static const struct {
        const char *net;
        const char *reason; /* NULL: may be captured */
    } cases[] = {
        {"10.43.0.0/16", NULL},
        {"10.0.0.0/8", NULL},
        {"fd43::/64", NULL},
        {"0.0.0.0/0", "default route"},
        {"::/0", "default route"},
        {"128.0.0.0/1", "wider than /8"},
        {"fc00::/7", "wider than /16"},
        {"127.0.0.0/16", "loopback"},
        {"::1/128", "loopback"},
        {"169.254.169.254/32", "link-local"},
        {"fe80::/64", "link-local"},
        {"224.1.0.0/16", "multicast"},
        {"ff02::/16", "multicast"},
        {"0.0.0.0/8", "unspecified"},
        {"::ffff:0:0/96", "IPv4-mapped"},
        {"172.17.0.0/24", "container's own"},
        {"172.16.0.0/12", "container's own"},
        {"192.168.0.0/16", "host's network 192.168.1.0/24"},
    };
    struct route_policy p = make_policy();

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct subnet n = net(cases[i].net);
        struct tp_error err = {0};
        int rc = route_policy_check(&p, &n, &err);
        int want = cases[i].reason ? -EACCES : 0;

        if (want && strstr(cases[i].reason, "'s"))
            want = -EADDRINUSE; /* of here */

        ck_assert_msg(rc == want, "%s: %s", cases[i].net, err.text);
        if (cases[i].reason)
            ck_assert_msg(strstr(err.text, cases[i].reason) != NULL, "%s: %s",
                          cases[i].net, err.text);
    }
    route_policy_release(&p);
}
END_TEST

START_TEST(policy_lets_the_user_give_networks_away)
{
    struct route_policy p = make_policy();
    struct subnet all = net("192.168.0.0/16"), part = net("192.168.1.0/24");
    struct subnet wider = net("192.0.0.0/8"), lo = net("127.0.0.0/8");

    subnet_list_add(&p.allowed, &all);
    subnet_list_add(&p.allowed, &lo);
    ck_assert_int_eq(route_policy_check(&p, &part, NULL), 0);
    ck_assert_int_eq(route_policy_check(&p, &all, NULL), 0);
    ck_assert_int_eq(route_policy_check(&p, &wider, NULL), -EADDRINUSE);
    ck_assert_int_eq(route_policy_check(&p, &lo, NULL), -EACCES);
    route_policy_release(&p);
}
END_TEST

START_TEST(interfaces_are_read_without_loopback)
{
    struct route_policy p = {0};
    struct subnet lo = net("127.0.0.0/8");

    ck_assert_int_eq(route_policy_read_local(&p, NULL), 0);
    ck_assert(!subnet_list_covers(&p.local, &lo));
    route_policy_release(&p);
}
END_TEST

/* ---- what the manager says ---- */

#define INFO(extra)                                                            \
    "{\"subnets\": {\"service\": [\"10.43.0.0/16\"], \"pod\": "                \
    "[\"10.42.0.0/16\"], \"also\": []}, \"dns\": {\"address\": \"10.43.0.10\"" \
    ", \"domain\": \"cluster.local\"}" extra "}"

static void build(struct cluster_info *ci, const char *info,
                  const char *session)
{
    cleanup_json struct json_object *i = parse(info);
    cleanup_json struct json_object *s = parse(session);
    struct route_policy p = {0};
    struct subnet bridge = net("172.17.0.0/16");

    subnet_list_add(&p.local, &bridge);
    ck_assert_int_eq(cluster_info_build(ci, i, s, &p, NULL, NULL), 0);
    route_policy_release(&p);
}

static size_t count_rejected(const struct cluster_info *ci)
{
    return json_array_len(json_get_array(ci->subnets, "rejected"));
}

START_TEST(the_users_settings_win_over_the_managers)
{
    struct cluster_info ci;

    build(
        &ci,
        INFO(", \"client\": {\"logLevel\": \"error\", \"dns\": {\"suffixes\": "
             "[\"central.test\"], \"excludes\": [\"c.test\"], "
             "\"lookupTimeout\": \"9s\"}, \"routing\": {\"alsoProxy\": "
             "[\"10.9.0.0/16\"]}}"),
        SESSION "\"alsoProxy\": [\"10.8.0.0/16\"], \"config\": {\"logLevel\": "
                "\"debug\", \"dns\": {\"suffixes\": [\"mine.test\"], "
                "\"lookupTimeout\": \"2s\"}, \"routing\": {\"alsoProxy\": "
                "[\"10.8.0.0/16\"]}}}");
    ck_assert_uint_eq(ci.suffixes.n, 1);
    ck_assert_str_eq(ci.suffixes.names[0], "mine.test");
    ck_assert_uint_eq(ci.excludes.n, 1);
    ck_assert_str_eq(ci.excludes.names[0], "c.test");
    ck_assert_uint_eq(ci.lookup_timeout_ms, 2000);
    ck_assert_str_eq(ci.log_level, "debug");
    ck_assert_uint_eq(ci.capture.n, 3);
    ck_assert_uint_eq(count_rejected(&ci), 0);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(info_becomes_routes_and_names)
{
    struct cluster_info ci;
    char text[SOCKADDR_TEXT];
    struct subnet server = net("10.1.2.3");

    build(&ci, INFO(""),
          SESSION "\"alsoProxy\": [\"10.9.0.0/16\"], \"neverProxy\": "
                  "[\"10.43.7.0/24\"]}");
    ck_assert_uint_eq(ci.capture.n, 3);
    ck_assert_uint_eq(ci.bypass.n, 2);
    ck_assert(subnet_list_covers(&ci.bypass, &server));
    ck_assert_str_eq(ci.domain, "cluster.local");
    ck_assert_str_eq(sockaddr_format(&ci.dns, text), "10.43.0.10:53");
    ck_assert_uint_eq(count_rejected(&ci), 0);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(hostile_info_takes_nothing)
{
    struct cluster_info ci;

    build(&ci,
          "{\"subnets\": {\"service\": [\"0.0.0.0/0\", \"172.17.0.0/16\", "
          "\"x\", 7], \"pod\": [\"192.168.1.0/24\"]}, \"dns\": {\"address\": "
          "\"10.43.0.10\", \"domain\": \"com\"}}",
          SESSION "\"hostSubnets\": [\"192.168.1.0/24\"]}");
    ck_assert_uint_eq(ci.capture.n, 2);
    for (size_t i = 0; i < ci.capture.n; i++)
        ck_assert_uint_eq(ci.capture.nets[i].addr[0], 246);
    ck_assert_ptr_null(ci.domain);
    ck_assert_uint_eq(count_rejected(&ci), 4);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(dns_outside_the_cluster_is_refused)
{
    struct cluster_info ci;

    build(&ci,
          "{\"subnets\": {\"service\": [\"10.43.0.0/16\"]}, \"dns\": "
          "{\"address\": \"8.8.8.8\", \"domain\": \"cluster.local\"}}",
          SESSION "\"x\": 1}");
    ck_assert_ptr_null(ci.domain);
    ck_assert_int_eq(ci.dns.sa.sa_family, 0);
    cluster_info_release(&ci);
}
END_TEST

START_TEST(central_configuration_sets_its_keys_only)
{
    struct cluster_info ci;

    build(&ci,
          INFO(", \"client\": {\"dns\": {\"suffixes\": [\"corp.example\", "
               "\"com\", \"a\\nb.c\"], \"excludes\": [\"x.cluster.local\"], "
               "\"lookupTimeout\": \"2s\", \"server\": \"8.8.8.8\"}, "
               "\"routing\": {\"alsoProxy\": [\"10.8.0.0/16\", "
               "\"127.0.0.0/8\"], \"allowConflictingSubnets\": "
               "[\"172.17.0.0/16\"]}, \"logLevel\": \"debug\", \"publish\": "
               "[\"0.0.0.0:1\"]}"),
          SESSION "\"x\": 1}");
    ck_assert_uint_eq(ci.suffixes.n, 1);
    ck_assert_str_eq(ci.suffixes.names[0], "corp.example");
    ck_assert_uint_eq(ci.excludes.n, 1);
    ck_assert_uint_eq(ci.lookup_timeout_ms, 2000);
    ck_assert_str_eq(ci.log_level, "debug");
    ck_assert_uint_eq(ci.capture.n, 3);
    ck_assert_uint_eq(count_rejected(&ci), 6);
    ck_assert_ptr_nonnull(json_get(ci.client_config, "dns.lookupTimeout"));
    ck_assert_ptr_null(json_get(ci.client_config, "publish"));
    cluster_info_release(&ci);
}
END_TEST

START_TEST(a_cluster_maps_only_names_that_are_its_own)
{
    struct cluster_info ci;

    build(&ci,
          INFO(", \"client\": {\"dns\": {\"mappings\": [\"db=pg.data.svc\", "
               "\"x.cluster.local=10.1.2.3\", \"www.bank.example=10.6.6.6\", "
               "\"bad\", \"a b=c\"], \"mappedNamespaces\": [\"team-a\", "
               "\"X\"]}}"),
          SESSION "\"x\": 1}");
    ck_assert_uint_eq(ci.n_mappings, 2);
    ck_assert_str_eq(ci.mappings[0].target, "pg.data.svc");
    ck_assert_str_eq(ci.mappings[1].name, "x.cluster.local");
    ck_assert_uint_eq(ci.namespaces.n, 1);
    ck_assert_uint_eq(count_rejected(&ci), 4);
    cluster_info_release(&ci);
    build(&ci, INFO(""),
          SESSION "\"config\": {\"dns\": {\"mappings\": "
                  "[\"www.mine.example=10.1.2.3\"]}}}");
    ck_assert_uint_eq(ci.n_mappings, 1);
    ck_assert_uint_eq(count_rejected(&ci), 0);
    cluster_info_release(&ci);
}
END_TEST

/* ---- texts ---- */

static struct link_failure judge(int http_status, const char *body)
{
    struct dial_result result = {
        .status = -EACCES, .http_status = http_status, .body = body};
    struct link_failure f;

    link_failure_from_dial(&f, &result);
    return f;
}

START_TEST(refusals_say_what_to_do)
{
    struct link_failure f =
        judge(403, "{\"kind\": \"Status\", \"message\": \"connections is "
                   "forbidden: User \\\"eve\\\" cannot create\\nit\"}");

    ck_assert_str_eq(f.code, "refused");
    ck_assert(f.permanent);
    ck_assert_str_eq(f.text,
                     "connections is forbidden: User \"eve\" cannot create it");
    f = judge(404, "404 page not found\n");
    ck_assert_str_eq(f.code, "not-installed");
    ck_assert_ptr_nonnull(strstr(f.text, "tp helm install"));
    f = judge(401, "{\"message\": \"Unauthorized\"}");
    ck_assert(f.unauthorized && !f.permanent);
    f = judge(503, "service unavailable");
    ck_assert_str_eq(f.code, "unreachable");
    ck_assert(!f.permanent && !f.try_websocket);
    f = judge(405, NULL);
    ck_assert(f.try_websocket && !f.permanent);
    link_failure_from_hello(&f, 409, "{\"error\": \"speaks 2, you 1\"}");
    ck_assert_str_eq(f.code, "incompatible");
    ck_assert_str_eq(f.text, "speaks 2, you 1");
}
END_TEST

START_TEST(proxy_refusals_are_the_proxys)
{
    struct dial_result result = {.status = -EACCES,
                                 .http_status = 403,
                                 .text = "proxy p:3128 answered 403 Forbidden"};
    struct link_failure f;

    link_failure_from_dial(&f, &result);
    ck_assert_str_eq(f.code, "unreachable");
    ck_assert_str_eq(f.text, "proxy p:3128 answered 403 Forbidden");
    ck_assert(!f.permanent && !f.from_server);
}
END_TEST

START_TEST(untrusted_certificates_are_final_at_first)
{
    struct dial_result result = {.status = -EKEYREJECTED, .text = "TLS"};
    struct link_failure f;

    link_failure_from_dial(&f, &result);
    ck_assert(f.permanent && !f.from_server && !f.try_websocket);
}
END_TEST

/* ---- the kept session ---- */

static int make_memory(void)
{
    int fd = memfd_create("check", MFD_ALLOW_SEALING);

    ck_assert_int_ge(fd, 3);
    ck_assert_int_eq(ftruncate(fd, 2 << 20), 0);
    return fd;
}

START_TEST(session_survives_in_the_memory_file)
{
    cleanup_close int fd = make_memory();
    cleanup_json struct json_object *obj = parse("{\"token\": \"s3cret\"}");
    cleanup_json struct json_object *back = NULL;
    char text[16], raw[64];
    ssize_t n;

    ck_assert_ptr_null(memstate_load(fd));
    ck_assert_int_eq(memstate_save(fd, obj, NULL), 0);
    back = memstate_load(fd);
    ck_assert(json_object_equal(obj, back));
    ck_assert_int_eq(memstate_save(fd, NULL, NULL), 0);
    ck_assert_ptr_null(memstate_load(fd));
    n = pread(fd, raw, sizeof(raw), 0);
    ck_assert_int_eq(n, sizeof(raw));
    ck_assert_ptr_null(memmem(raw, sizeof(raw), "s3cret", 6));
    snprintf(text, sizeof(text), "%d", fd);
    setenv("TP_STATE_FD", text, 1);
    ck_assert_int_eq(memstate_inherit(), fd);
    ck_assert_ptr_null(getenv("TP_STATE_FD"));
    ck_assert_int_eq(memstate_inherit(), -1);
}
END_TEST

START_TEST(half_written_memory_is_no_session)
{
    cleanup_close int fd = make_memory();
    static const char head[8] = {'T', 'P', 'S', 'T', 0, 0, 0, 9};

    ck_assert_int_eq(pwrite(fd, head, 8, 0), 8);
    ck_assert_int_eq(pwrite(fd, "{\"a\": 1", 7, 8), 7);
    ck_assert_ptr_null(memstate_load(fd));
    ck_assert_int_eq(memstate_save(-1, NULL, NULL), 0);
}
END_TEST

/* ---- resolv.conf ---- */

static char path[64];

static void write_text(const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static const char *read_text(void)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    size_t n;

    ck_assert_ptr_nonnull(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void make_path(void)
{
    int fd;

    strcpy(path, "/tmp/tp-check-resolv-XXXXXX");
    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void remove_path(void)
{
    unlink(path);
}

#define DOCKERS                                                                \
    "# Generated by Docker\n\nnameserver 127.0.0.11\nnameserver "              \
    "fe80::1%eth0\nsearch corp.example\noptions ndots:0\n"

static void write_pod_form(const struct resolvconf *rc)
{
    union sockaddr_any server;

    ck_assert_int_eq(sockaddr_parse(&server, "10.43.0.10", 53), 0);
    ck_assert_int_eq(
        resolvconf_write(rc, &server, "team", "cluster.local", NULL), 0);
}

START_TEST(resolv_conf_is_a_pods_and_comes_back)
{
    struct resolvconf rc, again;
    struct stat before, after;

    write_text(DOCKERS);
    ck_assert_int_eq(stat(path, &before), 0);
    ck_assert_int_eq(resolvconf_read(&rc, path, NULL), 0);
    ck_assert_uint_eq(rc.n_servers, 2);
    write_pod_form(&rc);
    ck_assert_ptr_nonnull(
        strstr(read_text(), "\nsearch team.svc.cluster.local svc.cluster.local "
                            "cluster.local corp.example\nnameserver "
                            "10.43.0.10\noptions ndots:5\n"));
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);

    /* A tp-daemon that starts anew finds Docker's text in ours. */
    ck_assert_int_eq(resolvconf_read(&again, path, NULL), 0);
    ck_assert_str_eq(again.original, rc.original);
    ck_assert_str_eq(again.search, "corp.example");
    ck_assert_uint_eq(again.n_servers, 2);
    write_pod_form(&again);
    ck_assert_int_eq(resolvconf_restore(&again, NULL), 0);
    ck_assert_str_eq(read_text(), DOCKERS);
    resolvconf_release(&rc);
    resolvconf_release(&again);
}
END_TEST

START_TEST(resolv_conf_of_docker_wins_after_a_restart)
{
    struct resolvconf rc;

    write_text(DOCKERS);
    ck_assert_int_eq(resolvconf_read(&rc, path, NULL), 0);
    write_pod_form(&rc);
    resolvconf_release(&rc);
    write_text("nameserver 192.0.2.1\n");
    ck_assert_int_eq(resolvconf_read(&rc, path, NULL), 0);
    ck_assert_str_eq(rc.original, "nameserver 192.0.2.1\n");
    ck_assert_str_eq(rc.search, "");
    resolvconf_release(&rc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");
    TCase *resolv = tcase_create("resolv.conf");

    tcase_add_test(tc, states_follow_only_as_documented);
    tcase_add_test(tc, backoff_stays_in_its_bounds);
    tcase_add_test(tc, config_refuses_what_breaks_a_request);
    tcase_add_test(tc, headers_name_the_user_and_cannot_be_broken);
    tcase_add_test(tc, basic_credentials_are_encoded);
    tcase_add_test(tc, fresh_credentials_replace_the_old_ones);
    tcase_add_test(tc, another_user_is_another_session);
    tcase_add_test(tc, a_second_connect_changes_no_settings);
    tcase_add_test(tc, policy_keeps_the_developers_own_networks);
    tcase_add_test(tc, policy_lets_the_user_give_networks_away);
    tcase_add_test(tc, interfaces_are_read_without_loopback);
    tcase_add_test(tc, the_users_settings_win_over_the_managers);
    tcase_add_test(tc, info_becomes_routes_and_names);
    tcase_add_test(tc, hostile_info_takes_nothing);
    tcase_add_test(tc, dns_outside_the_cluster_is_refused);
    tcase_add_test(tc, central_configuration_sets_its_keys_only);
    tcase_add_test(tc, a_cluster_maps_only_names_that_are_its_own);
    tcase_add_test(tc, refusals_say_what_to_do);
    tcase_add_test(tc, proxy_refusals_are_the_proxys);
    tcase_add_test(tc, untrusted_certificates_are_final_at_first);
    tcase_add_test(tc, session_survives_in_the_memory_file);
    tcase_add_test(tc, half_written_memory_is_no_session);
    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(resolv, make_path, remove_path);
    tcase_add_test(resolv, resolv_conf_is_a_pods_and_comes_back);
    tcase_add_test(resolv, resolv_conf_of_docker_wins_after_a_restart);
    suite_add_tcase(suite, resolv);
    return suite_run(suite);
}
