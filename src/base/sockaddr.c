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

int sockaddr_parse_hostport(union sockaddr_any *addr, const char *text)
{
    char host[SOCKADDR_TEXT];
    const char *colon = strrchr(text, ':');
    size_t len;
    unsigned port;

    if (!colon || parse_number(colon + 1, 65535, &port) < 0)
        return -EINVAL;
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return -EINVAL;
    }
    if (len == 0 || len >= sizeof(host))
        return -EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    return sockaddr_parse(addr, host, (uint16_t)port);
}

const char *sockaddr_format_ip(const union sockaddr_any *addr,
                               char text[SOCKADDR_TEXT])
{
    const void *ip = addr->sa.sa_family == AF_INET6
                         ? (const void *)&addr->in6.sin6_addr
                         : (const void *)&addr->in4.sin_addr;

    if (!inet_ntop(addr->sa.sa_family, ip, text, SOCKADDR_TEXT))
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

static const uint8_t *ip_bytes(const union sockaddr_any *addr)
{
    return addr->sa.sa_family == AF_INET6
               ? (const uint8_t *)&addr->in6.sin6_addr
               : (const uint8_t *)&addr->in4.sin_addr;
}

bool sockaddr_equal(const union sockaddr_any *a, const union sockaddr_any *b)
{
    size_t len = a->sa.sa_family == AF_INET6 ? 16 : 4;

    return a->sa.sa_family == b->sa.sa_family &&
           sockaddr_port(a) == sockaddr_port(b) &&
           !memcmp(ip_bytes(a), ip_bytes(b), len);
}

void sockaddr_unmap(union sockaddr_any *addr)
{
    struct in_addr ip;
    uint16_t port;

    if (addr->sa.sa_family != AF_INET6 ||
        !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
        return;
    memcpy(&ip, (const uint8_t *)&addr->in6.sin6_addr + 12, sizeof(ip));
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
    memcpy(net->addr, ip_bytes(&addr), bits / 8);
    for (unsigned i = net->prefix; i < bits; i++) {
        if (net->addr[i / 8] & (0x80 >> (i % 8)))
            return -EINVAL;
    }
    return 0;
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
           same_prefix(net->addr, ip_bytes(addr), net->prefix);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
    unsigned bits = a->prefix < b->prefix ? a->prefix : b->prefix;

    return a->family == b->family && same_prefix(a->addr, b->addr, bits);
}

bool sockaddr_is_loopback(const union sockaddr_any *addr)
{
    if (addr->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&addr->in6.sin6_addr);
    return addr->sa.sa_family == AF_INET &&
           ntohl(addr->in4.sin_addr.s_addr) >> 24 == 127;
}
