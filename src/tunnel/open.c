/* open.c - the client's side of opening streams */
#include "tunnel/tunnel_internal.h"

#include <errno.h>
#include <stdlib.h>

/* 0, or why no stream can be opened now. */
static int may_open(const struct tunnel *t)
{
    uint32_t max;

    if (t->ended)
        return EPIPE;
    if (tunnel_is_draining(t))
        return ESHUTDOWN;
    if (t->config.role != TUNNEL_CLIENT)
        return EINVAL;
    max = nghttp2_session_get_remote_settings(
        t->h2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (max > TUNNEL_STREAMS)
        max = TUNNEL_STREAMS;
    return t->stats.streams >= max ? EMFILE : 0;
}

static int submit(struct tunnel_stream *s, const nghttp2_nv *nv, size_t n,
                  bool sends)
{
    nghttp2_data_provider source = {.read_callback = tstream_read_cb};
    struct tunnel *t = s->tunnel;

    s->id =
        nghttp2_submit_request(t->h2, NULL, nv, n, sends ? &source : NULL, s);
    if (s->id > 0)
        return 0;
    if (s->id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        tunnel_drain(t); /* 2^30 streams: a new link is needed */
        return ESHUTDOWN;
    }
    return ENOMEM;
}

static struct tunnel_stream *
open_stream(struct tunnel *t, enum tunnel_kind kind, const nghttp2_nv *nv,
            size_t n, char *body, size_t body_len,
            const struct tunnel_stream_ops *ops, void *arg)
{
    struct tunnel_stream *s;
    int error = may_open(t);

    s = error ? NULL : tstream_create(t, kind);
    if (!s) {
        free(body);
        errno = error ? error : ENOMEM;
        return NULL;
    }
    s->opener = true;
    s->phase = TUNNEL_ASKED;
    s->body = body;
    s->body_len = body_len;
    s->out_eof = kind == TUNNEL_REQUEST && !body;
    error = submit(s, nv, n, !s->out_eof);
    if (error) {
        s->id = 0;
        s->told = true;
        tstream_finish(s, -error); /* no user yet: calls nobody */
        errno = error;
        return NULL;
    }
    tunnel_stream_set_user(s, ops, arg);
    t->stats.opened++;
    tunnel_kick(t);
    return s;
}

static struct tunnel_stream *open_tcp(struct tunnel *t, const char *authority,
                                      const struct tunnel_stream_ops *ops,
                                      void *arg)
{
    nghttp2_nv nv[2];

    nv[0] = head_nv(":method", "CONNECT");
    nv[1] = head_nv(":authority", authority);
    return open_stream(t, TUNNEL_TCP, nv, 2, NULL, 0, ops, arg);
}

static struct tunnel_stream *
open_connect_udp(struct tunnel *t, const char *path,
                 const struct tunnel_stream_ops *ops, void *arg)
{
    nghttp2_nv nv[6];

    nv[0] = head_nv(":method", "CONNECT");
    nv[1] = head_nv(":protocol", "connect-udp");
    nv[2] = head_nv(":scheme", "http");
    nv[3] = head_nv(":authority", "tp");
    nv[4] = head_nv(":path", path);
    nv[5] = head_nv("capsule-protocol", "?1");
    return open_stream(t, TUNNEL_UDP, nv, 6, NULL, 0, ops, arg);
}

struct tunnel_stream *tunnel_open_tcp(struct tunnel *t,
                                      const union sockaddr_any *addr,
                                      const struct tunnel_stream_ops *ops,
                                      void *arg)
{
    char text[SOCKADDR_TEXT];

    return open_tcp(t, sockaddr_format(addr, text), ops, arg);
}

struct tunnel_stream *tunnel_open_tcp_name(struct tunnel *t, const char *name,
                                           uint16_t port,
                                           const struct tunnel_stream_ops *ops,
                                           void *arg)
{
    char text[TARGET_MAX];

    if (target_format_tcp_name(name, port, text) < 0) {
        errno = EINVAL;
        return NULL;
    }
    return open_tcp(t, text, ops, arg);
}

struct tunnel_stream *open_udp(struct tunnel *t, const union sockaddr_any *addr,
                               const struct tunnel_stream_ops *ops, void *arg)
{
    char path[TARGET_MAX];

    target_format_udp(addr, path);
    return open_connect_udp(t, path, ops, arg);
}

struct tunnel_stream *tunnel_open_udp_name(struct tunnel *t, const char *name,
                                           uint16_t port,
                                           const struct tunnel_stream_ops *ops,
                                           void *arg)
{
    char path[TARGET_MAX];

    if (target_format_udp_name(name, port, path) < 0) {
        errno = EINVAL;
        return NULL;
    }
    return open_connect_udp(t, path, ops, arg);
}

struct tunnel_stream *open_request(struct tunnel *t, const char *method,
                                   const char *path, char *body, size_t len,
                                   const struct tunnel_stream_ops *ops,
                                   void *arg)
{
    nghttp2_nv nv[5];
    size_t n = 4;

    nv[0] = head_nv(":method", method);
    nv[1] = head_nv(":scheme", "http");
    nv[2] = head_nv(":authority", "tp");
    nv[3] = head_nv(":path", path);
    if (body)
        nv[n++] = head_nv("content-type", "application/json");
    return open_stream(t, TUNNEL_REQUEST, nv, n, body, len, ops, arg);
}
