#include "daemon/route_policy.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/route_list.h"
#include "net/route_never.h"

int subnet_list_add(struct subnet_list *list, const struct subnet *net)
{
    struct subnet *nets;

    for (size_t i = 0; i < list->n; i++) {
        if (!memcmp(&list->nets[i], net, sizeof(*net)))
            return 0;
    }
    if (list->n >= SUBNET_LIST_MAX)
        return -ENOBUFS;
    nets = realloc(list->nets, (list->n + 1) * sizeof(*nets));
    if (!nets)
        return -ENOMEM;
    list->nets = nets;
    nets[list->n++] = *net;
    return 0;
}

void subnet_list_release(struct subnet_list *list)
{
    free(list->nets);
    memset(list, 0, sizeof(*list));
}

bool subnet_list_covers(const struct subnet_list *list,
                        const struct subnet *net)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->nets[i].prefix <= net->prefix &&
            subnet_overlaps(&list->nets[i], net))
            return true;
    }
    return false;
}

static const struct subnet *first_overlap(const struct subnet_list *list,
                                          const struct subnet *net)
{
    for (size_t i = 0; i < list->n; i++) {
        if (subnet_overlaps(&list->nets[i], net))
            return &list->nets[i];
    }
    return NULL;
}

void route_policy_release(struct route_policy *p)
{
    subnet_list_release(&p->local);
    subnet_list_release(&p->host);
    subnet_list_release(&p->allowed);
}

int route_policy_read_local(struct route_policy *p, struct tp_error *err)
{
    struct ifaddrs *list, *i;
    int rc = 0;

    if (getifaddrs(&list) < 0)
        return tp_error_errno(err, -errno, "cannot list the interfaces");
    subnet_list_release(&p->local);
    for (i = list; i && rc == 0; i = i->ifa_next) {
        struct subnet net;

        if (!i->ifa_addr || !i->ifa_netmask || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        if (subnet_from_mask(&net, i->ifa_addr, i->ifa_netmask) == 0)
            rc = subnet_list_add(&p->local, &net);
    }
    freeifaddrs(list);
    if (rc < 0)
        return tp_error_errno(err, rc, "interfaces");
    return route_list_read(&p->local, err);
}

int route_policy_check(const struct route_policy *p, const struct subnet *net,
                       struct tp_error *err)
{
    unsigned min = net->family == AF_INET ? ROUTE_MIN_V4 : ROUTE_MIN_V6;
    const struct subnet *hit;
    char text[SUBNET_TEXT], other[SUBNET_TEXT];
    const char *never = route_never_overlaps(net);

    subnet_format(net, text);
    if (net->prefix == 0)
        return tp_error_set(err, -EACCES, "%s is a default route", text);
    if (net->prefix < min)
        return tp_error_set(err, -EACCES, "%s is wider than /%u", text, min);
    if (never)
        return tp_error_set(err, -EACCES, "%s covers %s", text, never);
    if (subnet_list_covers(&p->allowed, net))
        return 0;
    hit = first_overlap(&p->local, net);
    if (hit)
        return tp_error_set(err, -EADDRINUSE,
                            "%s overlaps with the container's own network %s",
                            text, subnet_format(hit, other));
    hit = first_overlap(&p->host, net);
    if (hit)
        return tp_error_set(err, -EADDRINUSE,
                            "%s overlaps with the host's network %s", text,
                            subnet_format(hit, other));
    return 0;
}
