/*
 * tunnel.h - a link: one HTTP/2 session on one byte stream
 *
 * doc/protocol.md is the wire format. A *link* carries *streams*: TCP
 * conversations (CONNECT, RFC 9113 8.5), UDP flows (extended CONNECT with
 * connect-udp, RFC 9298 and 9297) and JSON requests. Both ends use this file;
 * the one that dialled is the HTTP/2 client and opens streams, the other one
 * answers them.
 *
 * Flow of bytes: sending is *pulled* (when the link can take a frame, the
 * stream's pull_cb fills it, straight from the socket where there is one),
 * receiving is *pushed*, and what the receiver does not take stays in the
 * stream's window, so that a reader that stops blocks its own stream only.
 * The connection's window is the link's budget and is given back at once.
 *
 * Windows: a stream starts with 64 KiB, is raised to 256 KiB while less than
 * half of the link's budget is out, and grows towards the bandwidth-delay
 * product (at most 8 MiB) while its reader keeps up and budget is free.
 */
#ifndef TP_TUNNEL_TUNNEL_H
#define TP_TUNNEL_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/sockaddr.h"
#include "net/stream.h"

struct tunnel;
struct tunnel_stream;

/* Where a stream leads to on a link with config.names: [a-z0-9]{26}, which the
 * far end looks up. Nothing else is looked at in it. */
#define TUNNEL_NAME_LEN 26

enum tunnel_role { TUNNEL_CLIENT, TUNNEL_SERVER };
enum tunnel_kind { TUNNEL_TCP, TUNNEL_UDP, TUNNEL_REQUEST };

/* What a peer may ask for; a name is no IP literal, so both can be told apart.
 */
enum tunnel_names {
    TUNNEL_ADDRESSES, /* as false */
    TUNNEL_NAMES,     /* as true: only names */
    TUNNEL_BOTH,
};

/* What a peer asks for when it opens a stream. Borrowed during open_cb. */
struct tunnel_open {
    enum tunnel_kind kind;
    union sockaddr_any addr; /* TCP and UDP: where to; unset if name is not */
    const char *name;        /* TCP and UDP with config.names; else NULL */
    uint16_t port;           /* TCP and UDP, host order */
    const char *method;      /* REQUEST */
    const char *path;        /* REQUEST */
    const char *body;        /* REQUEST: the whole body, NUL-terminated */
    size_t body_len;
};

/*
 * One stream's user. `arg` is given by tunnel_stream_set_user() or
 * tunnel_open_*(). closed_cb is the last call and comes exactly once; the
 * stream pointer is dead after it.
 */
struct tunnel_stream_ops {
    /* Opener only, exactly once and before closed_cb, unless the user itself
     * resets the stream first: the far end answered 0, or a negative errno
     * (-EPIPE: the link is gone). After an error closed_cb follows with the
     * same. TCP is pulled only after a good answer, UDP at once. */
    void (*opened_cb)(void *arg, int status);
    /* Fill data with up to len bytes. > 0; 0: end of this direction; -EAGAIN:
     * nothing now, tunnel_stream_resume() will follow; other: reset it. */
    ssize_t (*pull_cb)(void *arg, void *data, size_t len);
    /* Bytes came in. Returns how many were taken; the rest is offered again
     * after tunnel_stream_drain(). Negative errno: reset the stream. */
    ssize_t (*push_cb)(void *arg, const void *data, size_t len);
    /* The peer ended its direction and all its bytes were taken. */
    void (*eof_cb)(void *arg);
    /* 0: both directions ended in order; -ECONNRESET: the peer (or its TCP)
     * reset; -EPIPE: the link is gone. */
    void (*closed_cb)(void *arg, int status);
};
/* For who waits: nothing is sent, and what comes stays in the window until the
 * stream has another user. */
ssize_t tunnel_hold_pull(void *arg, void *data, size_t len);
ssize_t tunnel_hold_push(void *arg, const void *data, size_t len);

struct tunnel_ops {
    /* Server: a peer opens a stream. Keep it: tunnel_stream_set_user() now and
     * tunnel_stream_answer() now or later. Return a negative errno to refuse
     * at once (then nothing else is called). NULL on a client. */
    int (*open_cb)(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    /* The link ended: 0 by the peer in order, or a negative errno. All streams
     * have had closed_cb. Call tunnel_destroy() now or later. */
    void (*closed_cb)(void *arg, int status, const char *why);
};

struct tunnel_config {
    enum tunnel_role role;
    size_t budget;           /* bytes of unread data in all; 0: 8 MiB */
    unsigned max_streams;    /* that the peer may open; 0: 4096 */
    unsigned ping_ms;        /* 0: 20 s; three unanswered end the link */
    enum tunnel_names names; /* how TCP and UDP are asked for */
};

/* Owns `s` from here on (also on failure). NULL if out of memory. */
struct tunnel *tunnel_create(uv_loop_t *loop, struct stream *s,
                             const struct tunnel_config *config,
                             const struct tunnel_ops *ops, void *arg);
/* Resets all streams (closed_cb with -EPIPE), closes the byte stream. Safe in
 * callbacks; ops->closed_cb is not called. */
void tunnel_destroy(struct tunnel *t);
/* GOAWAY: no new streams, the running ones may end; then the link ends. */
void tunnel_drain(struct tunnel *t);
/* Either end has asked for that. */
bool tunnel_is_draining(const struct tunnel *t);

struct tunnel_stats {
    uint64_t bytes_in, bytes_out; /* payload of TCP and UDP streams */
    uint64_t opened, refused, reset;
    unsigned streams;  /* open now */
    int64_t rtt_us;    /* of the last ping; -1: none yet */
    int64_t silent_ms; /* a ping waits for its answer; 0: none does */
};
void tunnel_get_stats(const struct tunnel *t, struct tunnel_stats *stats);
/* Pings the peer now, unless a ping is waiting already; silent_ms and rtt_us
 * then tell. */
void tunnel_probe(struct tunnel *t);

/* Opens a TCP conversation with, or a UDP flow to, addr at the far end. NULL
 * with errno when the link takes no more streams: EMFILE, ESHUTDOWN (draining),
 * EPIPE (ended). */
struct tunnel_stream *tunnel_open_tcp(struct tunnel *t,
                                      const union sockaddr_any *addr,
                                      const struct tunnel_stream_ops *ops,
                                      void *arg);

/* The same by name, on a link whose far end has config.names. A UDP stream is
 * raw: its bytes are capsules (capsule.h); udp.h has datagrams. EINVAL also for
 * what is no name or port. */
struct tunnel_stream *tunnel_open_tcp_name(struct tunnel *t, const char *name,
                                           uint16_t port,
                                           const struct tunnel_stream_ops *ops,
                                           void *arg);
struct tunnel_stream *tunnel_open_udp_name(struct tunnel *t, const char *name,
                                           uint16_t port,
                                           const struct tunnel_stream_ops *ops,
                                           void *arg);
bool tunnel_name_valid(const char *name);

/* A JSON request; body may be NULL. cb gets the HTTP status or a negative errno
 * (-ETIMEDOUT after 30 s) and the body (at most 1 MiB, NUL-terminated,
 * borrowed), once; not if this fails (negative errno). */
typedef void tunnel_response_cb(void *arg, int status, const char *body,
                                size_t len);
int tunnel_request(struct tunnel *t, const char *method, const char *path,
                   const char *body, tunnel_response_cb *cb, void *arg);

/* A request whose answer is a long one of JSON lines (events). line_cb gets
 * each line, without newline; end_cb the end. Cancel by tunnel_unwatch() or
 * tunnel_destroy(). */
typedef void tunnel_line_cb(void *arg, const char *line, size_t len);
int tunnel_watch(struct tunnel *t, const char *path, tunnel_line_cb *line_cb,
                 tunnel_response_cb *end_cb, void *arg);
/* Ends all watches of this end (end_cb gets -ECANCELED), so that a link that is
 * drained ends with its last conversation. */
void tunnel_unwatch(struct tunnel *t);

/* Server side. */
void tunnel_stream_set_user(struct tunnel_stream *s,
                            const struct tunnel_stream_ops *ops, void *arg);
/* status 0: open (a REQUEST: 200, the body is pulled); negative errno:
 * refused, see tunnel_errno_by_error() (the stream ends with closed_cb, from
 * the loop). -EINVAL if it is answered already. */
int tunnel_stream_answer(struct tunnel_stream *s, int status);
/* REQUEST: the whole answer. */
int tunnel_stream_respond(struct tunnel_stream *s, int http_status,
                          const char *json);

/* Both sides. */
void tunnel_stream_resume(struct tunnel_stream *s); /* pull_cb has bytes */
void tunnel_stream_drain(struct tunnel_stream *s);  /* push_cb has room */
/* Ends the stream at once; the peer sees a reset (TCP: RST). closed_cb gets
 * `error`, before this returns. */
void tunnel_stream_reset(struct tunnel_stream *s, int error);

/* How an error travels: RFC 9209 Proxy-Status error type and HTTP status. */
struct tunnel_errno_row {
    int error; /* negative errno */
    int http_status;
    const char *type; /* "connection_refused", ... */
};
const struct tunnel_errno_row *tunnel_errno_by_error(int error);
const struct tunnel_errno_row *tunnel_errno_by_type(const char *type);

#endif
