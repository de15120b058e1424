/*
 * tunnel_internal.h - what the files of the tunnel share
 *
 *   tunnel.c      life of a link: create, ping, drain, end, destroy
 *   link_io.c     bytes between nghttp2 and the byte stream
 *   session.c     nghttp2's settings, limits and callbacks
 *   tstream.c     life of a stream and its bytes
 *   head.c        request and response heads
 *   target.c      where a stream leads to, as text in a head
 *   window.c      who gets how much receive window
 *   open.c        opening streams (client)
 *   request.c     JSON requests and answers
 *   errno_table.c errors on the wire
 *
 * Re-entrance. nghttp2 may not be entered twice nor freed in its own callbacks,
 * and users may call anything in theirs. So: mem_recv and mem_send run between
 * tunnel_enter() and tunnel_leave() only; everything else just submits and
 * calls tunnel_kick(); ending and freeing wait for the outermost leave.
 */
#ifndef TP_TUNNEL_INTERNAL_H
#define TP_TUNNEL_INTERNAL_H

#include <sys/queue.h>

#include <nghttp2/nghttp2.h>
#include <uv.h>

#include "base/bucket.h"
#include "base/buf.h"
#include "tunnel/chunkq.h"
#include "tunnel/tunnel.h"

enum {
    /* SETTINGS_MAX_FRAME_SIZE, and what we send: with its head a frame fills
     * four TLS records exactly. */
    TUNNEL_FRAME_MAX = 65536,
    TUNNEL_DATA_MAX = TUNNEL_FRAME_MAX - 9,
    TUNNEL_WINDOW_BASE = 65536,
    TUNNEL_WINDOW_MAX = 8 << 20,
    TUNNEL_BUDGET = 8 << 20,
    TUNNEL_STREAMS = 4096,
    TUNNEL_PING_MS = 20000,
    TUNNEL_HEAD_MAX = 16384,   /* header list, RFC 9113 6.5.2 counting */
    TUNNEL_LIST_MAX = 65536,   /* of any header list, else the link ends */
    TUNNEL_BODY_MAX = 1 << 20, /* control request or answer */
    TUNNEL_REQUEST_MS = 30000,
    TARGET_MAX = 256, /* text of where a stream leads to */
};

enum tunnel_phase {
    TUNNEL_HEAD,    /* server: the request comes in; nobody was told */
    TUNNEL_ASKED,   /* waits for the answer; only UDP is pulled (client) */
    TUNNEL_OPEN,    /* bytes flow */
    TUNNEL_REFUSED, /* server: an error answer is on its way out */
    TUNNEL_DONE,    /* closed_cb came; references keep the memory */
};

/* The fields of a request head, while it is being received. */
struct tunnel_head {
    char *method;
    char *authority;
    char *path;
    char *protocol;
    char name[TUNNEL_NAME_LEN + 1]; /* what open->name points to */
    struct buf body;                /* REQUEST */
    size_t stored;                  /* of it, as window_stored() was told */
    size_t size;                    /* of the header list */
    bool foreign;                   /* has a front proxy's header */
    bool too_large;
};

struct tunnel_stream {
    LIST_ENTRY(tunnel_stream) entry;
    TAILQ_ENTRY(tunnel_stream) ready_entry;
    struct tunnel *tunnel;
    const struct tunnel_stream_ops *ops;
    void *arg;
    struct tunnel_head *head; /* server, TUNNEL_HEAD only */
    char *body;               /* REQUEST: what is left to be sent, or NULL */
    size_t body_len, body_off;
    struct chunkq in;   /* received, not taken; bounded by the window */
    size_t granted;     /* of its window, beyond the first one */
    size_t owed;        /* taken, and not given back as credit yet */
    size_t epoch_bytes; /* taken since epoch_ns, see window.c */
    uint64_t epoch_ns;
    int32_t id;
    int refs;
    int http_status; /* client: of the answer */
    int proxy_error; /* client: its Proxy-Status as errno, 0: none */
    int error;       /* of a refusal */
    enum tunnel_phase phase;
    enum tunnel_kind kind;
    bool opener;
    bool told;     /* opened_cb was called */
    bool in_eof;   /* peer's END_STREAM came */
    bool eof_told; /* eof_cb was called */
    bool out_eof;  /* our END_STREAM is in nghttp2's hands */
    bool deferred; /* nghttp2 waits for resume */
    bool pulling, again;
    bool pushing, stalled; /* push_cb did not take all */
    bool ready;            /* on tunnel->ready */
    bool h2_closed;        /* nghttp2 has forgotten it */
};

LIST_HEAD(tunnel_stream_list, tunnel_stream);
TAILQ_HEAD(tunnel_stream_queue, tunnel_stream);

struct tunnel {
    uv_loop_t *loop;
    struct stream *io; /* NULL once closed */
    nghttp2_session *h2;
    const struct tunnel_ops *ops;
    void *arg;
    struct tunnel_config config;
    struct tunnel_stats stats;
    struct tunnel_stream_list streams;
    struct tunnel_stream_queue ready; /* to be delivered at the next flush */

    /* link_io.c */
    uv_check_t check;
    uv_idle_t idle;
    struct buf out;         /* small frames that the socket did not take */
    const uint8_t *pending; /* rest of a large frame, in nghttp2's memory */
    size_t pending_len;
    unsigned want;
    bool kicked;  /* check and idle are running */
    bool blocked; /* waits for STREAM_WRITABLE */

    /* tstream.c: of the read that is being parsed, not given to the user */
    struct tunnel_stream *got_stream;
    uint8_t *got;
    size_t got_len;

    /* window.c */
    size_t granted; /* beyond the first windows, of all streams */
    size_t unread;  /* bytes in all streams' `in` */
    uint32_t base;  /* first window (SETTINGS) that was announced last */

    /* session.c */
    size_t list_size; /* of the header list that is coming in */

    /* tunnel.c */
    uv_timer_t timer;
    unsigned pings; /* unanswered */
    uint64_t asked; /* uv_hrtime() of the oldest unanswered one; 0: none */
    int64_t rtt_min_us;
    struct bucket resets;
    int depth;
    int handles; /* that must be closed before the memory may go */
    bool draining, peer_draining;
    uint32_t goaway_error; /* that we sent */
    bool ended, end_told, destroyed, released;
    int status;
    char why[160];
};

/* tunnel.c */
void tunnel_enter(struct tunnel *t);
void tunnel_leave(struct tunnel *t);
/* Ends the link at the outermost leave (now, if not inside). */
void tunnel_end(struct tunnel *t, int status, const char *why);
void tunnel_got_pong(struct tunnel *t, const uint8_t opaque[8]);
/* Counts a received RST_STREAM; false ends the link. */
bool tunnel_count_reset(struct tunnel *t);

/* link_io.c */
int link_io_create(struct tunnel *t);
void link_io_event(void *arg, unsigned events);
/* There may be something to send: at the end of this loop iteration. */
void tunnel_kick(struct tunnel *t);
/* Sends what can be sent now. Between enter and leave. */
void link_io_send(struct tunnel *t);
void link_io_stop(struct tunnel *t);
/* GOAWAY, if the socket takes it at once. */
void link_io_goodbye(struct tunnel *t);

/* session.c */
int tunnel_session_create(struct tunnel *t);

/* tstream.c */
struct tunnel_stream *tstream_create(struct tunnel *t, enum tunnel_kind kind);
/* The end: closed_cb, and the memory when no callback is using it. */
void tstream_finish(struct tunnel_stream *s, int status);
void tstream_ref(struct tunnel_stream *s);
void tstream_unref(struct tunnel_stream *s);
ssize_t tstream_read_cb(nghttp2_session *h2, int32_t id, uint8_t *data,
                        size_t len, uint32_t *flags,
                        nghttp2_data_source *source, void *arg);
ssize_t tstream_pull(struct tunnel_stream *s, uint8_t *data, size_t len,
                     uint32_t *flags);
/* Keeps the bytes, which lie in the buffer that is being parsed, so that the
 * user gets what one read brought in one call. */
void tstream_received(struct tunnel_stream *s, uint8_t *data, size_t len);
/* Gives them to the user. */
void tstream_flush_received(struct tunnel *t);
void tstream_received_eof(struct tunnel_stream *s);
void tstream_h2_closed(struct tunnel_stream *s, uint32_t error_code);
void tstream_answered(struct tunnel_stream *s, int status);
void tstream_make_ready(struct tunnel_stream *s);
/* Offers what was received to the user. */
void tstream_deliver(struct tunnel_stream *s);

/* head.c */
void tstream_refuse(struct tunnel_stream *s, int error);
int head_add(struct tunnel_stream *s, const uint8_t *name, size_t name_len,
             const uint8_t *value, size_t value_len);
void head_free(struct tunnel_head *head);
/* Server: the head (REQUEST: and the body) is complete. */
void head_complete(struct tunnel_stream *s, bool end_stream);
/* Client: a response head is complete. */
void head_response(struct tunnel_stream *s);
int head_store_body(struct tunnel_stream *s, const uint8_t *data, size_t len);
nghttp2_nv head_nv(const char *name, const char *value);

/* open.c */
/* body: malloc()ed, owned by the stream from here on, or NULL. */
struct tunnel_stream *open_request(struct tunnel *t, const char *method,
                                   const char *path, char *body, size_t len,
                                   const struct tunnel_stream_ops *ops,
                                   void *arg);
struct tunnel_stream *open_udp(struct tunnel *t, const union sockaddr_any *addr,
                               const struct tunnel_stream_ops *ops, void *arg);

/* target.c */
/* Fills open's addr or name, and port, from a CONNECT's head, which may be
 * written to. 0 or -EINVAL. */
int target_parse_tcp(struct tunnel_head *head, enum tunnel_names names,
                     struct tunnel_open *open);
int target_parse_udp(struct tunnel_head *head, enum tunnel_names names,
                     struct tunnel_open *open);
void target_format_udp(const union sockaddr_any *addr, char path[TARGET_MAX]);
/* 0, or -EINVAL if it is no name or port. */
int target_format_tcp_name(const char *name, uint16_t port,
                           char text[TARGET_MAX]);
int target_format_udp_name(const char *name, uint16_t port,
                           char path[TARGET_MAX]);

/* window.c */
void window_init(struct tunnel *t);
void window_consumed(struct tunnel_stream *s, size_t len);
/* False beyond the hard limit of unread bytes. */
bool window_stored(struct tunnel *t, size_t len);
void window_freed(struct tunnel *t, size_t len);
void window_release(struct tunnel_stream *s);

#endif
