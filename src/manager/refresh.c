/*
 * refresh.c - what the manager knows, kept up to date
 *
 * Each minute (each 2 s until it is ready) the cluster is read in a worker
 * thread and the mounted files on the loop; what changed is put in force. A
 * part that cannot be read stays as it was, with one line in the log. Only
 * front-proxy rules that could be read but are not acceptable end at once. The
 * addresses of new replicas do not wait for the minute (replicas.h).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "manager/api.h"
#include "manager/cluster.h"
#include "manager/files.h"
#include "manager/identity.h"
#include "manager/manager_internal.h"
#include "manager/options.h"
#include "manager/replicas.h"
#include "manager/snapshot.h"
#include "net/tls.h"

#define REFRESH_MS 60000
#define HURRY_MS   2000

enum refresh_part {
    PART_FRONTPROXY,
    PART_SERVICES,
    PART_NODES,
    PART_SELF,
    PART_CERTIFICATE,
    PART_FILES,
    PART_AGENTS,
};

struct refresh {
    struct manager *m;
    struct snapshot *snapshot;
};

/* Says it once; `now` without a code is "all is well again". */
static void warn(struct manager *m, enum refresh_part part,
                 const struct tp_error *now)
{
    struct tp_error *last = &m->warned[part];

    if (now->code && strcmp(last->text, now->text) != 0)
        log_warn("%s", now->text);
    *last = *now;
    if (!now->code)
        last->text[0] = '\0';
}

/* ---- front proxy and certificate ------------------------------------------
 */

static void take_frontproxy(struct manager *m, struct snapshot *s,
                            bool *changed)
{
    warn(m, PART_FRONTPROXY, &s->frontproxy_error);
    if (s->frontproxy_error.code && !s->frontproxy_read)
        return;
    *changed = !frontproxy_equal(&m->frontproxy, &s->frontproxy);
    frontproxy_release(&m->frontproxy);
    if (s->frontproxy_error.code) { /* not acceptable */
        m->frontproxy_at = 0;
        *changed = true;
        return;
    }
    m->frontproxy = s->frontproxy;
    memset(&s->frontproxy, 0, sizeof(s->frontproxy));
    m->frontproxy_at = uv_now(m->loop);
    if (*changed)
        log_info("front-proxy rules read");
}

static void use_tls(struct manager *m, bool rules_changed)
{
    struct tls_server_config config = {
        .cert_pem = m->credentials.cert_pem,
        .key_pem = m->credentials.key_pem,
        .client_ca_pem = m->frontproxy.ca_pem,
    };
    struct tp_error err = {0};
    struct tls_ctx *fresh = NULL;

    if (m->frontproxy.ca_pem && m->nodes_known && m->self_known) {
        fresh = tls_ctx_create_server(&config, &err);
        if (!fresh)
            log_error("%s", err.text);
    }
    server_set_tls(m->server, fresh, rules_changed);
    tls_ctx_destroy(m->tls);
    m->tls = fresh;
}

static void use_agents_tls(struct manager *m)
{
    struct tp_error err = {0};

    if (credentials_serve(&m->credentials, m->agents_server, &m->agents_tls,
                          true, &err) < 0)
        log_error("%s", err.text);
}

/* ---- what may be dialled ----------------------------------------------------
 */

static void take_subnets(struct subnets *to, struct subnets *from)
{
    subnets_release(to);
    *to = *from;
    memset(from, 0, sizeof(*from));
}

/* Moves the parts that were read into m->snapshot. */
static void take_cluster(struct manager *m, struct snapshot *s)
{
    struct snapshot *known = m->snapshot;

    warn(m, PART_SERVICES, &s->service_error);
    warn(m, PART_NODES, &s->node_error);
    warn(m, PART_SELF, &s->self_error);
    if (!s->service_error.code)
        take_subnets(&known->service, &s->service);
    if (!s->node_error.code) {
        take_subnets(&known->pod, &s->pod);
        take_subnets(&known->nodes, &s->nodes);
        m->nodes_known = true;
    }
    if (!s->self_error.code) {
        take_subnets(&known->self, &s->self);
        m->self_known = true;
    }
    if (s->service_ip[0])
        memcpy(known->service_ip, s->service_ip, sizeof(known->service_ip));
    if (s->direct) {
        json_object_put(known->direct);
        known->direct = s->direct;
        s->direct = NULL;
    }
    if (s->cluster_uid[0])
        memcpy(known->cluster_uid, s->cluster_uid, sizeof(known->cluster_uid));
}

static const struct subnets *service_subnets(const struct manager *m)
{
    return m->options->service_subnets.count ? &m->options->service_subnets
                                             : &m->snapshot->service;
}

static const struct subnets *pod_subnets(const struct manager *m)
{
    return m->options->pod_subnets.count ? &m->options->pod_subnets
                                         : &m->snapshot->pod;
}

static int build_policy(const struct manager *m, struct policy *p)
{
    const struct options *o = m->options;

    if (policy_init(p) < 0)
        return -ENOMEM;
    if (subnets_add_all(&p->allowed, service_subnets(m)) < 0 ||
        subnets_add_all(&p->allowed, pod_subnets(m)) < 0 ||
        subnets_add_all(&p->allowed, &o->also_subnets) < 0 ||
        subnets_add_all(&p->allowed, &o->dial_allow) < 0 ||
        subnets_add_all(&p->nodes, &m->snapshot->nodes) < 0 ||
        subnets_add_all(&p->node_exceptions, &o->dial_allow_node) < 0 ||
        subnets_add_all(&p->unscoped, &o->also_subnets) < 0 ||
        subnets_add_all(&p->unscoped, &o->dial_allow) < 0 ||
        subnets_add_all(&p->unscoped, &o->dial_allow_node) < 0 ||
        subnets_add_all(&p->self, &m->snapshot->self) < 0 ||
        subnets_add_all(&p->self, &m->replicas_addrs) < 0)
        return -ENOMEM;
    replicas_add_own(&p->self);
    subnets_merge(&p->allowed);
    subnets_merge(&p->nodes);
    subnets_merge(&p->node_exceptions);
    subnets_merge(&p->self);
    subnets_merge(&p->unscoped);
    return 0;
}

static void use_policy(struct manager *m)
{
    struct policy fresh;

    if (build_policy(m, &fresh) < 0) {
        log_error("policy: out of memory");
        policy_release(&fresh);
        return;
    }
    policy_release(&m->policy);
    m->policy = fresh;
}

void refresh_replicas_cb(void *arg, struct json_object *slices)
{
    struct manager *m = arg;
    struct subnets fresh = {0};

    if (cluster_add_endpoints(&fresh, slices) < 0) {
        subnets_release(&fresh);
        log_error("the replicas' addresses: out of memory");
        return;
    }
    take_subnets(&m->replicas_addrs, &fresh);
    if (m->self_known)
        use_policy(m); /* else the first round does it */
}

/* ---- what clients are told
 * ---------------------------------------------------- */

static int read_dns(const struct manager *m, struct cluster_dns *dns)
{
    const struct options *o = m->options;
    struct tp_error err = {0};
    cleanup_free char *text = file_read_text("/etc/resolv.conf", &err);
    int rc = cluster_dns_parse(dns, text ? text : "", &err);

    if (rc < 0)
        return rc;
    if (o->cluster_domain)
        snprintf(dns->domain, sizeof(dns->domain), "%.253s", o->cluster_domain);
    if (o->dns_address.sa.sa_family)
        sockaddr_format_ip(&o->dns_address, dns->address);
    return o->dns_search ? cluster_dns_set_search(dns, o->dns_search) : 0;
}

static int build_info(const struct manager *m, struct info *info)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");

    snprintf(info->cluster_uid, sizeof(info->cluster_uid), "%s",
             m->snapshot->cluster_uid);
    snprintf(info->apiserver, sizeof(info->apiserver), "%.63s",
             host ? host : "");
    if (subnets_add_all(&info->service, service_subnets(m)) < 0 ||
        subnets_add_all(&info->pod, pod_subnets(m)) < 0 ||
        subnets_add_all(&info->also, &m->options->also_subnets) < 0)
        return -ENOMEM;
    info->direct = m->direct.on;
    info->client = json_object_get(m->client_config);
    return read_dns(m, &info->dns);
}

static void use_info(struct manager *m)
{
    static const struct identity nobody = {.user = (char *)(uintptr_t) "",
                                           .uid = (char *)(uintptr_t) ""};
    cleanup_json struct json_object *obj = NULL;
    struct info fresh = {0};
    char *text;

    if (build_info(m, &fresh) < 0) {
        log_error("info: out of memory");
        info_release(&fresh);
        return;
    }
    obj = info_to_json(&fresh, "", &nobody);
    text = strdup(json_to_text(obj));
    info_release(&m->info);
    m->info = fresh;
    if (text && (!m->info_text || strcmp(text, m->info_text) != 0)) {
        log_info("clients are told: %s", text);
        links_announce_info(m->links);
    }
    free(m->info_text);
    m->info_text = text;
}

/* ---- files
 * ------------------------------------------------------------------------ */

static int read_client_config(struct manager *m, struct tp_error *err)
{
    const char *path = m->options->client_config;
    cleanup_free char *text = NULL;
    struct json_object *obj;

    if (!path)
        return 0;
    text = file_read_text(path, err);
    if (!text)
        return tp_error_wrap(err, "--client-config");
    obj = json_parse_text(text, strlen(text), err);
    if (!obj || !json_object_is_type(obj, json_type_object)) {
        json_object_put(obj);
        return tp_error_set(err, -EBADMSG,
                            "--client-config %s: not a JSON object", path);
    }
    json_object_put(m->client_config);
    m->client_config = obj;
    return 0;
}

int refresh_files(struct manager *m, struct tp_error *err)
{
    int rc = credentials_refresh(&m->credentials, m->options, err);

    return rc < 0 ? rc : read_client_config(m, err);
}

/* Returns true if there is another certificate. */
static bool reread_files(struct manager *m)
{
    struct tp_error err = {0};
    int rc = credentials_refresh(&m->credentials, m->options, &err);

    warn(m, PART_CERTIFICATE, &err);
    err.code = 0;
    read_client_config(m, &err);
    warn(m, PART_FILES, &err);
    return rc > 0;
}

/* ---- the round
 * -------------------------------------------------------------------- */

static void apply(struct manager *m, struct snapshot *s)
{
    bool rules_changed = false, cert_changed = reread_files(m);
    struct tp_error err = {0};

    take_cluster(m, s);
    take_frontproxy(m, s, &rules_changed);
    use_policy(m); /* before anyone is let in */
    use_info(m);
    if (rules_changed || cert_changed || !m->tls)
        use_tls(m, rules_changed);
    if (cert_changed || !m->agents_tls)
        use_agents_tls(m);
    webhook_refresh(m, cert_changed, &err);
    warn(m, PART_AGENTS, &err);
    if (direct_refresh(m, cert_changed))
        use_info(m);
}

static void timer_cb(uv_timer_t *timer);

static void done_cb(void *arg, const struct tp_error *err)
{
    struct refresh *r = arg;
    struct manager *m = r->m;
    bool was_ready = m->tls != NULL;

    m->refreshing = false;
    if (err)
        log_warn("%s", err->text);
    if (r->snapshot && !m->stopped)
        apply(m, r->snapshot);
    snapshot_destroy(r->snapshot);
    free(r);
    if (m->stopped)
        return;
    if (!was_ready && m->tls)
        log_info("ready");
    uv_timer_start(&m->refresh_timer, timer_cb,
                   health_unready_reason(m) ? HURRY_MS : REFRESH_MS, 0);
}

/* In a worker thread; the options do not change. */
static void work(void *arg, struct kube_client *client)
{
    struct refresh *r = arg;

    r->snapshot = snapshot_take(r->m->options, client);
}

static void timer_cb(uv_timer_t *timer)
{
    refresh_start(timer->data);
}

void refresh_start(struct manager *m)
{
    struct refresh *r;

    if (m->refreshing || m->stopped)
        return;
    r = calloc(1, sizeof(*r));
    if (r) {
        r->m = m;
        if (api_run(m->api, work, done_cb, r) == 0) {
            m->refreshing = true;
            return;
        }
        free(r);
    }
    uv_timer_start(&m->refresh_timer, timer_cb, HURRY_MS, 0);
}

void refresh_release(struct manager *m)
{
    snapshot_destroy(m->snapshot);
    frontproxy_release(&m->frontproxy);
    credentials_release(&m->credentials);
    tls_ctx_destroy(m->tls);
    tls_ctx_destroy(m->agents_tls);
    webhook_release(m);
    direct_release(m);
    policy_release(&m->policy);
    subnets_release(&m->replicas_addrs);
    info_release(&m->info);
    free(m->info_text);
    json_object_put(m->client_config);
}
