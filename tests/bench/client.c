/*
 * client.c - the measuring end of the benchmarks; static, threads, no library
 *
 *   bench-client down|up ADDR PORT STREAMS SECONDS
 *   bench-client rr ADDR PORT SECONDS
 *   bench-client conn ADDR PORT PARALLEL SECONDS MAX
 *
 * The other end is tp-test/app: source, sink and echo. Bulk is what passes the
 * client's socket in SECONDS after a warm-up, in which whatever buffers there
 * are on the way have filled. Each prints one JSON object.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STREAMS_MAX 64
#define BULK_SIZE   (256 * 1024)
#define WARM_UP_S   0.5
#define MESSAGE     64 /* bytes of a request, and of its answer */
#define SAMPLES_MAX (4 * 1024 * 1024)
#define WAIT_S      10 /* for anything that should come */

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench-client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* ---- sockets ---- */

static struct sockaddr_in target;

/* Connected, or -1 with errno. */
static int dial(void)
{
    static const struct timeval wait = {.tv_sec = WAIT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    if (connect(fd, (struct sockaddr *)&target, sizeof(target)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One request and its whole answer; false with errno (0: it ended). */
static bool exchange(int fd, char *message)
{
    size_t got = 0;

    if (write(fd, message, MESSAGE) != MESSAGE)
        return false;
    while (got < MESSAGE) {
        ssize_t n = read(fd, message + got, MESSAGE - got);

        if (n == 0)
            errno = 0;
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

/* ---- numbers ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* In microseconds; the samples (nanoseconds) are sorted. */
static double percentile(const uint32_t *samples, size_t count, double part)
{
    return count ? samples[(size_t)((double)(count - 1) * part)] / 1000.0 : 0;
}

static uint32_t nanoseconds_since(double start)
{
    double ns = (now() - start) * 1e9;

    return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* ---- bulk ---- */

struct bulk {
    int fd;
    bool up;
    atomic_uint_fast64_t bytes;
    bool confirmed; /* up: the far end counted the same */
    pthread_t thread;
};

static atomic_bool bulk_over;

static void receive_all(struct bulk *b, char *buffer)
{
    static const char endless[] = "1000000000000000\n";
    ssize_t n;

    if (write(b->fd, endless, strlen(endless)) < 0)
        return;
    while (!bulk_over && (n = read(b->fd, buffer, BULK_SIZE)) > 0)
        b->bytes += (uint64_t)n;
}

static void send_all(struct bulk *b, char *buffer)
{
    char answer[32] = "";
    ssize_t n;

    while (!bulk_over && (n = write(b->fd, buffer, BULK_SIZE)) > 0)
        b->bytes += (uint64_t)n;
    shutdown(b->fd, SHUT_WR);
    n = read(b->fd, answer, sizeof(answer) - 1);
    b->confirmed = n > 0 && strtoull(answer, NULL, 10) == b->bytes;
}

static void *bulk_main(void *arg)
{
    struct bulk *b = arg;
    char *buffer = calloc(1, BULK_SIZE);

    if (!buffer)
        fail("bulk");
    if (b->up)
        send_all(b, buffer);
    else
        receive_all(b, buffer);
    free(buffer);
    close(b->fd);
    return NULL;
}

static uint64_t total(struct bulk *streams, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += streams[i].bytes;
    return sum;
}

static void measure_bulk(bool up, size_t count, double seconds)
{
    static struct bulk streams[STREAMS_MAX];
    uint64_t before, after;
    size_t confirmed = 0;
    double start;

    for (size_t i = 0; i < count; i++) {
        streams[i].up = up;
        streams[i].fd = dial();
        if (streams[i].fd < 0)
            fail("connect");
        if (pthread_create(&streams[i].thread, NULL, bulk_main, &streams[i]))
            fail("thread");
    }
    pause_for(WARM_UP_S);
    start = now();
    before = total(streams, count);
    pause_for(seconds);
    after = total(streams, count);
    seconds = now() - start;
    bulk_over = true;
    for (size_t i = 0; i < count; i++) {
        pthread_join(streams[i].thread, NULL);
        confirmed += streams[i].confirmed;
    }
    printf("{\"bytes\": %llu, \"seconds\": %.4f, \"gbit_s\": %.4f, "
           "\"streams\": %zu, \"confirmed\": %zu}\n",
           (unsigned long long)(after - before), seconds,
           (double)(after - before) * 8e-9 / seconds, count, confirmed);
}

/* ---- requests on a kept connection ---- */

static void measure_requests(double seconds)
{
    uint32_t *samples = malloc(SAMPLES_MAX * sizeof(*samples));
    char message[MESSAGE] = "ping";
    size_t count = 0;
    double start, end;
    int fd = dial();

    if (fd < 0 || !samples)
        fail("connect");
    for (int i = 0; i < 200; i++) /* a warm-up */
        if (!exchange(fd, message))
            fail("request");
    end = now() + seconds;
    do {
        start = now();
        if (!exchange(fd, message))
            fail("request");
        samples[count++] = nanoseconds_since(start);
    } while (start < end && count < SAMPLES_MAX);
    qsort(samples, count, sizeof(*samples), compare);
    printf("{\"count\": %zu, \"p50_us\": %.1f, \"p90_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
           count, percentile(samples, count, 0.5),
           percentile(samples, count, 0.9), percentile(samples, count, 0.99),
           percentile(samples, count, 1));
    free(samples);
    close(fd);
}

/* ---- new connections ---- */

struct connections {
    double end;
    size_t max;
    uint32_t *samples;
    atomic_size_t started, done, failed;
};

/* Until the time is over or so many are made: each leaves a port in TIME-WAIT,
 * and there are 28 000. */
static void *connect_main(void *arg)
{
    struct connections *c = arg;
    char message[MESSAGE] = "ping";

    while (now() < c->end && c->started++ < c->max) {
        double start = now();
        int fd = dial();
        bool good = fd >= 0 && exchange(fd, message);

        if (fd >= 0)
            close(fd);
        if (good)
            c->samples[c->done++] = nanoseconds_since(start);
        else
            c->failed++;
    }
    return NULL;
}

static void measure_connections(size_t parallel, double seconds, size_t max)
{
    struct connections c = {.end = now() + seconds, .max = max};
    pthread_t threads[STREAMS_MAX];
    double start = now();

    c.samples = malloc((max + 1) * sizeof(*c.samples));
    if (!c.samples)
        fail("memory");
    for (size_t i = 0; i < parallel; i++)
        if (pthread_create(&threads[i], NULL, connect_main, &c))
            fail("thread");
    for (size_t i = 0; i < parallel; i++)
        pthread_join(threads[i], NULL);
    seconds = now() - start;
    qsort(c.samples, c.done, sizeof(*c.samples), compare);
    printf("{\"count\": %zu, \"failed\": %zu, \"seconds\": %.4f, "
           "\"per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (size_t)c.done, (size_t)c.failed, seconds, (double)c.done / seconds,
           percentile(c.samples, c.done, 0.5),
           percentile(c.samples, c.done, 0.99));
    free(c.samples);
}

/* ---- the command line ---- */

static size_t threads_of(const char *text)
{
    size_t n = strtoul(text, NULL, 10);

    if (n < 1 || n > STREAMS_MAX) {
        errno = EINVAL;
        fail("number of streams");
    }
    return n;
}

static void set_target(const char *ip, const char *port)
{
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    if (inet_pton(AF_INET, ip, &target.sin_addr) != 1) {
        errno = EINVAL;
        fail(ip);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    signal(SIGPIPE, SIG_IGN);
    if (argc > 3)
        set_target(argv[2], argv[3]);
    if (argc == 6 && (!strcmp(what, "down") || !strcmp(what, "up"))) {
        measure_bulk(!strcmp(what, "up"), threads_of(argv[4]), atof(argv[5]));
    } else if (argc == 5 && !strcmp(what, "rr")) {
        measure_requests(atof(argv[4]));
    } else if (argc == 7 && !strcmp(what, "conn")) {
        measure_connections(threads_of(argv[4]), atof(argv[5]),
                            strtoul(argv[6], NULL, 10));
    } else {
        fprintf(stderr, "usage: bench-client down|up ADDR PORT STREAMS SECONDS"
                        "\n       bench-client rr ADDR PORT SECONDS"
                        "\n       bench-client conn ADDR PORT PARALLEL SECONDS"
                        " MAX\n");
        return 2;
    }
    return 0;
}
