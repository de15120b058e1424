#include "daemon/cluster_info_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "daemon/dns_zone.h"

void cluster_reject(struct build *b, const char *what, const char *reason)
{
    struct json_object *entry = json_object_new_object();

    json_put_str(entry, "subnet", what);
    json_put_str(entry, "reason", reason);
    json_object_array_add(b->rejected, entry);
    log_warn("refused from the cluster: %s: %s", what, reason);
}

const char *cluster_text_at(struct json_object *array, size_t i)
{
    return json_get_str(json_object_array_get_idx(array, i), "", "");
}

struct json_object *cluster_put_array(struct json_object *obj, const char *key)
{
    struct json_object *array = json_object_new_array();

    json_object_object_add(obj, key, array);
    return array;
}

static struct json_object *format_list(const struct subnet_list *list)
{
    struct json_object *array = json_object_new_array();
    char text[SUBNET_TEXT];

    for (size_t i = 0; i < list->n; i++)
        json_object_array_add(
            array, json_object_new_string(subnet_format(&list->nets[i], text)));
    return array;
}

/* ---- names ---- */

static void take_dns(struct build *b, struct json_object *info)
{
    const char *ip = json_get_str(info, "dns.address", NULL);
    const char *domain = json_get_str(info, "dns.domain", NULL);
    struct cluster_info *ci = b->ci;
    union sockaddr_any addr;
    struct subnet net, virt;

    if (!ip || !domain)
        return;
    if (!dns_suffix_valid(domain)) {
        cluster_reject(b, domain, "not a domain that a cluster may take over");
        return;
    }
    if (sockaddr_parse(&addr, ip, 53) < 0 || subnet_parse(&net, ip) < 0 ||
        (!subnet_list_covers(&ci->capture, &net) &&
         !vnat_map_subnet(&ci->vnat, &net, &virt))) {
        cluster_reject(b, ip,
                       "the DNS address is not in a subnet of the cluster");
        return;
    }
    ci->domain = strdup(domain);
    for (char *p = ci->domain; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (!ci->domain)
        return;
    ci->dns = ci->dns_here = addr;
    vnat_to_virtual(&ci->vnat, &ci->dns_here);
}

/* The API server is dialled from here; it must never be a captured address. */
static void bypass_server(struct build *b, struct json_object *session)
{
    const char *host = json_get_str(session, "server.host", "");
    struct subnet net;

    if (subnet_parse(&net, host) == 0)
        subnet_list_add(&b->ci->bypass, &net);
}

static void fill_policy(struct build *b, struct json_object *session)
{
    subnet_list_release(&b->policy->host);
    subnet_list_release(&b->policy->allowed);
    cluster_add_plain(b, &b->policy->host,
                      json_get_array(session, "hostSubnets"));
    cluster_add_plain(b, &b->policy->allowed,
                      json_get_array(session, "allowConflictingSubnets"));
}

int cluster_info_build(struct cluster_info *ci, struct json_object *info,
                       struct json_object *session, struct route_policy *policy,
                       const struct vnat *former, struct tp_error *err)
{
    struct build b = {.ci = ci,
                      .policy = policy,
                      .former = former,
                      .config = json_get(session, "config")};
    struct json_object *also;

    memset(ci, 0, sizeof(*ci));
    ci->subnets = json_object_new_object();
    ci->client_config = json_object_new_object();
    if (!ci->subnets || !ci->client_config)
        return tp_error_errno(err, -ENOMEM, "info");
    b.rejected = json_object_new_array();
    fill_policy(&b, session);
    cluster_capture_begin(&b, session);
    cluster_add_captured(&b, json_get_array(info, "subnets.service"),
                         SUBNET_SERVICE,
                         cluster_put_array(ci->subnets, "service"));
    cluster_add_captured(&b, json_get_array(info, "subnets.pod"), SUBNET_POD,
                         cluster_put_array(ci->subnets, "pod"));
    also = cluster_put_array(ci->subnets, "also");
    cluster_add_captured(&b, json_get_array(info, "subnets.also"), SUBNET_ALSO,
                         also);
    b.domain = json_get_str(info, "dns.domain", NULL);
    b.central = true;
    cluster_take_client_config(&b, json_get(info, "client"));
    b.central = false;
    cluster_take_user_config(&b);
    cluster_add_captured(&b, json_get_array(session, "alsoProxy"), SUBNET_ALSO,
                         also);
    cluster_add_plain(&b, &ci->bypass, json_get_array(session, "neverProxy"));
    json_object_object_add(ci->subnets, "never", format_list(&ci->bypass));
    bypass_server(&b, session);
    cluster_capture_end(&b);
    json_object_object_add(ci->subnets, "rejected", b.rejected);
    take_dns(&b, info);
    return 0;
}

static void name_array_release(struct name_array *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->names[i]);
    free(a->names);
}

void cluster_info_release(struct cluster_info *ci)
{
    subnet_list_release(&ci->capture);
    subnet_list_release(&ci->bypass);
    subnet_list_release(&ci->holes);
    vnat_release(&ci->vnat);
    name_array_release(&ci->suffixes);
    name_array_release(&ci->excludes);
    name_array_release(&ci->namespaces);
    for (size_t i = 0; i < ci->n_mappings; i++) {
        free((char *)(uintptr_t)ci->mappings[i].name);
        free((char *)(uintptr_t)ci->mappings[i].target);
    }
    free(ci->mappings);
    free(ci->domain);
    free(ci->log_level);
    json_object_put(ci->subnets);
    json_object_put(ci->client_config);
    memset(ci, 0, sizeof(*ci));
}
