/*
 * What a server says. Small packets are collected in `rx`; the bytes of DATA go
 * from the socket straight to the memory that they were asked for.
 */
#include "fuse/conn_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse/memory.h"
#include "sftp/status.h"

#define HEADER_BYTES 13                /* length, type, id, DATA's length */
#define BURST_BYTES  (4 * 1024 * 1024) /* then it is others' turn */
#define RTT_MS       10000

static uint32_t peek32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* The shortest of late is the path's own time. */
static void measure(struct conn *c, const struct call *call)
{
    uint64_t now = uv_now(c->config.loop), took;

    if (call->payload || call->sink)
        return;
    took = conn_clock() - call->sent_at;
    if (c->rtt == 0 || took < c->rtt || now - c->rtt_at > RTT_MS) {
        c->rtt = took;
        c->rtt_at = now;
    }
}

static void finish(struct conn *c, struct call *call, const struct reply *reply)
{
    c->in_flight--;
    if (call->flags & CONN_SLOW)
        c->slow--;
    measure(c, call);
    conn_end(c, call, reply);
}

static int handle_status(struct conn *c, struct call *call,
                         struct sftp_reader *body)
{
    struct sftp_reply_status status;
    struct reply reply = {0};

    if (sftp_decode_status(body, &status) < 0)
        return -EPROTO;
    reply.err = sftp_status_errno(status.code);
    /* OK is no answer to a question. */
    if (reply.err == 0 && call->expect != SFTP_STATUS)
        reply.err = -EIO;
    finish(c, call, &reply);
    return 0;
}

/* A whole packet that is not the DATA of a call. */
static int handle_packet(struct conn *c, const uint8_t *packet, size_t len)
{
    struct sftp_reader body;
    struct reply reply = {0};
    struct call *call;
    uint8_t type;
    uint32_t id;

    sftp_reader_init(&body, packet, len);
    type = sftp_get_u8(&body);
    if (c->state == CONN_VERSION)
        return type == SFTP_VERSION_REPLY ? conn_greet(c, &body) : -EPROTO;
    id = sftp_get_u32(&body);
    call = body.failed ? NULL : conn_find(c, id);
    if (!call)
        return -EPROTO; /* nobody asked */
    if (type == SFTP_STATUS)
        return handle_status(c, call, &body);
    if (type != (uint8_t)call->expect || type == SFTP_DATA)
        return -EPROTO;
    reply.body = body;
    finish(c, call, &reply);
    return 0;
}

static void fill_done(struct conn *c)
{
    struct reply reply = {.len = c->fill_len};
    struct call *call = c->filling;

    c->filling = NULL;
    finish(c, call, &reply);
}

/* DATA begins: takes what is here already. 1 if it was DATA. */
static int start_fill(struct conn *c, size_t packet_len)
{
    const uint8_t *p = c->rx + c->rx_at;
    uint32_t len, have;
    struct call *call;

    if (p[4] != SFTP_DATA || c->state != CONN_UP)
        return 0;
    call = conn_find(c, peek32(p + 5));
    len = peek32(p + 9);
    if (!call || call->expect != SFTP_DATA || len + 9u != packet_len ||
        len > call->sink_size)
        return -EPROTO;
    have = (uint32_t)(c->rx_len - c->rx_at - HEADER_BYTES);
    if (have > len)
        have = len;
    memcpy(call->sink, p + HEADER_BYTES, have);
    c->rx_at += HEADER_BYTES + have;
    c->filling = call;
    c->fill_at = have;
    c->fill_len = len;
    if (have == len)
        fill_done(c);
    return 1;
}

/* Room for a packet of this length, at the buffer's start. */
static void make_room(struct conn *c, size_t len)
{
    size_t used = c->rx_len - c->rx_at;

    if (used && c->rx_at)
        memmove(c->rx, c->rx + c->rx_at, used);
    c->rx_at = 0;
    c->rx_len = used;
    if (len > c->rx_size) {
        c->rx = mem_check(realloc(c->rx, len));
        c->rx_size = len;
    } else if (c->rx_size > RX_BYTES && used == 0) {
        c->rx = mem_check(realloc(c->rx, RX_BYTES));
        c->rx_size = RX_BYTES;
    }
}

/* Handles the packets in rx; 0 when more bytes are needed. */
static int handle_received(struct conn *c)
{
    for (;;) {
        size_t have = c->rx_len - c->rx_at, len;
        int rc;

        if (have < HEADER_BYTES - 4)
            return 0;
        len = peek32(c->rx + c->rx_at);
        if (len < 5 || len > SFTP_PACKET_MAX)
            return -EPROTO;
        if (have >= HEADER_BYTES && len >= 9) {
            rc = start_fill(c, len);
            if (rc < 0 || c->filling)
                return rc < 0 ? rc : 0;
            if (rc > 0)
                continue;
        }
        if (have < len + 4) {
            make_room(c, len + 4 > RX_BYTES ? len + 4 : RX_BYTES);
            return 0;
        }
        c->rx_at += len + 4;
        rc = handle_packet(c, c->rx + c->rx_at - len, len);
        if (rc < 0)
            return rc;
    }
}

static ssize_t fill_more(struct conn *c)
{
    struct transport *t = c->transport;
    ssize_t n = t->ops->read(t, c->filling->sink + c->fill_at,
                             c->fill_len - c->fill_at);

    if (n > 0) {
        c->fill_at += (uint32_t)n;
        if (c->fill_at == c->fill_len)
            fill_done(c);
    }
    return n;
}

static ssize_t read_more(struct conn *c)
{
    struct transport *t = c->transport;
    ssize_t n;
    int rc;

    if (c->rx_at == c->rx_len || c->rx_len == c->rx_size)
        make_room(c, RX_BYTES);
    n = t->ops->read(t, c->rx + c->rx_len, c->rx_size - c->rx_len);
    if (n <= 0)
        return n;
    c->rx_len += (size_t)n;
    rc = handle_received(c);
    return rc < 0 ? rc : n;
}

int conn_receive(struct conn *c)
{
    size_t total = 0;

    while (total < BURST_BYTES) {
        ssize_t n = c->filling ? fill_more(c) : read_more(c);

        if (n == -EAGAIN)
            return 0;
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
        c->last_rx = uv_now(c->config.loop);
        total += (size_t)n;
    }
    return 1;
}
