#include "net/route_never.h"

#include <stddef.h>

static const struct {
    const char *net;
    const char *what;
} never[] = {
    {"127.0.0.0/8", "the loopback network"},
    {"::1/128", "the loopback address"},
    {"169.254.0.0/16", "the link-local network"},
    {"fe80::/10", "the link-local network"},
    {"224.0.0.0/4", "multicast"},
    {"ff00::/8", "multicast"},
    {"0.0.0.0/8", "the unspecified network"},
    {"::/128", "the unspecified address"},
    {"255.255.255.255/32", "the broadcast address"},
    {"::ffff:0:0/96", "IPv4-mapped addresses"},
};

const char *route_never_overlaps(const struct subnet *net)
{
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
        struct subnet bad;

        if (subnet_parse(&bad, never[i].net) < 0 || subnet_overlaps(&bad, net))
            return never[i].what;
    }
    return NULL;
}

bool route_never_contains(const union sockaddr_any *addr)
{
    for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
        struct subnet bad;

        if (subnet_parse(&bad, never[i].net) < 0 || subnet_contains(&bad, addr))
            return true;
    }
    return false;
}
