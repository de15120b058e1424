/*
 * pump.h - bytes through an upgraded connection, and nothing else
 *
 * What the link could do at best: the same API server, upgrade and TLS code
 * (src/net), but no HTTP/2, no transparent proxy and no second TCP connection
 * on either side. The client's first line says what is wanted:
 *
 *   source   the server sends without end
 *   sink     the server reads and drops
 *   echo     the server sends back what comes
 *   dial ADDR:PORT  the server connects there and joins the two: with the same
 *            at the client's end (pump_relay()) it is a link without tp, one
 *            upgraded connection for each TCP connection
 */
#ifndef TP_BENCH_PUMP_H
#define TP_BENCH_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/dial.h"
#include "net/stream.h"
#include "net/tls.h"

#define PUMP_GROUP "pump.tp.test"
#define PUMP_SIZE  65536 /* bytes of one read or write, as the tunnel's */

/* Serves the API group on that port until the process ends. The certificate
 * and its key are the PEM texts in $PUMP_CERT and $PUMP_KEY. */
int pump_serve(uv_loop_t *loop, uint16_t port, struct tp_error *err);

/* How the client reaches the API server. PEM texts are in $PUMP_CA (without it
 * the server is not verified), $PUMP_CERT and $PUMP_KEY, or a bearer token in
 * $PUMP_TOKEN. */
struct pump_api {
    const char *host;
    uint16_t port;
    const char *server_name;
};

struct tls_ctx *pump_make_tls(struct tp_error *err);
struct dial *pump_dial(uv_loop_t *loop, const struct pump_api *api,
                       struct tls_ctx *tls, dial_cb *cb, void *arg);

struct pump_job {
    struct pump_api api;
    const char *mode; /* "source", "sink", "echo" */
    size_t streams;   /* connections; echo: 1 */
    double seconds;
};

/* Runs the loop, prints one JSON object as client.c does. */
int pump_measure(uv_loop_t *loop, const struct pump_job *job,
                 struct tp_error *err);

struct pump_relay {
    struct pump_api api;
    const char *target; /* the address that the server dials */
    char **ports;       /* that are listened on, and dialled */
    size_t count;
};

/* Serves until the process ends. */
int pump_relay(uv_loop_t *loop, const struct pump_relay *relay,
               struct tp_error *err);

/* Takes both streams, in either case. 0 or -ENOMEM. */
int pump_join(struct stream *a, struct stream *b);

#endif
