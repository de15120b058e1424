#include "agent_world.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/udp.h"

struct pair pair;
struct world world;

/* ---- the workstation ------------------------------------------------------
 */

static ssize_t silent_pull_cb(void *arg, void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static ssize_t silent_push_cb(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return 0;
}

static void silent_eof_cb(void *arg)
{
    (void)arg;
}

static void silent_closed_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
    world.silent--;
}

static const struct tunnel_stream_ops silent_ops = {
    .pull_cb = silent_pull_cb,
    .push_cb = silent_push_cb,
    .eof_cb = silent_eof_cb,
    .closed_cb = silent_closed_cb,
};

static int serve_udp(struct tunnel_stream *s, const union sockaddr_any *addr)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(connect(fd, &addr->sa, sizeof(addr->in4)), 0);
    return tunnel_udp_serve(pair.loop, s, fd, 0, NULL, NULL) ? 0 : -ENOMEM;
}

static int far_open_cb(struct pair *p, struct tunnel_stream *s,
                       const struct tunnel_open *open)
{
    struct tunnel_open to = *open;
    enum far_answer answer = world.mirrors;

    ck_assert_ptr_nonnull(open->name);
    ck_assert_uint_eq(open->port, world.port.port);
    if (!strcmp(open->name, INTERCEPT) || !strcmp(open->name, SECOND)) {
        answer = open->name[0] == 's' ? world.second : world.intercept;
        to.addr = world.workstation_addr;
    } else {
        to.addr = world.mirror_addr[open->name[TUNNEL_NAME_LEN - 1] - '0'];
    }
    if (answer == FAR_REFUSES)
        return -ECONNREFUSED;
    if (answer == FAR_SILENT) {
        world.silent++;
        tunnel_stream_set_user(s, &silent_ops, NULL);
        return 0;
    }
    if (open->kind == TUNNEL_UDP)
        return serve_udp(s, &to.addr);
    return pair_serve(p, s, &to);
}

/* ---- life ------------------------------------------------------------------
 */

static int listen_on(bool udp, union sockaddr_any *addr)
{
    socklen_t len = sizeof(*addr);
    int fd;

    if (!udp)
        return tcp_listen(addr);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_parse(addr, "127.0.0.1", 0);
    ck_assert_int_eq(bind(fd, &addr->sa, sizeof(addr->in4)), 0);
    ck_assert_int_eq(getsockname(fd, &addr->sa, &len), 0);
    return fd;
}

static void drained_cb(void *arg)
{
    struct world *w = arg;

    w->drained++;
}

static void make_config(bool udp, enum agent_port_mode mode)
{
    world.port.port = sockaddr_port(&world.app_addr);
    world.port.udp = udp;
    world.port.mode = mode;
    if (mode == PORT_DIRECT) { /* the agent takes the app's place */
        world.port.listen = world.port.port;
        close(world.app);
        world.app = -1;
    }
    strcpy(world.port.container, "app");
    world.config.ports = &world.port;
    world.config.n_ports = 1;
    sockaddr_parse(&world.config.pod_ip4, "127.0.0.1", 0);
    world.config.drained_cb = drained_cb;
    world.config.arg = &world;
}

void world_init(bool udp, enum agent_port_mode mode)
{
    struct agent_probe_config probe = {0};
    struct tp_error err = {0};

    memset(&pair, 0, sizeof(pair));
    memset(&world, 0, sizeof(world));
    world.app = listen_on(udp, &world.app_addr);
    world.workstation = listen_on(udp, &world.workstation_addr);
    for (int i = 0; i < 2; i++)
        world.mirror[i] = listen_on(udp, &world.mirror_addr[i]);
    make_config(udp, mode);
    probe.port = world.port.port;
    world.config.probes = &probe;
    world.config.n_probes = 1;
    pair.open_cb = far_open_cb;
    pair.config.names = true;
    pair_init(&pair);
    world.path = agent_path_create(pair.loop, &world.config, &err);
    ck_assert_msg(world.path != NULL, "%s", err.text);
}

void world_close(void)
{
    agent_path_destroy(world.path);
    pair_close(&pair);
    ck_assert_uint_eq(world.silent, 0);
    if (world.app >= 0)
        close(world.app);
    close(world.workstation);
    close(world.mirror[0]);
    close(world.mirror[1]);
}

/* ---- engagements ------------------------------------------------------------
 */

struct agent_engagement engagement(const char *id,
                                   enum agent_engagement_type type)
{
    struct agent_engagement e = {.type = type, .n_ports = 1};

    strcpy(e.id, id);
    e.ports[0].port = world.port.port;
    e.ports[0].udp = world.port.udp;
    e.tunnel = pair.client;
    return e;
}

void engage(const struct agent_engagement *list, size_t n)
{
    agent_path_set_engagements(world.path, list, n);
}

void engage_one(const char *id, enum agent_engagement_type type)
{
    struct agent_engagement e = engagement(id, type);

    engage(&e, 1);
}

struct agent_path_stats world_stats(void)
{
    struct agent_path_stats stats;

    agent_path_get_stats(world.path, &stats);
    return stats;
}

/* ---- the tests' own sockets
 * ---------------------------------------------------- */

int client_connect(size_t i)
{
    union sockaddr_any addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sockaddr_parse(&addr, "127.0.0.1", agent_path_listen_port(world.path, i));
    ck_assert_int_eq(connect(fd, &addr.sa, sizeof(addr.in4)), 0);
    return fd;
}

bool readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    return poll(&pfd, 1, 0) == 1;
}

int accept_on(int listener)
{
    int fd;

    RUN_UNTIL(readable(listener));
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

void expect_text(int fd, const char *text)
{
    size_t len = strlen(text), got = 0;
    char data[256];

    ck_assert_uint_lt(len, sizeof(data));
    while (got < len) {
        ssize_t n;

        RUN_UNTIL(readable(fd));
        n = recv(fd, data + got, len - got, 0);
        ck_assert_msg(n > 0, "%zd instead of %s", n, text);
        got += (size_t)n;
    }
    ck_assert_mem_eq(data, text, len);
}

void expect_end(int fd)
{
    char c;

    RUN_UNTIL(readable(fd));
    ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
}

void expect_reset(int fd)
{
    char c;

    RUN_UNTIL(readable(fd));
    ck_assert_int_eq(recv(fd, &c, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
}

void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL),
                     (int)strlen(text));
}

void reset_socket(int fd)
{
    struct linger rst = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    close(fd);
}
