/* dns_reverse.c - addresses as names (RFC 1035 3.5, RFC 3596 2.5) */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dns_zone.h"

/* The label before *end, as a number of at most max; moves *end before it.
 * -1 if it is none or has leading zeros. */
static int reverse_label(const char *name, const char **end, int base, int max)
{
    const char *start = *end;
    char *stop;
    long value;

    while (start > name && start[-1] != '.')
        start--;
    if (start == *end || *end - start > 3 || !isxdigit((unsigned char)*start) ||
        (*start == '0' && *end - start > 1))
        return -1;
    value = strtol(start, &stop, base);
    if (stop != *end || value > max)
        return -1;
    *end = start > name ? start - 1 : start;
    return (int)value;
}

int dns_reverse_parse(struct subnet *net, const char *name)
{
    bool v6 = dns_name_in(name, "ip6.arpa");
    size_t tail = v6 ? strlen("ip6.arpa") : strlen("in-addr.arpa");
    unsigned step = v6 ? 4 : 8, bits = v6 ? 128 : 32;
    const char *end;

    if ((!v6 && !dns_name_in(name, "in-addr.arpa")) || strlen(name) == tail)
        return -EINVAL;
    memset(net, 0, sizeof(*net));
    net->family = v6 ? AF_INET6 : AF_INET;
    end = name + strlen(name) - tail - 1;
    while (end > name) {
        int value = reverse_label(name, &end, v6 ? 16 : 10, v6 ? 15 : 255);

        if (value < 0 || net->prefix + step > bits)
            return -EINVAL;
        net->addr[net->prefix / 8] |=
            (uint8_t)(v6 && net->prefix % 8 == 0 ? value << 4 : value);
        net->prefix += step;
    }
    return 0;
}

void dns_reverse_format(const union sockaddr_any *addr,
                        char name[DNS_REVERSE_TEXT])
{
    const uint8_t *ip = sockaddr_bytes(addr);
    size_t n = 0;

    if (addr->sa.sa_family != AF_INET6) {
        snprintf(name, DNS_REVERSE_TEXT, "%u.%u.%u.%u.in-addr.arpa", ip[3],
                 ip[2], ip[1], ip[0]);
        return;
    }
    for (size_t i = 16; i > 0; i--) {
        name[n++] = "0123456789abcdef"[ip[i - 1] & 15];
        name[n++] = '.';
        name[n++] = "0123456789abcdef"[ip[i - 1] >> 4];
        name[n++] = '.';
    }
    snprintf(name + n, DNS_REVERSE_TEXT - n, "ip6.arpa");
}

bool dns_reverse_address(union sockaddr_any *addr, const char *name)
{
    struct subnet net;

    if (dns_reverse_parse(&net, name) < 0)
        return false;
    sockaddr_from_bytes(addr, net.family, net.addr);
    return net.prefix == 8 * sockaddr_width(addr);
}
