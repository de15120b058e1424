#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/datapath.h"
#include "daemon/dns.h"
#include "daemon/proxy.h"
#include "daemon/resolvconf.h"
#include "daemon/session_internal.h"

static void use_for_streams(struct session *s, struct tunnel *t)
{
    if (s->env.dns)
        dns_set_tunnel(s->env.dns, t);
    if (s->env.datapath)
        datapath_set_tunnel(s->env.datapath, t);
}

void session_use_links(struct session *s)
{
    const struct session_link *sl =
        s->direct.current ? s->direct.current : s->current;

    use_for_streams(s, sl ? link_tunnel(sl->link) : NULL);
}

void session_use_tunnel(struct session *s, struct tunnel *t)
{
    use_for_streams(s, s->direct.current ? link_tunnel(s->direct.current->link)
                                         : t);
    if (s->engagements)
        s->engagements->linked_cb(s->engagements_arg, t, s->can_engage);
}

static void apply_dns(struct session *s)
{
    struct cluster_info *ci = &s->info;
    struct dns_config config = {
        .address = ci->dns,
        .domain = ci->domain,
        .suffixes = (const char *const *)ci->suffixes.names,
        .n_suffixes = ci->suffixes.n,
        .excludes = (const char *const *)ci->excludes.names,
        .n_excludes = ci->excludes.n,
        .subnets = ci->capture.nets,
        .n_subnets = ci->capture.n,
        .timeout_ms = ci->lookup_timeout_ms,
    };

    if (s->env.dns)
        dns_set_cluster(s->env.dns, ci->domain ? &config : NULL);
}

/* What it points to lies in s->info. */
static void apply_proxy(struct session *s)
{
    const struct cluster_info *ci = &s->info;

    s->proxy_cluster = (struct proxy_cluster){
        .domain = ci->domain,
        .namespace = s->config.namespace,
        .suffixes = (const char *const *)ci->suffixes.names,
        .n_suffixes = ci->suffixes.n,
        .excludes = (const char *const *)ci->excludes.names,
        .n_excludes = ci->excludes.n,
        .capture = ci->capture.nets,
        .n_capture = ci->capture.n,
        .bypass = ci->bypass.nets,
        .n_bypass = ci->bypass.n,
    };
    if (s->env.proxy)
        proxy_set_cluster(s->env.proxy, &s->proxy_cluster);
}

/* The address that the links go to, on top of what cluster_info knows. */
static void bypass_peer(struct session *s)
{
    const union sockaddr_any *peer =
        s->current ? link_peer(s->current->link) : NULL;
    char text[SOCKADDR_TEXT];
    struct subnet net;

    if (peer && peer->sa.sa_family &&
        subnet_parse(&net, sockaddr_format_ip(peer, text)) == 0)
        subnet_list_add(&s->info.bypass, &net);
}

static int apply_routes(struct session *s, struct tp_error *err)
{
    struct cluster_info *ci = &s->info;
    struct datapath_routes routes = {
        .capture = ci->capture.nets,
        .n_capture = ci->capture.n,
        .bypass = ci->bypass.nets,
        .n_bypass = ci->bypass.n,
        .dns = ci->dns,
    };

    if (!s->env.datapath)
        return 0;
    return datapath_set_routes(s->env.datapath, &routes, err);
}

/* Names work without it, too, by their full form: no reason to fail. */
static void apply_resolv(struct session *s)
{
    struct tp_error err = {0};
    int rc;

    if (!s->env.resolv)
        return;
    if (s->info.domain)
        rc = resolvconf_write(s->env.resolv, &s->info.dns, s->config.namespace,
                              s->info.domain, &err);
    else
        rc = resolvconf_restore(s->env.resolv, &err);
    if (rc < 0)
        log_error("resolv.conf: %s", err.text);
}

static void apply_log_level(struct session *s)
{
    enum log_level level;

    if (s->info.log_level && log_parse_level(s->info.log_level, &level) == 0)
        log_set_level(level);
}

static int build(struct session *s, struct json_object *info,
                 struct tp_error *err)
{
    struct route_policy policy = {0};
    struct cluster_info ci = {0};
    int rc = route_policy_read_local(&policy, err);

    if (rc == 0)
        rc = cluster_info_build(&ci, info, s->config.json, &policy, err);
    route_policy_release(&policy);
    if (rc < 0) {
        cluster_info_release(&ci);
        return rc;
    }
    cluster_info_release(&s->info);
    s->info = ci;
    bypass_peer(s);
    apply_proxy(s);
    return 0;
}

int session_apply(struct session *s, struct json_object *info,
                  struct tp_error *err)
{
    int rc;

    if (!info)
        return tp_error_set(err, -EBADMSG,
                            "the manager says nothing about its cluster");
    if (s->applied && json_object_equal(info, s->info_json))
        return 0;
    rc = build(s, info, err);
    if (rc == 0)
        rc = apply_routes(s, err);
    if (rc < 0)
        return rc;
    json_object_put(s->info_json);
    s->info_json = json_object_get(info);
    s->direct.offered =
        json_get_bool(info, "direct", false) &&
        strcmp(json_get_str(s->config.json, "link", ""), "aggregated") != 0;
    apply_dns(s);
    apply_resolv(s);
    apply_log_level(s);
    s->applied = true;
    return 0;
}

void session_unapply(struct session *s)
{
    struct datapath_routes none = {0};
    struct tp_error err = {0};

    if (s->applied && s->env.datapath &&
        datapath_set_routes(s->env.datapath, &none, &err) < 0)
        log_error("%s", err.text);
    if (s->applied && s->env.dns)
        dns_set_cluster(s->env.dns, NULL);
    if (s->env.resolv && resolvconf_restore(s->env.resolv, &err) < 0)
        log_error("resolv.conf: %s", err.text);
}

void session_forget_cluster(struct session *s)
{
    if (s->env.proxy)
        proxy_set_cluster(s->env.proxy, NULL);
    cluster_info_release(&s->info);
    json_object_put(s->info_json);
    json_object_put(s->manager);
    s->info_json = s->manager = NULL;
    free(s->user);
    s->user = NULL;
    s->applied = s->direct.offered = false;
}
