/*
 * load.c - connections and round trips, as fast as one process can
 *
 *   netns-load serve PORT            echo, one connection after the other
 *   netns-load sink PORT             reads, one connection after the other
 *   netns-load bulk ADDR:PORT N      sends N MiB to a sink
 *   netns-load connect ADDR:PORT N   N times connect, 1 byte, RST
 *   netns-load trip ADDR:PORT N      N round trips of 64 bytes
 *
 * Prints JSON: connections a second, p50 and p99 in microseconds, or MiB a
 * second.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/sockaddr.h"

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void echo(int fd)
{
    static char buf[65536];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        if (write(fd, buf, (size_t)n) != n)
            break;
    }
    close(fd);
}

static void swallow(int fd)
{
    static char buf[256 * 1024];

    while (read(fd, buf, sizeof(buf)) > 0)
        ;
    close(fd);
}

__attribute__((noreturn)) static void serve(uint16_t port,
                                            void (*serve_cb)(int fd))
{
    union sockaddr_any any;
    const int on = 1;
    int l = socket(AF_INET, SOCK_STREAM, 0);

    sockaddr_parse(&any, "0.0.0.0", port);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(l, &any.sa, sockaddr_len(&any)) < 0 || listen(l, 4096) < 0)
        die("listen");
    for (;;) {
        int fd = accept(l, NULL, NULL);

        if (fd >= 0)
            serve_cb(fd);
    }
}

static int connect_to(const union sockaddr_any *addr)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, &addr->sa, sockaddr_len(addr)) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void one_trip(int fd, size_t len)
{
    char buf[64] = {0};

    if (write(fd, buf, len) != (ssize_t)len ||
        recv(fd, buf, len, MSG_WAITALL) != (ssize_t)len)
        die("round trip");
}

static void many_connects(const union sockaddr_any *addr, int n)
{
    const struct linger rst = {1, 0};
    double start = now_us();

    for (int i = 0; i < n; i++) {
        int fd = connect_to(addr);

        one_trip(fd, 1);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
        close(fd);
    }
    printf("{\"rate\": %.0f}\n", n * 1e6 / (now_us() - start));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void many_trips(const union sockaddr_any *addr, int n)
{
    double *us = calloc((size_t)n, sizeof(*us));
    int fd = connect_to(addr);

    if (!us)
        die("calloc");
    for (int i = 0; i < n; i++) {
        double start = now_us();

        one_trip(fd, 64);
        us[i] = now_us() - start;
    }
    close(fd);
    qsort(us, (size_t)n, sizeof(*us), compare);
    printf("{\"p50\": %.1f, \"p99\": %.1f}\n", us[n / 2], us[n * 99 / 100]);
    free(us);
}

/* The sink closes when it has read the end. */
static void bulk(const union sockaddr_any *addr, int mib)
{
    static char buf[256 * 1024];
    double start = now_us();
    int fd = connect_to(addr);

    for (int i = 0; i < 4 * mib; i++) {
        if (send(fd, buf, sizeof(buf), 0) != (ssize_t)sizeof(buf))
            die("send");
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, buf, 1) != 0)
        die("the end");
    close(fd);
    printf("{\"mib_s\": %.0f}\n", mib * 1e6 / (now_us() - start));
}

int main(int argc, char **argv)
{
    union sockaddr_any addr;
    int n = argc == 4 ? atoi(argv[3]) : 0;

    if (argc == 3 && !strcmp(argv[1], "serve"))
        serve((uint16_t)atoi(argv[2]), echo);
    if (argc == 3 && !strcmp(argv[1], "sink"))
        serve((uint16_t)atoi(argv[2]), swallow);
    if (n <= 0 || sockaddr_parse_hostport(&addr, argv[2]) < 0) {
        fprintf(stderr, "usage: netns-load serve|sink PORT | "
                        "connect|trip|bulk ADDR:PORT N\n");
        return 2;
    }
    if (!strcmp(argv[1], "connect"))
        many_connects(&addr, n);
    else if (!strcmp(argv[1], "bulk"))
        bulk(&addr, n);
    else
        many_trips(&addr, n);
    return 0;
}
