/*
 * link_bench.c - what a link costs, beside a direct connection and a pump
 *
 *   app --- agent ===link=== manager --- far       (4 processes, loopback)
 *
 * Modes: direct (app --- far), pump (agent and manager copy 64 KiB at a time,
 * one TCP connection a conversation), plain and tls (src/tunnel). One JSON line
 * for each mode: bulk in Gbit/s with 1 and 8 conversations in each direction,
 * a 64 byte echo's p50 and p99 in us, conversations per second (connect, 64
 * byte echo, close) with 1 and 16 at once, and CPU seconds per GB of agent and
 * manager during the bulk. Machines differ: compare modes of one run.
 *
 * Usage: link_bench [seconds a measurement] [mode ...]
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/tls.h"
#include "tunnel/relay.h"
#include "tunnel/tunnel.h"

#include "link_bench_cert.h"

enum mode { MODE_DIRECT, MODE_PUMP, MODE_PLAIN, MODE_TLS, MODES };

static const char *const mode_names[MODES] = {"direct", "pump", "plain", "tls"};

#define CHUNK 65536

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int listen_on(union sockaddr_any *addr)
{
    socklen_t len = sizeof(addr->in4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(addr, 0, sizeof(*addr));
    addr->in4.sin_family = AF_INET;
    addr->in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, &addr->sa, len) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, &addr->sa, &len) < 0)
        die("listen");
    return fd;
}

static int dial(const union sockaddr_any *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (fd < 0 || connect(fd, &addr->sa, sizeof(addr->in4)) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static int accept_on(int listener)
{
    int fd = accept(listener, NULL, NULL), on = 1;

    if (fd < 0)
        die("accept");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void thread(void *(*main_cb)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t id;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&id, &attr, main_cb, arg) != 0)
        die("pthread_create");
}

static pid_t spawn(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* ---- far: the first byte says what it does ------------------------------- */

static void *far_main(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *data = calloc(1, CHUNK), what;
    ssize_t n;

    if (recv(fd, &what, 1, 0) == 1) {
        while (what == 'g' && send(fd, data, CHUNK, MSG_NOSIGNAL) > 0)
            ;
        while (what != 'g' && (n = recv(fd, data, CHUNK, 0)) > 0)
            if (what == 'e' && send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
                break;
    }
    free(data);
    close(fd);
    return NULL;
}

static pid_t start_far(int listener)
{
    pid_t pid = spawn();

    if (pid > 0)
        return pid;
    for (;;)
        thread(far_main, (void *)(intptr_t)accept_on(listener));
}

/* ---- pump: two threads a connection -------------------------------------- */

struct leg {
    int from, to;
    atomic_int *left;
};

static void *leg_main(void *arg)
{
    struct leg *leg = arg;
    char *data = malloc(CHUNK);
    ssize_t n, sent = 0;

    while ((n = recv(leg->from, data, CHUNK, 0)) > 0) {
        for (ssize_t at = 0; at < n; at += sent) {
            sent = send(leg->to, data + at, (size_t)(n - at), MSG_NOSIGNAL);
            if (sent < 0)
                goto out;
        }
    }
out:
    shutdown(leg->to, SHUT_WR);
    shutdown(leg->from, SHUT_RD);
    if (--*leg->left == 0) {
        close(leg->from);
        close(leg->to);
        free(leg->left);
    }
    free(data);
    free(leg);
    return NULL;
}

static void start_leg(int from, int to, atomic_int *left)
{
    struct leg *leg = malloc(sizeof(*leg));

    *leg = (struct leg){from, to, left};
    thread(leg_main, leg);
}

static pid_t start_pump(int listener, union sockaddr_any *to)
{
    pid_t pid = spawn();

    if (pid > 0)
        return pid;
    for (;;) {
        int from = accept_on(listener), fd = dial(to);
        atomic_int *left = malloc(sizeof(*left));

        *left = 2;
        start_leg(from, fd, left);
        start_leg(fd, from, left);
    }
}

/* ---- agent and manager over a tunnel ------------------------------------- */

struct node {
    uv_loop_t loop;
    enum tunnel_role role;
    struct tunnel *tunnel;
    uv_poll_t poll; /* agent: the listener */
    int listener;
    union sockaddr_any to;
};

static void link_closed_cb(void *arg, int status, const char *why)
{
    (void)arg;
    fprintf(stderr, "link ended: %d %s\n", status, why);
    exit(1);
}

/* Manager: a connection to `to` whatever was asked for. */
struct opening {
    uv_poll_t poll;
    struct tunnel_stream *stream;
    int fd;
};

static void opening_closed_cb(uv_handle_t *handle)
{
    struct opening *o = handle->data;

    if (tunnel_stream_answer(o->stream, 0) == 0)
        relay_create(handle->loop, o->fd, o->stream, NULL, NULL);
    free(o);
}

static void connected_cb(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_close((uv_handle_t *)poll, opening_closed_cb);
}

static int node_open_cb(void *arg, struct tunnel_stream *s,
                        const struct tunnel_open *open)
{
    struct node *node = arg;
    struct opening *o = calloc(1, sizeof(*o));

    (void)open;
    o->stream = s;
    o->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(o->fd, &node->to.sa, sizeof(node->to.in4)) < 0 &&
        errno != EINPROGRESS)
        return -errno;
    uv_poll_init(&node->loop, &o->poll, o->fd);
    o->poll.data = o;
    uv_poll_start(&o->poll, UV_WRITABLE, connected_cb);
    return 0;
}

/* Agent: an accepted connection waits for the answer. */
struct waiting {
    struct node *node;
    struct tunnel_stream *stream;
    int fd;
};

static void opened_cb(void *arg, int status)
{
    struct waiting *w = arg;

    if (status != 0)
        return;
    relay_create(&w->node->loop, w->fd, w->stream, NULL, NULL);
    free(w);
}

static ssize_t wait_pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t wait_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

static void wait_eof_cb(void *arg)
{
    (void)arg;
}

static void wait_closed_cb(void *arg, int status)
{
    struct waiting *w = arg;

    (void)status;
    close(w->fd);
    free(w);
}

static const struct tunnel_stream_ops wait_ops = {
    opened_cb, wait_pull_cb, wait_push_cb, wait_eof_cb, wait_closed_cb};

static void accept_cb(uv_poll_t *poll, int status, int events)
{
    struct node *node = poll->data;
    struct waiting *w;
    int fd;

    (void)status;
    (void)events;
    while ((fd = accept4(node->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        w = calloc(1, sizeof(*w));
        w->node = node;
        w->fd = fd;
        w->stream = tunnel_open_tcp(node->tunnel, &node->to, &wait_ops, w);
        if (!w->stream)
            die("tunnel_open_tcp");
    }
}

static void start_tunnel(struct node *node, struct stream *io)
{
    static const struct tunnel_ops ops = {node_open_cb, link_closed_cb};
    struct tunnel_config config = {.role = node->role};

    node->tunnel = tunnel_create(&node->loop, io, &config, &ops, node);
    if (!node->tunnel)
        die("tunnel_create");
    if (node->role == TUNNEL_SERVER)
        return;
    fcntl(node->listener, F_SETFL, O_NONBLOCK);
    uv_poll_init(&node->loop, &node->poll, node->listener);
    node->poll.data = node;
    uv_poll_start(&node->poll, UV_READABLE, accept_cb);
}

struct handshake {
    struct node *node;
    struct stream *tls;
};

static void handshake_cb(void *arg, int status, const char *text)
{
    struct handshake *h = arg;

    if (status != 0) {
        fprintf(stderr, "TLS: %s\n", text);
        exit(1);
    }
    start_tunnel(h->node, h->tls);
}

static void start_tls(struct node *node, struct stream *io)
{
    static struct handshake h;
    struct tls_client_config client = {.insecure = true};
    struct tls_server_config server = {.cert_pem = link_bench_cert,
                                       .key_pem = link_bench_key};
    struct tp_error err = {0};
    struct tls_ctx *ctx;

    h.node = node;
    if (node->role == TUNNEL_CLIENT)
        ctx = tls_ctx_create_client(&client, &err);
    else
        ctx = tls_ctx_create_server(&server, &err);
    if (!ctx) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    if (node->role == TUNNEL_CLIENT)
        h.tls = tls_connect(ctx, io, "tp", 10000, handshake_cb, &h);
    else
        h.tls = tls_accept(ctx, io, 10000, handshake_cb, &h);
}

static pid_t start_node(enum tunnel_role role, int link, int listener,
                        const union sockaddr_any *to, bool tls)
{
    static struct node node;
    pid_t pid = spawn();
    struct stream *io;

    if (pid > 0) {
        close(link);
        return pid;
    }
    fcntl(link, F_SETFL, O_NONBLOCK);
    uv_loop_init(&node.loop);
    node.role = role;
    node.listener = listener;
    node.to = *to;
    io = stream_create_fd(&node.loop, link);
    if (tls)
        start_tls(&node, io);
    else
        start_tunnel(&node, io);
    uv_run(&node.loop, UV_RUN_DEFAULT);
    exit(0);
}

/* ---- measurements -------------------------------------------------------- */

static double seconds = 2;
static union sockaddr_any entry; /* where the app connects to */

struct job {
    pthread_t id;
    char what;
    double until;
    uint64_t done;
};

static void *bulk_main(void *arg)
{
    struct job *job = arg;
    char *data = calloc(1, 4 * CHUNK);
    int fd = dial(&entry);
    ssize_t n = 1;

    if (send(fd, &job->what, 1, MSG_NOSIGNAL) != 1)
        die("send");
    while (now() < job->until && n > 0) {
        if (job->what == 's')
            n = send(fd, data, 2 * CHUNK, MSG_NOSIGNAL);
        else
            n = recv(fd, data, 4 * CHUNK, 0);
        job->done += n > 0 ? (uint64_t)n : 0;
    }
    close(fd);
    free(data);
    return NULL;
}

static void echo_once(int fd)
{
    char data[64] = {0};
    ssize_t got = 0, n;

    if (send(fd, data, sizeof(data), MSG_NOSIGNAL) != sizeof(data))
        die("send");
    for (; got < (ssize_t)sizeof(data); got += n) {
        n = recv(fd, data, sizeof(data), 0);
        if (n <= 0)
            die("recv");
    }
}

static void *connect_main(void *arg)
{
    struct job *job = arg;

    while (now() < job->until) {
        int fd = dial(&entry);

        if (send(fd, "e", 1, MSG_NOSIGNAL) != 1)
            die("send");
        echo_once(fd);
        close(fd);
        job->done++;
    }
    return NULL;
}

/* Runs n jobs for the time and gives the sum of what they did. */
static double run_jobs(int n, char what, void *(*main_cb)(void *))
{
    struct job jobs[16] = {0};
    double start = now(), sum = 0;

    for (int i = 0; i < n; i++) {
        jobs[i].what = what;
        jobs[i].until = start + seconds;
        pthread_create(&jobs[i].id, NULL, main_cb, &jobs[i]);
    }
    for (int i = 0; i < n; i++) {
        pthread_join(jobs[i].id, NULL);
        sum += (double)jobs[i].done;
    }
    return sum / (now() - start);
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void ping_pong(double *p50, double *p99)
{
    enum { ROUNDS = 20000 };
    static double us[ROUNDS];
    double start, until = now() + seconds;
    int fd = dial(&entry), n = 0;

    if (send(fd, "e", 1, MSG_NOSIGNAL) != 1)
        die("send");
    for (; n < ROUNDS && now() < until; n++) {
        start = now();
        echo_once(fd);
        us[n] = (now() - start) * 1e6;
    }
    close(fd);
    qsort(us, (size_t)n, sizeof(*us), compare);
    *p50 = us[n / 2];
    *p99 = us[n * 99 / 100];
}

static double cpu_of(pid_t pid)
{
    struct timespec ts = {0};
    clockid_t clock;

    if (pid <= 0 || clock_getcpuclockid(pid, &clock) != 0)
        return 0;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void measure(enum mode mode, pid_t agent, pid_t manager)
{
    static const char *const names[] = {"up1", "dn1", "up8", "dn8"};
    double p50, p99, gb = 0, a = cpu_of(agent), m = cpu_of(manager);

    printf("{\"mode\":\"%s\"", mode_names[mode]);
    for (int i = 0; i < 4; i++) {
        double rate = run_jobs(i < 2 ? 1 : 8, i % 2 ? 'g' : 's', bulk_main);

        gb += rate * seconds / 1e9;
        printf(",\"%s\":%.2f", names[i], rate * 8 / 1e9);
        fflush(stdout);
    }
    printf(",\"agent_cpu_s_gb\":%.3f,\"manager_cpu_s_gb\":%.3f",
           (cpu_of(agent) - a) / gb, (cpu_of(manager) - m) / gb);
    ping_pong(&p50, &p99);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", p50, p99);
    fflush(stdout);
    printf(",\"conn1\":%.0f", run_jobs(1, 0, connect_main));
    printf(",\"conn16\":%.0f}\n", run_jobs(16, 0, connect_main));
    fflush(stdout);
}

static void run_mode(enum mode mode)
{
    union sockaddr_any far, middle;
    int far_fd = listen_on(&far), fd = -1, middle_fd, up;
    pid_t pids[3] = {start_far(far_fd)};

    entry = far;
    middle_fd = mode == MODE_DIRECT ? -1 : listen_on(&middle);
    if (mode != MODE_DIRECT)
        fd = listen_on(&entry);
    if (mode == MODE_PUMP) {
        pids[1] = start_pump(fd, &middle);
        pids[2] = start_pump(middle_fd, &far);
    } else if (mode != MODE_DIRECT) {
        up = dial(&middle);
        pids[2] = start_node(TUNNEL_SERVER, accept_on(middle_fd), -1, &far,
                             mode == MODE_TLS);
        pids[1] = start_node(TUNNEL_CLIENT, up, fd, &far, mode == MODE_TLS);
    }
    close(fd);
    close(middle_fd);
    close(far_fd);
    usleep(100000);
    measure(mode, pids[1], pids[2]);
    for (int i = 0; i < 3; i++) {
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtod(argv[1], NULL);
    for (int mode = 0; mode < MODES; mode++) {
        bool wanted = argc <= 2;

        for (int i = 2; i < argc; i++)
            wanted |= strcmp(argv[i], mode_names[mode]) == 0;
        if (wanted)
            run_mode((enum mode)mode);
    }
    return 0;
}
