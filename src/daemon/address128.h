/*
 * address128.h - addresses of both families as numbers
 *
 * IPv4 and IPv6 are both computed with as 128-bit numbers; `width` is the bytes
 * of an address, 4 or 16.
 */
#ifndef TP_DAEMON_ADDRESS128_H
#define TP_DAEMON_ADDRESS128_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/sockaddr.h"

typedef unsigned __int128 u128;

static inline size_t address_width(int family)
{
    return family == AF_INET6 ? 16 : 4;
}

static inline u128 address_load(const uint8_t *bytes, size_t width)
{
    u128 value = 0;

    for (size_t i = 0; i < width; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* Writes all 16 bytes, those behind the address zero. */
static inline void address_store(uint8_t *bytes, size_t width, u128 value)
{
    memset(bytes, 0, 16);
    for (size_t i = width; i > 0; i--) {
        bytes[i - 1] = (uint8_t)value;
        value >>= 8;
    }
}

static inline u128 address_last(size_t width)
{
    return width == 16 ? ~(u128)0 : 0xffffffffu;
}

/* The bits that tell a subnet's addresses apart, all set. */
static inline u128 address_host_mask(size_t width, unsigned prefix)
{
    unsigned host = (unsigned)width * 8 - prefix;

    return host ? address_last(width) >> prefix : 0;
}

static inline u128 subnet_first(const struct subnet *net)
{
    return address_load(net->addr, address_width(net->family));
}

static inline u128 subnet_last(const struct subnet *net)
{
    return subnet_first(net) |
           address_host_mask(address_width(net->family), net->prefix);
}

#endif
