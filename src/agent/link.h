/*
 * link.h - one connection to one replica of the manager
 *
 * TLS first (the CA and the name that were given at injection; SECURITY 9), and
 * only on a verified connection the token and the upgrade. A link is one
 * attempt: it becomes ready and ends later, or it just ends.
 *
 *   LINK_OUT  the agent is the HTTP/2 client: hello, events; the engaged
 *             connections are opened on it
 *   LINK_IN   the agent is the HTTP/2 server: the manager asks
 */
#ifndef TP_AGENT_LINK_H
#define TP_AGENT_LINK_H

#include <uv.h>

#include "base/sockaddr.h"
#include "net/tls.h"
#include "tunnel/tunnel.h"

struct json_object;
struct agent_link;

enum agent_link_kind { LINK_OUT, LINK_IN };

struct agent_link_config {
    enum agent_link_kind kind;
    union sockaddr_any addr;
    const char *server_name; /* verified */
    struct tls_ctx *tls;     /* the caller's, one for all links */
    const char *token_file;  /* read at each dial: the kubelet renews it */
};

/* All come from the loop. The link may be destroyed in each of them. */
struct agent_link_ops {
    /* hello is the replica's answer (LINK_OUT, borrowed), or NULL. */
    void (*ready_cb)(void *arg, struct json_object *hello);
    /* LINK_OUT: a line of the replica's events, borrowed. */
    void (*event_cb)(void *arg, struct json_object *event);
    /* LINK_IN: as in struct tunnel_ops. */
    int (*open_cb)(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    /* It failed or has ended: destroy it. why is one line. */
    void (*ended_cb)(void *arg, const char *why);
};

/* Copies config; the strings and tls only while dialling. NULL with err (no
 * token file, out of memory). */
/* What links are made with: the authority that was given at injection, TLS 1.3
 * and nothing older, as managers speak it. NULL with err filled. */
struct tls_ctx *agent_link_tls(const char *ca_pem, struct tp_error *err);

struct agent_link *agent_link_create(uv_loop_t *loop,
                                     const struct agent_link_config *config,
                                     const struct agent_link_ops *ops,
                                     void *arg, struct tp_error *err);
/* Resets its streams; no callback comes any more. NULL is fine. */
void agent_link_destroy(struct agent_link *l);

/* It changes hands. */
void agent_link_set_user(struct agent_link *l, const struct agent_link_ops *ops,
                         void *arg);

/* After ready_cb. */
struct tunnel *agent_link_tunnel(const struct agent_link *l);

#endif
