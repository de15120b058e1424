#include "cli/reach.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/sockaddr.h"
#include "cli/host_routes.h"

void reach_release(struct reach *r)
{
    free(r->host);
    free(r->network);
    memset(r, 0, sizeof(*r));
}

static int set_result(struct reach *r, const char *host, unsigned short port,
                      const char *network, struct tp_error *err)
{
    r->host = strdup(host);
    r->port = port;
    r->network = network ? strdup(network) : NULL;
    return r->host && (!network || r->network)
               ? 0
               : tp_error_set(err, -ENOMEM, "out of memory");
}

static bool is_loopback(const char *host)
{
    union sockaddr_any addr;

    if (!strcasecmp(host, "localhost"))
        return true;
    if (sockaddr_parse(&addr, host, 0) < 0)
        return false;
    sockaddr_unmap(&addr);
    return sockaddr_is_loopback(&addr);
}

/* The container's port that is published as host port `port`; 0: none. */
static unsigned short published(struct json_object *container,
                                unsigned short port)
{
    struct json_object *ports = json_get_array(container, "Ports");

    for (size_t i = 0; i < json_array_len(ports); i++) {
        struct json_object *p = json_object_array_get_idx(ports, i);

        if (json_get_int(p, "PublicPort", 0) == port &&
            !strcmp(json_get_str(p, "Type", ""), "tcp"))
            return (unsigned short)json_get_int(p, "PrivatePort", 0);
    }
    return 0;
}

/* A network of the container in which it has an address; one that a user made
 * is preferred to the default bridge. */
static bool find_address(struct json_object *container, const char **network,
                         const char **address)
{
    struct json_object *nets = json_get(container, "NetworkSettings.Networks");

    *network = *address = NULL;
    if (!nets || !json_object_is_type(nets, json_type_object))
        return false;
    json_object_object_foreach(nets, name, net)
    {
        const char *ip = json_get_str(net, "IPAddress", "");

        if (!*ip || (*network && strcmp(*network, "bridge") != 0))
            continue;
        *network = name;
        *address = ip;
    }
    return *network != NULL;
}

static int choose_published(struct reach *r, struct json_object *containers,
                            const struct reach_target *t, struct tp_error *err)
{
    const char *network, *address;

    for (size_t i = 0; i < json_array_len(containers); i++) {
        struct json_object *c = json_object_array_get_idx(containers, i);
        unsigned short private = published(c, t->port);

        if (!private || !find_address(c, &network, &address))
            continue;
        return set_result(r, address, private,
                          strcmp(network, "bridge") ? network : NULL, err);
    }
    return tp_error_set(err, -EHOSTUNREACH,
                        "the %s %s:%u is on this machine's loopback, "
                        "where no container can reach it, and no container "
                        "publishes that port (an ssh tunnel or a local "
                        "server?); use an address that containers reach",
                        t->what, t->host, t->port);
}

/* The network whose subnet holds the address, or NULL. */
static const char *network_of(struct json_object *networks,
                              const union sockaddr_any *addr)
{
    for (size_t i = 0; i < json_array_len(networks); i++) {
        struct json_object *net = json_object_array_get_idx(networks, i);
        struct json_object *pools = json_get_array(net, "IPAM.Config");

        for (size_t j = 0; j < json_array_len(pools); j++) {
            struct json_object *pool = json_object_array_get_idx(pools, j);
            struct subnet subnet;

            if (subnet_parse(&subnet, json_get_str(pool, "Subnet", "")) == 0 &&
                subnet_contains(&subnet, addr))
                return json_get_str(net, "Name", NULL);
        }
    }
    return NULL;
}

/* A bridge that Docker does not close: a container that has only this network
 * still reaches the outside. Joining a second one costs connect 0.15 s. */
static bool leads_outside(struct json_object *networks, const char *name)
{
    for (size_t i = 0; i < json_array_len(networks); i++) {
        struct json_object *net = json_object_array_get_idx(networks, i);

        if (!strcmp(json_get_str(net, "Name", ""), name))
            return !strcmp(json_get_str(net, "Driver", ""), "bridge") &&
                   !json_get_bool(net, "Internal", true);
    }
    return false;
}

int reach_choose(struct reach *r, struct json_object *containers,
                 struct json_object *networks, const struct reach_target *t,
                 struct tp_error *err)
{
    const char *address = t->address ? t->address : t->host;
    const char *network = NULL;
    union sockaddr_any addr;
    int rc;

    memset(r, 0, sizeof(*r));
    if (is_loopback(address)) {
        rc = choose_published(r, containers, t, err);
    } else {
        if (sockaddr_parse(&addr, address, t->port) == 0)
            network = network_of(networks, &addr);
        /* The name may be one of this machine's /etc/hosts. */
        rc = set_result(r, network ? address : t->host, t->port,
                        /* the daemon is in Docker's default one anyway */
                        network && strcmp(network, "bridge") ? network : NULL,
                        err);
    }
    if (rc == 0 && r->network)
        r->sole = leads_outside(networks, r->network);
    return rc;
}

/* The first IPv4 address of a name as this machine sees it, or NULL: it may
 * still be one that the container's DNS knows. Owned. */
static char *resolve(const char *host)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    char text[INET_ADDRSTRLEN];
    struct addrinfo *list = NULL;
    char *address = NULL;

    if (getaddrinfo(host, NULL, &hints, &list) == 0 && list &&
        getnameinfo(list->ai_addr, list->ai_addrlen, text, sizeof(text), NULL,
                    0, NI_NUMERICHOST) == 0)
        address = strdup(text);
    if (list)
        freeaddrinfo(list);
    return address;
}

int reach_find(struct reach *r, struct engine *e, const char *what,
               const char *host, unsigned short port, struct tp_error *err)
{
    cleanup_json struct json_object *containers = NULL, *networks = NULL;
    cleanup_free char *address = resolve(host);
    struct reach_target target = {what, host, address, port};
    int rc;

    memset(r, 0, sizeof(*r));
    rc = engine_container_list(e, NULL, false, &containers, err);
    if (rc == 0)
        rc = engine_network_list(e, &networks, err);
    if (rc == 0)
        rc = reach_choose(r, containers, networks, &target, err);
    return rc;
}

static void add_subnet(struct json_object *out, const char *text)
{
    for (size_t i = 0; i < json_array_len(out); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(out, i)),
                    text))
            return;
    }
    json_object_array_add(out, json_object_new_string(text));
}

static void add_engine_subnets(struct json_object *out,
                               struct json_object *networks)
{
    for (size_t i = 0; i < json_array_len(networks); i++) {
        struct json_object *pools = json_get_array(
            json_object_array_get_idx(networks, i), "IPAM.Config");

        for (size_t j = 0; j < json_array_len(pools); j++) {
            const char *text =
                json_get_str(json_object_array_get_idx(pools, j), "Subnet", "");
            struct subnet net;

            if (subnet_parse(&net, text) == 0)
                add_subnet(out, text);
        }
    }
}

static void add_interface(struct json_object *out, const struct ifaddrs *ifa)
{
    struct subnet net;
    char text[SUBNET_TEXT];

    if (subnet_from_mask(&net, ifa->ifa_addr, ifa->ifa_netmask) < 0 ||
        net.prefix == 0 || subnet_is_link_local(&net))
        return;
    add_subnet(out, subnet_format(&net, text));
}

static void add_host_subnets(struct json_object *out)
{
    struct ifaddrs *list;

    if (getifaddrs(&list) < 0)
        return;
    for (const struct ifaddrs *ifa = list; ifa; ifa = ifa->ifa_next) {
        if (!ifa->ifa_addr || !ifa->ifa_netmask ||
            (ifa->ifa_flags & IFF_LOOPBACK) || !(ifa->ifa_flags & IFF_UP))
            continue;
        add_interface(out, ifa);
    }
    freeifaddrs(list);
}

int reach_host_subnets(struct engine *e, struct json_object **out,
                       struct tp_error *err)
{
    cleanup_json struct json_object *networks = NULL;
    int rc = engine_network_list(e, &networks, err);

    *out = NULL;
    if (rc < 0)
        return rc;
    *out = json_object_new_array();
    add_engine_subnets(*out, networks);
    add_host_subnets(*out);
    host_routes_add(*out);
    return 0;
}
