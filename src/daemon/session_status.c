#include <string.h>

#include "base/json.h"
#include "config.h"
#include "daemon/datapath.h"
#include "daemon/dns.h"
#include "daemon/proxy.h"
#include "daemon/resolvconf.h"
#include "daemon/session_internal.h"

static void put_object(struct json_object *obj, const char *key,
                       struct json_object *value)
{
    if (value)
        json_object_object_add(obj, key, json_object_get(value));
}

static void put_link(const struct session *s, struct json_object *status)
{
    struct json_object *link = json_object_new_object();
    struct tunnel_stats stats;

    json_object_object_add(status, "link", link);
    tunnel_get_stats(link_tunnel(s->current->link), &stats);
    json_put_str(link, "kind", "aggregated");
    json_put_str(link, "framing", s->websocket ? "websocket" : "raw");
    if (stats.silent_ms >= SESSION_SILENT_MS)
        json_put_int(link, "silentMs", stats.silent_ms);
    else if (stats.rtt_us >= 0)
        json_put_int(link, "rttUs", stats.rtt_us);
    if (s->current->draining)
        json_put_bool(link, "draining", true);
    json_put_int(link, "since", s->link_since);
    json_put_int(link, "reconnects", s->reconnects);
}

static void put_direct(const struct session *s, struct json_object *status)
{
    struct json_object *direct = session_direct_status(s);

    if (direct)
        json_object_object_add(status, "direct", direct);
}

static void put_former(const struct session *s, struct json_object *status)
{
    struct json_object *list = json_object_new_array();

    session_former_list(&s->former, list);
    session_former_list(&s->direct.former, list);
    session_former_list(&s->incoming_former, list);
    json_object_object_add(status, "formerLinks", list);
}

static void put_names(struct json_object *obj, const char *key,
                      const struct name_array *names)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < names->n; i++)
        json_object_array_add(array, json_object_new_string(names->names[i]));
    json_object_object_add(obj, key, array);
}

static void put_mappings(struct json_object *obj, const struct cluster_info *ci)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < ci->n_mappings; i++) {
        char text[600];

        snprintf(text, sizeof(text), "%s=%s", ci->mappings[i].name,
                 ci->mappings[i].target);
        json_object_array_add(array, json_object_new_string(text));
    }
    json_object_object_add(obj, "mappings", array);
}

static void put_cache(const struct session *s, struct json_object *dns)
{
    struct json_object *cache = json_object_new_object();
    struct dns_stats stats;

    if (s->env.dns) {
        dns_get_stats(s->env.dns, &stats);
        json_put_int(cache, "entries", (int64_t)stats.entries);
        json_put_int(cache, "bytes", (int64_t)stats.bytes);
        json_put_int(cache, "hits", (int64_t)stats.hits);
        json_put_int(cache, "misses", (int64_t)stats.misses);
        json_put_int(cache, "joined", (int64_t)stats.joined);
    }
    json_object_object_add(dns, "cache", cache);
}

static void put_dns(const struct session *s, struct json_object *status)
{
    struct json_object *dns = json_object_new_object();
    struct json_object *search = json_object_new_array();
    const char *domain = s->info.domain;
    char text[SOCKADDR_TEXT], name[512];

    json_object_object_add(status, "dns", dns);
    json_put_str(dns, "address", sockaddr_format_ip(&s->info.dns_here, text));
    if (!sockaddr_equal(&s->info.dns, &s->info.dns_here))
        json_put_str(dns, "real", sockaddr_format_ip(&s->info.dns, text));
    json_put_str(dns, "domain", domain);
    json_object_object_add(dns, "search", search);
    snprintf(name, sizeof(name), "%s.svc.%s", s->config.namespace, domain);
    json_object_array_add(search, json_object_new_string(name));
    snprintf(name, sizeof(name), "svc.%s", domain);
    json_object_array_add(search, json_object_new_string(name));
    json_object_array_add(search, json_object_new_string(domain));
    put_names(dns, "suffixes", &s->info.suffixes);
    put_names(dns, "excludes", &s->info.excludes);
    put_names(dns, "mappedNamespaces", &s->info.namespaces);
    put_mappings(dns, &s->info);
    put_cache(s, dns);
}

static void put_datapath(const struct session *s, struct json_object *status)
{
    struct json_object *streams = json_object_new_object();
    struct json_object *bytes = json_object_new_object();
    struct datapath_stats stats = {0};

    session_former_count(&s->former);
    session_former_count(&s->direct.former);
    datapath_get_stats(s->env.datapath, &stats);
    json_put_str(status, "hold", stats.hold);
    json_put_str(status, "redirect", "tproxy");
    json_put_int(streams, "tcp", stats.tcp);
    json_put_int(streams, "udp", stats.udp);
    json_put_int(streams, "opened", (int64_t)stats.opened);
    json_put_int(streams, "refused", (int64_t)stats.refused);
    json_put_int(streams, "local", (int64_t)stats.local);
    json_object_object_add(status, "streams", streams);
    json_put_int(bytes, "in", (int64_t)stats.bytes_in);
    json_put_int(bytes, "out", (int64_t)stats.bytes_out);
    json_object_object_add(status, "bytes", bytes);
}

static void put_proxy(const struct session *s, struct json_object *status)
{
    struct json_object *proxy = proxy_status(s->env.proxy);

    if (proxy)
        json_object_object_add(status, "proxy", proxy);
}

static void put_session(const struct session *s, struct json_object *status)
{
    const struct session_config *c = &s->config;

    json_put_str(status, "name", c->name);
    json_put_str(status, "context", c->context);
    json_put_str(status, "namespace", c->namespace);
    json_put_str(status, "managerNamespace", c->manager_namespace);
    json_put_str(status, "server", c->url);
    json_put_str(status, "user", s->user && *s->user ? s->user : NULL);
}

void session_probe(struct session *s)
{
    if (s->current)
        tunnel_probe(link_tunnel(s->current->link));
}

int64_t session_silence(const struct session *s)
{
    struct tunnel_stats stats = {0};

    if (s->current)
        tunnel_get_stats(link_tunnel(s->current->link), &stats);
    return stats.silent_ms;
}

struct json_object *session_status(const struct session *s)
{
    struct json_object *status = json_object_new_object();
    uint64_t now = uv_now(s->env.loop);

    json_put_str(status, "state", session_state_name(s->state));
    json_put_int(status, "since", s->since);
    json_put_str(status, "error", *s->error ? s->error : NULL);
    json_put_str(status, "code", *s->code ? s->code : NULL);
    if (s->state == SESSION_WAITING)
        json_put_int(
            status, "retryIn",
            s->retry_ms > now ? (int64_t)(s->retry_ms - now + 999) / 1000 : 0);
    json_put_str(status, "version", VERSION);
    if (s->config.json)
        put_session(s, status);
    if (s->current)
        put_link(s, status);
    put_direct(s, status);
    put_former(s, status);
    put_object(status, "manager", s->manager);
    put_object(status, "subnets", s->info.subnets);
    if (s->info.domain)
        put_dns(s, status);
    if (s->env.datapath)
        put_datapath(s, status);
    if (s->env.proxy)
        put_proxy(s, status);
    put_object(status, "clientConfig", s->info.client_config);
    return status;
}
