/* The HTTP server's loop: see http.h. */
#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX 4

/* A thread with connections of its own: nothing is shared. */
struct worker {
    int epoll;
    int listener;
    struct connection *sleepers;
    char body[BULK_SIZE]; /* where bodies pass through */
};

uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* ---- sleeping ---- */

static void remove_sleeper(struct worker *worker, struct connection *connection)
{
    struct connection **at = &worker->sleepers;
    while (*at && *at != connection)
        at = &(*at)->next_sleeper;
    if (*at)
        *at = connection->next_sleeper;
    connection->wake_at = 0;
}

static void add_sleeper(struct worker *worker, struct connection *connection)
{
    connection->next_sleeper = worker->sleepers;
    worker->sleepers = connection;
}

/* The time until the next one wakes, as epoll_wait() takes it. */
static int sleep_time(const struct worker *worker)
{
    const struct connection *c;
    uint64_t next = UINT64_MAX;
    for (c = worker->sleepers; c; c = c->next_sleeper)
        next = c->wake_at < next ? c->wake_at : next;
    if (next == UINT64_MAX)
        return -1;
    uint64_t now = now_ms();
    return next <= now ? 0 : (int)(next - now);
}

/* ---- a connection's life ---- */

static void destroy(struct worker *worker, struct connection *connection)
{
    if (connection->wake_at)
        remove_sleeper(worker, connection);
    if (connection->file >= 0)
        close(connection->file);
    close(connection->fd);
    free(connection);
}

static void accept_one(struct worker *worker)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof(peer);
    int on = 1;
    int fd = accept4(worker->listener, (struct sockaddr *)&peer, &size,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    if (!connection) {
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->file = -1;
    connection->events = EPOLLIN;
    net_address_text(&peer, connection->peer);
    net_local_text(fd, connection->local);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {EPOLLIN, {.ptr = connection}};
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        destroy(worker, connection);
}

/* ---- out ---- */

static bool output_pending(const struct connection *connection)
{
    return connection->out_size > 0 || connection->bulk_left > 0;
}

static bool send_text(struct connection *connection)
{
    int more = connection->bulk_left > 0 ? MSG_MORE : 0;
    ssize_t sent = send(connection->fd, connection->out, connection->out_size,
                        MSG_NOSIGNAL | more);
    if (sent < 0)
        return would_block();
    connection->out_size -= (size_t)sent;
    memmove(connection->out, connection->out + sent, connection->out_size);
    return true;
}

/* One piece: the other connections have their turn in between. */
static bool send_bulk(struct connection *connection)
{
    size_t size = BULK_SIZE;
    ssize_t sent;
    if (connection->bulk_left < size)
        size = (size_t)connection->bulk_left;
    if (connection->file >= 0) {
        sent = sendfile(connection->fd, connection->file, NULL, size);
        if (sent == 0) /* the file was cut short */
            return false;
    } else {
        const void *data = pattern_at(connection->bulk_offset, &size);
        sent = send(connection->fd, data, size, MSG_NOSIGNAL);
    }
    if (sent < 0)
        return would_block();
    connection->bulk_offset += (uint64_t)sent;
    connection->bulk_left -= (uint64_t)sent;
    if (connection->bulk_left == 0 && connection->file >= 0) {
        close(connection->file);
        connection->file = -1;
    }
    return true;
}

/* False when the connection is done with. */
static bool send_some(struct connection *connection)
{
    if (connection->out_size > 0 && !send_text(connection))
        return false;
    if (connection->out_size == 0 && connection->bulk_left > 0)
        return send_bulk(connection);
    return true;
}

/* ---- in ---- */

static void take_body(struct connection *connection, const char *data,
                      size_t size)
{
    connection->body_left -= size;
    if (connection->body_use == BODY_HASH)
        sha256_add(&connection->hash, data, size);
    else if (connection->body_use == BODY_FILE)
        net_write_all(connection->file, data, size);
}

static void drop_input(struct connection *connection, size_t size)
{
    connection->in_size -= size;
    memmove(connection->in, connection->in + size, connection->in_size);
}

static void take_buffered_body(struct connection *connection)
{
    size_t size = connection->in_size;
    if (connection->body_left < size)
        size = (size_t)connection->body_left;
    take_body(connection, connection->in, size);
    drop_input(connection, size);
}

/* The head of a request, when all of it is there. */
static bool take_head(struct connection *connection)
{
    struct request *request = &connection->request;
    ssize_t size = request_parse(request, connection->in, connection->in_size);
    if (size == 0 && connection->in_size < sizeof(connection->in))
        return false;
    if (size <= 0) {
        /* No request: an answer without a page, and the end. */
        static const char bad[] = "HTTP/1.1 400 Bad Request\r\n"
                                  "Content-Length: 0\r\n\r\n";
        memcpy(connection->out + connection->out_size, bad, sizeof(bad) - 1);
        connection->out_size += sizeof(bad) - 1;
        connection->close_after = true;
        return false;
    }
    memcpy(connection->head, connection->in, (size_t)size);
    connection->head_size = (size_t)size;
    drop_input(connection, (size_t)size);
    return true;
}

static void begin_request(struct worker *worker, struct connection *connection)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    connection->in_body = true;
    connection->body_left = connection->request.body_size;
    pages_begin(connection);
    if (connection->wake_at)
        add_sleeper(worker, connection);
    if (connection->request.wants_continue && !connection->request.chunked) {
        memcpy(connection->out + connection->out_size, go_on,
               sizeof(go_on) - 1);
        connection->out_size += sizeof(go_on) - 1;
    }
}

/* False when it is for the client, or for time, to do something first. */
static bool advance(struct worker *worker, struct connection *connection)
{
    if (connection->bulk_left > 0 || connection->close_after ||
        OUT_SIZE - connection->out_size < ANSWER_MAX)
        return false;
    if (!connection->in_body) {
        if (!take_head(connection))
            return false;
        begin_request(worker, connection);
    }
    take_buffered_body(connection);
    if (connection->body_left > 0 || connection->wake_at)
        return false;
    connection->in_body = false;
    pages_answer(connection);
    return true;
}

static bool wants_input(const struct connection *connection)
{
    if (connection->input_ended || connection->close_after)
        return false;
    if (connection->in_body && connection->body_left > 0)
        return true;
    return connection->in_size < sizeof(connection->in) &&
           !output_pending(connection) && !connection->wake_at;
}

/* False when the connection is done with. */
static bool receive(struct worker *worker, struct connection *connection)
{
    /* Of a body as much as possible, without copying it to the buffer. */
    bool direct = connection->in_body && connection->in_size == 0;
    char *to = connection->in + connection->in_size;
    size_t room = sizeof(connection->in) - connection->in_size;
    if (direct) {
        to = worker->body;
        room = sizeof(worker->body);
        if (connection->body_left < room)
            room = (size_t)connection->body_left;
    }
    ssize_t got = recv(connection->fd, to, room, 0);
    if (got < 0)
        return would_block();
    if (got == 0)
        connection->input_ended = true;
    else if (direct)
        take_body(connection, to, (size_t)got);
    else
        connection->in_size += (size_t)got;
    return true;
}

/* ---- the loop ---- */

static void wait_for_more(struct worker *worker, struct connection *connection)
{
    uint32_t events = (wants_input(connection) ? EPOLLIN : 0) |
                      (output_pending(connection) ? EPOLLOUT : 0);
    if (events == connection->events)
        return;
    struct epoll_event event = {events, {.ptr = connection}};
    epoll_ctl(worker->epoll, EPOLL_CTL_MOD, connection->fd, &event);
    connection->events = events;
}

static bool is_done(const struct connection *connection)
{
    return !output_pending(connection) && !connection->wake_at &&
           (connection->close_after || connection->input_ended);
}

static void run(struct worker *worker, struct connection *connection)
{
    bool alive = true;
    do {
        while (advance(worker, connection))
            ;
        if (!output_pending(connection))
            break;
        alive = send_some(connection);
    } while (alive && !output_pending(connection));
    if (!alive || is_done(connection))
        destroy(worker, connection);
    else
        wait_for_more(worker, connection);
}

static void handle(struct worker *worker, struct connection *connection,
                   uint32_t events)
{
    bool alive = !(events & (EPOLLERR | EPOLLHUP));
    if (alive && (events & EPOLLIN))
        alive = receive(worker, connection);
    if (alive)
        run(worker, connection);
    else
        destroy(worker, connection);
}

static void wake_sleepers(struct worker *worker)
{
    uint64_t now = now_ms();
    struct connection *next, *c;
    for (c = worker->sleepers; c; c = next) {
        next = c->next_sleeper;
        if (c->wake_at > now)
            continue;
        remove_sleeper(worker, c);
        run(worker, c);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(worker->epoll, events, 256, sleep_time(worker));
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                handle(worker, events[i].data.ptr, events[i].events);
            else
                accept_one(worker);
        }
        if (worker->sleepers)
            wake_sleepers(worker);
    }
    return NULL;
}

static void start_worker(uint16_t port)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    if (!worker)
        fail("calloc");
    worker->listener = net_listen(SOCK_STREAM | SOCK_NONBLOCK, port);
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0 ||
        epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->listener, &event) < 0)
        fail("epoll");
    if (start_thread(work, worker) < 0)
        fail("pthread_create");
}

void http_start(uint16_t port)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; i < processors && i < WORKERS_MAX; i++)
        start_worker(port);
}
