/* Unit tests of the manager's decisions and parsers. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/json.h"
#include "manager/certificate.h"
#include "manager/cluster.h"
#include "manager/frontproxy.h"
#include "manager/gate.h"
#include "manager/identity.h"
#include "manager/info.h"
#include "manager/metrics.h"
#include "manager/options.h"
#include "manager/policy.h"
#include "manager/review.h"
#include "pki.h"
#include "suite.h"

static struct json_object *parse(const char *text)
{
    struct tp_error err = {0};
    struct json_object *obj = json_parse_text(text, strlen(text), &err);

    ck_assert_msg(obj != NULL, "%s", err.text);
    return obj;
}

/* ---- policy ---------------------------------------------------------------
 */

static enum policy_verdict verdict(const struct policy *p, const char *ip)
{
    union sockaddr_any addr;

    ck_assert_msg(sockaddr_parse(&addr, ip, 80) == 0, "%s", ip);
    return policy_check(p, &addr);
}

static void add(struct subnets *list, const char *text)
{
    ck_assert_int_eq(subnets_add_text(list, text), 0);
    subnets_merge(list);
}

/* Everything is allowed as far as CIDRs can. */
static void open_policy(struct policy *p)
{
    ck_assert_int_eq(policy_init(p), 0);
    add(&p->allowed, "0.0.0.0/0");
    add(&p->allowed, "::/0");
    add(&p->nodes, "172.18.0.2");
    add(&p->nodes, "fd12::2");
    add(&p->self, "10.42.0.9");
}

START_TEST(policy_denies_reserved_addresses_whatever_is_allowed)
{
    static const char *const denied[] = {
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "169.254.0.1",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "::ffff:100.100.100.200",
        "::ffff:168.63.129.16",
        "::ffff:0.0.0.0",
        "::ffff:224.0.0.1",
    };
    struct policy p;

    open_policy(&p);
    for (size_t i = 0; i < sizeof(denied) / sizeof(*denied); i++)
        ck_assert_msg(verdict(&p, denied[i]) == POLICY_RESERVED, "%s: %s",
                      denied[i], policy_verdict_name(verdict(&p, denied[i])));
    ck_assert_int_eq(verdict(&p, "100.100.100.201"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "fd00:ec2::253"), POLICY_ALLOWED);
    policy_release(&p);
}
END_TEST

START_TEST(policy_denies_nodes_unless_listed_and_itself_always)
{
    struct policy p;

    open_policy(&p);
    ck_assert_int_eq(verdict(&p, "172.18.0.2"), POLICY_NODE);
    ck_assert_int_eq(verdict(&p, "::ffff:172.18.0.2"), POLICY_NODE);
    ck_assert_int_eq(verdict(&p, "fd12::2"), POLICY_NODE);
    ck_assert_int_eq(verdict(&p, "172.18.0.3"), POLICY_ALLOWED);
    add(&p.node_exceptions, "172.18.0.2");
    ck_assert_int_eq(verdict(&p, "172.18.0.2"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "fd12::2"), POLICY_NODE);
    ck_assert_int_eq(verdict(&p, "10.42.0.9"), POLICY_SELF);
    ck_assert_int_eq(verdict(&p, "::ffff:10.42.0.9"), POLICY_SELF);
    policy_release(&p);
}
END_TEST

START_TEST(policy_allows_the_clusters_subnets_only)
{
    struct policy p;
    union sockaddr_any addr;

    ck_assert_int_eq(policy_init(&p), 0);
    add(&p.allowed, "10.42.0.0/16");
    add(&p.allowed, "10.43.0.0/16");
    add(&p.allowed, "fd43::/112");
    ck_assert_int_eq(verdict(&p, "10.42.255.255"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "10.43.0.10"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "::ffff:10.43.0.10"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "fd43::ffff"), POLICY_ALLOWED);
    ck_assert_int_eq(verdict(&p, "fd43::1:0"), POLICY_OUTSIDE);
    ck_assert_int_eq(verdict(&p, "10.44.0.0"), POLICY_OUTSIDE);
    ck_assert_int_eq(verdict(&p, "8.8.8.8"), POLICY_OUTSIDE);
    sockaddr_parse(&addr, "10.43.0.10", 0);
    ck_assert_int_eq(policy_check(&p, &addr), POLICY_RESERVED);
    policy_release(&p);
}
END_TEST

START_TEST(policy_without_its_reserved_addresses_denies_all)
{
    struct policy p = {0};

    add(&p.allowed, "0.0.0.0/0");
    ck_assert_int_eq(verdict(&p, "10.43.0.10"), POLICY_RESERVED);
    policy_release(&p);
}
END_TEST

/* ---- subnets ----------------------------------------------------------------
 */

START_TEST(subnets_merge_keeps_the_same_addresses)
{
    static const char list[] =
        "10.42.1.0/24,10.42.0.0/24,,10.42.3.0/24,10.42.2.0/24,10.42.2.0/25,"
        "10.42.5.0/24,fd00::/65,fd00:0:0:0:8000::/65,10.43.0.0/16";
    struct subnets s = {0};
    struct json_object *json;
    char bad[SUBNET_TEXT];

    ck_assert_int_eq(subnets_add_list(&s, list, bad), 0);
    subnets_merge(&s);
    json = subnets_to_json(&s);
    ck_assert_str_eq(
        json_object_to_json_string_ext(json, JSON_C_TO_STRING_NOSLASHESCAPE),
        "[\"10.42.0.0/22\",\"10.42.5.0/24\",\"10.43.0.0/16\",\"fd00::/64\"]");
    json_object_put(json);
    ck_assert_int_eq(subnets_add_list(&s, "10.0.0.0/8,x", bad), -EINVAL);
    ck_assert_str_eq(bad, "x");
    subnets_release(&s);
}
END_TEST

/* Look-ups in a merged list and in a plain one agree. */
START_TEST(subnets_contain_agrees_with_the_plain_search)
{
    struct subnets plain = {0}, merged = {0};
    unsigned seed = 7;

    for (int i = 0; i < 200; i++) {
        struct subnet net = {.family = AF_INET, .prefix = 32};

        net.prefix = 20 + (unsigned)rand_r(&seed) % 13;
        net.addr[0] = 10;
        net.addr[1] = (uint8_t)(rand_r(&seed) & 3);
        net.addr[2] = (uint8_t)(rand_r(&seed) & 0xf0);
        ck_assert_int_eq(subnets_add(&plain, &net), 0);
        ck_assert_int_eq(subnets_add(&merged, &net), 0);
    }
    subnets_merge(&merged);
    for (int i = 0; i < 20000; i++) {
        union sockaddr_any addr = {.in4 = {.sin_family = AF_INET}};

        addr.in4.sin_addr.s_addr =
            htonl(0x0a000000u | ((unsigned)rand_r(&seed) & 0x3ffffu));
        ck_assert(subnets_contain(&plain, &addr) ==
                  subnets_contain(&merged, &addr));
    }
    subnets_release(&plain);
    subnets_release(&merged);
}
END_TEST

/* ---- front proxy and identity
 * ------------------------------------------------- */

static const char configmap[] =
    "{\"data\":{\"requestheader-client-ca-file\":\"PEM\","
    "\"requestheader-allowed-names\":\"[\\\"front-proxy-client\\\"]\","
    "\"requestheader-username-headers\":\"[\\\"X-Remote-User\\\"]\","
    "\"requestheader-uid-headers\":\"[\\\"X-Remote-Uid\\\"]\","
    "\"requestheader-group-headers\":\"[\\\"X-Remote-Group\\\"]\","
    "\"requestheader-extra-headers-prefix\":\"[\\\"X-Remote-Extra-\\\"]\"}}";

static void make_rules(struct frontproxy *fp)
{
    struct json_object *map = parse(configmap);
    struct tp_error err = {0};

    ck_assert_int_eq(frontproxy_parse(fp, map, false, &err), 0);
    json_object_put(map);
}

START_TEST(frontproxy_checks_the_name)
{
    struct frontproxy fp;

    make_rules(&fp);
    ck_assert(frontproxy_allows_name(&fp, "front-proxy-client"));
    ck_assert(!frontproxy_allows_name(&fp, "front-proxy-clien"));
    ck_assert(!frontproxy_allows_name(&fp, "system:admin"));
    ck_assert(!frontproxy_allows_name(&fp, ""));
    frontproxy_release(&fp);
    ck_assert(!frontproxy_allows_name(&fp, "front-proxy-client"));
}
END_TEST

static int parse_map(const char *data, bool allow_any)
{
    struct json_object *map = parse(data);
    struct frontproxy fp;
    struct tp_error err = {0};
    int rc = frontproxy_parse(&fp, map, allow_any, &err);

    frontproxy_release(&fp);
    json_object_put(map);
    return rc;
}

START_TEST(frontproxy_refuses_what_it_cannot_trust)
{
    static const char any[] =
        "{\"data\":{\"requestheader-client-ca-file\":\"PEM\","
        "\"requestheader-allowed-names\":\"[]\","
        "\"requestheader-username-headers\":\"[\\\"X-Remote-User\\\"]\"}}";

    ck_assert_int_eq(parse_map(any, false), -EPERM);
    ck_assert_int_eq(parse_map(any, true), 0);
    ck_assert_int_eq(parse_map("{\"data\":{}}", true), -ENOENT);
    ck_assert_int_eq(parse_map("{}", true), -ENOENT);
    ck_assert_int_eq(
        parse_map("{\"data\":{\"requestheader-client-ca-file\":\"PEM\"}}",
                  true),
        -ENOENT);
    ck_assert_int_lt(
        parse_map("{\"data\":{\"requestheader-client-ca-file\":\"PEM\","
                  "\"requestheader-allowed-names\":\"[1]\"}}",
                  true),
        0);
}
END_TEST

static int identify(struct identity *id, const char *headers)
{
    struct frontproxy fp;
    struct http1_head head;
    struct tp_error err = {0};
    char text[2048];
    int rc, len;

    make_rules(&fp);
    snprintf(text, sizeof(text), "GET /apis HTTP/1.1\r\nHost: x\r\n%s\r\n",
             headers);
    len = http1_parse(&head, HTTP1_REQUEST, text, strlen(text));
    ck_assert_int_gt(len, 0);
    rc = identity_from_headers(id, &head, &fp, &err);
    http1_release(&head);
    frontproxy_release(&fp);
    return rc;
}

START_TEST(identity_with_groups_and_encoded_extra)
{
    struct identity id, other;

    ck_assert_int_eq(
        identify(&id,
                 "x-remote-user: alice\r\nX-Remote-Uid: 7\r\n"
                 "X-Remote-Group: dev\r\nX-Remote-Group: "
                 "system:authenticated\r\n"
                 "X-Remote-Extra-Authentication.kubernetes.io%2fcredential-Id: "
                 "X509SHA256=a\r\n"
                 "X-Remote-Extra-Scopes: one\r\n"
                 "X-Remote-Extra-Scopes: two\r\n"
                 "X-Remote-Extra-Bad%zz: b\r\n"),
        0);
    ck_assert_str_eq(id.user, "alice");
    ck_assert_str_eq(id.uid, "7");
    ck_assert_str_eq(json_object_to_json_string_ext(id.groups, 0),
                     "[\"dev\",\"system:authenticated\"]");
    ck_assert_str_eq(
        json_object_to_json_string_ext(id.extra,
                                       JSON_C_TO_STRING_NOSLASHESCAPE),
        "{\"authentication.kubernetes.io/credential-id\":[\"X509SHA256=a\"],"
        "\"scopes\":[\"one\",\"two\"],\"bad%zz\":[\"b\"]}");
    ck_assert_int_eq(identity_copy(&other, &id), 0);
    ck_assert(identity_same_owner(&id, &other));
    other.uid[0] = '8';
    ck_assert(!identity_same_owner(&id, &other));
    identity_release(&other);
    identity_release(&id);
}
END_TEST

static int identify_only(const char *headers)
{
    struct identity id;
    int rc = identify(&id, headers);

    identity_release(&id);
    return rc;
}

START_TEST(identity_refuses_none_and_two)
{
    ck_assert_int_eq(identify_only(""), -EACCES);
    ck_assert_int_eq(identify_only("X-Remote-User:\r\n"), -EACCES);
    ck_assert_int_eq(identify_only("X-Remote-Group: system:masters\r\n"),
                     -EACCES);
    ck_assert_int_eq(identify_only("X-Remote-User: a\r\nx-remote-user: b\r\n"),
                     -EBADMSG);
    ck_assert_int_eq(identify_only("X-Remote-User: a\r\nX-Remote-User: a\r\n"),
                     -EBADMSG);
    ck_assert_int_eq(identify_only("X-Remote-User: a\r\nX-Remote-Uid: 1\r\n"
                                   "X-Remote-Uid: 2\r\n"),
                     -EBADMSG);
}
END_TEST

/* ---- reviews
 * -------------------------------------------------------------------- */

START_TEST(review_asks_for_create_with_the_whole_identity)
{
    struct identity id;
    struct json_object *review;

    ck_assert_int_eq(identify(&id, "X-Remote-User: alice\r\n"
                                   "X-Remote-Uid: 7\r\n"
                                   "X-Remote-Group: dev\r\n"
                                   "X-Remote-Extra-A: b\r\n"),
                     0);
    review = review_build(&id, "team");
    ck_assert_str_eq(
        json_object_to_json_string_ext(json_get(review, "spec"),
                                       JSON_C_TO_STRING_NOSLASHESCAPE),
        "{\"user\":\"alice\",\"uid\":\"7\",\"groups\":[\"dev\"],"
        "\"extra\":{\"a\":[\"b\"]},\"resourceAttributes\":{"
        "\"namespace\":\"team\",\"verb\":\"create\","
        "\"group\":\"connect.tp.internal\",\"version\":\"v1\","
        "\"resource\":\"connections\"}}");
    ck_assert_str_eq(json_get_str(review, "kind", ""), "SubjectAccessReview");
    json_object_put(review);
    identity_release(&id);
}
END_TEST

static int review_of(const char *text, bool *allowed)
{
    struct json_object *obj = parse(text);
    int rc = review_parse(obj, allowed);

    json_object_put(obj);
    return rc;
}

START_TEST(review_answer_must_say_allowed)
{
    bool allowed = false;

    ck_assert_int_eq(review_of("{\"status\":{\"allowed\":true}}", &allowed), 0);
    ck_assert(allowed);
    ck_assert_int_eq(
        review_of("{\"status\":{\"allowed\":true,\"denied\":true}}", &allowed),
        0);
    ck_assert(!allowed);
    ck_assert_int_eq(review_of("{\"status\":{\"allowed\":false}}", &allowed),
                     0);
    ck_assert(!allowed);
    ck_assert_int_eq(review_of("{\"status\":{\"allowed\":\"true\"}}", &allowed),
                     -EBADMSG);
    ck_assert_int_eq(review_of("{\"kind\":\"Status\"}", &allowed), -EBADMSG);
}
END_TEST

/* ---- cluster
 * ---------------------------------------------------------------------- */

static void check_list(const struct subnets *list, const char *want)
{
    struct json_object *json = subnets_to_json(list);

    ck_assert_str_eq(
        json_object_to_json_string_ext(json, JSON_C_TO_STRING_NOSLASHESCAPE),
        want);
    json_object_put(json);
}

START_TEST(cluster_reads_service_cidrs_and_nodes)
{
    struct json_object *cidrs = parse(
        "{\"items\":[{\"spec\":{\"cidrs\":[\"10.43.0.0/16\",\"fd43::/112\"]}},"
        "{\"spec\":{}},{\"spec\":{\"cidrs\":[7,\"junk\"]}}]}");
    struct json_object *nodes =
        parse("{\"metadata\":{\"continue\":\"abc\"},\"items\":["
              "{\"spec\":{\"podCIDR\":\"10.42.0.0/24\",\"podCIDRs\":"
              "[\"10.42.0.0/24\",\"fd42::/64\"]},\"status\":{\"addresses\":["
              "{\"type\":\"Hostname\",\"address\":\"node1\"},"
              "{\"type\":\"InternalIP\",\"address\":\"172.18.0.2\"},"
              "{\"type\":\"ExternalIP\",\"address\":\"5.6.7.8\"}]}},"
              "{\"spec\":{\"podCIDR\":\"10.42.1.0/24\"}}]}");
    struct subnets services = {0}, pods = {0}, addresses = {0};

    ck_assert_int_eq(cluster_add_service_cidrs(&services, cidrs), 0);
    check_list(&services, "[\"10.43.0.0/16\",\"fd43::/112\"]");
    ck_assert_int_eq(cluster_add_nodes(&pods, &addresses, nodes), 0);
    check_list(&pods, "[\"10.42.0.0/24\",\"fd42::/64\",\"10.42.1.0/24\"]");
    check_list(&addresses, "[\"172.18.0.2/32\",\"5.6.7.8/32\"]");
    ck_assert_str_eq(cluster_continue(nodes), "abc");
    ck_assert_str_eq(cluster_continue(cidrs), "");
    json_object_put(cidrs);
    json_object_put(nodes);
    subnets_release(&services);
    subnets_release(&pods);
    subnets_release(&addresses);
}
END_TEST

START_TEST(cluster_reads_its_own_service)
{
    struct json_object *service =
        parse("{\"spec\":{\"clusterIP\":\"10.43.7.7\",\"clusterIPs\":"
              "[\"10.43.7.7\",\"fd43::7\"]}}");
    struct json_object *headless =
        parse("{\"spec\":{\"clusterIP\":\"None\",\"clusterIPs\":[\"None\"]}}");
    struct json_object *slices =
        parse("{\"items\":[{\"endpoints\":[{\"addresses\":[\"10.42.0.9\"]},"
              "{\"addresses\":[\"10.42.0.10\"]}]},{\"endpoints\":null}]}");
    struct subnets self = {0};

    ck_assert_int_eq(cluster_add_service(&self, service), 0);
    ck_assert_int_eq(cluster_add_service(&self, headless), 0);
    ck_assert_int_eq(cluster_add_endpoints(&self, slices), 0);
    check_list(&self, "[\"10.43.7.7/32\",\"fd43::7/128\",\"10.42.0.9/32\","
                      "\"10.42.0.10/32\"]");
    json_object_put(service);
    json_object_put(headless);
    json_object_put(slices);
    subnets_release(&self);
}
END_TEST

static void check_dns(const char *text, const char *ns, const char *want)
{
    struct cluster_dns dns;
    struct tp_error err = {0};
    struct json_object *json;

    ck_assert_int_eq(cluster_dns_parse(&dns, text, &err), 0);
    json = cluster_dns_to_json(&dns, ns);
    ck_assert_str_eq(
        json_object_to_json_string_ext(json, JSON_C_TO_STRING_NOSLASHESCAPE),
        want);
    json_object_put(json);
    cluster_dns_release(&dns);
}

START_TEST(resolvconf_of_a_pod)
{
    check_dns("# comment\nsearch tp-system.svc.corp.lan svc.corp.lan corp.lan "
              "eu.example. x.corp.lan\nnameserver 10.43.0.10\n"
              "nameserver 10.43.0.11\noptions ndots:5 edns0\n",
              "team",
              "{\"address\":\"10.43.0.10\",\"domain\":\"corp.lan\",\"search\":["
              "\"team.svc.corp.lan\",\"svc.corp.lan\",\"corp.lan\","
              "\"eu.example\",\"x.corp.lan\"],"
              "\"options\":[\"ndots:5\",\"edns0\"]}");
    check_dns("", "a",
              "{\"address\":\"\",\"domain\":\"cluster.local\",\"search\":["
              "\"a.svc.cluster.local\",\"svc.cluster.local\","
              "\"cluster.local\"],\"options\":[]}");
}
END_TEST

/* ---- paths, hello, options, metrics, certificates
 * ---------------------------------- */

#define NAME26 "abcdefghijklmnopqrstuvwxyz"
#define BASE   "/apis/connect.tp.internal/v1/namespaces/"

START_TEST(gate_paths)
{
    static const struct {
        const char *path;
        int rc;
        bool portforward;
    } rows[] = {
        {BASE "team/connections/" NAME26 "/portforward", 0, true},
        {BASE "team/connections/" NAME26, 0, false},
        {BASE "team/connections", 0, false},
        {BASE "team/connections/short/portforward", -EINVAL, false},
        {BASE "team/connections/ABCDEFGHIJKLMNOPQRSTUVWXYZ/portforward",
         -EINVAL, false},
        {BASE "-team/connections/" NAME26 "/portforward", -EINVAL, false},
        {BASE "te.am/connections/" NAME26 "/portforward", -EINVAL, false},
        {BASE "/connections/" NAME26 "/portforward", -EINVAL, false},
        {BASE "team/connections/" NAME26 "/proxy", -ENOENT, false},
        {BASE "team/connections/" NAME26 "/portforward/x", -ENOENT, false},
        {BASE "team/sessions/" NAME26 "/portforward", -ENOENT, false},
        {"/apis/connect.tp.internal/v2/namespaces/team/connections", -ENOENT,
         false},
        {"/", -ENOENT, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct gate_path out;
        struct tp_error err = {0};
        int rc = gate_parse_path(&out, rows[i].path, &err);

        ck_assert_msg(rc == rows[i].rc, "%s: %d", rows[i].path, rc);
        if (rc == 0)
            ck_assert_int_eq(out.portforward, rows[i].portforward);
    }
}
END_TEST

static int hello(const char *body, char **answer)
{
    struct identity who = {.user = strdup("alice"), .uid = strdup("")};
    struct info info = {.apiserver = "10.43.0.1"};
    int status;

    ck_assert_int_eq(subnets_add_text(&info.service, "10.43.0.0/16"), 0);
    snprintf(info.dns.domain, sizeof(info.dns.domain), "cluster.local");
    status = info_answer_hello(&info, "team", &who, body, strlen(body), answer);
    info_release(&info);
    identity_release(&who);
    return status;
}

START_TEST(hello_negotiates_version_and_features)
{
    char *answer = NULL;
    struct json_object *obj;

    ck_assert_int_eq(hello("{\"protocol\":[1,2],\"version\":\"9\",\"features\":"
                           "[\"events\",\"magic\"],\"new\":{}}",
                           &answer),
                     200);
    obj = parse(answer);
    ck_assert_int_eq(json_get_int(obj, "protocol", 0), 1);
    ck_assert_str_eq(
        json_object_to_json_string_ext(json_get(obj, "features"), 0),
        "[\"events\"]");
    ck_assert_str_eq(json_get_str(obj, "info.namespace", ""), "team");
    ck_assert_str_eq(json_get_str(obj, "info.user", ""), "alice");
    json_object_put(obj);
    free(answer);
}
END_TEST

START_TEST(hello_refusals_name_both_versions)
{
    char *answer = NULL;

    ck_assert_int_eq(hello("{\"protocol\":[7],\"version\":\"9.9\"}", &answer),
                     409);
    ck_assert_ptr_nonnull(strstr(answer, "9.9"));
    ck_assert_ptr_nonnull(strstr(answer, "[ 7 ]"));
    free(answer);
    ck_assert_int_eq(hello("{}", &answer), 409);
    free(answer);
    ck_assert_int_eq(hello("[]", &answer), 400);
    free(answer);
    ck_assert_int_eq(hello("{", &answer), 400);
    free(answer);
}
END_TEST

static int parse_options(struct options *o, struct tp_error *err,
                         const char *const *more)
{
    char *argv[16] = {"tp-manager", "--namespace=tp", "--ca-cert",
                      "a",          "--ca-key",       "b"};
    int argc = 6;

    for (; *more; more++)
        argv[argc++] = (char *)(uintptr_t)*more;
    return options_parse(o, argc, argv, err);
}

START_TEST(options_values_and_environment)
{
    static const char *const more[] = {
        "--pod-subnets=10.42.1.0/24,10.42.0.0/24", "--link-rate", "25000000",
        "--allow-any-front-proxy-name", NULL};
    struct options o;
    struct tp_error err = {0};
    char text[SOCKADDR_TEXT];

    setenv("TP_MANAGER_LINK_MAX", "3", 1);
    setenv("TP_MANAGER_LINK_RATE", "1", 1);
    ck_assert_msg(parse_options(&o, &err, more) == 0, "%s", err.text);
    ck_assert_str_eq(sockaddr_format(&o.listen, text), "[::]:8443");
    check_list(&o.pod_subnets, "[\"10.42.0.0/23\"]");
    ck_assert_uint_eq(o.link_rate, 25000000);
    ck_assert_uint_eq(o.link_max, 3);
    ck_assert(o.any_front_proxy_name);
    ck_assert_str_eq(o.apiservice, "v1.connect.tp.internal");
    options_release(&o);
}
END_TEST

START_TEST(options_refuse_with_one_clear_line)
{
    static const struct {
        const char *more[3];
        const char *text;
    } rows[] = {
        {{"--dial-scope=galaxy"}, "must be cluster or namespace"},
        {{"--pod-subnets=10.0.0.1/8"}, "no subnet"},
        {{"--dial-allow-node=10.0.0.0/8"}, "one by one"},
        {{"--listen=8443"}, "ADDR:PORT"},
        {{"--link-max=-1"}, "a number"},
        {{"--link-max="}, "a number"},
        {{"--nonsense"}, "unknown option"},
        {{"stray"}, "unexpected argument"},
        {{"--log-level"}, "needs a value"},
        {{"--tls-cert=x", "--tls-key=y"}, "either"},
        {{"--ca-key="}, "either"},
        {{"--allow-any-front-proxy-name=yes"}, "true or false"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct options o;
        struct tp_error err = {0};

        ck_assert_int_lt(parse_options(&o, &err, rows[i].more), 0);
        ck_assert_msg(strstr(err.text, rows[i].text) != NULL, "%s: %s",
                      rows[i].more[0], err.text);
        ck_assert_ptr_null(strchr(err.text, '\n'));
        options_release(&o);
    }
}
END_TEST

START_TEST(metrics_page_has_every_series)
{
    struct metrics m = {.links = 2, .bytes_in = 5};
    char *text;

    m.dials[metrics_dial_outcome(-ECONNREFUSED)] = 3;
    m.denied[POLICY_NODE] = 4;
    m.reviews[REVIEW_DENIED] = 6;
    text = metrics_format(&m);
    ck_assert_ptr_nonnull(strstr(text, "\ntp_links 2\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntp_dials_total{result=\"refused\"} 3\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntp_denied_total{reason=\"node\"} 4\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntp_reviews_total{result=\"denied\"} 6\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntp_bytes_total{direction=\"in\"} 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nprocess_resident_memory_bytes "));
    free(text);
}
END_TEST

START_TEST(certificate_is_signed_for_the_names)
{
    static const char *const names[] = {"tp-manager.tp.svc", "tp-manager",
                                        NULL};
    struct pki_pair ca, other;
    struct certificate c;
    struct tp_error err = {0};
    X509 *cert, *issuer;
    EVP_PKEY *key;

    pki_make_ca(&ca, "ca");
    pki_make_ca(&other, "other");
    ck_assert_msg(certificate_issue(&c, ca.cert, ca.key, names, &err) == 0,
                  "%s", err.text);
    cert = pki_load_cert(c.cert_pem);
    issuer = pki_load_cert(ca.cert);
    key = X509_get_pubkey(issuer);
    ck_assert_int_eq(X509_verify(cert, key), 1);
    ck_assert_int_eq(X509_check_host(cert, "tp-manager.tp.svc", 0, 0, NULL), 1);
    ck_assert_int_eq(X509_check_host(cert, "evil.tp.svc", 0, 0, NULL), 0);
    ck_assert_int_eq(X509_check_ca(cert), 0);
    ck_assert_int_gt(c.renew_at, time(NULL));
    EVP_PKEY_free(key);
    X509_free(cert);
    X509_free(issuer);
    certificate_release(&c);
    ck_assert_int_lt(certificate_issue(&c, ca.cert, other.key, names, &err), 0);
    ck_assert_int_lt(certificate_issue(&c, "junk", ca.key, names, &err), 0);
    pki_release(&ca);
    pki_release(&other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("manager");
    TCase *tc = tcase_create("manager");

    tcase_add_test(tc, policy_denies_reserved_addresses_whatever_is_allowed);
    tcase_add_test(tc, policy_without_its_reserved_addresses_denies_all);
    tcase_add_test(tc, policy_denies_nodes_unless_listed_and_itself_always);
    tcase_add_test(tc, policy_allows_the_clusters_subnets_only);
    tcase_add_test(tc, subnets_merge_keeps_the_same_addresses);
    tcase_add_test(tc, subnets_contain_agrees_with_the_plain_search);
    tcase_add_test(tc, frontproxy_checks_the_name);
    tcase_add_test(tc, frontproxy_refuses_what_it_cannot_trust);
    tcase_add_test(tc, identity_with_groups_and_encoded_extra);
    tcase_add_test(tc, identity_refuses_none_and_two);
    tcase_add_test(tc, review_asks_for_create_with_the_whole_identity);
    tcase_add_test(tc, review_answer_must_say_allowed);
    tcase_add_test(tc, cluster_reads_service_cidrs_and_nodes);
    tcase_add_test(tc, cluster_reads_its_own_service);
    tcase_add_test(tc, resolvconf_of_a_pod);
    tcase_add_test(tc, gate_paths);
    tcase_add_test(tc, hello_negotiates_version_and_features);
    tcase_add_test(tc, hello_refusals_name_both_versions);
    tcase_add_test(tc, options_values_and_environment);
    tcase_add_test(tc, options_refuse_with_one_clear_line);
    tcase_add_test(tc, metrics_page_has_every_series);
    tcase_add_test(tc, certificate_is_signed_for_the_names);
    suite_add_tcase(s, tc);
    return suite_run(s);
}
