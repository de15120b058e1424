/* Sockets and threads. */
#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
        fail("setsockopt");
}

static struct in_addr only; /* 0.0.0.0: all addresses, of IPv6 too */

void net_bind_to(const char *address)
{
    if (inet_pton(AF_INET, address, &only) != 1) {
        errno = EINVAL;
        fail(address);
    }
}

static int bind_port(int fd, int family, uint16_t port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons(port)};
    struct sockaddr_in four = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = only};
    if (family == AF_INET)
        return bind(fd, (struct sockaddr *)&four, sizeof(four));
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return bind(fd, (struct sockaddr *)&six, sizeof(six));
}

int net_listen(int type, uint16_t port)
{
    /* A kernel without IPv6 refuses the socket, or else the address. */
    static const int families[] = {AF_INET6, AF_INET};
    for (size_t i = only.s_addr ? 1 : 0; i < 2; i++) {
        int fd = socket(families[i], type | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (bind_port(fd, families[i], port) == 0 &&
            (type == SOCK_DGRAM || listen(fd, 4096) == 0))
            return fd;
        if (errno != EADDRNOTAVAIL)
            fail("listen");
        close(fd);
    }
    fail("socket");
}

bool net_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = write(fd, at, size);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

void net_address_text(const struct sockaddr_storage *address, char *text)
{
    const struct sockaddr_in6 *six = (const void *)address;
    const struct sockaddr_in *four = (const void *)address;
    char host[INET6_ADDRSTRLEN];

    if (address->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT, "%s:%u", host, ntohs(four->sin_port));
        return;
    }
    /* An IPv4 address at an IPv6 socket: its last four bytes. */
    bool mapped = IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
    if (mapped)
        inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
    snprintf(text, ADDRESS_TEXT, mapped ? "%s:%u" : "[%s]:%u", host,
             ntohs(six->sin6_port));
}

void net_peer_text(int fd, char *text)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    getpeername(fd, (struct sockaddr *)&address, &size);
    net_address_text(&address, text);
}

void net_local_text(int fd, char *text)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &size);
    net_address_text(&address, text);
}

int start_thread(void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* A thousand of them are expected; buffers are not on the stack. */
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    int error = pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return error ? -1 : 0;
}
