#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/dns_tcp_internal.h"

struct write_op {
    uv_write_t req; /* first */
    uint8_t data[];
};

static void free_handle_cb(uv_handle_t *handle)
{
    free(handle);
}

static void write_cb(uv_write_t *req, int status)
{
    (void)status;
    free(req);
}

int dns_peer_write(struct dns_peer *peer, const void *data, size_t len)
{
    struct write_op *op;
    uv_buf_t buf;
    int rc;

    if (uv_stream_get_write_queue_size((uv_stream_t *)&peer->tcp) + len >
        DNS_TCP_BUFFER)
        return -ENOBUFS;
    op = malloc(sizeof(*op) + len);
    if (!op)
        return -ENOMEM;
    memcpy(op->data, data, len);
    buf = uv_buf_init((char *)op->data, (unsigned)len);
    rc = uv_write(&op->req, (uv_stream_t *)&peer->tcp, &buf, 1, write_cb);
    if (rc < 0)
        free(op);
    return rc;
}

struct dns_peer *dns_peer_create(uv_loop_t *loop, int fd, void *owner)
{
    struct dns_peer *peer = calloc(1, sizeof(*peer));

    if (!peer || uv_tcp_init(loop, &peer->tcp) < 0) {
        free(peer);
        close(fd);
        return NULL;
    }
    peer->owner = owner;
    if (uv_tcp_open(&peer->tcp, fd) < 0) {
        close(fd);
        uv_close((uv_handle_t *)&peer->tcp, free_handle_cb);
        return NULL;
    }
    return peer;
}

void dns_peer_close(struct dns_peer **peer)
{
    if (*peer)
        uv_close((uv_handle_t *)&(*peer)->tcp, free_handle_cb);
    *peer = NULL;
}

size_t dns_frame_len(const struct buf *b)
{
    const uint8_t *p = buf_head(b);
    size_t len;

    if (buf_used(b) < 2)
        return 0;
    len = (size_t)(p[0] << 8 | p[1]);
    return buf_used(b) >= len + 2 ? len + 2 : 0;
}

void dns_peer_alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    char *data = malloc(DNS_TCP_CHUNK);

    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(data, data ? DNS_TCP_CHUNK : 0);
}
