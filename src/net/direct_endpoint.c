#include "net/direct_endpoint.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/sockaddr.h"

static bool is_reserved4(const uint8_t a[4])
{
    return a[0] == 0 || a[0] == 127 || (a[0] == 169 && a[1] == 254) ||
           a[0] >> 4 == 0xe || !memcmp(a, "\xff\xff\xff\xff", 4);
}

static bool is_reserved(const union sockaddr_any *addr)
{
    const struct in6_addr *six = &addr->in6.sin6_addr;

    if (addr->sa.sa_family == AF_INET)
        return is_reserved4(sockaddr_bytes(addr));
    return IN6_IS_ADDR_LOOPBACK(six) || IN6_IS_ADDR_UNSPECIFIED(six) ||
           IN6_IS_ADDR_LINKLOCAL(six) || IN6_IS_ADDR_MULTICAST(six);
}

/* RFC 6761 6.3 */
static bool is_localhost(const char *host)
{
    size_t len = strlen(host), want = strlen("localhost");

    while (len > 0 && host[len - 1] == '.')
        len--;
    return len >= want && !strncasecmp(host + len - want, "localhost", want) &&
           (len == want || host[len - want - 1] == '.');
}

static bool is_name(const char *host)
{
    return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789.-_") == strlen(host);
}

int direct_endpoint_parse(struct direct_endpoint *out, const char *text,
                          struct tp_error *err)
{
    union sockaddr_any addr;

    memset(out, 0, sizeof(*out));
    if (sockaddr_split_hostport(text, out->host, sizeof(out->host),
                                &out->port) < 0 ||
        out->port == 0)
        return tp_error_set(err, -EINVAL, "%.100s is no endpoint (HOST:PORT)",
                            text);
    if (sockaddr_parse(&addr, out->host, out->port) == 0) {
        sockaddr_unmap(&addr);
        if (is_reserved(&addr))
            return tp_error_set(err, -EINVAL,
                                "%.100s is no address of a cluster", text);
        return 0;
    }
    if (!is_name(out->host) || is_localhost(out->host))
        return tp_error_set(err, -EINVAL, "%.100s is no host of a cluster",
                            text);
    return 0;
}
