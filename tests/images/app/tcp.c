/* The TCP services but HTTP: a thread for each connection. */
#include "app.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listener {
    int fd;
    tcp_handler *handler;
};

struct connection {
    int fd;
    tcp_handler *handler;
};

static void *serve(void *argument)
{
    struct connection *connection = argument;
    connection->handler(connection->fd);
    close(connection->fd);
    free(connection);
    return NULL;
}

static void serve_in_thread(int fd, tcp_handler *handler)
{
    struct connection *connection = malloc(sizeof(*connection));
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connection) {
        *connection = (struct connection){fd, handler};
        if (start_thread(serve, connection) == 0)
            return;
    }
    free(connection);
    close(fd);
}

static void *accept_all(void *argument)
{
    const struct listener *listener = argument;
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve_in_thread(fd, listener->handler);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            usleep(10000);
    }
    return NULL;
}

void tcp_start(uint16_t port, tcp_handler *handler)
{
    struct listener *listener = malloc(sizeof(*listener));
    if (!listener)
        fail("malloc");
    *listener = (struct listener){net_listen(SOCK_STREAM, port), handler};
    if (handler == tcp_hang) {
        /* Accepted sockets inherit it: the writer is to block soon. */
        int small = 4096;
        setsockopt(listener->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    }
    if (start_thread(accept_all, listener) < 0)
        fail("pthread_create");
}

static ssize_t read_some(int fd, void *buffer, size_t size)
{
    ssize_t got;
    do
        got = read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Reads a line of up to size - 1 bytes, byte by byte so that nothing of what
 * follows is taken; false when there is none. */
static bool read_line(int fd, char *line, size_t size)
{
    size_t length = 0;
    while (length < size - 1 && read_some(fd, line + length, 1) == 1) {
        if (line[length] == '\n') {
            line[length] = '\0';
            return true;
        }
        length++;
    }
    return false;
}

/* Ends our direction, then waits for the peer to end its own: to close with
 * unread data would reset the connection and lose what was sent. */
static void finish(int fd)
{
    char rest[4096];
    shutdown(fd, SHUT_WR);
    while (read_some(fd, rest, sizeof(rest)) > 0)
        ;
}

void tcp_echo(int fd)
{
    char *buffer = malloc(BULK_SIZE);
    ssize_t got;
    while (buffer && (got = read_some(fd, buffer, BULK_SIZE)) > 0) {
        if (!net_write_all(fd, buffer, (size_t)got))
            break;
    }
    free(buffer);
}

void tcp_source(int fd)
{
    char line[32];
    if (!read_line(fd, line, sizeof(line)))
        return;
    uint64_t total = strtoull(line, NULL, 10);
    for (uint64_t sent = 0; sent < total;) {
        size_t size = BULK_SIZE;
        if (total - sent < size)
            size = (size_t)(total - sent);
        const void *data = pattern_at(sent, &size);
        if (!net_write_all(fd, data, size))
            return;
        sent += size;
    }
    finish(fd);
}

void tcp_sink(int fd)
{
    char *buffer = malloc(BULK_SIZE);
    char answer[32];
    uint64_t total = 0;
    ssize_t got = -1;
    while (buffer && (got = read_some(fd, buffer, BULK_SIZE)) > 0)
        total += (uint64_t)got;
    free(buffer);
    if (got < 0)
        return;
    int length =
        snprintf(answer, sizeof(answer), "%llu\n", (unsigned long long)total);
    net_write_all(fd, answer, (size_t)length);
}

void tcp_banner(int fd)
{
    char host[128], banner[160];
    gethostname(host, sizeof(host));
    int length = snprintf(banner, sizeof(banner), "220 %s ready\r\n", host);
    if (net_write_all(fd, banner, (size_t)length))
        tcp_echo(fd);
}

void tcp_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    char byte;
    if (read_some(fd, &byte, 1) == 1)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

/* The first line is the label under which GET /observed/LABEL tells how the
 * connection ended. */
void tcp_observe(int fd)
{
    char label[64], buffer[4096];
    uint64_t bytes = 0;
    ssize_t got;
    if (!read_line(fd, label, sizeof(label)))
        return;
    ledger_set(label, "open", 0);
    while ((got = read_some(fd, buffer, sizeof(buffer))) > 0) {
        bytes += (uint64_t)got;
        ledger_set(label, "open", bytes);
    }
    ledger_set(label, got == 0 ? "fin" : "rst", bytes);
}

/* Never reads. A FIN is seen if there was room for it, a reset always. */
void tcp_hang(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    while (poll(&poll_fd, 1, -1) <= 0)
        ;
}
