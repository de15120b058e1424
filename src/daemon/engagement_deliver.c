/*
 * engagement_deliver.c - streams of the incoming link to local programs
 *
 * A stream names an engagement and a port of the container; where it goes is in
 * the table only. --address may be a name: it is resolved for each connection,
 * so that a container that is started anew is found.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/engagement_internal.h"
#include "tunnel/serve.h"

#define CONNECT_MS     5000
#define DELIVERIES_MAX 4096 /* of one engagement */

struct delivery {
    LIST_ENTRY(delivery) entry;
    struct engagement *eng; /* NULL: it has ended, this goes on alone */
    uv_loop_t *loop;
    struct tunnel_stream *stream; /* while the name is being resolved */
    struct tunnel_serve_config config;
    uint16_t port;
    uv_getaddrinfo_t resolve;
};

static void forget(struct delivery *d)
{
    if (d->eng) {
        LIST_REMOVE(d, entry);
        d->eng->delivery_count--;
    }
    d->eng = NULL;
}

static void ended_cb(void *arg)
{
    forget(arg);
    free(arg);
}

static const struct tunnel_serve_ops serve_ops = {.ended_cb = ended_cb};

/* ---- names ---- */

/* The peer goes while the name is being resolved; resolved_cb() frees. */
static void waiting_closed_cb(void *arg, int status)
{
    struct delivery *d = arg;

    (void)status;
    d->stream = NULL;
    uv_cancel((uv_req_t *)&d->resolve);
}

static void waiting_eof_cb(void *arg)
{
    struct delivery *d = arg;

    d->config.eof = true;
}

static const struct tunnel_stream_ops waiting_ops = {
    .pull_cb = tunnel_hold_pull,
    .push_cb = tunnel_hold_push,
    .eof_cb = waiting_eof_cb,
    .closed_cb = waiting_closed_cb,
};

static void resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct delivery *d = req->data;
    struct tunnel_stream *s = d->stream;
    int rc = status < 0 || !res ? -EHOSTUNREACH : 0;

    if (rc == 0) {
        memcpy(&d->config.addr, res->ai_addr, res->ai_addrlen);
        sockaddr_set_port(&d->config.addr, d->port);
    }
    uv_freeaddrinfo(res);
    d->stream = NULL;
    if (s && !d->eng)
        rc = -ECONNREFUSED;
    if (s) {
        tunnel_stream_set_user(s, NULL, NULL);
        if (rc == 0)
            rc = tunnel_serve(d->loop, s, &d->config, &serve_ops, d);
        if (rc == 0)
            return;
        tunnel_stream_answer(s, rc);
    }
    ended_cb(d);
}

static int resolve(struct delivery *d, struct tunnel_stream *s)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int rc = uv_getaddrinfo(d->loop, &d->resolve, resolved_cb,
                            d->eng->spec.address, NULL, &hints);

    if (rc < 0)
        return -EHOSTUNREACH;
    d->resolve.data = d;
    d->stream = s;
    tunnel_stream_set_user(s, &waiting_ops, d);
    return 0;
}

/* ---- delivery ---- */

static const struct eng_port *find_port(const struct engagement *eng,
                                        const struct tunnel_open *open)
{
    bool udp = open->kind == TUNNEL_UDP;

    for (size_t i = 0; i < eng->port_count; i++) {
        if (eng->ports[i].remote == open->port && eng->ports[i].udp == udp)
            return &eng->ports[i];
    }
    return NULL;
}

static int start(struct delivery *d, struct tunnel_stream *s)
{
    const char *address = d->eng->spec.address;

    if (sockaddr_parse(&d->config.addr, address, d->port) < 0)
        return resolve(d, s);
    if (sockaddr_is_loopback(&d->config.addr))
        d->config.mark = 0;
    return tunnel_serve(d->loop, s, &d->config, &serve_ops, d);
}

unsigned engagement_deliveries(const struct engagement *eng)
{
    return eng->delivery_count;
}

int engagement_deliver(struct engagements *e, struct tunnel_stream *s,
                       const struct tunnel_open *open)
{
    struct engagement *eng = open->kind != TUNNEL_REQUEST && open->name
                                 ? engagements_by_id(e, open->name)
                                 : NULL;
    const struct eng_port *port = eng ? find_port(eng, open) : NULL;
    struct delivery *d;
    int rc;

    if (!port || eng->delivery_count >= DELIVERIES_MAX)
        return port ? -EMFILE : -EACCES;
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->eng = eng;
    d->loop = e->loop;
    d->port = port->local;
    d->config = (struct tunnel_serve_config){
        .udp = port->udp, .mark = e->mark, .timeout_ms = CONNECT_MS};
    LIST_INSERT_HEAD(&eng->deliveries, d, entry);
    eng->delivery_count++;
    rc = start(d, s);
    if (rc < 0) {
        forget(d);
        free(d);
    }
    return rc;
}

/* Running connections end by themselves, as those of a Service whose endpoints
 * change do. */
void engagement_deliveries_end(struct engagement *eng)
{
    struct delivery *d;

    while ((d = LIST_FIRST(&eng->deliveries)))
        forget(d);
}
