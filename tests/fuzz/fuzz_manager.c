/* Fuzz target: what tp-manager parses. The first byte chooses the parser. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "manager/agent_pod.h"
#include "manager/cluster.h"
#include "manager/direct.h"
#include "manager/frontproxy.h"
#include "manager/gate.h"
#include "manager/identity.h"
#include "manager/info.h"
#include "manager/hello.h"
#include "manager/policy.h"
#include "manager/replicas.h"
#include "manager/review.h"
#include "manager/server_body.h"
#include "manager/ticket.h"
#include "net/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct identity somebody(void)
{
    return (struct identity){.user = strdup("a"), .uid = strdup("")};
}

/* A client's hello: always answered, by JSON. */
static void hello(const char *text, size_t len)
{
    struct identity who = somebody();
    struct info info = {0};
    struct json_object *obj;
    char *answer = NULL;
    int status = info_answer_hello(&info, "ns", &who, text, len, &answer);

    obj = json_parse_text(answer, strlen(answer), NULL);
    if (!obj || (status != 200 && status != 400 && status != 409))
        abort();
    json_object_put(obj);
    free(answer);
    identity_release(&who);
}

/* The API server's ConfigMap. */
static void configmap(const char *text, size_t len)
{
    struct json_object *obj = json_parse_text(text, len, NULL);
    struct frontproxy fp;

    if (frontproxy_parse(&fp, obj, false, NULL) == 0 &&
        frontproxy_allows_name(&fp, ""))
        abort();
    frontproxy_release(&fp);
    json_object_put(obj);
}

static struct frontproxy usual_rules(void)
{
    return (struct frontproxy){
        .names = json_tokener_parse("[\"p\"]"),
        .user_headers = json_tokener_parse("[\"X-Remote-User\"]"),
        .uid_headers = json_tokener_parse("[\"X-Remote-Uid\"]"),
        .group_headers = json_tokener_parse("[\"X-Remote-Group\"]"),
        .extra_prefixes = json_tokener_parse("[\"X-Remote-Extra-\"]"),
    };
}

/* A request's head: a user is named once or not at all. */
static void identity(const char *text, size_t len)
{
    struct frontproxy fp = usual_rules();
    struct http1_head head;
    struct identity id;

    if (http1_parse(&head, HTTP1_REQUEST, text, len) > 0) {
        if (identity_from_headers(&id, &head, &fp, NULL) == 0) {
            if (http1_count(&head, "X-Remote-User") != 1 || !*id.user)
                abort();
            json_object_put(review_build(&id, "ns"));
        }
        identity_release(&id);
        http1_release(&head);
    }
    frontproxy_release(&fp);
}

/* Answers of the API server. */
static void cluster(const char *text, size_t len)
{
    struct json_object *obj = json_parse_text(text, len, NULL);
    struct subnets a = {0}, b = {0};
    bool allowed;

    cluster_add_service_cidrs(&a, obj);
    cluster_add_nodes(&a, &b, obj);
    cluster_add_endpoints(&b, obj);
    cluster_add_service(&b, obj);
    (void)cluster_continue(obj);
    (void)review_parse(obj, &allowed);
    subnets_merge(&a);
    subnets_merge(&b);
    subnets_release(&a);
    subnets_release(&b);
    json_object_put(obj);
}

/* A token leads to a path, and to nothing outside of it. */
static void check_path(const struct agent_token *token)
{
    char path[AGENT_PATH_MAX];

    agent_pod_path(token, path);
    if (strncmp(path, "/api/v1/namespaces/", 19) != 0 || strstr(path, "..") ||
        strpbrk(path, "?#%") || !strstr(path, "/pods/"))
        abort();
}

/* TokenReview, Pod, ReplicaSet, EndpointSlices and an agent's hello: all are
 * told apart by what they hold, so each gets every text. */
static void agent(const char *text, size_t len)
{
    struct json_object *obj = json_parse_text(text, len, NULL), *hello = NULL;
    struct agent_token token;
    struct subnets own = {0};
    struct agent_pod pod;
    char path[AGENT_PATH_MAX], *answer = NULL;

    if (agent_token_parse(&token, obj, NULL) == 0)
        check_path(&token);
    token = (struct agent_token){"ns", "pod", "u"};
    if (agent_pod_parse(&pod, &token, obj, NULL) == 0) {
        (void)agent_pod_has_replicaset(&pod, path);
        (void)agent_pod_has_port(&pod, "", &(struct engagement_port){80, 0});
        (void)agent_pod_set_replicaset(&pod, obj, NULL);
    }
    agent_pod_release(&pod);
    json_object_put(replicas_list(&own, obj));
    json_object_put(obj);
    if (hello_read(text, len, "the agent", &hello, &answer) != 200 && !answer)
        abort();
    (void)hello_check(200, text, len);
    json_object_put(hello);
    free(answer);
}

static void resolvconf(const char *text)
{
    struct cluster_dns dns;

    if (cluster_dns_parse(&dns, text, NULL) < 0)
        return;
    json_object_put(cluster_dns_to_json(&dns, "ns"));
    cluster_dns_release(&dns);
}

/* Subnets, a bar, an address: both kinds of look-up agree. */
static void subnets(char *text)
{
    struct subnets plain = {0}, merged = {0};
    char *bar = strchr(text, '|'), bad[SUBNET_TEXT];
    union sockaddr_any addr;

    if (bar)
        *bar = '\0';
    if (subnets_add_list(&plain, text, bad) == 0 && bar &&
        sockaddr_parse(&addr, bar + 1, 80) == 0) {
        subnets_add_all(&merged, &plain);
        subnets_merge(&merged);
        if (subnets_contain(&plain, &addr) != subnets_contain(&merged, &addr))
            abort();
    }
    subnets_release(&plain);
    subnets_release(&merged);
}

static void path(const char *text)
{
    struct gate_path out;

    if (gate_parse_path(&out, text, NULL) == 0 &&
        (!*out.ns || strchr(out.ns, '/') || strchr(out.name, '/') ||
         (out.portforward && strlen(out.name) < 26)))
        abort();
}

/* Feeds pieces until the body ends; what was taken, or an error. */
static ssize_t feed(struct server_body *b, const struct http1_head *head,
                    const uint8_t *data, size_t len, size_t piece)
{
    size_t at = 0;
    ssize_t n = server_body_init(b, head, 1000, true);

    while (n >= 0 && at < len && b->state != BODY_DONE) {
        if (piece > len - at)
            piece = len - at;
        n = server_body_feed(b, data + at, piece);
        at += n > 0 ? (size_t)n : 0;
    }
    if (buf_used(&b->data) > 1001 || b->total > 1000)
        abort();
    return n < 0 ? n : (ssize_t)at;
}

/* A request with its body: it does not depend on how it comes in. */
static void request_body(const uint8_t *data, size_t len)
{
    struct server_body whole, bytes;
    struct http1_head head;
    int n = http1_parse(&head, HTTP1_REQUEST, data, len);

    if (n <= 0)
        return;
    data += n;
    len -= (size_t)n;
    if (feed(&whole, &head, data, len, len) !=
            feed(&bytes, &head, data, len, 1) ||
        whole.state != bytes.state ||
        buf_used(&whole.data) != buf_used(&bytes.data))
        abort();
    server_body_release(&whole);
    server_body_release(&bytes);
    http1_release(&head);
}

/* Nobody without the key makes one. */
static void ticket(const char *text)
{
    static const uint8_t key[TICKET_KEY] = {1};
    struct ticket t;

    if (ticket_read(&t, key, text, 1700000000, NULL) == 0)
        abort();
    ticket_release(&t);
}

/* A Service as the API server has it, or what the chart was given. */
static void endpoints(const char *text, size_t len)
{
    struct json_object *service = json_parse_text(text, len, NULL);
    struct json_object *list = direct_endpoints_of(service, NULL);

    if (json_array_len(list) > DIRECT_ENDPOINTS_MAX)
        abort();
    json_object_put(list);
    json_object_put(service);
    json_object_put(direct_endpoints_parse(text, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size == 0 || size > 65536)
        return 0;
    text = strndup((const char *)data + 1, size - 1);
    switch (data[0]) {
    case 'a':
        agent(text, strlen(text));
        break;
    case 't':
        ticket(text);
        break;
    case 'e':
        endpoints(text, strlen(text));
        break;
    case 'h':
        hello(text, strlen(text));
        break;
    case 'm':
        configmap(text, strlen(text));
        break;
    case 'i':
        identity((const char *)data + 1, size - 1);
        break;
    case 'c':
        cluster(text, strlen(text));
        break;
    case 'r':
        resolvconf(text);
        break;
    case 's':
        subnets(text);
        break;
    case 'p':
        path(text);
        break;
    case 'b':
        request_body(data + 1, size - 1);
        break;
    }
    free(text);
    return 0;
}
