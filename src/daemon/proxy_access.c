#include "daemon/proxy_access.h"

#include <inttypes.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/encoding.h"
#include "daemon/proxy_request.h"
#include "net/route_never.h"

/* A line of proc_net_route: interface, destination, gateway and so on. The
 * numbers are those of the address in memory. */
static bool is_gateway(FILE *f, in_addr_t addr)
{
    char line[256];

    while (fgets(line, sizeof(line), f)) {
        uint32_t destination, gateway;
        unsigned flags;

        if (sscanf(line, "%*s %" SCNx32 " %" SCNx32 " %x", &destination,
                   &gateway, &flags) == 3 &&
            flags & RTF_GATEWAY && flags & RTF_UP && gateway == addr)
            return true;
    }
    return false;
}

/* A line of ipv6_route: destination, its bits, source, its bits, next hop,
 * metric, two counters, flags, interface. */
static bool is_gateway6(FILE *f, const struct in6_addr *addr)
{
    char line[256], want[33], hop[33];

    for (size_t i = 0; i < 16; i++)
        snprintf(want + 2 * i, 3, "%02x", addr->s6_addr[i]);
    while (fgets(line, sizeof(line), f)) {
        unsigned flags;

        if (sscanf(line, "%*s %*s %*s %*s %32s %*s %*s %*s %x", hop, &flags) ==
                2 &&
            flags & RTF_GATEWAY && flags & RTF_UP && !strcasecmp(hop, want))
            return true;
    }
    return false;
}

bool proxy_peer_is_local(const union sockaddr_any *peer, const char *routes,
                         const char *routes6)
{
    const bool is_v6 = peer->sa.sa_family == AF_INET6;
    cleanup_file FILE *f = NULL;

    if (sockaddr_is_loopback(peer))
        return true;
    if (!is_v6 && peer->sa.sa_family != AF_INET)
        return false;
    f = fopen(is_v6 ? routes6 : routes, "re");
    if (!f)
        return false;
    return is_v6 ? is_gateway6(f, &peer->in6.sin6_addr)
                 : is_gateway(f, peer->in4.sin_addr.s_addr);
}

/* The kernel would send from the address itself: asked without a packet. */
static bool is_own(const union sockaddr_any *addr)
{
    union sockaddr_any to = *addr, from = {0};
    socklen_t len = sizeof(from);
    cleanup_close int fd =
        socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    sockaddr_set_port(&to, 9);
    if (fd < 0 || connect(fd, &to.sa, sockaddr_len(&to)) < 0 ||
        getsockname(fd, &from.sa, &len) < 0)
        return false;
    sockaddr_set_port(&from, 9);
    return sockaddr_equal(&from, &to);
}

bool proxy_address_is_never(const union sockaddr_any *addr)
{
    return route_never_contains(addr) || is_own(addr);
}

bool proxy_host_is_ours(const char *host, const char *own, uint16_t port)
{
    uint16_t given = 80;
    char name[256];

    if (!host || proxy_authority_parse(host, strlen(host), name, &given) < 0 ||
        given != port)
        return false;
    return !strcmp(name, "127.0.0.1") || !strcasecmp(name, "localhost") ||
           !strcmp(name, "::1") || (own && !strcasecmp(name, own));
}

static bool is_same(const char *a, const char *b)
{
    size_t len = strlen(a);

    return strlen(b) == len && CRYPTO_memcmp(a, b, len) == 0;
}

bool proxy_password_is_right(const char *user, const char *given,
                             const char *password)
{
    return !strcmp(user, PROXY_USER) && is_same(given, password);
}

bool proxy_authorization_is_right(const char *value, const char *password)
{
    cleanup_secret char *text = NULL;
    char *colon;

    if (!value || strncasecmp(value, "Basic ", 6) != 0)
        return false;
    text = base64_decode_text(value + 6);
    colon = text ? strchr(text, ':') : NULL;
    if (!colon)
        return false;
    *colon = '\0';
    return proxy_password_is_right(text, colon + 1, password);
}
