#include "daemon/direct_endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/sockaddr.h"

static bool is_reserved4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 127 || a >> 16 == 0xa9fe ||
           a >> 28 == 0xe || a == 0xffffffff;
}

static bool is_reserved(const union sockaddr_any *addr)
{
    const struct in6_addr *six = &addr->in6.sin6_addr;

    if (addr->sa.sa_family == AF_INET)
        return is_reserved4(ntohl(addr->in4.sin_addr.s_addr));
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

/* Takes the text apart; 0 or -EINVAL. */
static int split(struct direct_endpoint *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    unsigned long port;
    char *end;

    if (len == 0 || colon[1] < '0' || colon[1] > '9')
        return -EINVAL;
    port = strtoul(colon + 1, &end, 10);
    if (*end || port < 1 || port > 65535)
        return -EINVAL;
    if (*text == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return -EINVAL;
    }
    if (len == 0 || len >= sizeof(out->host))
        return -EINVAL;
    memcpy(out->host, text, len);
    out->host[len] = '\0';
    out->port = (uint16_t)port;
    return 0;
}

int direct_endpoint_parse(struct direct_endpoint *out, const char *text,
                          struct tp_error *err)
{
    union sockaddr_any addr;

    memset(out, 0, sizeof(*out));
    if (split(out, text) < 0)
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
