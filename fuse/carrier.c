#include "fuse/carrier.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/broker.h"

#define MAX_ADDRESSES 8
#define SOCKET_BYTES  (4 * 1024 * 1024)

struct carrier {
    struct sockaddr_storage address[MAX_ADDRESSES];
    socklen_t len[MAX_ADDRESSES];
    unsigned n, next;
    int fds[MOUNT_FDS];
    int n_fds, fds_given;
    int broker; /* -1: none */
    unsigned timeout;
};

static int look_up(struct carrier *c, const struct mount_options *o,
                   struct tp_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
    int rc = getaddrinfo(o->host, o->port, &hints, &list);

    if (rc != 0)
        return tp_error_set(err, -EHOSTUNREACH, "host '%s': %s", o->host,
                            gai_strerror(rc));
    for (a = list; a && c->n < MAX_ADDRESSES; a = a->ai_next) {
        memcpy(&c->address[c->n], a->ai_addr, a->ai_addrlen);
        c->len[c->n++] = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return 0;
}

static int set_unix(struct carrier *c, const char *path, struct tp_error *err)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(un.sun_path))
        return tp_error_set(err, -ENAMETOOLONG,
                            "socket '%s' is too long a path", path);
    strcpy(un.sun_path, path);
    memcpy(&c->address[0], &un, sizeof(un));
    c->len[0] = sizeof(un);
    c->n = 1;
    return 0;
}

struct carrier *carrier_create(const struct mount_options *o,
                               struct tp_error *err)
{
    struct carrier *c = calloc(1, sizeof(*c));
    int rc = 0;

    if (!c) {
        tp_error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    c->timeout = o->timeout;
    c->n_fds = o->n_fds;
    memcpy(c->fds, o->fds, sizeof(c->fds));
    c->broker = o->broker_fd;
    if (o->socket)
        rc = set_unix(c, o->socket, err);
    else if (c->broker >= 0)
        rc = fcntl(c->broker, F_SETFL, O_NONBLOCK) < 0
                 ? tp_error_errno(err, -errno, "broker_fd")
                 : 0;
    else if (o->n_fds == 0)
        rc = look_up(c, o, err);
    if (rc < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void carrier_destroy(struct carrier *c)
{
    free(c);
}

bool carrier_redials(const struct carrier *c)
{
    return c->n > 0 || c->broker >= 0;
}

int carrier_count(const struct carrier *c)
{
    return carrier_redials(c) ? MOUNT_FDS : c->n_fds;
}

unsigned carrier_addresses(const struct carrier *c)
{
    return c->n > 0 ? c->n : 1;
}

/* The kernel notices a peer that is gone; buffers hold a long path's worth. */
static void tune(int fd, int family, unsigned timeout)
{
    const struct {
        int level, name, value;
    } wanted[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 5},
        {IPPROTO_TCP, TCP_KEEPINTVL, 3},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout * 1000},
    };
    int bytes = SOCKET_BYTES;

    if (family == AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        return;
    }
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        setsockopt(fd, wanted[i].level, wanted[i].name, &wanted[i].value,
                   sizeof(int));
}

static int take_inherited(struct carrier *c)
{
    int fd;

    if (c->fds_given == c->n_fds)
        return -ENOTCONN;
    fd = c->fds[c->fds_given++];
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return fd;
}

/* Answers come in the order of the requests, and any of them will do. */
static int take_brokered(struct carrier *c, struct carrier_turn *turn,
                         struct ssh_identity **identity, struct tp_error *err)
{
    struct broker_answer answer;
    int rc = turn->asked ? 0 : broker_ask(c->broker), fd;

    if (rc == 0)
        rc = broker_receive(c->broker, &answer);
    turn->asked = rc == -EAGAIN;
    if (rc < 0)
        return turn->asked ? rc : tp_error_errno(err, rc, "broker");
    if (answer.error) {
        rc = tp_error_set(err, -ECONNREFUSED, "%s", answer.error);
    } else if (!(*identity = ssh_identity_given(answer.hostkey, answer.key))) {
        rc = tp_error_set(err, -ENOMEM, "out of memory");
    } else {
        tune(answer.fd, AF_UNIX, c->timeout);
        rc = fcntl(answer.fd, F_SETFL, O_NONBLOCK) < 0
                 ? tp_error_errno(err, -errno, "broker")
                 : 0;
    }
    fd = answer.fd;
    if (rc == 0)
        answer.fd = -1;
    broker_answer_release(&answer);
    return rc < 0 ? rc : fd;
}

static int dial(struct carrier *c)
{
    const struct sockaddr *to;
    unsigned i;
    int fd, rc;

    i = c->next++ % c->n;
    to = (const struct sockaddr *)&c->address[i];
    fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    tune(fd, to->sa_family, c->timeout);
    if (connect(fd, to, c->len[i]) < 0 && errno != EINPROGRESS) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

int carrier_open(struct carrier *c, struct carrier_turn *turn,
                 struct ssh_identity **identity, struct tp_error *err)
{
    int fd;

    *identity = NULL;
    if (c->broker >= 0)
        return take_brokered(c, turn, identity, err);
    fd = c->n == 0 ? take_inherited(c) : dial(c);
    return fd < 0 ? tp_error_errno(err, fd, "connect") : fd;
}
