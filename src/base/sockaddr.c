#include "base/sockaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sockaddr_parse(union sockaddr_any *addr, const char *ip, uint16_t port)
{
    memset(addr, 0, sizeof(*addr));
    if (inet_pton(AF_INET, ip, &addr->in4.sin_addr) == 1)
        addr->sa.sa_family = AF_INET;
    else if (inet_pton(AF_INET6, ip, &addr->in6.sin6_addr) == 1)
        addr->sa.sa_family = AF_INET6;
    else
        return -EINVAL;
    sockaddr_set_port(addr, port);
    return 0;
}

static int parse_number(const char *text, unsigned long max, unsigned *out)
{
    char *end;
    unsigned long value;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || *end || value > max)
        return -EINVAL;
    *out = (unsigned)value;
    return 0;
}

int sockaddr_split_hostport(const char *text, char *host, size_t size,
                            uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t len;
    unsigned number;

    if (!colon || parse_number(colon + 1, 65535, &number) < 0)
        return -EINVAL;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return -EINVAL;
    }
    if (len == 0 || len >= size)
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = (uint16_t)number;
    return 0;
}

int sockaddr_parse_hostport(union sockaddr_any *addr, const char *text)
{
    char host[SOCKADDR_TEXT];
    uint16_t port;

    if (sockaddr_split_hostport(text, host, sizeof(host), &port) < 0)
        return -EINVAL;
    return sockaddr_parse(addr, host, port);
}

const char *sockaddr_format_ip(const union sockaddr_any *addr,
                               char text[SOCKADDR_TEXT])
{
    if (!inet_ntop(addr->sa.sa_family, sockaddr_bytes(addr), text,
                   SOCKADDR_TEXT))
        snprintf(text, SOCKADDR_TEXT, "?");
    return text;
}

const char *sockaddr_format(const union sockaddr_any *addr,
                            char text[SOCKADDR_TEXT])
{
    char ip[SOCKADDR_TEXT];

    sockaddr_format_ip(addr, ip);
    snprintf(text, SOCKADDR_TEXT,
             addr->sa.sa_family == AF_INET6 ? "[%.46s]:%u" : "%.46s:%u", ip,
             (unsigned)sockaddr_port(addr));
    return text;
}

uint16_t sockaddr_port(const union sockaddr_any *addr)
{
    return ntohs(addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_port
                                                : addr->in4.sin_port);
}

void sockaddr_set_port(union sockaddr_any *addr, uint16_t port)
{
    if (addr->sa.sa_family == AF_INET6)
        addr->in6.sin6_port = htons(port);
    else
        addr->in4.sin_port = htons(port);
}

socklen_t sockaddr_len(const union sockaddr_any *addr)
{
    return addr->sa.sa_family == AF_INET6 ? sizeof(addr->in6)
                                          : sizeof(addr->in4);
}

const uint8_t *sockaddr_bytes(const union sockaddr_any *addr)
{
    return addr->sa.sa_family == AF_INET6
               ? (const uint8_t *)&addr->in6.sin6_addr
               : (const uint8_t *)&addr->in4.sin_addr;
}

size_t sockaddr_width(const union sockaddr_any *addr)
{
    return addr->sa.sa_family == AF_INET6 ? 16 : 4;
}

void sockaddr_set_bytes(union sockaddr_any *addr, const void *bytes)
{
    if (addr->sa.sa_family == AF_INET6)
        memcpy(&addr->in6.sin6_addr, bytes, 16);
    else
        memcpy(&addr->in4.sin_addr, bytes, 4);
}

void sockaddr_from_bytes(union sockaddr_any *addr, int family,
                         const void *bytes)
{
    memset(addr, 0, sizeof(*addr));
    addr->sa.sa_family = (sa_family_t)family;
    sockaddr_set_bytes(addr, bytes);
}

bool sockaddr_is_loopback(const union sockaddr_any *addr)
{
    if (addr->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
    return addr->sa.sa_family == AF_INET && sockaddr_bytes(addr)[0] == 127;
}

bool sockaddr_equal(const union sockaddr_any *a, const union sockaddr_any *b)
{
    return a->sa.sa_family == b->sa.sa_family &&
           sockaddr_port(a) == sockaddr_port(b) &&
           !memcmp(sockaddr_bytes(a), sockaddr_bytes(b), sockaddr_width(a));
}

void sockaddr_unmap(union sockaddr_any *addr)
{
    struct in_addr ip;
    uint16_t port;

    if (addr->sa.sa_family != AF_INET6 ||
        !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
        return;
    memcpy(&ip, sockaddr_bytes(addr) + 12, sizeof(ip));
    port = addr->in6.sin6_port;
    memset(addr, 0, sizeof(*addr));
    addr->in4.sin_family = AF_INET;
    addr->in4.sin_addr = ip;
    addr->in4.sin_port = port;
}

/* True if the first `bits` bits are the same. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    if (!rest)
        return true;
    return ((a[bits / 8] ^ b[bits / 8]) & (uint8_t)(0xff00 >> rest)) == 0;
}

int subnet_parse(struct subnet *net, const char *text)
{
    char ip[SUBNET_TEXT];
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    union sockaddr_any addr;
    unsigned bits;

    if (len == 0 || len >= sizeof(ip))
        return -EINVAL;
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (sockaddr_parse(&addr, ip, 0) < 0)
        return -EINVAL;
    memset(net, 0, sizeof(*net));
    net->family = addr.sa.sa_family;
    bits = net->family == AF_INET6 ? 128 : 32;
    net->prefix = bits;
    if (slash && parse_number(slash + 1, bits, &net->prefix) < 0)
        return -EINVAL;
    memcpy(net->addr, sockaddr_bytes(&addr), bits / 8);
    for (unsigned i = net->prefix; i < bits; i++) {
        if (net->addr[i / 8] & (0x80 >> (i % 8)))
            return -EINVAL;
    }
    return 0;
}

/* Not by sockaddr_any: getifaddrs() aligns them less. */
static const uint8_t *raw_bytes(const void *addr, int family)
{
    return family == AF_INET6
               ? ((const struct sockaddr_in6 *)addr)->sin6_addr.s6_addr
               : (const uint8_t *)&((const struct sockaddr_in *)addr)->sin_addr;
}

int subnet_from_mask(struct subnet *net, const struct sockaddr *addr,
                     const struct sockaddr *mask)
{
    const uint8_t *a = raw_bytes(addr, addr->sa_family);
    const uint8_t *m = raw_bytes(mask, addr->sa_family);
    unsigned bytes = addr->sa_family == AF_INET6 ? 16 : 4;

    memset(net, 0, sizeof(*net));
    net->family = addr->sa_family;
    if (net->family != AF_INET && net->family != AF_INET6)
        return -EINVAL;
    for (unsigned i = 0; i < bytes; i++) {
        net->addr[i] = a[i] & m[i];
        net->prefix += (unsigned)__builtin_popcount(m[i]);
    }
    return 0;
}

bool subnet_is_link_local(const struct subnet *net)
{
    return net->family == AF_INET6 && net->prefix >= 10 &&
           net->addr[0] == 0xfe && (net->addr[1] & 0xc0) == 0x80;
}

const char *subnet_format(const struct subnet *net, char text[SUBNET_TEXT])
{
    char ip[INET6_ADDRSTRLEN];

    if (!inet_ntop(net->family, net->addr, ip, sizeof(ip)))
        snprintf(ip, sizeof(ip), "?");
    snprintf(text, SUBNET_TEXT, "%s/%u", ip, net->prefix);
    return text;
}

bool subnet_contains(const struct subnet *net, const union sockaddr_any *addr)
{
    return net->family == addr->sa.sa_family &&
           same_prefix(net->addr, sockaddr_bytes(addr), net->prefix);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
    unsigned bits = a->prefix < b->prefix ? a->prefix : b->prefix;

    return a->family == b->family && same_prefix(a->addr, b->addr, bits);
}
