/*
 * sockaddr.h - addresses, ports and subnets as values
 *
 * `union sockaddr_any` holds an IPv4 or IPv6 socket address without casts;
 * `struct subnet` a CIDR. IPv4-mapped IPv6 addresses are turned into IPv4 by
 * sockaddr_unmap(), which policy checks must call first.
 */
#ifndef TP_BASE_SOCKADDR_H
#define TP_BASE_SOCKADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>
#include <sys/socket.h>

union sockaddr_any {
    struct sockaddr sa;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

struct subnet {
    int family;       /* AF_INET, AF_INET6 */
    unsigned prefix;  /* bits */
    uint8_t addr[16]; /* network order, 4 or 16 bytes, host bits zero */
};

/* Longest text: "[" IPv6 "]:65535" and the NUL. */
#define SOCKADDR_TEXT 64
#define SUBNET_TEXT   64

/* An IP literal ("10.0.0.1", "fd00::1", without brackets) and a port in host
 * order. Returns 0 or -EINVAL. */
int sockaddr_parse(union sockaddr_any *addr, const char *ip, uint16_t port);

/* "10.0.0.1:80" or "[fd00::1]:80". Returns 0 or -EINVAL. */
int sockaddr_parse_hostport(union sockaddr_any *addr, const char *text);
/* "HOST:PORT", a HOST with colons in brackets, which are left out. Whether it
 * is a name or an address is not looked at. 0, or -EINVAL: malformed, or longer
 * than size with its NUL. */
int sockaddr_split_hostport(const char *text, char *host, size_t size,
                            uint16_t *port);

/* Writes "ip:port" resp. "[ip]:port"; returns text. */
const char *sockaddr_format(const union sockaddr_any *addr,
                            char text[SOCKADDR_TEXT]);
/* Only the address. */
const char *sockaddr_format_ip(const union sockaddr_any *addr,
                               char text[SOCKADDR_TEXT]);

uint16_t sockaddr_port(const union sockaddr_any *addr);
void sockaddr_set_port(union sockaddr_any *addr, uint16_t port);
socklen_t sockaddr_len(const union sockaddr_any *addr);
bool sockaddr_equal(const union sockaddr_any *a, const union sockaddr_any *b);
/* 127.0.0.0/8 and ::1; unmap it first. */
bool sockaddr_is_loopback(const union sockaddr_any *addr);

/* The address in network order, of sockaddr_width() bytes: 16, or 4 of what is
 * not IPv6. */
const uint8_t *sockaddr_bytes(const union sockaddr_any *addr);
size_t sockaddr_width(const union sockaddr_any *addr);
/* Another address of addr's family; the port stays. */
void sockaddr_set_bytes(union sockaddr_any *addr, const void *bytes);
/* AF_INET or AF_INET6, port 0. */
void sockaddr_from_bytes(union sockaddr_any *addr, int family,
                         const void *bytes);

/* ::ffff:a.b.c.d becomes a.b.c.d; everything else stays. */
void sockaddr_unmap(union sockaddr_any *addr);

/* "10.43.0.0/16"; a bare address is /32 or /128; host bits must be zero.
 * Returns 0 or -EINVAL. */
int subnet_parse(struct subnet *net, const char *text);
/* The subnet that an interface's address and netmask are of. Returns 0, or
 * -EINVAL for other families than IPv4 and IPv6. */
int subnet_from_mask(struct subnet *net, const struct sockaddr *addr,
                     const struct sockaddr *mask);
/* In fe80::/10, which each link has. */
bool subnet_is_link_local(const struct subnet *net);
const char *subnet_format(const struct subnet *net, char text[SUBNET_TEXT]);
bool subnet_contains(const struct subnet *net, const union sockaddr_any *addr);
/* True if they share an address. */
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

#endif
