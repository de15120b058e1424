#include "daemon/packet.h"

#include <errno.h>
#include <string.h>

#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>

#define MAX_EXTENSIONS 8

/* Ports, sequence number and flags; the rest of the header is not needed. */
#define TCP_NEEDED 14

static int parse_tcp(const uint8_t *p, size_t len, struct packet_syn *syn)
{
    const uint8_t first = TH_SYN, mask = TH_FIN | TH_SYN | TH_RST | TH_ACK;

    if (len < TCP_NEEDED || (p[13] & mask) != first)
        return -EINVAL;
    sockaddr_set_port(&syn->src, (uint16_t)(p[0] << 8 | p[1]));
    sockaddr_set_port(&syn->dst, (uint16_t)(p[2] << 8 | p[3]));
    syn->seq = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 |
               (uint32_t)p[6] << 8 | p[7];
    return 0;
}

static int parse_v4(const uint8_t *p, size_t len, struct packet_syn *syn)
{
    const uint16_t fragment = 0x3fff; /* more fragments, offset */
    size_t head;

    if (len < sizeof(struct iphdr))
        return -EINVAL;
    head = (size_t)(p[0] & 0x0f) * 4;
    if (head < sizeof(struct iphdr) || len < head || p[9] != IPPROTO_TCP ||
        ((p[6] << 8 | p[7]) & fragment))
        return -EINVAL;
    sockaddr_from_bytes(&syn->src, AF_INET, p + 12);
    sockaddr_from_bytes(&syn->dst, AF_INET, p + 16);
    return parse_tcp(p + head, len - head, syn);
}

static int parse_v6(const uint8_t *p, size_t len, struct packet_syn *syn)
{
    size_t at = sizeof(struct ip6_hdr);
    uint8_t next;

    if (len < at)
        return -EINVAL;
    next = p[6];
    for (int i = 0; next != IPPROTO_TCP; i++) {
        if (i == MAX_EXTENSIONS || len - at < 8 ||
            (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
             next != IPPROTO_DSTOPTS))
            return -EINVAL;
        next = p[at];
        at += ((size_t)p[at + 1] + 1) * 8;
        if (at > len)
            return -EINVAL;
    }
    sockaddr_from_bytes(&syn->src, AF_INET6, p + 8);
    sockaddr_from_bytes(&syn->dst, AF_INET6, p + 24);
    return parse_tcp(p + at, len - at, syn);
}

int packet_parse_syn(const void *data, size_t len, struct packet_syn *syn)
{
    const uint8_t *p = data;

    memset(syn, 0, sizeof(*syn));
    if (len == 0)
        return -EINVAL;
    if (p[0] >> 4 == 4)
        return parse_v4(p, len, syn);
    if (p[0] >> 4 == 6)
        return parse_v6(p, len, syn);
    return -EINVAL;
}
