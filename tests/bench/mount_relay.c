/*
 * A TCP relay that delays: mount_relay PORT [TARGET_ADDRESS:]TARGET_PORT
 * DELAY_MS
 *
 * Listens on 127.0.0.1; with an address, which is for a container of its own,
 * on all addresses.
 *
 * What comes in goes out DELAY_MS later, each way, with no limit of bandwidth:
 * the kernel here has no netem. TCP's slow start and losses are not modelled.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (256 * 1024)
#define CHUNKS_MAX  4096

struct chunk {
    uint64_t due; /* us */
    size_t len, at;
    uint8_t *data;
};

struct way {
    int from, to;
    uint64_t delay;
    struct chunk ring[CHUNKS_MAX];
    unsigned head, tail;
    int ended;
};

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void take_in(struct way *w)
{
    uint8_t *data = malloc(CHUNK_BYTES);
    ssize_t n = data ? recv(w->from, data, CHUNK_BYTES, MSG_DONTWAIT) : 0;

    if (n <= 0) {
        free(data);
        w->ended = n == 0 || errno != EAGAIN;
        return;
    }
    w->ring[w->tail % CHUNKS_MAX] = (struct chunk){
        now_us() + w->delay, (size_t)n, 0, realloc(data, (size_t)n)};
    w->tail++;
}

/* Milliseconds until the next is due, rounded down; -1 if there is none. */
static int give_out(struct way *w)
{
    while (w->head != w->tail) {
        struct chunk *c = &w->ring[w->head % CHUNKS_MAX];
        uint64_t now = now_us();
        ssize_t n;

        if (c->due > now)
            return (int)((c->due - now) / 1000);
        n = send(w->to, c->data + c->at, c->len - c->at, MSG_NOSIGNAL);
        if (n <= 0) {
            w->ended = 1;
            return -1;
        }
        c->at += (size_t)n;
        if (c->at == c->len) {
            free(c->data);
            w->head++;
        }
    }
    return -1;
}

static void *run_way(void *arg)
{
    struct way *w = arg;

    while (!w->ended || w->head != w->tail) {
        int wait = give_out(w);
        int full = w->tail - w->head == CHUNKS_MAX || w->ended;
        struct pollfd p = {.fd = full ? -1 : w->from, .events = POLLIN};

        if (w->ended && wait < 0)
            break;
        if (poll(&p, 1, wait) > 0)
            take_in(w);
    }
    shutdown(w->to, SHUT_WR);
    return NULL;
}

static struct sockaddr_in target_of(const char *text)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strchr(text, ':');
    char host[16] = "";

    to.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : text));
    if (!colon)
        return to;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        exit(2);
    return to;
}

static int connect_to(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void start_way(int from, int to, uint64_t delay)
{
    struct way *w = calloc(1, sizeof(*w));
    pthread_t thread;

    if (!w)
        abort();
    w->from = from;
    w->to = to;
    w->delay = delay;
    pthread_create(&thread, NULL, run_way, w);
    pthread_detach(thread);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in to;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

    if (argc != 4)
        return 2;
    to = target_of(argv[2]);
    if (strchr(argv[2], ':'))
        at.sin_addr.s_addr = htonl(INADDR_ANY);
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(listener, 64) < 0) {
        perror("mount_relay");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int a = accept(listener, NULL, NULL), b = connect_to(&to);
        uint64_t delay = (uint64_t)atoi(argv[3]) * 1000;

        if (a < 0 || b < 0) {
            close(a);
            close(b);
            continue;
        }
        setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        start_way(a, b, delay);
        start_way(b, a, delay);
    }
}
