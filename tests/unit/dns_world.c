#include "dns_world.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/udp.h"

/* Writes a query and returns its length. */
size_t dns_world_query(uint8_t *out, uint16_t id, const char *name,
                       uint16_t type)
{
    static const uint8_t rest[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t at = 12;

    out[0] = (uint8_t)(id >> 8);
    out[1] = (uint8_t)id;
    memcpy(out + 2, rest, sizeof(rest));
    while (*name) {
        size_t len = strcspn(name, ".");

        out[at++] = (uint8_t)len;
        memcpy(out + at, name, len);
        at += len;
        name += len + (name[len] == '.');
    }
    out[at++] = 0;
    out[at++] = (uint8_t)(type >> 8);
    out[at++] = (uint8_t)type;
    out[at++] = 0;
    out[at++] = 1;
    return at;
}

struct pair pair;
struct fake cluster, upstream;
struct dns *dns;

static void fake_open(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->tcp = tcp_listen(&f->addr);
    f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(f->udp, &f->addr.sa, sizeof(f->addr.in4)), 0);
    fcntl(f->tcp, F_SETFL, O_NONBLOCK);
    f->conn = -1;
}

static void fake_close(struct fake *f)
{
    close(f->udp);
    close(f->tcp);
    if (f->conn >= 0)
        close(f->conn);
}

/* Makes an answer of the query; its length. */
static size_t fake_mark(struct fake *f, uint8_t *msg, size_t len)
{
    struct dns_question q;

    f->queries++;
    f->last_id = dns_msg_id(msg);
    msg[2] |= (uint8_t)(0x80 | (f->tag ? 0x04 : 0) | (f->truncate ? 0x02 : 0));
    msg[3] = f->rcode;
    ck_assert_int_eq(dns_msg_parse(&q, msg, len), 0);
    memcpy(f->last_name, q.name, sizeof(q.name));
    if (!f->records)
        return len;
    memcpy(msg + q.end, f->records, f->records_len);
    memset(msg + 6, 0, 6);
    msg[7] = f->n_answers;
    msg[9] = f->n_authority;
    return q.end + f->records_len;
}

static void fake_serve_tcp(struct fake *f)
{
    uint8_t msg[4096];
    ssize_t n;

    if (f->conn < 0) {
        f->conn = accept4(f->tcp, NULL, NULL, SOCK_CLOEXEC);
        f->conns += f->conn >= 0;
    }
    n = f->conn < 0 ? -1 : recv(f->conn, msg, 2, MSG_DONTWAIT | MSG_PEEK);
    if (n == 0) {
        close(f->conn);
        f->conn = -1;
    }
    if (n < 2)
        return;
    n = msg[0] << 8 | msg[1];
    ck_assert_int_eq(recv(f->conn, msg, (size_t)n + 2, MSG_WAITALL), n + 2);
    n = (ssize_t)fake_mark(f, msg + 2, (size_t)n);
    msg[0] = (uint8_t)(n >> 8);
    msg[1] = (uint8_t)n;
    if (!f->silent)
        ck_assert_int_eq(send(f->conn, msg, (size_t)n + 2, 0), n + 2);
}

void fake_serve(struct fake *f)
{
    union sockaddr_any from;
    socklen_t len = sizeof(from.storage);
    uint8_t msg[4096];
    ssize_t n =
        recvfrom(f->udp, msg, sizeof(msg), MSG_DONTWAIT, &from.sa, &len);

    if (n > 0) {
        n = (ssize_t)fake_mark(f, msg, (size_t)n);
        if (!f->silent)
            ck_assert_int_eq(sendto(f->udp, msg, (size_t)n, 0, &from.sa, len),
                             n);
    }
    fake_serve_tcp(f);
}

static void server_flow_closed_cb(void *arg, int status)
{
    (void)arg;
    (void)status;
}

static const struct tunnel_udp_ops server_flow_ops = {
    .closed_cb = server_flow_closed_cb,
};

/* Whatever address is asked for, the fake cluster DNS is dialled. */
static int serve_cluster(struct pair *p, struct tunnel_stream *s,
                         const struct tunnel_open *open)
{
    struct tunnel_open there = *open;
    int fd;

    sockaddr_format(&open->addr, p->opened_text);
    there.addr = cluster.addr;
    if (open->kind == TUNNEL_TCP) {
        p->open_cb = NULL;
        fd = pair_serve(p, s, &there);
        p->open_cb = serve_cluster;
        return fd;
    }
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(connect(fd, &there.addr.sa, sizeof(there.addr.in4)), 0);
    return tunnel_udp_serve(p->loop, s, fd, 10000, &server_flow_ops, p)
               ? 0
               : -ENOMEM;
}

void dns_world_configure(unsigned timeout_ms)
{
    struct dns_config config = {.domain = "cluster.local",
                                .timeout_ms = timeout_ms};

    ck_assert_int_eq(sockaddr_parse(&config.address, "10.43.0.10", 0), 0);
    dns_set_cluster(dns, &config);
}

void dns_world_setup(void)
{
    memset(&pair, 0, sizeof(pair));
    pair.open_cb = serve_cluster;
    pair_init(&pair);
    fake_open(&cluster);
    fake_open(&upstream);
    cluster.tag = true;
    dns = dns_create(pair.loop, &upstream.addr, 1, 0, NULL);
    ck_assert_ptr_nonnull(dns);
    dns_world_configure(0);
    dns_set_tunnel(dns, pair.client);
}

void dns_world_teardown(void)
{
    dns_destroy(dns);
    pair_close(&pair);
    fake_close(&cluster);
    fake_close(&upstream);
}

void dns_world_reply_cb(void *arg, const void *msg, size_t len)
{
    struct answer *a = arg;
    const uint8_t *p = msg;

    a->n++;
    a->id = dns_msg_id(p);
    a->flags = p[2];
    a->rcode = p[3] & 0x0f;
    a->len = len;
    if (len <= sizeof(a->msg))
        memcpy(a->msg, msg, len);
}

void dns_world_ask(struct answer *a, uint16_t id, const char *name)
{
    uint8_t msg[512];

    memset(a, 0, sizeof(*a));
    dns_query(dns, msg, dns_world_query(msg, id, name, 1), dns_world_reply_cb,
              a);
}

void dns_world_send_tcp(int fd, uint16_t id, const char *name)
{
    uint8_t msg[514];
    size_t len = dns_world_query(msg + 2, id, name, 1);

    msg[0] = (uint8_t)(len >> 8);
    msg[1] = (uint8_t)len;
    ck_assert_int_eq(send(fd, msg, len + 2, 0), (ssize_t)len + 2);
}

bool dns_world_recv_tcp(int fd, struct answer *a)
{
    uint8_t msg[1026];
    ssize_t len, n = recv(fd, msg, sizeof(msg), MSG_DONTWAIT | MSG_PEEK);

    if (n < 2)
        return false;
    len = msg[0] << 8 | msg[1];
    if (n < len + 2)
        return false;
    recv(fd, msg, (size_t)len + 2, 0);
    dns_world_reply_cb(a, msg + 2, (size_t)len);
    return true;
}

int dns_world_open_tcp(void)
{
    int fds[2];

    tcp_pair(fds);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    dns_serve_tcp(dns, fds[1]);
    return fds[0];
}
