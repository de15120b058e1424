#include "net/socks5.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define RSV_FRAG_LEN     3 /* before the address of a request, a datagram */
#define PASSWORD_VERSION 1

enum atyp { ATYP_IPV4 = 1, ATYP_NAME = 3, ATYP_IPV6 = 4 };

int socks5_parse_greeting(const void *data, size_t len, bool *none,
                          bool *password)
{
    const uint8_t *p = data;
    size_t n;

    if (len > 0 && p[0] != SOCKS5_VERSION)
        return -EBADMSG;
    if (len < 2)
        return 0;
    n = p[1];
    if (n == 0)
        return -EBADMSG;
    if (len < 2 + n)
        return 0;
    *none = memchr(p + 2, SOCKS5_METHOD_NONE, n) != NULL;
    *password = memchr(p + 2, SOCKS5_METHOD_PASSWORD, n) != NULL;
    return (int)(2 + n);
}

/* One length byte and as many bytes without a NUL. As the parsers do. */
static int parse_text(const uint8_t *p, size_t len, char text[SOCKS5_TEXT])
{
    size_t n;

    if (len < 1)
        return 0;
    n = p[0];
    if (len < 1 + n)
        return 0;
    if (memchr(p + 1, '\0', n))
        return -EBADMSG;
    memcpy(text, p + 1, n);
    text[n] = '\0';
    return (int)(1 + n);
}

int socks5_parse_password(const void *data, size_t len, char user[SOCKS5_TEXT],
                          char password[SOCKS5_TEXT])
{
    const uint8_t *p = data;
    int first, second;

    if (len < 1)
        return 0;
    if (p[0] != PASSWORD_VERSION)
        return -EBADMSG;
    first = parse_text(p + 1, len - 1, user);
    if (first <= 0)
        return first;
    second = parse_text(p + 1 + first, len - 1 - (size_t)first, password);
    return second <= 0 ? second : 1 + first + second;
}

/* ATYP, address and port. */
static int parse_address(const uint8_t *p, size_t len, struct socks5_target *t)
{
    size_t used;
    int n;

    if (len < 1)
        return 0;
    switch (p[0]) {
    case ATYP_IPV4:
    case ATYP_IPV6:
        used = p[0] == ATYP_IPV4 ? 5 : 17;
        if (len < used + 2)
            return 0;
        inet_ntop(p[0] == ATYP_IPV4 ? AF_INET : AF_INET6, p + 1, t->host,
                  sizeof(t->host));
        break;
    case ATYP_NAME:
        n = parse_text(p + 1, len - 1, t->host);
        if (n <= 0)
            return n;
        if (n == 1)
            return -EBADMSG;
        used = 1 + (size_t)n;
        if (len < used + 2)
            return 0;
        break;
    default:
        return -EAFNOSUPPORT;
    }
    t->port = (uint16_t)(p[used] << 8 | p[used + 1]);
    return (int)used + 2;
}

int socks5_parse_request(const void *data, size_t len,
                         struct socks5_target *target)
{
    const uint8_t *p = data;
    int n;

    memset(target, 0, sizeof(*target));
    if (len > 0 && p[0] != SOCKS5_VERSION)
        return -EBADMSG;
    if (len < RSV_FRAG_LEN)
        return 0;
    if (p[2] != 0)
        return -EBADMSG;
    target->command = p[1];
    n = parse_address(p + RSV_FRAG_LEN, len - RSV_FRAG_LEN, target);
    return n <= 0 ? n : RSV_FRAG_LEN + n;
}

int socks5_parse_datagram(const void *data, size_t len,
                          struct socks5_target *target)
{
    const uint8_t *p = data;
    int n;

    memset(target, 0, sizeof(*target));
    if (len < RSV_FRAG_LEN || p[0] != 0 || p[1] != 0)
        return -EBADMSG;
    if (p[2] != 0)
        return -EOPNOTSUPP;
    n = parse_address(p + RSV_FRAG_LEN, len - RSV_FRAG_LEN, target);
    if (n <= 0)
        return n < 0 ? n : -EBADMSG;
    return RSV_FRAG_LEN + n;
}

/* Behind the three bytes that are there already. */
static size_t put_address(uint8_t out[SOCKS5_HEAD_MAX],
                          const union sockaddr_any *addr)
{
    size_t size = addr ? sockaddr_width(addr) : 4;
    uint16_t port = addr ? sockaddr_port(addr) : 0;
    uint8_t *p = out + RSV_FRAG_LEN;

    *p++ = size == 16 ? ATYP_IPV6 : ATYP_IPV4;
    if (addr)
        memcpy(p, sockaddr_bytes(addr), size);
    else
        memset(p, 0, size);
    p += size;
    *p++ = (uint8_t)(port >> 8);
    *p++ = (uint8_t)port;
    return (size_t)(p - out);
}

size_t socks5_put_reply(uint8_t out[SOCKS5_HEAD_MAX], enum socks5_reply reply,
                        const union sockaddr_any *addr)
{
    out[0] = SOCKS5_VERSION;
    out[1] = (uint8_t)reply;
    out[2] = 0;
    return put_address(out, addr);
}

size_t socks5_put_datagram(uint8_t out[SOCKS5_HEAD_MAX],
                           const union sockaddr_any *addr)
{
    memset(out, 0, RSV_FRAG_LEN);
    return put_address(out, addr);
}

enum socks5_reply socks5_reply_of(int error)
{
    switch (error) {
    case 0:
        return SOCKS5_SUCCEEDED;
    case -EACCES:
        return SOCKS5_NOT_ALLOWED;
    case -ENETUNREACH:
        return SOCKS5_NET_UNREACHABLE;
    case -ENOENT:
    case -EHOSTUNREACH:
        return SOCKS5_HOST_UNREACHABLE;
    case -ECONNREFUSED:
        return SOCKS5_REFUSED;
    case -ETIMEDOUT:
        return SOCKS5_TTL_EXPIRED;
    default:
        return SOCKS5_FAILED;
    }
}
