#include "tunnel_pair.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/relay.h"

static void client_closed_cb(void *arg, int status, const char *why)
{
    struct pair *p = arg;

    p->client_ended++;
    p->client_status = status;
    snprintf(p->why, sizeof(p->why), "%s", why);
}

static void server_closed_cb(void *arg, int status, const char *why)
{
    struct pair *p = arg;

    (void)why;
    p->server_ended++;
    p->server_status = status;
}

static int server_open_cb(void *arg, struct tunnel_stream *s,
                          const struct tunnel_open *open)
{
    struct pair *p = arg;

    if (p->open_cb)
        return p->open_cb(p, s, open);
    return pair_serve(p, s, open);
}

static const struct tunnel_ops client_ops = {NULL, client_closed_cb};
static const struct tunnel_ops server_ops = {server_open_cb, server_closed_cb};

void tcp_pair(int fds[2])
{
    union sockaddr_any addr;
    int listener = tcp_listen(&addr);

    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fds[0], &addr.sa, sizeof(addr.in4)), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fds[1], 0);
    close(listener);
}

int tcp_listen(union sockaddr_any *addr)
{
    socklen_t len = sizeof(addr->storage);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    memset(addr, 0, sizeof(*addr));
    addr->in4.sin_family = AF_INET;
    addr->in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, &addr->sa, sizeof(addr->in4)), 0);
    ck_assert_int_eq(listen(fd, 1024), 0);
    ck_assert_int_eq(getsockname(fd, &addr->sa, &len), 0);
    return fd;
}

static void set_nonblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void pair_init(struct pair *p)
{
    struct tunnel_config config = p->config;
    int fds[2];

    if (!p->loop) {
        p->loop = &p->own_loop;
        ck_assert_int_eq(uv_loop_init(p->loop), 0);
    }
    uv_timer_init(p->loop, &p->turn);
    tcp_pair(fds);
    set_nonblock(fds[0]);
    set_nonblock(fds[1]);
    config.role = TUNNEL_CLIENT;
    p->client = tunnel_create(p->loop, stream_create_fd(p->loop, fds[0]),
                              &config, &client_ops, p);
    config.role = TUNNEL_SERVER;
    p->server = tunnel_create(p->loop, stream_create_fd(p->loop, fds[1]),
                              &config, &server_ops, p);
    ck_assert_ptr_nonnull(p->client);
    ck_assert_ptr_nonnull(p->server);
}

int pair_client(struct pair *p)
{
    struct tunnel_config config = p->config;
    int fds[2];

    tcp_pair(fds);
    set_nonblock(fds[0]);
    config.role = TUNNEL_CLIENT;
    p->client = tunnel_create(p->loop, stream_create_fd(p->loop, fds[0]),
                              &config, &client_ops, p);
    ck_assert_ptr_nonnull(p->client);
    return fds[1];
}

static void turn_cb(uv_timer_t *timer)
{
    (void)timer;
}

void pair_turn(struct pair *p)
{
    if (uv_backend_timeout(p->loop) != 0)
        uv_timer_start(&p->turn, turn_cb, 1, 1);
    uv_run(p->loop, UV_RUN_ONCE);
    uv_timer_stop(&p->turn);
}

void pair_close(struct pair *p)
{
    tunnel_destroy(p->client);
    tunnel_destroy(p->server);
    uv_close((uv_handle_t *)&p->turn, NULL);
    if (p->loop != &p->own_loop)
        return;
    uv_run(p->loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(p->relays, 0);
    ck_assert_int_eq(uv_loop_close(p->loop), 0);
}

static void relay_ended_cb(void *arg, uint64_t in, uint64_t out)
{
    struct pair *p = arg;

    (void)in;
    (void)out;
    p->relays--;
}

static void note_opened(struct pair *p, const struct tunnel_open *open)
{
    if (open->name)
        snprintf(p->opened_text, sizeof(p->opened_text), "%s:%u", open->name,
                 open->port);
    else if (open->kind != TUNNEL_REQUEST)
        sockaddr_format(&open->addr, p->opened_text);
}

int pair_serve(struct pair *p, struct tunnel_stream *s,
               const struct tunnel_open *open)
{
    int fd;

    note_opened(p, open);
    if (p->refuse)
        return p->refuse;
    if (open->kind != TUNNEL_TCP)
        return -EIO;
    fd = socket(open->addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &open->addr.sa, sockaddr_len(&open->addr)) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    set_nonblock(fd);
    ck_assert_int_eq(tunnel_stream_answer(s, 0), 0);
    p->relays++;
    ck_assert_ptr_nonnull(relay_create(p->loop, fd, s, relay_ended_cb, p));
    return 0;
}

/* The client's side until it is answered. */
struct dial {
    struct pair *pair;
    struct tunnel_stream *stream;
    int fd;
    int *status;
};

static void dial_opened_cb(void *arg, int status)
{
    struct dial *d = arg;

    if (status == 0) {
        d->pair->relays++;
        ck_assert_ptr_nonnull(relay_create(d->pair->loop, d->fd, d->stream,
                                           relay_ended_cb, d->pair));
        d->fd = -1;
        *d->status = 1;
        free(d);
        return;
    }
    *d->status = status;
}

static ssize_t dial_pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t dial_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

static void dial_eof_cb(void *arg)
{
    (void)arg;
}

static void dial_closed_cb(void *arg, int status)
{
    struct dial *d = arg;

    (void)status;
    close(d->fd);
    free(d);
}

static const struct tunnel_stream_ops dial_ops = {
    dial_opened_cb, dial_pull_cb, dial_push_cb, dial_eof_cb, dial_closed_cb};

int pair_dial(struct pair *p, const union sockaddr_any *addr, int *status)
{
    struct dial *d = calloc(1, sizeof(*d));
    int fds[2];

    tcp_pair(fds);
    set_nonblock(fds[0]);
    d->pair = p;
    d->fd = fds[0];
    d->status = status;
    *status = 0;
    d->stream = tunnel_open_tcp(p->client, addr, &dial_ops, d);
    ck_assert_ptr_nonnull(d->stream);
    return fds[1];
}

/* ---- users without a socket --------------------------------------------- */

static void hook(struct user *u, enum user_event event)
{
    if (u->hook_cb)
        u->hook_cb(u, event);
}

static void user_opened_cb(void *arg, int status)
{
    struct user *u = arg;

    u->opened++;
    u->open_status = status;
    hook(u, USER_OPENED);
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at ^ at >> 8 ^ at >> 16);
}

static ssize_t user_pull_cb(void *arg, void *data, size_t len)
{
    struct user *u = arg;
    uint8_t *out = data;
    size_t n = len < u->offer ? len : (size_t)u->offer;

    hook(u, USER_PULL);
    if (n == 0)
        return u->keep_open ? -EAGAIN : 0;
    for (size_t i = 0; i < n; i++)
        out[i] = pattern(u->sent + i);
    u->sent += n;
    u->offer -= n;
    return (ssize_t)n;
}

static ssize_t user_push_cb(void *arg, const void *data, size_t len)
{
    const uint8_t *in = data;
    struct user *u = arg;

    hook(u, USER_PUSH);
    if (u->stall)
        return 0;
    for (size_t i = 0; i < len; i++)
        u->bad |= in[i] != pattern(u->received + i);
    u->received += len;
    return (ssize_t)len;
}

static void user_eof_cb(void *arg)
{
    struct user *u = arg;

    u->eofs++;
    hook(u, USER_EOF);
}

static void user_closed_cb(void *arg, int status)
{
    struct user *u = arg;

    u->closed++;
    u->status = status;
    u->stream = NULL;
    hook(u, USER_CLOSED);
}

const struct tunnel_stream_ops user_ops = {
    user_opened_cb, user_pull_cb, user_push_cb, user_eof_cb, user_closed_cb};

void user_open(struct user *u, struct pair *p)
{
    union sockaddr_any addr;

    sockaddr_parse(&addr, "10.0.0.1", 80);
    u->pair = p;
    u->stream = tunnel_open_tcp(p->client, &addr, &user_ops, u);
    ck_assert_ptr_nonnull(u->stream);
}

int user_serve(struct pair *p, struct tunnel_stream *s,
               const struct tunnel_open *open)
{
    struct user *u = p->arg;

    (void)open;
    p->arg = u + 1;
    u->pair = p;
    u->stream = s;
    tunnel_stream_set_user(s, &user_ops, u);
    ck_assert_int_eq(tunnel_stream_answer(s, 0), 0);
    return 0;
}

uint64_t hash_bytes(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    if (h == 0)
        h = 0xcbf29ce484222325U;
    while (len-- > 0)
        h = (h ^ *p++) * 0x100000001b3U;
    return h;
}
