/*
 * replicas.h - links to all replicas of the manager, and what they tell
 *
 * Any replica may hold a session's incoming link, so the agent has a pair of
 * links (out, in) to each. The first one is found through the Service (the
 * *seed*); it and all others say by hello and events which there are.
 *
 * Invariants: a replica's engagements are known to the path only while its out
 * link is ready; they are taken from the path before the tunnel goes. Links
 * that are given up while they work (the replica is no longer listed) are
 * drained: their streams may end.
 */
#ifndef TP_AGENT_REPLICAS_H
#define TP_AGENT_REPLICAS_H

#include <uv.h>

#include "agent/path.h"
#include "base/sockaddr.h"
#include "net/tls.h"
#include "tunnel/tunnel.h"

struct replicas;

#define REPLICAS_MAX 32

struct replicas_config {
    union sockaddr_any seed; /* its port is that of all replicas */
    const char *server_name;
    const char *token_file;
    struct tls_ctx *tls; /* NULL: plain, in tests of the tests only */
    /* The list of all replicas has changed: agent_path_set_engagements(). */
    void (*engagements_cb)(void *arg, const struct agent_engagement *list,
                           size_t n);
    /* A stream on an in link: serve_open(). */
    int (*open_cb)(void *arg, struct tunnel_stream *s,
                   const struct tunnel_open *open);
    void *engagements_arg, *open_arg;
};

struct replicas_stats {
    unsigned known, out, in; /* replicas, ready links */
};

/* Copies config but for what it points to. Starts to dial. NULL if out of
 * memory. */
struct replicas *replicas_create(uv_loop_t *loop,
                                 const struct replicas_config *config);
/* Engagements go, then the links. NULL is fine. */
void replicas_destroy(struct replicas *r);

void replicas_get_stats(const struct replicas *r, struct replicas_stats *stats);

#endif
