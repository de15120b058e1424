/*
 * pump_relay.c - the client's end of a relay
 *
 * Listens on 127.0.0.1; each connection gets an upgraded one, whose first
 * line is "dial ADDR:PORT", and is joined to it.
 */
#include "pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sockaddr.h"
#include "net/dial.h"
#include "net/listen.h"

struct relay_port {
    const struct pump_relay *relay;
    uv_loop_t *loop;
    struct tls_ctx *tls;
    uint16_t port;
};

struct pending {
    struct relay_port *port;
    int fd;
};

static void dialled_cb(void *arg, const struct dial_result *result)
{
    struct pending *p = arg;
    struct relay_port *port = p->port;
    int fd = p->fd, n;
    struct stream *local;
    char word[96];

    free(p);
    if (result->status < 0) {
        fprintf(stderr, "bench-pump: %s\n", result->text);
        close(fd);
        return;
    }
    local = stream_create_fd(port->loop, fd);
    n = snprintf(word, sizeof(word), "dial %s:%u\n", port->relay->target,
                 port->port);
    if (!local || stream_write(result->stream, word, (size_t)n) != n) {
        stream_close(result->stream, NULL, NULL);
        if (local)
            stream_close(local, NULL, NULL);
        return;
    }
    pump_join(local, result->stream);
}

static void accept_cb(void *arg, int fd, const union sockaddr_any *peer)
{
    struct relay_port *port = arg;
    struct pending *p = malloc(sizeof(*p));

    (void)peer;
    if (p) {
        *p = (struct pending){port, fd};
        if (pump_dial(port->loop, &port->relay->api, port->tls, dialled_cb, p))
            return;
    }
    free(p);
    close(fd);
}

int pump_relay(uv_loop_t *loop, const struct pump_relay *relay,
               struct tp_error *err)
{
    struct tls_ctx *tls = pump_make_tls(err);

    if (!tls)
        return -EINVAL;
    for (size_t i = 0; i < relay->count; i++) {
        struct relay_port *port = calloc(1, sizeof(*port));
        union sockaddr_any addr;

        if (!port)
            return tp_error_set(err, -ENOMEM, "out of memory");
        *port = (struct relay_port){relay, loop, tls,
                                    (uint16_t)atoi(relay->ports[i])};
        sockaddr_parse(&addr, "127.0.0.1", port->port);
        if (!listener_create(loop, &addr, 128, accept_cb, port, err))
            return -EINVAL;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
