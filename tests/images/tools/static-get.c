/*
 * static-get http://HOST:PORT/PATH
 * static-get tcp://HOST:PORT [TEXT]
 * static-get udp://HOST:PORT TEXT
 *
 * A client without shared libraries, as Go programs are: nothing that is
 * preloaded reaches its calls. Sends the request or the text, prints all
 * that comes back (of UDP, one datagram), exits 0 if anything came.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_SECONDS 10

struct target {
    char scheme[8];
    char host[256];
    char port[8];
    char path[1024];
};

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "static-get: %s: %s\n", what, why);
    exit(1);
}

static void parse_url(const char *url, struct target *target)
{
    strcpy(target->port, "80");
    strcpy(target->path, "/");
    if (sscanf(url, "%7[a-z]://[%255[^]]]:%7[0-9]%1023s", target->scheme,
               target->host, target->port, target->path) >= 2)
        return;
    if (sscanf(url, "%7[a-z]://%255[^:/]:%7[0-9]%1023s", target->scheme,
               target->host, target->port, target->path) >= 3)
        return;
    if (sscanf(url, "%7[a-z]://%255[^:/]%1023s", target->scheme, target->host,
               target->path) < 2)
        fail(url, "not SCHEME://HOST[:PORT][/PATH]");
}

static int connect_to(const struct target *target, int type)
{
    struct addrinfo hints = {.ai_socktype = type}, *all, *a;
    struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};
    int error = getaddrinfo(target->host, target->port, &hints, &all);
    if (error)
        fail(target->host, gai_strerror(error));
    for (a = all; a; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            freeaddrinfo(all);
            return fd;
        }
        error = errno;
        close(fd);
    }
    fail(target->host, strerror(error));
}

static void send_text(int fd, const char *text)
{
    size_t size = strlen(text);
    if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("send", strerror(errno));
}

/* Prints what comes and returns how much that was. */
static size_t print_answer(int fd, int type)
{
    static char buffer[65536];
    size_t total = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
        if (got < 0)
            fail("recv", strerror(errno));
        total += fwrite(buffer, 1, (size_t)got, stdout);
        if (got == 0 || type == SOCK_DGRAM)
            return total;
    }
}

static void send_http_request(int fd, const struct target *target)
{
    char request[2048];
    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: %s:%s\r\n"
             "User-Agent: static-get\r\nConnection: close\r\n\r\n",
             target->path, target->host, target->port);
    send_text(fd, request);
}

int main(int argc, char **argv)
{
    struct target target = {0};
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: static-get http|tcp|udp://HOST:PORT[/PATH] "
                        "[TEXT]\n");
        return 2;
    }
    parse_url(argv[1], &target);
    int type = strcmp(target.scheme, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int fd = connect_to(&target, type);
    if (strcmp(target.scheme, "http") == 0)
        send_http_request(fd, &target);
    else if (argc == 3)
        send_text(fd, argv[2]);
    if (strcmp(target.scheme, "tcp") == 0)
        shutdown(fd, SHUT_WR);
    return print_answer(fd, type) > 0 ? 0 : 1;
}
