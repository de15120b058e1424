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
        .vnat = &ci->vnat,
        .domain = ci->domain,
        .suffixes = (const char *const *)ci->suffixes.names,
        .n_suffixes = ci->suffixes.n,
        .excludes = (const char *const *)ci->excludes.names,
        .n_excludes = ci->excludes.n,
        .mappings = ci->mappings,
        .n_mappings = ci->n_mappings,
        .namespace = s->config.namespace,
        .namespaces = (const char *const *)ci->namespaces.names,
        .n_namespaces = ci->namespaces.n,
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
        .bypass = ci->holes.nets,
        .n_bypass = ci->holes.n,
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
        cluster_info_bypass(&s->info, &net);
}

static int apply_routes(struct session *s, struct tp_error *err)
{
    struct cluster_info *ci = &s->info;
    struct datapath_routes routes = {
        .capture = ci->capture.nets,
        .n_capture = ci->capture.n,
        .bypass = ci->holes.nets,
        .n_bypass = ci->holes.n,
        .vnat = &ci->vnat,
        .dns = ci->dns_here,
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
        rc = resolvconf_write(s->env.resolv, &s->info.dns_here,
                              s->config.namespace, s->info.domain, &err);
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
        rc = cluster_info_build(&ci, info, s->config.json, &policy,
                                &s->info.vnat, err);
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

static int apply(struct session *s, struct json_object *info,
                 struct tp_error *err)
{
    int rc = build(s, info, err);

    if (rc == 0)
        rc = apply_routes(s, err);
    if (rc < 0)
        return rc;
    json_object_get(info);
    json_object_put(s->info_json);
    s->info_json = info;
    s->direct.offered =
        json_get_bool(info, "direct", false) &&
        strcmp(json_get_str(s->config.json, "link", ""), "aggregated") != 0;
    apply_dns(s);
    apply_resolv(s);
    apply_log_level(s);
    s->applied = true;
    return 0;
}

int session_apply(struct session *s, struct json_object *info,
                  struct tp_error *err)
{
    if (!info)
        return tp_error_set(err, -EBADMSG,
                            "the manager says nothing about its cluster");
    if (s->applied && json_object_equal(info, s->info_json))
        return 0;
    return apply(s, info, err);
}

/* Whether the routes that there are now lead to other subnets being captured,
 * or others being virtual. */
static bool would_change(struct session *s)
{
    struct route_policy policy = {0};
    struct cluster_info ci = {0};
    bool changed = false;

    if (route_policy_read_local(&policy, NULL) == 0 &&
        cluster_info_build(&ci, s->info_json, s->config.json, &policy,
                           &s->info.vnat, NULL) == 0)
        changed = !json_object_equal(ci.subnets, s->info.subnets);
    cluster_info_release(&ci);
    route_policy_release(&policy);
    return changed;
}

void session_routes_changed(void *arg)
{
    struct session *s = arg;
    struct tp_error err = {0};

    if (!s->applied || !would_change(s))
        return;
    log_info("the routes here have changed");
    if (apply(s, s->info_json, &err) < 0)
        log_error("%s", err.text);
    session_notify(s);
}

void session_translate(const struct session *s, struct json_object *variables)
{
    if (!json_object_is_type(variables, json_type_object))
        return;
    json_object_object_foreach(variables, name, value)
    {
        char *text =
            json_object_is_type(value, json_type_string)
                ? vnat_text(&s->info.vnat, json_object_get_string(value))
                : NULL;

        (void)name;
        if (text)
            json_object_set_string(value, text);
        free(text);
    }
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
