/* proxy_socks.c - the server's side of SOCKS 5 (RFC 1928, RFC 1929) */
#include <errno.h>
#include <string.h>

#include "daemon/proxy_access.h"
#include "daemon/proxy_internal.h"
#include "net/socks5.h"

static int say(struct proxy_conn *c, uint8_t first, uint8_t second)
{
    const uint8_t text[2] = {first, second};

    return proxy_conn_say(c, text, sizeof(text));
}

static int reply(struct proxy_conn *c, enum socks5_reply reply,
                 const union sockaddr_any *addr)
{
    uint8_t text[SOCKS5_HEAD_MAX];

    return proxy_conn_say(c, text, socks5_put_reply(text, reply, addr));
}

void proxy_socks_failed(struct proxy_conn *c, int status)
{
    if (reply(c, socks5_reply_of(status), NULL) == 0)
        proxy_conn_end(c);
}

int proxy_socks_connected(struct proxy_conn *c, int fd)
{
    union sockaddr_any own = {0};
    socklen_t len = sizeof(own);

    (void)getsockname(fd, &own.sa, &len);
    return reply(c, SOCKS5_SUCCEEDED, &own);
}

static int refuse(struct proxy_conn *c, enum socks5_reply why)
{
    if (reply(c, why, NULL) == 0)
        proxy_conn_end(c);
    return 0;
}

static int take_methods(struct proxy_conn *c)
{
    const bool asks = c->p->password && !c->trusted;
    bool none = false, password = false;
    int n = socks5_parse_greeting(buf_head(&c->in), buf_used(&c->in), &none,
                                  &password);

    if (n <= 0)
        return n;
    buf_consume(&c->in, (size_t)n);
    if (asks ? !password : !none) {
        if (say(c, SOCKS5_VERSION, SOCKS5_METHOD_REFUSED) == 0)
            proxy_conn_end(c);
        return 0;
    }
    c->state = asks ? PROXY_PASSWORD : PROXY_REQUEST;
    say(c, SOCKS5_VERSION, asks ? SOCKS5_METHOD_PASSWORD : SOCKS5_METHOD_NONE);
    return 1;
}

static int take_password(struct proxy_conn *c)
{
    char user[SOCKS5_TEXT], password[SOCKS5_TEXT];
    int n = socks5_parse_password(buf_head(&c->in), buf_used(&c->in), user,
                                  password);
    bool right;

    if (n <= 0)
        return n;
    buf_consume(&c->in, (size_t)n);
    right = proxy_password_is_right(user, password, c->p->password);
    explicit_bzero(password, sizeof(password));
    if (say(c, 1, right ? 0 : 1) == 0 && !right)
        proxy_conn_end(c);
    c->state = right ? PROXY_REQUEST : c->state;
    return right;
}

/* Where the client reaches the port for datagrams: as it does this one. */
static void udp_address(const struct proxy_conn *c, union sockaddr_any *addr)
{
    socklen_t len = sizeof(*addr);

    if (!sockaddr_is_loopback(&c->peer)) {
        *addr = c->p->address;
        return;
    }
    memset(addr, 0, sizeof(*addr));
    (void)getsockname(c->fd, &addr->sa, &len);
    sockaddr_unmap(addr);
}

static int associate(struct proxy_conn *c)
{
    union sockaddr_any addr;

    if (!c->p->udp || c->peer.sa.sa_family == AF_UNIX)
        return refuse(c, SOCKS5_COMMAND_UNKNOWN);
    c->assoc = proxy_assoc_create(c->p->udp, &c->peer);
    if (!c->assoc)
        return refuse(c, SOCKS5_FAILED);
    c->state = PROXY_ASSOCIATED;
    uv_timer_stop(&c->timer);
    udp_address(c, &addr);
    reply(c, SOCKS5_SUCCEEDED, &addr);
    return 1;
}

static int take_request(struct proxy_conn *c)
{
    struct socks5_target target;
    int n = socks5_parse_request(buf_head(&c->in), buf_used(&c->in), &target);

    if (n == -EAFNOSUPPORT)
        return refuse(c, SOCKS5_ADDRESS_UNKNOWN);
    if (n <= 0)
        return n;
    buf_consume(&c->in, (size_t)n);
    if (target.command == SOCKS5_UDP_ASSOCIATE)
        return associate(c);
    if (target.command != SOCKS5_CONNECT)
        return refuse(c, SOCKS5_COMMAND_UNKNOWN);
    if (target.port == 0)
        return refuse(c, SOCKS5_FAILED);
    proxy_conn_dial(c, target.host, target.port);
    return 0;
}

int proxy_socks_input(struct proxy_conn *c)
{
    if (c->state == PROXY_METHODS)
        return take_methods(c);
    return c->state == PROXY_PASSWORD ? take_password(c) : take_request(c);
}
